"""The anomalies of the simulated market: which ticker, what, and when, as a pure function of time.

Across the ten tickers of the default watch list one begins every 75 seconds, each in its turn, so that
whoever looks on sees some soon. Any other ticker has one every 45 minutes. None overlaps the next of
its ticker.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from producers.simulation.paths import hashed, seed_of

DEFAULT_WATCH_LIST = ("AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META", "TSLA", "JPM", "XOM", "KO")
KINDS = (
    "price_spike",
    "volume_burst",
    "level_shift",
    "spread_blowout",
    "bad_tick",
    "frozen_feed",
    "vol_shift",
    "gap",
    "slow_drift",
)
# How long each is to be seen. Spikes and bad ticks outlast the poll interval a little, lest a poll miss
# them; a level shift and a drift then fade until FADED_SECONDS, too slowly to be seen.
SECONDS = {
    "price_spike": 8.0,
    "volume_burst": 30.0,
    "level_shift": 240.0,
    "spread_blowout": 45.0,
    "bad_tick": 5.5,
    "frozen_feed": 90.0,
    "vol_shift": 128.0,
    "gap": 150.0,
    "slow_drift": 240.0,
}
FADED_SECONDS = 720.0
_SLOT_SECONDS = 75
_WATCHED_PERIOD_SECONDS = _SLOT_SECONDS * len(DEFAULT_WATCH_LIST)
_OTHER_PERIOD_SECONDS = 2700
_STRIDE = 7  # coprime to the ten tickers: neighbours on the list do not follow each other


class InjectedEvent(NamedTuple):
    """An anomaly put into the simulated market: visible from `start_ms` to before `end_ms` (epoch ms).

    `seed` decides its size and direction.
    """

    kind: str
    symbol: str
    start_ms: int
    end_ms: int
    seed: int


def latest_event(seed: int, symbol: str, at_ms: int) -> InjectedEvent:
    """Return the last event of a ticker that has begun by `at_ms`, over or not."""
    number = _number(symbol, at_ms)
    event = _event(seed, symbol, number)
    return event if event.start_ms <= at_ms else _event(seed, symbol, number - 1)


def injected_events(seed: int, symbols: Iterable[str], since_ms: int, until_ms: int) -> list[InjectedEvent]:
    """Return all events of these tickers that begin from `since_ms` to before `until_ms`, by time."""
    found = []
    for symbol in symbols:
        numbers = range(_number(symbol, since_ms) - 1, _number(symbol, until_ms) + 1)
        events = (_event(seed, symbol, number) for number in numbers)
        found += [event for event in events if since_ms <= event.start_ms < until_ms]
    return sorted(found, key=lambda event: (event.start_ms, event.symbol))


def _turn(symbol: str) -> int | None:
    if symbol not in DEFAULT_WATCH_LIST:
        return None
    return DEFAULT_WATCH_LIST.index(symbol) * _STRIDE % len(DEFAULT_WATCH_LIST)


def _number(symbol: str, at_ms: int) -> int:
    turn = _turn(symbol)
    if turn is None:
        return at_ms // (_OTHER_PERIOD_SECONDS * 1000)
    return (at_ms - turn * _SLOT_SECONDS * 1000) // (_WATCHED_PERIOD_SECONDS * 1000)


def _event(seed: int, symbol: str, number: int) -> InjectedEvent:
    turn = _turn(symbol)
    own_seed = seed_of(seed, "injection", symbol)
    bits = hashed(own_seed, number)
    if turn is None:
        kind = KINDS[(number + own_seed) % len(KINDS)]
        latest_start = _OTHER_PERIOD_SECONDS - FADED_SECONDS
        start_ms = number * _OTHER_PERIOD_SECONDS * 1000 + bits % int(latest_start * 1000)
    else:
        kind = KINDS[(number * len(DEFAULT_WATCH_LIST) + turn) % len(KINDS)]
        slot_start = number * _WATCHED_PERIOD_SECONDS + turn * _SLOT_SECONDS
        start_ms = slot_start * 1000 + bits % 15_000
    return InjectedEvent(kind, symbol, start_ms, start_ms + int(SECONDS[kind] * 1000), hashed(bits, 1))
