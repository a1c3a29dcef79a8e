"""One scan: several polls of the watch list that end before the next scan begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from botocore.exceptions import BotoCoreError, ClientError

from producers.archive import Archive
from producers.errors import MonitorError
from producers.markets import Session, market_of
from producers.markets.listings import traded
from producers.origin import origin_of
from producers.polling import poll
from producers.publisher import Aggregate, Publisher, PublishReport
from producers.quote_batch import QuoteBatch, select, usable, without_fresh_times
from producers.scan.feed_keeper import FeedKeeper
from producers.scan.lease import Lease, LeaseLostError
from producers.scan.report import ScanReport
from producers.scan.unsent import UnsentStore
from producers.scan.warm_up import WarmUp
from producers.settings import SCHEDULED, ScannerSettings, ScanRequest
from producers.source import HasConnection, Source, SourceError
from producers.watch_list import WatchList

SCAN_SECONDS = 58
"""Of a minute, so that polls of up to two seconds apart leave no hole before the next scan's first."""
_BY_HAND_SECONDS = 55
_RETRY_MS = 1_000
_SET_BACK_MS = 60_000
"""By so much a clock is never wrong before it is set right in small steps."""
_FINISHING_SECONDS = 3.0  # to store and archive what a scan leaves, after its last poll
BACKFILL_STEP_MS = 5_000
_BACKFILL_CHUNK = 60
_MINUTE_MS = 60_000
_EXTENDED_FACTOR = 5.0  # little is traded before the open and after the close: staleness thresholds grow


class ScanError(MonitorError):
    """A scan could do nothing; says what stood in the way and what is allowed."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a scan works with: the adapters, and its only ways to time."""

    source: Source
    watch_list: Callable[[], WatchList]
    publisher: Publisher
    lease: Lease
    unsent: UnsentStore
    archive: Archive
    feed: FeedKeeper
    clock_ms: Callable[[], int]
    sleep: Callable[[float], None]
    market_of: Callable[[str], str] = market_of
    warm_up: WarmUp | None = None


class Scan:
    """A scan, to be run once; `report` tells what it did, also when it failed."""

    def __init__(self, parts: Parts, settings: ScannerSettings) -> None:
        self._parts = parts
        self._settings = settings
        self._stored: list[Aggregate] = []
        self._is_overtaken = False
        self.report = ScanReport()

    def run(self, request: ScanRequest, deadline_ms: int) -> ScanReport:
        """Poll until `deadline_ms` (epoch ms), or does what else is requested.

        Raises
        ------
        ScanError
            If the request cannot be met, or the source failed in every poll.
        WatchListError, UnsentError, PublishError, QuoteBatchError
            As their classes say. What the stream did not take is stored all the same.
        """
        self._check(request)
        parts = self._parts
        due_ms = parts.clock_ms()
        if not self._is_open():
            self.report.status = "closed"
        elif not self._acquire(request, deadline_ms):
            self.report.status = "already running"
        else:
            started_ms = parts.clock_ms()
            with ExitStack() as at_the_end:
                at_the_end.callback(parts.lease.release)
                at_the_end.callback(lambda: parts.archive.write(started_ms))
                at_the_end.callback(self._store_waiting)
                parts.feed.begin(self._settings.source, parts.source, started_ms)
                if isinstance(parts.source, HasConnection):
                    at_the_end.callback(parts.source.close)
                at_the_end.callback(self._save_feed)
                self._work(request, due_ms, deadline_ms)
        return self.report

    def _check(self, request: ScanRequest) -> None:
        if request.backfill_minutes is not None and origin_of(self._settings.source) != "simulated":
            raise ScanError(
                f"backfill_minutes: source {self._settings.source} has no history to produce;"
                " must be the source simulated"
            )

    def _acquire(self, request: ScanRequest, deadline_ms: int) -> bool:
        """Take the lease.

        A scheduled scan waits for the one before it, which may be late, or dead and its lease not run out;
        one started by hand does not keep a person waiting.
        """
        while not self._parts.lease.acquire(now_ms := self._parts.clock_ms()):
            if request.source != SCHEDULED or now_ms + _RETRY_MS >= deadline_ms:
                return False
            self._parts.sleep(_RETRY_MS / 1000)
        return True

    def _work(self, request: ScanRequest, due_ms: int, deadline_ms: int) -> None:
        self._record_correction()
        try:
            self._send_stored(deadline_ms)
            if request.backfill_minutes is None:
                self._poll_until(due_ms, deadline_ms, request.polls)
            else:
                self._backfill(request.backfill_minutes, deadline_ms)
        except LeaseLostError as error:
            self._is_overtaken = True
            self.report.problems.append(str(error))
        if self.report.failed_polls and not self.report.polls:
            raise ScanError(
                f"source {self._settings.source} failed in every poll: {self.report.problems[-1]}"
            )

    def _poll_until(self, due_ms: int, deadline_ms: int, polls: int | None) -> None:
        """Poll every interval from `due_ms` on; whatever is due while another poll is at work is skipped."""
        interval_ms = round(self._settings.poll_interval_seconds * 1000)
        waited_ms, longest_ms = self._parts.clock_ms() - due_ms, 0
        while self._is_open():
            now_ms = self._parts.clock_ms()
            if due_ms - now_ms > _SET_BACK_MS:
                self.report.problems.append(f"the clock was set back by {due_ms - now_ms} ms: the scan ends")
                break
            skipped = max(0, now_ms - due_ms) // interval_ms
            self.report.skipped_polls += skipped
            due_ms += (skipped + 1) * interval_ms
            self._poll(publish_by_ms=min(due_ms, deadline_ms))
            longest_ms = max(longest_ms, self._parts.clock_ms() - now_ms)
            if max(due_ms, self._parts.clock_ms()) >= deadline_ms:
                self.report.skipped_polls += max(0, -(-(deadline_ms - due_ms) // interval_ms))
                break
            if self.report.polls + self.report.failed_polls == polls:
                break
            self._parts.sleep(max(0, due_ms - self._parts.clock_ms()) / 1000)
        self._say_skipped(waited_ms, longest_ms)

    def _say_skipped(self, waited_ms: int, longest_ms: int) -> None:
        report, interval = self.report, self._settings.poll_interval_seconds
        if not report.skipped_polls:
            return
        due = report.polls + report.failed_polls + report.skipped_polls
        report.late = (
            f"{report.skipped_polls} of {due} polls were skipped: one of {len(self._parts.watch_list().symbols):,}"
            f" tickers is due every {interval:g} s and took up to {longest_ms / 1000:.1f} s, and the scan began"
            f" {waited_ms / 1000:.1f} s late; if that goes on, raise poll_interval_seconds or watch fewer tickers"
        )
        report.problems.append(report.late)

    def _poll(self, publish_by_ms: int) -> None:
        parts, report = self._parts, self.report
        watched = parts.watch_list()
        report.rejected = watched.rejected
        ts_ms = parts.lease.reserve(parts.clock_ms())
        self._record_correction()
        symbols = self._in_session(watched.symbols, ts_ms)
        try:
            with parts.lease.kept(parts.clock_ms):
                batch = poll(self._settings.source, parts.source, symbols, ts_ms)
        except SourceError as error:
            report.failed_polls += 1
            report.problems.append(str(error))
            self._judge_feed(watched.symbols, None, ts_ms, str(error))
            parts.feed.record_poll(str(error), ts_ms)
            return
        report.polls += 1
        parts.feed.record_poll("", ts_ms)
        quotes = self._observations(watched.symbols, batch, ts_ms)
        self._publish(self._warmed_up(quotes, ts_ms), publish_by_ms)

    def _warmed_up(self, quotes: QuoteBatch, ts_ms: int) -> list[QuoteBatch]:
        """Return what to publish of a poll: before a ticker's first quote comes its past."""
        warm_up, feed = self._parts.warm_up, self._parts.feed
        if warm_up is None:
            return [quotes]
        warmed = warm_up.run(feed.warm_up, quotes, ts_ms)
        self.report.problems += warmed.problems
        if warmed.past is None:
            return [warmed.quotes]
        self.report.backfilled += len(warmed.past)
        feed.save(ts_ms)  # at once: after a kill nothing of it is sent again
        return [warmed.past, warmed.quotes]

    def _record_correction(self) -> None:
        correction, problems = self._parts.lease.correction, self.report.problems
        if correction is not None and correction not in problems:
            problems.append(correction)

    def _observations(self, watched: Sequence[str], batch: QuoteBatch, ts_ms: int) -> QuoteBatch:
        """Return the batch without what a live market's feed only repeats."""
        rows = self._judge_feed(watched, batch, ts_ms)
        if rows is None or not self._is_live or len(rows) == len(batch):
            return batch
        self.report.repeated += len(batch) - len(rows)
        return select(batch, rows, batch.missing)

    def _judge_feed(
        self, watched: Sequence[str], batch: QuoteBatch | None, ts_ms: int, why: str = ""
    ) -> list[int] | None:
        """Judge the feed by a poll; return the rows that are observations, or None while all markets are closed."""
        expected, factor = self._expected(watched, ts_ms)
        if not expected:
            return None
        feed = self._parts.feed
        rows = feed.observe(watched, batch, ts_ms, expected=expected, staleness_factor=factor, why=why)
        if feed.problem is not None:
            self.report.problems.append(feed.problem)
        return rows

    def _expected(self, watched: Sequence[str], ts_ms: int) -> tuple[Sequence[str], float]:
        """Return the tickers of which new quotes are expected, and what multiplies their staleness thresholds."""
        if not self._is_live:
            return watched, 1.0
        regular = self._traded(watched, "regular", ts_ms)
        if regular or self._settings.session != "extended":
            return regular, 1.0
        return self._traded(watched, "extended", ts_ms), _EXTENDED_FACTOR

    def _in_session(self, watched: Sequence[str], ts_ms: int) -> Sequence[str]:
        """Return the tickers that are to be polled: those whose own market is in the session of the settings."""
        return self._traded(watched, self._settings.session, ts_ms) if self._is_live else watched

    def _traded(self, watched: Sequence[str], session: Session, ts_ms: int) -> Sequence[str]:
        at = datetime.fromtimestamp(ts_ms / 1000, UTC)
        return traded(watched, session, at, self._parts.market_of)

    @property
    def _is_live(self) -> bool:
        return origin_of(self._settings.source) == "live"

    def _save_feed(self) -> None:
        now_ms = self._parts.clock_ms()
        self.report.feed = self._parts.feed.report(now_ms)
        if not self._is_overtaken:  # who took over knows newer things
            self._parts.feed.late = self.report.late
            self._parts.feed.save(now_ms)

    def _backfill(self, minutes: int, deadline_ms: int) -> None:
        parts = self._parts
        now_ms = parts.clock_ms()
        since_ms = max(now_ms - minutes * _MINUTE_MS, parts.lease.last_ts + 1)
        first_ms = -(-since_ms // BACKFILL_STEP_MS) * BACKFILL_STEP_MS
        times = iter(range(first_ms, now_ms + 1, BACKFILL_STEP_MS))
        watched = parts.watch_list()
        self.report.rejected = watched.rejected
        while chunk := list(islice(times, _BACKFILL_CHUNK)):
            parts.lease.reserve(parts.clock_ms(), chunk[-1])
            name = self._settings.source
            self._publish([poll(name, parts.source, watched.symbols, ts_ms) for ts_ms in chunk], deadline_ms)
            self.report.polls += len(chunk)

    def _publish(self, batches: list[QuoteBatch], by_ms: int) -> None:
        sound = [self._usable(batch) for batch in batches]
        for batch in sound:
            self._parts.archive.add(batch)
            self.report.missing.update(dict.fromkeys(batch.missing, "") | dict(batch.reasons))
        lean = [without_fresh_times(batch) for batch in sound]
        self._count(self._parts.publisher.publish(lean, self._seconds_until(by_ms)))
        try:
            self._persist_backlog()
        except (ClientError, BotoCoreError) as error:  # it still waits here; the end of the scan tries again
            self.report.problems.append(f"what the stream did not take cannot be stored: {error}")

    def _usable(self, batch: QuoteBatch) -> QuoteBatch:
        kept, rejected = usable(batch)
        self.report.problems += [f"source {batch.source}: {row.symbol}: {row.reason}" for row in rejected]
        return kept

    def _send_stored(self, deadline_ms: int) -> None:
        parts = self._parts
        self._stored = parts.unsent.load()
        if self._stored:
            parts.publisher.enqueue(self._stored)
            self._count(parts.publisher.publish([], self._seconds_until(deadline_ms)))
            self._persist_backlog()

    def _persist_backlog(self) -> None:
        """Store what waits, and remove what was stored and is sent: a scan may be killed at any moment."""
        publisher, unsent = self._parts.publisher, self._parts.unsent
        waiting = unsent.store(publisher.waiting, self._parts.clock_ms())
        publisher.drain()
        publisher.enqueue(waiting)
        lying = {aggregate.stored_as for aggregate in waiting}
        unsent.forget(aggregate for aggregate in self._stored if aggregate.stored_as not in lying)
        self._stored = waiting

    def _store_waiting(self) -> None:
        self._persist_backlog()
        self.report.waiting = sum(aggregate.ticks for aggregate in self._stored)

    def _count(self, published: PublishReport) -> None:
        self.report.partitions.update(published.ticks)
        self.report.resent += published.resent

    def _is_open(self) -> bool:
        """Return whether any watched ticker is to be polled now."""
        if self._settings.session == "always":
            return True
        return bool(
            self._traded(self._parts.watch_list().symbols, self._settings.session, self._parts.clock_ms())
        )

    def _seconds_until(self, by_ms: int) -> float:
        return max(0.0, (by_ms - self._parts.clock_ms()) / 1000)


def deadline(request: ScanRequest, now_ms: int, remaining_ms: int) -> int:
    """Return when a scan's last poll is due at the latest (epoch ms).

    A scheduled scan has 58 s from its start, as the next starts a minute after it did. One started by
    hand ends by the minute's 55th second, to be out of the schedule's way. None outlasts its function.
    """
    by_rhythm = now_ms + SCAN_SECONDS * 1000
    if request.source != SCHEDULED:
        by_rhythm = now_ms // _MINUTE_MS * _MINUTE_MS + _BY_HAND_SECONDS * 1000
    by_function = now_ms + remaining_ms - round(_FINISHING_SECONDS * 1000)
    if request.backfill_minutes is not None:
        return by_function
    return min(by_rhythm, by_function)
