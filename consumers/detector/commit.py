"""Applies rows to a partition: the block, which is the commit, and then its effects, in order.

A block is put before its effects are written, and the next one only after they are: whoever loses the race for a
block has announced nothing. Effects are a function of the state and the block, and keyed by what caused them, so
whoever finds a block of which it does not know whether its effects are complete writes them again, equal.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from consumers.contracts.anomaly import ms_of_iso
from consumers.contracts.counts import TickCounts
from consumers.contracts.errors import IOFailedError
from consumers.detector.crowded import without_place
from consumers.detector.effects import Effects, effects_of, last_quotes
from consumers.stores.charts import GROUPS
from consumers.stores.last_quotes import pack_columns
from consumers.windows import restore, snapshot
from consumers.windows.partition import HOUR_MS, PartitionState, next_clock
from consumers.windows.ports import BlockExistsError
from consumers.windows.state import (
    MAX_BLOCK_BYTES,
    MAX_BLOCK_LANES,
    MAX_BLOCK_ROWS,
    MAX_BLOCK_SOURCES,
    Step,
    plan,
)
from producers.origin import origin_of, windows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from consumers.detector.ports import Ports
    from consumers.stream.records import Quarantined
    from consumers.stream.rows import Rows
    from consumers.stream.thresholds import Threshold, ThresholdHistory

MAX_LOST_RACES = 20
_EFFECTS_TRIED_MS = 6 * 3_600_000
"""So long a process retries the effects of a block, as long as a batch is retried: a partition must go on."""
MAX_EFFECT_CALLS = 1_000
"""A block's effects take some 5 s at most: a block is begun up to 15 s before the end of the invocation."""
_SNAPSHOT_EVERY_MS = 60_000
# Last quotes of few symbols cost a write unit or two and go with every block, those of many now and then.
_SMALL_QUOTES_BYTES = 2048
_LARGE_QUOTES_EVERY_MS = 15_000
# Prices of all digits take some 150 bytes a symbol, and an item of DynamoDB 400 KB.
_QUOTES_PER_ITEM = 2_000
_HISTORY_MS = 10_000
"""A tick that arrives so late is a backfill, or was delayed by an outage of the stream: its age does not measure us."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class InvocationReport:
    """What an invocation did; `failed_sequence` is from where to deliver again, None if all is done.

    `late` are the ticks out of order without those of a proof, whose late tick is a part of it.
    """

    records: int = 0
    counts: TickCounts = field(default_factory=TickCounts)
    late: int = 0
    anomalies: int = 0
    blocks: int = 0
    lost_races: int = 0
    stopped_partitions: int = 0
    failed_snapshots: int = 0
    iterator_age_ms: int = 0
    latencies_ms: list[int] = field(default_factory=list)
    failed_sequence: str | None = None

    def response(self) -> dict[str, Any]:
        """Return the response to Lambda that ReportBatchItemFailures asks for."""
        failures = [] if self.failed_sequence is None else [{"itemIdentifier": self.failed_sequence}]
        return {"batchItemFailures": failures}


class PartitionStop(NamedTuple):
    """A partition stopped before `row`, and why."""

    row: int
    reason: str


class Chunk(NamedTuple):
    """Rows that arrived in one hour, of few lanes, under one threshold."""

    start: int
    stop: int
    threshold: Threshold


class _Written(NamedTuple):
    """Size of the last quotes that this process wrote last, and their block's arrival (ms)."""

    size: int
    arrival_ms: int


class Partitions:
    """The states of the partitions that this process has in memory, and how they advance.

    Parameters
    ----------
    ports
        Where to read and write.
    now_ms
        The time, in epoch milliseconds.
    """

    def __init__(self, ports: Ports, now_ms: Callable[[], int]) -> None:
        self._ports = ports
        self._now_ms = now_ms
        self._states: dict[int, PartitionState] = {}
        self._alone: set[int] = set()
        self._incomplete: dict[int, tuple[Step, Effects]] = {}
        self._failing_since: dict[int, tuple[int, int]] = {}
        self._quotes: dict[tuple[int, str], _Written] = {}

    def apply(
        self,
        partition: int,
        rows: Rows,
        *,
        quarantined: Sequence[Quarantined],
        history: ThresholdHistory,
        until_ms: int,
        report: InvocationReport,
    ) -> PartitionStop | None:
        """Commit `rows` in order; stop at the first I/O that fails, or before a block after `until_ms`."""
        committed = 0
        try:
            if quarantined:
                self._ports.quarantine.put(quarantined)
            self._begin(partition)
            for chunk in chunks(rows, history):
                while committed < chunk.stop:
                    if self._now_ms() >= until_ms:
                        return PartitionStop(committed, "the time of the invocation is up")
                    part = rows.slice(committed, chunk.stop)
                    committed += self._commit(partition, part, chunk.threshold, quarantined, report)
        except IOFailedError as error:
            return PartitionStop(committed, str(error))
        return None

    def _begin(self, partition: int) -> None:
        """Have a state to go on from, and the effects of its newest block complete.

        Where nobody else went on with the partition when this process last looked, it does not look: if somebody did
        since, the next block loses its race. Where functions take turns, that would cost a write each time.
        """
        if partition in self._alone:
            self._complete(partition)
        else:
            self._catch_up(partition)

    def _catch_up(self, partition: int) -> None:
        """Advance the state to the newest block, whose effects are complete after that."""
        cached = self._states.get(partition)
        state, step = restore.catch_up(self._ports.blocks, self._ports.snapshots, partition, cached)
        self._states[partition] = state
        (self._alone.add if state is cached else self._alone.discard)(partition)
        if step is not None:
            self._incomplete[partition] = step, effects_of(step)
        self._complete(partition)

    def _commit(
        self,
        partition: int,
        rows: Rows,
        threshold: Threshold,
        quarantined: Sequence[Quarantined],
        report: InvocationReport,
    ) -> int:
        """Commit as many of the rows as fit into one block; return how many."""
        for _ in range(MAX_LOST_RACES):
            step = fitting(self._states[partition], rows, threshold, self._now_ms())
            # What raises must raise before the block is there: bisecting then finds the record.
            effects = effects_of(step)
            if len(step.rejected):
                self._ports.quarantine.put(without_place(step, partition, quarantined))
            try:
                self._ports.blocks.put(step.block)
            except BlockExistsError:
                report.lost_races += 1
                self._catch_up(partition)
                continue
            self._states[partition], self._incomplete[partition] = step.state, (step, effects)
            self._count(step, report)
            self._measure(step, self._complete(partition), report)
            self._save_snapshot(step, report)
            return len(step.rows)
        raise IOFailedError(f"partition {partition}: lost the race for a block {MAX_LOST_RACES} times")

    def _complete(self, partition: int) -> Effects | None:
        """Write the effects of the newest block, if it is not known that somebody did."""
        if partition not in self._incomplete:
            return None
        step, effects = self._incomplete[partition]
        is_written = True
        try:
            self._write(step, effects)
        except IOFailedError as error:
            number, now_ms = step.block.number, self._now_ms()
            of, since_ms = self._failing_since.get(partition, (number, now_ms))
            since_ms = since_ms if of == number else now_ms
            self._failing_since[partition] = number, since_ms
            if now_ms - since_ms < _EFFECTS_TRIED_MS:
                raise
            where = {"partition": partition, "block": number}
            logger.error("effects of a block lost", extra={**where, "reason": str(error)})
            is_written = False
        del self._incomplete[partition]
        self._failing_since.pop(partition, None)
        return effects if is_written else None

    def _write(self, step: Step, effects: Effects) -> None:
        """Write the effects, in order; doing it again changes nothing."""
        block = step.block
        if effects.anomalies:
            self._ports.anomalies.put(effects.anomalies)
        if effects.events:
            self._ports.bus.put(effects.events)
        if effects.bars:
            self._ports.charts.put_bars(effects.bars, step.reached, block.arrival_ms, len(step.state.keys))
        self._put_quotes(step)

    def _put_quotes(self, step: Step) -> None:
        block = step.block
        for origin in sorted({origin_of(windows_of(s)) for s, c in block.sources.items() if c.in_windows}):
            written = self._quotes.get((block.partition, origin), _Written(0, 0))
            passed_ms = block.arrival_ms - written.arrival_ms  # below 0 after the clock was set back
            due = not 0 <= passed_ms < _LARGE_QUOTES_EVERY_MS
            if written.size > _SMALL_QUOTES_BYTES and not due:
                continue
            quotes = last_quotes(step.state, origin)
            size = 0
            for part, start in enumerate(range(0, len(quotes.symbol), _QUOTES_PER_ITEM)):
                of = quotes.part(start, start + _QUOTES_PER_ITEM)
                packed = pack_columns(of)
                self._ports.charts.put_quotes(origin, block, part, max(of.ts), packed)
                size += len(packed)
            if size:
                self._quotes[block.partition, origin] = _Written(size, block.arrival_ms)

    def _count(self, step: Step, report: InvocationReport) -> None:
        report.blocks += 1
        for source, counts in step.block.sources.items():
            report.counts += counts
            report.late += 0 if origin_of(source) == "verify" else counts.out_of_order

    def _measure(self, step: Step, effects: Effects | None, report: InvocationReport) -> None:
        if effects is None:
            return
        report.anomalies += len(effects.anomalies)
        _log(step, effects)
        now_ms = self._now_ms()
        for anomaly in effects.anomalies:
            tick_ms = ms_of_iso(anomaly.timestamp.partition("#")[0])
            is_history = tick_ms < step.block.arrival_ms - _HISTORY_MS
            if origin_of(anomaly.source) != "replay" and not is_history:
                report.latencies_ms.append(now_ms - tick_ms)

    def _save_snapshot(self, step: Step, report: InvocationReport) -> None:
        """Without a snapshot a cold start takes longer and nothing else: the next block tries again."""
        state, arrival_ms = step.state, step.block.arrival_ms
        if arrival_ms // _SNAPSHOT_EVERY_MS <= state.snapshot_ms // _SNAPSHOT_EVERY_MS:
            return
        state = replace(state, snapshot=state.number, snapshot_ms=arrival_ms)
        try:
            self._ports.snapshots.put(state.partition, state.number, snapshot.dump(state))
        except IOFailedError as error:
            report.failed_snapshots += 1
            where = {"partition": state.partition, "block": state.number}
            logger.warning("snapshot not written", extra={**where, "reason": str(error)})
            return
        self._states[state.partition] = state


def _log(step: Step, effects: Effects) -> None:
    """Tie each event to the tick that caused it; the notifier logs the same correlation id."""
    rows = step.rows
    for transition, event in zip(step.transitions, effects.events, strict=True):
        record = rows.record_of(transition.row)
        logger.info(
            event.detail_type,
            extra={
                "correlation_id": event.correlation_id,
                "event_id": event.event_id,
                "source": rows.sources[int(rows.source[transition.row])],
                "tick_ms": int(rows.ts[transition.row]),
                "shard": record.shard,
                "sequence": record.sequence,
                "partition": step.block.partition,
                "block": step.block.number,
            },
        )


def chunks(rows: Rows, history: ThresholdHistory) -> Iterator[Chunk]:
    """Cut rows where the hour of arrival or the threshold in force changes, or a block's lanes are full."""
    start, before = 0, None
    lanes: set[str] = set()
    starts = rows.starts()
    for at, ordinal in zip(starts, rows.record[starts].tolist(), strict=True):
        record = rows.records[ordinal]
        of = (history.in_force(record.arrival_ms), record.arrival_ms // HOUR_MS)
        lanes.add(record.lane)
        if before is not None and (of != before or len(lanes) > MAX_BLOCK_LANES):
            yield Chunk(start, at, before[0])
            start, lanes = at, {record.lane}
        before = of
    if before is not None:
        yield Chunk(start, len(rows), before[0])


def fitting(state: PartitionState, rows: Rows, threshold: Threshold, now_ms: int) -> Step:
    """Return the next block of as many of the rows as it may hold; `now_ms` shows arrivals that lie ahead."""
    clock, stop = next_clock(state, rows, now_ms)
    rows = rows.slice(0, min(MAX_BLOCK_ROWS, _end_of_sources(rows), stop))
    step = plan(state, rows, threshold, clock)
    while len(rows) > 1 and (
        len(step.block.packed) > MAX_BLOCK_BYTES or _effect_calls(step) > MAX_EFFECT_CALLS
    ):
        rows = rows.slice(0, -(-len(rows) // 2))
        step = plan(state, rows, threshold, clock)
    return step


def _effect_calls(step: Step) -> int:
    """Return some upper bound of the calls that the effects of a step take: bars of a minute share items."""
    closed = Counter(closed.bar.minute_ms for closed in step.closed)
    return sum(min(count, GROUPS) for count in closed.values()) + len(step.transitions) // 5


def _end_of_sources(rows: Rows) -> int:
    """Return before which row a block ends for the number of its sources."""
    if len(rows.sources) <= MAX_BLOCK_SOURCES:
        return len(rows)
    _, first = np.unique(rows.source, return_index=True)
    return len(rows) if len(first) <= MAX_BLOCK_SOURCES else int(np.sort(first)[MAX_BLOCK_SOURCES])
