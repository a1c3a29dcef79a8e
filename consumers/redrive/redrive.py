"""Brings back what was given up: scores missing ticks as of their gap, without touching live state.

The windows have moved on since. So the state as of the gap is restored, the missing rows are applied to it,
and what they show is written as late anomalies and announced. Late blocks, beside the partition's run of
blocks, record what was brought back. As for live ticks, the block is the commit: doing it again, from the
start or from where it stopped, changes nothing, and two at once are as one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from consumers.detector.commit import chunks, fitting
from consumers.detector.effects import outcome
from consumers.detector.ports import BlockExistsError, IOFailedError
from consumers.stores.ledger import Counts
from consumers.stream.decode import Decoder
from consumers.stream.rows import Position, not_after
from consumers.windows import restore
from consumers.windows.state import HOUR_MS, replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from consumers.detector.ports import (
        AnomalyStore,
        BlockStore,
        EventBus,
        LateBlockStore,
        QuarantineStore,
        SnapshotStore,
        ThresholdSource,
    )
    from consumers.detectors.engine import Transition
    from consumers.stream.decode import KinesisRecord, Quarantined
    from consumers.stream.rows import Bools, Ints, Rows
    from consumers.stream.thresholds import History
    from consumers.windows.state import Block, State, Step

_MAX_LOST_RACES = 20
# Arrival times are approximate: neighbours in a shard may be in another order by them.
_ARRIVAL_MARGIN_MS = 60_000


class RedrivePorts(NamedTuple):
    """The outside of a redrive."""

    blocks: BlockStore
    late_blocks: LateBlockStore
    snapshots: SnapshotStore
    anomalies: AnomalyStore
    bus: EventBus
    quarantine: QuarantineStore
    thresholds: ThresholdSource


@dataclass(slots=True)
class Redriven:
    """What a redrive did: rows (quotes) that were there already, what became of the others, late anomalies by id."""

    records: int = 0
    present: int = 0
    counts: Counts = field(default_factory=Counts)
    anomalies: list[str] = field(default_factory=list)
    refused: list[Quarantined] = field(default_factory=list)


class _Seen(NamedTuple):
    """Where a block lies in the stream."""

    number: int
    arrival_ms: int
    shard: str
    first: Position
    last: Position


class Redrive:
    """Redrives records of failed batches and of the quarantine.

    Parameters
    ----------
    partitions
        Over how many partitions the symbols are spread.
    outside
        Where to read and write.
    on_rows
        Called with the number of rows that were dealt with since the last call.
    """

    def __init__(
        self, partitions: int, outside: RedrivePorts, on_rows: Callable[[int], None] = lambda _: None
    ) -> None:
        self._decoder = Decoder(partitions)
        self._outside = outside
        self._on_rows = on_rows

    def batch(self, records: Sequence[KinesisRecord]) -> Redriven:
        """Bring back what no block holds of the records of a failed batch, all of one shard and in order.

        Raises
        ------
        IOFailedError
            If something outside failed; what was done stays done.
        restore.GoneError
            If the state as of then is gone.
        """
        return self._records(records, None)

    def released(self, record: KinesisRecord) -> Redriven:
        """Bring back a user record, or some rows of one, that lay in quarantine. Raises as `batch` does."""
        digest = hashlib.blake2b(record.data or b"", digest_size=8).hexdigest()
        return self._records([record], f"{record.shard}/quarantine/{digest}")

    def _records(self, records: Sequence[KinesisRecord], label: str | None) -> Redriven:
        done = Redriven(records=len(records))
        if not records:
            return done
        shard = records[0].shard
        decoded = self._decoder.decode([record._replace(shard=label or shard) for record in records])
        done.refused = decoded.quarantined
        if label is None and decoded.quarantined:
            self._outside.quarantine.put(decoded.quarantined)
        history = self._outside.thresholds.history()
        for partition, rows in decoded.rows.items():
            self._partition(partition, rows, history, shard, done)
        return done

    def _partition(self, partition: int, rows: Rows, history: History, shard: str, done: Redriven) -> None:
        seen = list(self._around(partition, rows, shard))
        missing = _not_in(rows, seen)
        done.present += len(rows) - len(missing)
        self._on_rows(len(rows) - len(missing))
        for number, part in _by_gap(missing, seen, shard, self._last(partition)):
            self._fill(partition, number, part, history, done)

    def _last(self, partition: int) -> int:
        newest = self._outside.blocks.last(partition)
        return 0 if newest is None else newest.number

    def _around(self, partition: int, rows: Rows, shard: str) -> Iterator[_Seen]:
        """The blocks in which the rows can be, and the first ones after them."""
        arrivals = [rows.records[i].arrival_ms for i in np.unique(rows.record).tolist()]
        low, high = 1, self._last(partition) + 1
        while low < high:
            middle = (low + high) // 2
            block = self._outside.blocks.get(partition, middle)
            if block is None or block.arrival_ms < min(arrivals) - _ARRIVAL_MARGIN_MS:
                low = middle + 1
            else:
                high = middle
        end = rows.position(len(rows) - 1)
        for block in self._outside.blocks.after(partition, low - 1):
            yield _seen(block)
            # A block never spans two hours.
            if (block.shard == shard and _is_beyond(block.positions[0], end)) or block.arrival_ms > max(
                arrivals
            ) + HOUR_MS:
                return

    def _fill(self, partition: int, number: int, rows: Rows, history: History, done: Redriven) -> None:
        """Apply rows to the state after block `number`, on top of what redrives brought back there before."""
        base = restore.as_of(self._outside.blocks, self._outside.snapshots, partition, number)
        for _ in range(_MAX_LOST_RACES):
            late = list(self._outside.late_blocks.after(partition, number))
            state = base
            for block in late:
                state = replay(state, block)
            missing = _not_in(rows, [_seen(block) for block in late])
            done.present += len(rows) - len(missing)
            self._on_rows(len(rows) - len(missing))
            try:
                for chunk in chunks(missing, history):
                    at = chunk.start
                    while at < chunk.stop:
                        step = fitting(
                            _unmarked(state, missing, at), missing.slice(at, chunk.stop), chunk.threshold
                        )
                        self._make(number, base, step, done)
                        state, at = step.state, at + len(step.rows)
            except BlockExistsError:
                rows = missing.slice(at, len(missing))
                continue
            return
        raise IOFailedError(f"partition {partition}: lost the race for a late block {_MAX_LOST_RACES} times")

    def _make(self, number: int, base: State, step: Step, done: Redriven) -> None:
        """The effects, in order; the late block commits."""
        effects = outcome(step, late=True)
        late = self._outside.anomalies.put_late(effects.anomalies) if effects.anomalies else []
        found = {anomaly.id for anomaly in late}
        sent = [
            event
            for transition, event in zip(step.transitions, effects.events, strict=True)
            # What began before the gap goes on after it: how it went on was told then.
            if (
                event.correlation_id in found
                if transition.change == "opened"
                else _is_late(transition, step, base)
            )
        ]
        if sent:
            self._outside.bus.put(sent)
        self._outside.late_blocks.put(number, step.block)
        done.anomalies += sorted(found)
        for counts in step.block.sources.values():
            done.counts += counts
        self._on_rows(len(step.rows))


def _is_late(transition: Transition, step: Step, base: State) -> bool:
    """Whether the episode began after all ticks of its window that were applied before the gap."""
    slot = base.slots.get(step.rows.key[transition.row])
    return slot is None or transition.opened_ts > int(base.last_ts[slot])


def _unmarked(state: State, rows: Rows, at: int) -> State:
    """The state to which row `at` is the next of its shard, wherever earlier redrives got to."""
    sequence, offset = rows.position(at)
    shard = rows.records[int(rows.record[at])].shard
    return replace(state, marks={shard: Position(sequence, offset - 1)} if offset else {})


def _seen(block: Block) -> _Seen:
    return _Seen(block.number, block.arrival_ms, block.shard, *block.positions)


def _not_in(rows: Rows, seen: Sequence[_Seen]) -> Rows:
    """The rows that lie in none of the blocks."""
    missing = np.ones(len(rows), np.bool_)
    starts = np.flatnonzero(np.diff(rows.record, prepend=-1)).tolist()
    for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
        record, offset = rows.records[int(rows.record[start])], rows.offset[start:stop]
        for block in seen:
            if block.shard == record.shard:
                missing[start:stop] &= ~_within(record.sequence, offset, block)
    return rows.take(np.flatnonzero(missing))


def _within(sequence: str, offset: Ints, block: _Seen) -> Bools:
    """Which offsets of a record lie in the block."""
    low, high = block.first, block.last
    if sequence not in (low.sequence, high.sequence):
        record = Position(sequence, 0)
        return np.full(len(offset), not_after(low, record) and not_after(record, high))
    after = offset >= low.offset if sequence == low.sequence else offset >= 0
    return after & (offset <= high.offset) if sequence == high.sequence else after


def _by_gap(rows: Rows, seen: Sequence[_Seen], shard: str, last: int) -> Iterator[tuple[int, Rows]]:
    """Runs of rows, each with the number of the block to whose state it must be applied."""
    at, start, before = 0, 0, -1
    for i in range(len(rows)):
        position, arrival_ms = rows.position(i), rows.records[int(rows.record[i])].arrival_ms
        while at < len(seen) and not _is_after(seen[at], position, arrival_ms, shard):
            at += 1
        number = seen[at].number - 1 if at < len(seen) else last
        if i and number != before:
            yield before, rows.slice(start, i)
            start = i
        before = number
    if len(rows):
        yield before, rows.slice(start, len(rows))


def _is_after(block: _Seen, position: Position, arrival_ms: int, shard: str) -> bool:
    """Whether the block holds something at or after a row, by its place in the shard, else by arrival."""
    if block.shard == shard and position.sequence.isdecimal() and block.last.sequence.isdecimal():
        return not_after(position, block.last)
    return block.arrival_ms > arrival_ms


def _is_beyond(position: Position, end: Position) -> bool:
    return end.sequence.isdecimal() and not_after(end, position) and position != end
