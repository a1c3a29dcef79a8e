"""Warm-up: a ticker's windows learn from its vendor's minute bars before its first quote, and after an outage.

The bars go on the stream as ticks of origin `backfill`, ahead of the first quote: windows learn from them, charts
show them, nobody is notified of them. A minute becomes four ticks, 15 s apart: open, low and high (the one nearer to
the open first), close. Closes alone would teach detectors that a price never stands still, and candles would have no
height. A minute's volume is spread evenly over its ticks, as volumes of the day that end at that of the first quote;
where they would begin below zero, in the session before, the ticks have none. A ticker waits for its bars at most two
minutes, and has its quotes without them then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from producers.markets import Session, is_open
from producers.origin import backfill_of
from producers.quote_batch import QuoteBatch, select
from producers.source import History, MinuteBar, SourceError

MINUTES: Final = 30
"""Of trading: as many as detectors need, few enough for them to learn the pace of the quotes soon."""
GAP_MINUTES: Final = 3
"""So many minutes of trading without a quote are filled in."""
MAX_WAIT_MS: Final = 120_000
MOST_AT_ONCE: Final = 500
"""More tickers than this begin without bars: theirs would hold up the quotes on the stream."""
REMEMBERED_MS: Final = 7 * 86_400_000
"""How long a ticker that is no longer watched is known: its windows have ticks that a backfill must not repeat."""
_MINUTE_MS: Final = 60_000
_LOOK_BACK_MINUTES: Final = 7 * 1_440
_OFFSETS_MS: Final = (7_500, 22_500, 37_500, 52_500)
_MOST_CALLS: Final = 50


class WarmUpMemory(msgspec.Struct):
    """What is remembered between scans (epoch ms): each ticker's newest tick, and since when others wait for bars."""

    newest_ms: dict[str, int] = {}
    waiting_ms: dict[str, int] = {}


class Limits(NamedTuple):
    """Of what a poll may fetch: of how many tickers (a call each), and the time in which calls may begin."""

    calls: int
    milliseconds: int


class WarmedUp(NamedTuple):
    """What to publish: the past as a batch of its own, then the poll's quotes, without tickers that still wait."""

    past: QuoteBatch | None
    quotes: QuoteBatch
    problems: list[str]


class WarmUp:
    """Warms up the tickers of one live source.

    Parameters
    ----------
    source
        The source's name.
    history
        Makes its minute bars available, when they are first needed.
    market_of, session
        Each ticker's market, and the hours in which it is watched.
    limits
        Of what a poll may fetch.
    clock_ms
        The time, in epoch milliseconds.
    """

    def __init__(
        self,
        source: str,
        history: Callable[[], History],
        *,
        market_of: Callable[[str], str],
        session: Session,
        limits: Limits,
        clock_ms: Callable[[], int],
    ) -> None:
        self._source = source
        self._make = history
        self._history: History | None = None
        self._market_of = market_of
        self._session = session
        self._limits = limits
        self._clock_ms = clock_ms

    def run(self, memory: WarmUpMemory, batch: QuoteBatch, now_ms: int) -> WarmedUp:
        """Return what to publish of a poll at `now_ms` (epoch ms UTC); `memory` is changed.

        Whatever a history raises costs its ticker the warm-up, and is reported.
        """
        due = self._due(memory, batch.symbol, now_ms)
        bars: dict[str, list[MinuteBar]] = {}
        problems: list[str] = []
        if len(due) > MOST_AT_ONCE:
            problems.append(f"{len(due)} tickers are not warmed up: at most {MOST_AT_ONCE} are at once")
            due = {}
        for ticker in due:
            memory.waiting_ms.setdefault(ticker, now_ms)
        tried: set[str] = set()
        for ticker in sorted(due, key=memory.waiting_ms.__getitem__)[: self._limits.calls]:
            if self._clock_ms() - now_ms > self._limits.milliseconds:
                break
            tried.add(ticker)
            try:
                bars[ticker] = self._bars(ticker, due[ticker], now_ms)
            except Exception as error:  # noqa: BLE001 - reported: a history that fails must not cost the quotes
                problems.append(f"{ticker} is not warmed up: {_error_text(error)}")
        waiting = {
            ticker
            for ticker in due
            if ticker not in tried and now_ms - memory.waiting_ms[ticker] < MAX_WAIT_MS
        }
        rows = [row for row, ticker in enumerate(batch.symbol) if ticker not in waiting]
        quotes = batch if len(rows) == len(batch) else select(batch, rows, batch.missing)
        self._remember(memory, quotes, waiting, now_ms)
        past = self._past(bars, dict(zip(batch.symbol, batch.day_volume, strict=True)))
        return WarmedUp(past if len(past) else None, quotes, problems)

    def _due(self, memory: WarmUpMemory, symbols: Sequence[str], now_ms: int) -> dict[str, int]:
        """Return the tickers whose past is not known, each with where their bars begin (epoch ms)."""
        begins: dict[tuple[str, int], int | None] = {}
        due: dict[str, int] = {}
        for ticker in symbols:
            newest = memory.newest_ms.get(ticker, 0)
            if now_ms - newest <= GAP_MINUTES * _MINUTE_MS:
                continue
            key = self._market_of(ticker), newest
            if key not in begins:
                begins[key] = self._begin(*key, now_ms)
            if (begin := begins[key]) is not None:
                due[ticker] = begin
        return due

    def _begin(self, market: str, newest_ms: int, now_ms: int) -> int | None:
        """Return where bars begin: the newest `MINUTES` of trading after the newest tick; None if there are few."""
        minute, traded = now_ms // _MINUTE_MS * _MINUTE_MS, 0
        earliest = max(minute - _LOOK_BACK_MINUTES * _MINUTE_MS, newest_ms)
        begin = minute
        while traded < MINUTES and minute - _MINUTE_MS >= earliest:
            minute -= _MINUTE_MS
            if is_open(self._session, datetime.fromtimestamp(minute / 1000, UTC), market):
                traded, begin = traded + 1, minute
        return begin if traded >= (GAP_MINUTES if newest_ms else 1) else None

    def _bars(self, ticker: str, begin_ms: int, now_ms: int) -> list[MinuteBar]:
        """Return the bars of the whole minutes of trading since `begin_ms`, the oldest first, each minute once."""
        if self._history is None:
            self._history = self._make()
        end_ms, market = now_ms // _MINUTE_MS * _MINUTE_MS, self._market_of(ticker)
        found = {
            bar.ts // _MINUTE_MS * _MINUTE_MS: bar
            for bar in self._history.minute_bars(ticker, begin_ms, end_ms)
            if begin_ms <= bar.ts < end_ms
            and is_open(self._session, datetime.fromtimestamp(bar.ts / 1000, UTC), market)
        }
        return [found[minute]._replace(ts=minute) for minute in sorted(found)][-MINUTES:]

    def _past(
        self, bars: Mapping[str, Sequence[MinuteBar]], traded: Mapping[str, float | None]
    ) -> QuoteBatch:
        rows = [
            (ticker, *tick, volume)
            for ticker, of in bars.items()
            for (bar, volumes) in zip(of, volumes_of(of, traded[ticker]), strict=True)
            for tick, volume in zip(ticks_of(bar), volumes, strict=True)
        ]
        unknown: list[None] = [None] * len(rows)
        return QuoteBatch(
            source=backfill_of(self._source),
            symbol=[ticker for ticker, _, _, _ in rows],
            ts=[ts for _, ts, _, _ in rows],
            price=[price for _, _, price, _ in rows],
            bid=[*unknown],
            ask=[*unknown],
            day_volume=[volume for _, _, _, volume in rows],
            quote_ts=[*unknown],
            missing=[],
        )

    def _remember(self, memory: WarmUpMemory, quotes: QuoteBatch, waiting: set[str], now_ms: int) -> None:
        memory.newest_ms |= dict(zip(quotes.symbol, quotes.ts, strict=True))
        memory.waiting_ms = {t: since for t, since in memory.waiting_ms.items() if t in waiting}
        if any(now_ms - newest > REMEMBERED_MS for newest in memory.newest_ms.values()):
            memory.newest_ms = {
                t: newest for t, newest in memory.newest_ms.items() if now_ms - newest <= REMEMBERED_MS
            }


def ticks_of(bar: MinuteBar) -> list[tuple[int, float]]:
    """Return the four ticks (epoch ms, price) that stand for a minute.

    Examples
    --------
    >>> [price for _, price in ticks_of(MinuteBar(0, open=10.0, high=12.0, low=9.5, close=11.0, volume=5.0))]
    [10.0, 9.5, 12.0, 11.0]
    """
    ends = (bar.low, bar.high) if bar.open - bar.low <= bar.high - bar.open else (bar.high, bar.low)
    prices = (bar.open, *ends, bar.close)
    return [(bar.ts + offset, price) for offset, price in zip(_OFFSETS_MS, prices, strict=True)]


def volumes_of(bars: Sequence[MinuteBar], traded: float | None) -> list[list[float | None]]:
    """Return the volume of the day at each of the four ticks of each bar; `traded` is that of the quote after them.

    Examples
    --------
    >>> bars = [MinuteBar(60_000 * n, 1.0, 1.0, 1.0, 1.0, volume=40.0) for n in range(3)]
    >>> volumes_of(bars, 95.0)
    [[None, None, 5.0, 15.0], [25.0, 35.0, 45.0, 55.0], [65.0, 75.0, 85.0, 95.0]]
    >>> volumes_of(bars[:1], None)
    [[None, None, None, None]]
    """
    left, found = traded, list[list[float | None]]()
    for bar in reversed(bars):
        if not 0.0 <= bar.volume < math.inf:
            left = None
        of: list[float | None] = []
        for _ in _OFFSETS_MS:
            of.insert(0, left)
            left = None if left is None or left < bar.volume / 4 else left - bar.volume / 4
        found.insert(0, of)
    return found


def limits_of(calls_per_minute: float | None, poll_interval_seconds: float) -> Limits:
    """Return what a poll may fetch: a third of the vendor's limit of calls, begun in half of the interval.

    Examples
    --------
    >>> limits_of(480, 5.0), limits_of(50, 5.0)
    (Limits(calls=13, milliseconds=2500), Limits(calls=1, milliseconds=2500))
    """
    calls = _MOST_CALLS if calls_per_minute is None else int(calls_per_minute * poll_interval_seconds / 180)
    return Limits(min(_MOST_CALLS, max(1, calls)), round(poll_interval_seconds * 500))


def _error_text(error: Exception) -> str:
    text = str(error) if isinstance(error, SourceError) else f"{type(error).__name__}: {error}"
    return text if len(text) <= 160 else text[:157] + "..."
