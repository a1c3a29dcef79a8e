"""Detects that a feed stalls, for one ticker or for all of them, and that it is back; reports each once.

A quote is new when the exchange's time of it is, or, where that is not known, when its values are. Silence is
the time in which polls brought no new quote: only polls that were made count, so that neither the night nor a
scanner that stood still is an outage. A ticker's silence counts only while the feed as a whole lives.

A quote older than one seen before is a repetition, and no observation. Nor are the last quotes of a feed that
has fallen silent as a whole: published over and over they would look like a market that stands still, and its
return like a jump.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple
from zlib import crc32

import msgspec
from msgspec import Meta

from producers.contract import Time
from producers.quote_batch import QuoteBatch

FEED_THRESHOLD_MS = 120_000
TICKER_THRESHOLD_MS = 600_000
RECOVERY_MS = 30_000
"""New quotes must keep coming for so long before an outage is over: a feed that flaps is still out."""
LAST_QUOTES_MS = 30_000
"""How long a silent feed's last quotes still count as observations."""
MAX_TICKER_THRESHOLD_MS = 4 * 3_600_000
EVENT_VERSION = 1
EMITTED_BY = "stock-scanner"
_MAX_STEP_MS = 120_000
_PAUSE_MS = 600_000
_TICKERS_NAMED = 100


FeedEventType = Literal["FeedStale", "FeedRecovered"]


class FeedData(msgspec.Struct, frozen=True):
    """An outage of a feed as the bus shows it."""

    source: str
    scope: Literal["feed", "tickers"]
    tickers: Annotated[list[str], Meta(max_length=_TICKERS_NAMED, description="The first hundred of them.")]
    ticker_count: Annotated[int, Meta(ge=0)]
    since: Time
    at: Time
    duration_seconds: Annotated[float, Meta(ge=0)]
    reason: str


class FeedEvent(msgspec.Struct, frozen=True):
    """A feed stalled, or is back: as a whole (`scope` feed) or for some tickers."""

    detail_type: FeedEventType
    source: str
    scope: Literal["feed", "tickers"]
    tickers: list[str]
    since_ms: int
    at_ms: int
    reason: str

    @property
    def event_id(self) -> str:
        """Identifier of the occurrence: the same however often it is sent."""
        what = (
            "feed" if self.scope == "feed" else f"{crc32(','.join(self.tickers).encode()):08x}-{self.at_ms}"
        )
        change = "stale" if self.detail_type == "FeedStale" else "recovered"
        return f"{self.source}-{what}-{self.since_ms}-{change}"

    def detail(self) -> dict[str, Any]:
        """Return the event's detail on the bus; of many tickers the first hundred are named."""
        return {
            "metadata": {
                "version": EVENT_VERSION,
                "event_id": self.event_id,
                "emitted_by": EMITTED_BY,
                "correlation_id": f"{self.source}-{self.scope}-{self.since_ms}",
            },
            "data": msgspec.to_builtins(
                FeedData(
                    source=self.source,
                    scope=self.scope,
                    tickers=self.tickers[:_TICKERS_NAMED],
                    ticker_count=len(self.tickers),
                    since=_iso(self.since_ms),
                    at=_iso(self.at_ms),
                    duration_seconds=(self.at_ms - self.since_ms) / 1000,
                    reason=self.reason,
                )
            ),
        }


class TickerMemory(msgspec.Struct, array_like=True):
    """What is remembered of one ticker (times are epoch ms).

    `newest` is the time of its newest quote, or below 0 a mark of its values where no time is known;
    `stale_since_ms` is 0 while it is not stale; `threshold_ms` is the silence after which it is stale, 0 for
    the usual.
    """

    newest: int = 0
    silent_ms: int = 0
    stale_since_ms: int = 0
    threshold_ms: int = 0


class FeedMemory(msgspec.Struct):
    """What has to be remembered of a feed between scans.

    `back_ms` says for how long new quotes have been coming in an outage (-1: they have not).
    """

    source: str = ""
    observed_ms: int = 0
    silent_ms: int = 0
    stale_since_ms: int = 0
    back_ms: int = -1
    tickers: dict[str, TickerMemory] = {}

    @property
    def stale_tickers(self) -> list[str]:
        """The tickers that are stale on their own."""
        return [ticker for ticker, memory in self.tickers.items() if memory.stale_since_ms]


class _Poll(NamedTuple):
    """A poll: when, the time since the one before that counts as silence, and what multiplies thresholds."""

    now_ms: int
    step_ms: int
    staleness_factor: float


class Observed(NamedTuple):
    """What a poll showed: events to be sent, and the rows of its batch that are observations."""

    events: list[FeedEvent]
    rows: list[int]


class FeedWatch:
    """Watches the feed of `source` poll by poll; what it knows is in `memory`."""

    def __init__(self, source: str, memory: FeedMemory) -> None:
        self.memory = memory if memory.source == source else FeedMemory(source)

    def observe(
        self,
        watched: Sequence[str],
        batch: QuoteBatch | None,
        now_ms: int,
        *,
        expected: Collection[str] | None = None,
        staleness_factor: float = 1.0,
        why: str = "",
    ) -> Observed:
        """Return what a poll of the tickers `watched` at `now_ms` (epoch ms) shows.

        Parameters
        ----------
        batch
            What the poll brought; None when it failed.
        expected
            The tickers of which new quotes are expected, because their market is open; None for all.
        staleness_factor
            Multiplies the staleness thresholds, for hours in which little is traded.
        why
            Why the poll failed.
        """
        memory = self.memory
        elapsed = now_ms - memory.observed_ms if memory.observed_ms else 0
        memory.observed_ms = now_ms
        if elapsed > _PAUSE_MS:
            self._forget_silence()
            elapsed = 0
        poll = _Poll(now_ms, min(max(elapsed, 0), _MAX_STEP_MS), staleness_factor)
        fresh, repeated = (set(), set()) if batch is None else self._fresh(batch)
        events = self._dropped(set(watched), now_ms)
        expected = watched if expected is None else expected
        quiet = f"no new quote of any of {len(expected)} tickers"
        news = fresh if expected is watched else fresh & set(expected)
        events += self._feed(poll, bool(news), f"{quiet}: {why}" if why else quiet)
        if news and not memory.stale_since_ms and batch is not None:
            polled = {*batch.symbol, *batch.missing}
            events += self._tickers(poll, [ticker for ticker in expected if ticker in polled], fresh)
        if batch is None or memory.silent_ms > LAST_QUOTES_MS * staleness_factor:
            return Observed(events, [])
        return Observed(events, [row for row, symbol in enumerate(batch.symbol) if symbol not in repeated])

    def _fresh(self, batch: QuoteBatch) -> tuple[set[str], set[str]]:
        """Return the symbols whose quote is new, and those whose quote is older than one seen before."""
        values = zip(batch.price, batch.bid, batch.ask, batch.day_volume, strict=True)
        fresh: set[str] = set()
        repeated: set[str] = set()
        for symbol, quote_ts, row in zip(batch.symbol, batch.quote_ts, values, strict=True):
            memory = self.memory.tickers.setdefault(symbol, TickerMemory())
            newest = quote_ts if quote_ts is not None else -1 - (crc32(repr(row).encode()) & 0xFFFF)
            if newest == memory.newest:
                continue
            if 0 <= newest < memory.newest:
                repeated.add(symbol)
                continue
            memory.newest = newest
            fresh.add(symbol)
        return fresh, repeated

    def _feed(self, poll: _Poll, is_fresh: bool, reason: str) -> list[FeedEvent]:
        memory = self.memory
        memory.silent_ms = 0 if is_fresh else memory.silent_ms + poll.step_ms
        if not memory.stale_since_ms:
            if memory.silent_ms < FEED_THRESHOLD_MS * poll.staleness_factor:
                return []
            memory.stale_since_ms, memory.back_ms = poll.now_ms - memory.silent_ms, -1
            since_ms = memory.stale_since_ms
            return [FeedEvent("FeedStale", memory.source, "feed", [], since_ms, poll.now_ms, reason)]
        if memory.back_ms >= 0:
            is_back = memory.silent_ms < RECOVERY_MS * poll.staleness_factor
            memory.back_ms = memory.back_ms + poll.step_ms if is_back else -1
        elif is_fresh:
            memory.back_ms = 0
        if not is_fresh or memory.back_ms < RECOVERY_MS:
            return []
        since_ms, memory.stale_since_ms, memory.back_ms = memory.stale_since_ms, 0, -1
        reason = "new quotes keep coming"
        return [FeedEvent("FeedRecovered", memory.source, "feed", [], since_ms, poll.now_ms, reason)]

    def _tickers(self, poll: _Poll, polled: Iterable[str], fresh: Collection[str]) -> list[FeedEvent]:
        stale: dict[str, int] = {}
        back: dict[str, int] = {}
        for ticker in polled:
            memory = self.memory.tickers.setdefault(ticker, TickerMemory())
            threshold_ms = memory.threshold_ms or TICKER_THRESHOLD_MS
            if ticker not in fresh:
                memory.silent_ms += poll.step_ms
                if not memory.stale_since_ms and memory.silent_ms >= threshold_ms * poll.staleness_factor:
                    stale[ticker] = memory.stale_since_ms = poll.now_ms - memory.silent_ms
                continue
            memory.silent_ms = 0
            if memory.stale_since_ms:  # some are traded that rarely: their threshold grows
                back[ticker], memory.stale_since_ms = memory.stale_since_ms, 0
                memory.threshold_ms = min(2 * threshold_ms, MAX_TICKER_THRESHOLD_MS)
        return [
            *self._of_tickers("FeedStale", stale, poll.now_ms, "no new quote while others had some"),
            *self._of_tickers("FeedRecovered", back, poll.now_ms, "a new quote"),
        ]

    def _dropped(self, watched: Collection[str], now_ms: int) -> list[FeedEvent]:
        dropped = [ticker for ticker in self.memory.tickers if ticker not in watched]
        gone = {ticker: self.memory.tickers.pop(ticker).stale_since_ms for ticker in dropped}
        stale = {ticker: since for ticker, since in gone.items() if since}
        return self._of_tickers("FeedRecovered", stale, now_ms, "no longer on the watch list")

    def _forget_silence(self) -> None:
        self.memory.silent_ms = 0
        self.memory.back_ms = -1
        for ticker in self.memory.tickers.values():
            ticker.silent_ms = 0

    def _of_tickers(
        self,
        detail_type: FeedEventType,
        since_ms: dict[str, int],
        now_ms: int,
        reason: str,
    ) -> list[FeedEvent]:
        if not since_ms:
            return []
        tickers, first = list(since_ms), min(since_ms.values())
        return [FeedEvent(detail_type, self.memory.source, "tickers", tickers, first, now_ms, reason)]


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
