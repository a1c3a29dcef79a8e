"""Brings back what was discarded: scores missing ticks as of their gap, without touching live state.

The windows have moved on since. So the state as of the gap is restored, the missing rows are applied to it,
and what they show is written as late anomalies and announced. Backfill blocks, beside the partition's run of
blocks, record what was brought back. As for live ticks, the block is the commit, its effects follow, and the next
block comes after them: doing it again, from the start or from where it stopped, writes at most the effects of the
newest block again, equal, and two at once are as one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from consumers.contracts.counts import TickCounts
from consumers.contracts.errors import IOFailedError
from consumers.detector.commit import MAX_LOST_RACES, chunks, fitting
from consumers.detector.crowded import without_place
from consumers.detector.effects import effects_of
from consumers.redrive.gaps import by_gap, not_in
from consumers.stream.decode import Decoder
from consumers.stream.records import StreamOffset, lane_of
from consumers.windows import restore
from consumers.windows.partition import HOUR_MS
from consumers.windows.ports import BlockExistsError
from consumers.windows.state import replay, spans_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from consumers.contracts.events import Event
    from consumers.detector.effects import Effects
    from consumers.redrive.ports import RedrivePorts
    from consumers.stream.records import KinesisRecord, OffsetSpan, Quarantined
    from consumers.stream.rows import Rows
    from consumers.stream.thresholds import ThresholdHistory
    from consumers.windows.block import Block
    from consumers.windows.partition import PartitionState
    from consumers.windows.state import Step

# Arrival times are approximate: neighbours in a shard may be in another order by them.
_ARRIVAL_MARGIN_MS = 60_000


@dataclass(slots=True)
class Redriven:
    """What a redrive did.

    Rows that were there already (`present`), what became of the others (`counts`), late anomalies by id, and what
    was rejected into quarantine.
    """

    records: int = 0
    present: int = 0
    counts: TickCounts = field(default_factory=TickCounts)
    anomalies: list[str] = field(default_factory=list)
    rejected: list[Quarantined] = field(default_factory=list)


class Redrive:
    """Redrives records of failed batches and of the quarantine.

    Parameters
    ----------
    partitions
        Over how many partitions the symbols are spread.
    ports
        Where to read and write.
    on_rows
        Called with the number of rows that were dealt with since the last call.
    """

    def __init__(
        self, partitions: int, ports: RedrivePorts, on_rows: Callable[[int], None] = lambda _: None
    ) -> None:
        self._decoder = Decoder(partitions)
        self._ports = ports
        self._on_rows = on_rows

    def batch(self, records: Sequence[KinesisRecord]) -> Redriven:
        """Bring back what no block holds of the records of a failed batch, all of one shard and in order.

        Raises
        ------
        IOFailedError
            If a read or write failed; what was done stays done.
        restore.GoneError
            If the state as of then is gone.
        """
        return self._records(records, None)

    def requeued(self, record: KinesisRecord) -> Redriven:
        """Bring back a user record, or some rows of one, from quarantine; raise as `batch` does."""
        digest = hashlib.blake2b(record.data or b"", digest_size=8).hexdigest()
        return self._records([record], f"{record.shard}/quarantine/{digest}")

    def _records(self, records: Sequence[KinesisRecord], label: str | None) -> Redriven:
        done = Redriven(records=len(records))
        if not records:
            return done
        shard = records[0].shard
        lanes = {lane_of(label or shard, key): lane_of(shard, key) for _, _, key, _, _ in records}
        decoded = self._decoder.decode([record._replace(shard=label or shard) for record in records])
        done.rejected = decoded.quarantined
        if label is None and decoded.quarantined:
            self._ports.quarantine.put(decoded.quarantined)
        thresholds = self._ports.thresholds.history()
        for partition, rows in decoded.rows.items():
            self._partition(partition, rows, thresholds, lanes, done)
        return done

    def _partition(
        self,
        partition: int,
        rows: Rows,
        thresholds: ThresholdHistory,
        lanes: Mapping[str, str],
        done: Redriven,
    ) -> None:
        before = done.counts.ticks_in
        around = list(self._around(partition, rows, lanes))
        for number, part in by_gap(not_in(rows, around), around, lanes, self._last(partition)):
            base = restore.as_of(self._ports.blocks, self._ports.snapshots, partition, number)
            self._fill(base, part, thresholds, done)
        present = len(rows) - (done.counts.ticks_in - before)
        done.present += present
        self._on_rows(present)

    def _fill(self, base: PartitionState, rows: Rows, thresholds: ThresholdHistory, done: Redriven) -> None:
        """Apply rows to the state `base`, on top of what redrives brought back there before."""
        for _ in range(MAX_LOST_RACES):
            backfill = list(self._ports.backfill_blocks.after(base.partition, base.number))
            state = base
            if backfill:
                newest = restore.own_step(reduce(replay, backfill[:-1], base), backfill[-1])
                self._write(base, newest)  # whoever put it may have ended before that
                state = newest.state
            try:
                self._apply(base, state, not_in(rows, backfill), thresholds, done)
            except BlockExistsError:
                continue
            return
        raise IOFailedError(
            f"partition {base.partition}: lost the race for a backfill block {MAX_LOST_RACES} times"
        )

    def _apply(
        self,
        base: PartitionState,
        state: PartitionState,
        rows: Rows,
        thresholds: ThresholdHistory,
        done: Redriven,
    ) -> None:
        for chunk in chunks(rows, thresholds):
            at = chunk.start
            while at < chunk.stop:
                left = rows.slice(at, chunk.stop)
                # By the clock of then: what arrived is not ahead of it.
                step = fitting(_just_before(state, left), left, chunk.threshold, rows.records[-1].arrival_ms)
                self._commit(base, step, done)
                state, at = step.state, at + len(step.rows)

    def _commit(self, base: PartitionState, step: Step, done: Redriven) -> None:
        """Commit by the backfill block, then write its effects."""
        if len(step.rejected):
            self._reject(step, done)
        self._ports.backfill_blocks.put(base.number, step.block)
        done.anomalies += self._write(base, step)
        for counts in step.block.sources.values():
            done.counts += counts
        self._on_rows(len(step.rows))

    def _write(self, base: PartitionState, step: Step) -> list[str]:
        """Write the effects of a step, in order; return the ids of the late anomalies."""
        effects = effects_of(step, late=True)
        late = self._ports.anomalies.put_late(effects.anomalies) if effects.anomalies else []
        found = {anomaly.id for anomaly in late}
        if sent := list(_news(effects, step, base, found)):
            self._ports.bus.put(sent)
        return sorted(found)

    def _reject(self, step: Step, done: Redriven) -> None:
        """Keep rows that found no place in the quarantine, where requeued ones are already."""
        entries = without_place(step, step.block.partition, done.rejected)
        done.rejected += [entry for entry in entries if entry not in done.rejected]
        if fresh := [entry for entry in entries if "/" not in entry.shard]:
            self._ports.quarantine.put(fresh)

    def _last(self, partition: int) -> int:
        newest = self._ports.blocks.last(partition)
        return 0 if newest is None else newest.number

    def _around(self, partition: int, rows: Rows, lanes: Mapping[str, str]) -> Iterator[Block]:
        """Yield the blocks in which the rows can be, and the first ones after them, without their ticks."""
        arrivals = [rows.records[i].arrival_ms for i in np.unique(rows.record).tolist()]
        newest = self._ports.blocks.last(partition)
        low, high = 1, 1 if newest is None else newest.number + 1
        while low < high:
            middle = (low + high) // 2
            block = self._ports.blocks.get(partition, middle)
            if block is None or block.arrival_ms < min(arrivals) - _ARRIVAL_MARGIN_MS:
                low = middle + 1
            else:
                high = middle
        left = {lanes[lane]: span.last for lane, span in spans_of(rows).items()}
        for block in self._ports.blocks.after(partition, low - 1):
            yield replace(block, packed=b"")
            left = {lane: end for lane, end in left.items() if not _is_beyond(block.spans.get(lane), end)}
            # A block never spans two hours. One that lies ahead of the newest is of before a clock was set back.
            is_ahead = newest is not None and block.arrival_ms > newest.arrival_ms
            if not left or (block.arrival_ms > max(arrivals) + HOUR_MS and not is_ahead):
                return


def _news(effects: Effects, step: Step, base: PartitionState, found: Collection[str]) -> Iterator[Event]:
    """Yield the events of anomalies that this redrive found; how an earlier one went on was announced then."""
    for transition, event in zip(step.transitions, effects.events, strict=True):
        slot = base.slots.get(step.rows.key_of(transition.row))
        began_here = slot is None or transition.opened_ts > int(base.last_ts[slot])
        if event.correlation_id in found if transition.change == "opened" else began_here:
            yield event


def _just_before(state: PartitionState, rows: Rows) -> PartitionState:
    """Return the state to which the first of `rows` is the next of its lane, wherever earlier redrives got to."""
    sequence, row, _ = rows.offset_of(0)
    lane = rows.record_of(0).lane
    return replace(state, checkpoints={lane: StreamOffset(sequence, row - 1)} if row else {})


def _is_beyond(span: OffsetSpan | None, end: StreamOffset) -> bool:
    if span is None or not end.sequence.isdecimal():
        return False
    return end.is_at_or_before(span.first) and span.first != end
