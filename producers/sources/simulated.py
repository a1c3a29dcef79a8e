"""A market that moves like one, for trying the monitor out: source `simulated`.

Every quote is a pure function of seed, symbol and time. So any process at any time continues the same
market, and a backfill produces what live polls would have produced. Tickers move with the market, with
their sector and by themselves; volatility and volume cluster and are higher at both ends of the UTC
day; prices are in cents; the day's volume is cumulative. Distortions (`simulation/distortion.py`)
put anomalies into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, exp, floor, sqrt
from typing import NamedTuple

from producers.quote_batch import Quote
from producers.simulation.distortion import VARIABLE, Distortion, from_text
from producers.simulation.injection import FADED_SECONDS, InjectedEvent, Schedule
from producers.simulation.listings import Listing, listing
from producers.simulation.paths import brownian, busy_time, hashed, seed_of, traded_share, uniform
from producers.source import Environment, Missing, Quotes, SourceSpec
from producers.symbols import is_symbol

DEFAULT_SEED = 20_240_613
DAY_MS = 86_400_000
_BLOCK_DAYS = 256  # prices return to their level once a block, so that they stay plausible for ever
_MARKET_VOLATILITY = 0.008
_SECTOR_VOLATILITY = 0.005
_FIVE_SECONDS = 5.0 / 86_400.0
_JUMP_SIZES = 30.0, 50.0  # in standard deviations of five seconds
_VOLATILITY_FACTOR = 6.0
_HALTED = Missing("is halted", is_known=True)
_NO_TICKER = Missing("is no ticker")


class SimulatedSource:
    """Quotes of the simulated market for any well-written ticker.

    Examples
    --------
    >>> SimulatedSource().quotes(["AAPL", "not a ticker"], 1_763_996_400_000)["not a ticker"].reason
    'is no ticker'
    """

    def __init__(self, seed: int = DEFAULT_SEED, distortions: Sequence[Distortion] = ()) -> None:
        self._seed = seed
        self._schedule = Schedule(distortions, seed)
        self._bursts_before = lru_cache(maxsize=65_536)(self._count_bursts)

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:
        """Return the quotes at `now_ms`; what is no ticker, or halted just now, is missing."""
        return {
            symbol: self.quote(symbol, now_ms) or _HALTED if is_symbol(symbol) else _NO_TICKER
            for symbol in symbols
        }

    def quote(self, symbol: str, at_ms: int) -> Quote | None:
        """Return the quote of a ticker at any time, or None while a gap is injected.

        Prices are dollars in whole cents, `day_volume` is shares traded since midnight UTC.
        """
        event = self._schedule.latest(symbol, at_ms)
        active = event.distortion if event and at_ms < event.end_ms else None
        if active and active.is_silent:
            return None
        if event and active and active.is_frozen:
            at_ms = event.start_ms
        traits = listing(symbol)
        day = _ticker_day(self._seed, symbol, at_ms // DAY_MS)
        level = self._log_level(day, traits, at_ms)
        level += _displacement(event, at_ms, _volatility(traits)) if event else 0.0
        middle = traits.price * exp(level)
        spread_factor = active.spread_factor if active else 1.0
        price, bid, ask = _quote(day, middle, traits.half_spread * spread_factor, at_ms)
        if event and active and active.price_factors:
            price = round(price * active.price_factors[event.seed % len(active.price_factors)], 2)
        return Quote(price, bid, ask, self._day_volume(day, traits, event, at_ms))

    def injected_events(self, symbols: Sequence[str], since_ms: int, until_ms: int) -> list[InjectedEvent]:
        """Return the anomalies that begin in this time (epoch ms), by time."""
        return self._schedule.events(symbols, since_ms, until_ms)

    def _log_level(self, day: _TickerDay, traits: Listing, at_ms: int) -> float:
        market = _factor(self._seed, "market", _MARKET_VOLATILITY, at_ms)
        sector = _factor(self._seed, traits.sector, _SECTOR_VOLATILITY, at_ms)
        return traits.beta * market + sector + day.path.at(at_ms)

    def _day_volume(self, day: _TickerDay, traits: Listing, event: InjectedEvent | None, at_ms: int) -> int:
        share = traded_share(day.trades_seed, busy_time(at_ms % DAY_MS / DAY_MS))
        a_second = traits.daily_volume / 86_400.0
        day_start_ms = at_ms // DAY_MS * DAY_MS
        extra = self._bursts_before(event.symbol, day_start_ms, event.start_ms) if event else 0.0
        if event and event.start_ms >= day_start_ms:
            shown = min(event.distortion.seconds, (at_ms - event.start_ms) / 1000.0)
            extra += (event.distortion.volume_factor - 1.0) * shown
        return round(day.volume * share + a_second * extra)

    def _count_bursts(self, symbol: str, day_start_ms: int, before_ms: int) -> float:
        """Seconds of usual volume that bursts have added since midnight, the one at `before_ms` left out."""
        events = self._schedule.events([symbol], day_start_ms, before_ms, lambda of: of.volume_factor > 1.0)
        return sum((event.distortion.volume_factor - 1.0) * event.distortion.seconds for event in events)


class _DayPath(NamedTuple):
    """A path over a day: continuous through midnights, back at 0 once a block of days."""

    seed: int
    start: float
    end: float
    variance: float

    def at(self, at_ms: int) -> float:
        """Return its log level at a time of its day."""
        busy = busy_time(at_ms % DAY_MS / DAY_MS)
        return brownian(self.seed, busy, self.start, self.end, variance=self.variance)


class _TickerDay(NamedTuple):
    """What a ticker's quotes of a day are made from; `volume` is the number of shares of the whole day."""

    path: _DayPath
    volume: float
    trades_seed: int
    quotes_seed: int


@lru_cache(maxsize=65_536)
def _ticker_day(seed: int, symbol: str, day: int) -> _TickerDay:
    traits = listing(symbol)
    return _TickerDay(
        path=_day_path(seed, symbol, traits.own_volatility, day),
        volume=traits.daily_volume * (0.7 + 0.7 * uniform(seed_of(seed, "volume", symbol, day))),
        trades_seed=seed_of(seed, "trades", symbol, day),
        quotes_seed=seed_of(seed, "quotes", symbol),
    )


def _day_path(seed: int, name: str, daily_volatility: float, day: int) -> _DayPath:
    return _DayPath(
        seed=seed_of(seed, "day", name, day),
        start=_at_midnight(seed, name, daily_volatility, day),
        end=_at_midnight(seed, name, daily_volatility, day + 1),
        variance=daily_volatility**2,
    )


@lru_cache(maxsize=256)
def _factor(seed: int, name: str, daily_volatility: float, at_ms: int) -> float:
    return _day_path(seed, name, daily_volatility, at_ms // DAY_MS).at(at_ms)


def _quote(day: _TickerDay, middle: float, half_spread: float, at_ms: int) -> tuple[float, float, float]:
    """Return last price, bid and ask around a middle price, in whole cents."""
    bits = hashed(day.quotes_seed, at_ms // 250)
    half = max(0.5, 100.0 * middle * half_spread * (0.7 + 0.6 * uniform(bits)))
    bid_cents = max(1, floor(100.0 * middle - half + 0.5))
    ask_cents = max(bid_cents + 1, ceil(100.0 * middle + half - 0.5))
    middle_cents = min(max(round(100.0 * middle), bid_cents), ask_cents)
    last_cents = (bid_cents, middle_cents, ask_cents)[bits % 3]  # trades bounce between bid and ask
    return last_cents / 100.0, bid_cents / 100.0, ask_cents / 100.0


def _at_midnight(seed: int, name: str, daily_volatility: float, day: int) -> float:
    block, into_block = divmod(day, _BLOCK_DAYS)
    variance = _BLOCK_DAYS * daily_volatility**2
    levels = _BLOCK_DAYS.bit_length() - 1
    return brownian(
        seed_of(seed, "block", name, block),
        into_block / _BLOCK_DAYS,
        0.0,
        0.0,
        variance=variance,
        levels=levels,
    )


def _volatility(traits: Listing) -> float:
    """Return the standard deviation of a ticker's return over five seconds."""
    daily = (traits.beta * _MARKET_VOLATILITY) ** 2 + _SECTOR_VOLATILITY**2 + traits.own_volatility**2
    return sqrt(daily * _FIVE_SECONDS)


def _displacement(event: InjectedEvent, at_ms: int, volatility: float) -> float:
    """How far an event moves the log price at this time."""
    seconds = (at_ms - event.start_ms) / 1000.0
    distortion = event.distortion
    visible = distortion.seconds
    if distortion.move == "shake":
        variance = (_VOLATILITY_FACTOR * volatility) ** 2 * visible / 5.0
        if seconds >= visible:
            return 0.0
        return brownian(event.seed, seconds / visible, 0.0, 0.0, variance=variance, levels=7)
    smallest, largest = _JUMP_SIZES
    size = volatility * (smallest + (largest - smallest) * uniform(event.seed))
    jump = size if event.seed & 1 else -size
    faded = _smooth((seconds - visible) / (FADED_SECONDS - visible))
    match distortion.move:
        case "jump":
            return jump if seconds < visible else 0.0
        case "shift":
            return jump * (1.0 - faded)
        case "drift":
            return jump * (min(seconds / visible, 1.0) - faded)
        case _:
            return 0.0


def _smooth(x: float) -> float:
    """From 0 to 1 without a kink."""
    x = min(max(x, 0.0), 1.0)
    return x * x * (3.0 - 2.0 * x)


def _poll(environment: Environment) -> SimulatedSource:
    return SimulatedSource(distortions=from_text(environment.get(VARIABLE, "")))


SOURCE = SourceSpec(
    name="simulated",
    summary="an invented market with known anomalies, labelled as simulated everywhere",
    assets=("stocks", "etfs"),
    market="24/7",
    columns=("bid", "ask", "day_volume"),
    poll=_poll,
    limits="No price in it is real. The same seed, ticker and time give the same quote on any machine.",
)
