"""The anomalies of the simulated market: which ticker, what, and when, as a pure function of time.

Across the ten tickers of the default watch list one begins every 75 seconds, each in its turn, so that
whoever looks on sees some soon. Any other ticker has one every 45 minutes. None overlaps the next of
its ticker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from producers.simulation.distortion import Distortion
from producers.simulation.paths import hashed, seed_of

DEFAULT_WATCH_LIST = ("AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META", "TSLA", "JPM", "XOM", "KO")
# A spike or a bad tick outlasts the poll interval a little, lest a poll miss it; a shift and a drift then fade until
# FADED_SECONDS, too slowly to be seen.
FADED_SECONDS = 720.0
_SLOT_SECONDS = 75
_WATCHED_PERIOD_SECONDS = _SLOT_SECONDS * len(DEFAULT_WATCH_LIST)
_OTHER_PERIOD_SECONDS = 2700
_STRIDE = 7  # coprime to the ten tickers: neighbours on the list do not follow each other


class InjectedEvent(NamedTuple):
    """An anomaly put into the simulated market: visible from `start_ms` to before `end_ms` (epoch ms).

    `seed` decides its size and direction.
    """

    distortion: Distortion
    symbol: str
    start_ms: int
    end_ms: int
    seed: int

    @property
    def kind(self) -> str:
        """The kind of anomaly that is to be found."""
        return self.distortion.kind


class Schedule:
    """Which distortion each ticker shows, and when: every distortion in its turn.

    Parameters
    ----------
    distortions
        What is injected; without any, nothing is.
    seed
        Seed of the market.
    """

    def __init__(self, distortions: Sequence[Distortion], seed: int) -> None:
        self._distortions = tuple(distortions)
        self._seed = seed

    def latest(self, symbol: str, at_ms: int) -> InjectedEvent | None:
        """Return the last event of a ticker that has begun by `at_ms`, over or not."""
        if not self._distortions:
            return None
        number = _number(symbol, at_ms)
        event = self._event(symbol, number)
        return event if event.start_ms <= at_ms else self._event(symbol, number - 1)

    def events(
        self,
        symbols: Iterable[str],
        since_ms: int,
        until_ms: int,
        wanted: Callable[[Distortion], bool] = lambda _: True,
    ) -> list[InjectedEvent]:
        """Return all events of these tickers that begin from `since_ms` to before `until_ms`, by time.

        With `wanted`, those of the distortions that it accepts.
        """
        found: list[InjectedEvent] = []
        for symbol in symbols if self._distortions else ():
            numbers = range(_number(symbol, since_ms) - 1, _number(symbol, until_ms) + 1)
            events = (
                self._event(symbol, number) for number in numbers if wanted(self._distortion(symbol, number))
            )
            found += [event for event in events if since_ms <= event.start_ms < until_ms]
        return sorted(found, key=lambda event: (event.start_ms, event.symbol))

    def _event(self, symbol: str, number: int) -> InjectedEvent:
        turn = _turn(symbol)
        bits = hashed(self._own_seed(symbol), number)
        if turn is None:
            latest_start = _OTHER_PERIOD_SECONDS - FADED_SECONDS
            start_ms = number * _OTHER_PERIOD_SECONDS * 1000 + bits % int(latest_start * 1000)
        else:
            slot_start = number * _WATCHED_PERIOD_SECONDS + turn * _SLOT_SECONDS
            start_ms = slot_start * 1000 + bits % 15_000
        distortion = self._distortion(symbol, number)
        end_ms = start_ms + int(distortion.seconds * 1000)
        return InjectedEvent(distortion, symbol, start_ms, end_ms, hashed(bits, 1))

    def _distortion(self, symbol: str, number: int) -> Distortion:
        # Each ticker, and each slot after the last, has the next one, however many there are.
        turn = _turn(symbol)
        place = number + (self._own_seed(symbol) if turn is None else turn)
        return self._distortions[place % len(self._distortions)]

    def _own_seed(self, symbol: str) -> int:
        return seed_of(self._seed, "injection", symbol)


def _turn(symbol: str) -> int | None:
    if symbol not in DEFAULT_WATCH_LIST:
        return None
    return DEFAULT_WATCH_LIST.index(symbol) * _STRIDE % len(DEFAULT_WATCH_LIST)


def _number(symbol: str, at_ms: int) -> int:
    turn = _turn(symbol)
    if turn is None:
        return at_ms // (_OTHER_PERIOD_SECONDS * 1000)
    return (at_ms - turn * _SLOT_SECONDS * 1000) // (_WATCHED_PERIOD_SECONDS * 1000)
