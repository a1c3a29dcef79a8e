"""The state of a partition of the stream and how a block of ticks moves it. Pure.

`plan` takes the state and the next rows and returns the block that records them, what the detectors found,
and the state after it; `replay` makes the same state from the block. A state is never changed in place.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from consumers.contracts.counts import TickCounts
from consumers.detectors.engine import engine
from consumers.stream.records import OffsetSpan, StreamOffset
from consumers.stream.rows import Bools, Ints, Rows, StreamRecord, split_key
from consumers.stream.rules import parse, write
from consumers.stream.threshold_table import table
from consumers.stream.thresholds import Threshold
from consumers.windows import bars, codec, rules
from consumers.windows.block import Block
from consumers.windows.order import rows_that_are_newer
from consumers.windows.partition import HOUR_MS, PartitionState, SetBack, Total, set_back, without_stale
from producers.origin import origin_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_BLOCK_BYTES = 300 * 1024
MAX_BLOCK_ROWS = 20_000
REMEMBERED_DIGESTS = 16
REMEMBERED_LANES = 64
MAX_BLOCK_LANES = 64
# With these a block is smaller than the 400 KB of an item of DynamoDB, however many names producers invent.
MAX_BLOCK_SOURCES = 100
MAX_TOTALS = 200
OTHER_SOURCES = "(others)"
MAX_WINDOWS = 25_000
"""A partition remembers so many symbols; 50,000 tickers over four partitions are half of that in each."""
_BEFORE_ALL = StreamOffset("", -1)


class Step(NamedTuple):
    """A block to commit, the state after it, and what its ticks brought about.

    `transitions` point into `rows`, the rows of the ticks in the block. `rejected` are those rows that found no
    place: of symbols beyond `MAX_WINDOWS`. `reached` is the newest minute (ms) that the windows of each origin had
    begun before the block, where it closed any.
    """

    block: Block
    state: PartitionState
    transitions: list[engine.Transition]
    closed: list[bars.ClosedBar]
    rows: Rows
    rejected: Ints
    reached: Mapping[str, int]


def plan(state: PartitionState, rows: Rows, threshold: Threshold, clock: SetBack | None = None) -> Step:
    """Return the next block of `rows` (at least one; of one hour, under one threshold, by one clock of the stream).

    Rows that were here before or are not newer than their window are left out and counted. `clock` says that the
    stream's was set back just before them.
    """
    records = [rows.records[i] for i in rows.record[rows.starts()].tolist()]
    arrival_ms = max(record.arrival_ms for record in records)
    base = without_stale(set_back(state, clock), arrival_ms)
    noted: dict[str, Any] = {} if clock is None else {"set_back": clock}
    if threshold.rules:
        noted["rules"] = write(threshold.rules)
    known, digests = _known(base, rows, records)
    slot, new_keys = _slots(base, rows, rows.bad | known)
    is_rejected = (slot < 0) & ~rows.bad & ~known
    last_ts = np.concatenate((base.last_ts, np.full(len(new_keys), -1)))
    order = rows_that_are_newer(slot, rows.ts, last_ts)
    ticks = engine.Ticks(
        slot[order], rows.ts[order], rows.price[order], rows.bid[order], rows.ask[order], rows.day_volume[order]
    )  # fmt: skip
    applied = np.zeros(len(rows), np.bool_)
    applied[order] = True
    header = {"new": new_keys, **_sources_of(rows, order), **noted}
    block = Block(
        partition=state.partition,
        number=base.number + 1,
        arrival_ms=arrival_ms,
        spans=spans_of(rows),
        digests=digests,
        threshold=threshold.text,
        detector_version=engine.DETECTOR_VERSION,
        sources=_counts(rows, applied, known, rows.bad | is_rejected),
        totals={},
        snapshot=state.snapshot,
        packed=codec.pack(ticks, header),
    )
    after, transitions, closed = _advance(base, block, header, ticks, threshold)
    block = replace(block, totals={source: total.counts for source, total in after.totals.items()})
    found = [t._replace(row=int(order[t.row])) for t in transitions]
    return Step(block, after, found, closed, rows, np.flatnonzero(is_rejected), _reached(base, closed))


def replay(state: PartitionState, block: Block) -> PartitionState:
    """Return the state after `block`, which must be the one after `state`.

    Raises
    ------
    ValueError
        If it is not.
    """
    return _replayed(state, block).state


def retrace(state: PartitionState, block: Block) -> Step:
    """Return the step that `block` is after `state`: what its ticks brought about is the same as when it was planned.

    Its rows are those of the ticks in the block, of which the records are not known any more.

    Raises
    ------
    ValueError
        If the block cannot follow the state.
    """
    return _step(block, _replayed(state, block))


def follow(state: PartitionState, block: Block) -> Step:
    """Return the step that `block` is after `state`, unscored: its ticks and bars, in a hundredth of the time.

    The state after it has the windows' keys and minutes of `replay`, and nothing that detectors remember.

    Raises
    ------
    ValueError
        If the block cannot follow the state.
    """
    return _step(block, _replayed(state, block, is_scored=False))


def _step(block: Block, replayed: _Replayed) -> Step:
    base, after, transitions, closed, ticks, sources = replayed
    count, indices = len(ticks.slot), sources.get("source")
    # A block of before its rows' sources were kept: it is of one source nearly always.
    names = sources.get("sources") or sorted(of for of, counts in block.sources.items() if counts.in_windows)
    rows = Rows(
        records=(),
        sources=names,
        keys=after.keys,
        record=np.zeros(count, np.int64),
        row=np.arange(count),
        source=np.zeros(count, np.int64) if indices is None else np.array(indices, np.int64),
        key=ticks.slot,
        ts=ticks.ts,
        price=ticks.price,
        bid=ticks.bid,
        ask=ticks.ask,
        day_volume=ticks.day_volume,
        bad=np.zeros(count, np.bool_),
    )
    return Step(block, after, transitions, closed, rows, np.zeros(0, np.int64), _reached(base, closed))


class _Replayed(NamedTuple):
    base: PartitionState
    state: PartitionState
    transitions: list[engine.Transition]
    closed: list[bars.ClosedBar]
    ticks: engine.Ticks
    header: dict[str, Any]


def _replayed(state: PartitionState, block: Block, *, is_scored: bool = True) -> _Replayed:
    if block.number != state.number + 1:
        raise ValueError(
            f"partition {state.partition}: block {block.number} cannot follow block {state.number}"
        )
    ticks, header = codec.unpack(block.packed)
    base = without_stale(set_back(state, _clock_of(header)), block.arrival_ms)
    threshold = Threshold.parse(block.threshold)
    if "rules" in header:
        threshold = replace(threshold, rules=parse(header["rules"]))
    after, transitions, closed = _advance(base, block, header, ticks, threshold, is_scored=is_scored)
    after = replace(after, snapshot=max(state.snapshot, block.snapshot))
    return _Replayed(base, after, transitions, closed, ticks, header)


def _reached(base: PartitionState, closed: Sequence[bars.ClosedBar]) -> dict[str, int]:
    reached: dict[str, int] = {}
    if closed:
        for key, minute in zip(base.keys, base.minutes[bars.FIELDS.index("minute")].tolist(), strict=True):
            origin = split_key(key)[0]
            reached[origin] = max(reached.get(origin, 0), int(minute))
    return reached


def _clock_of(header: Mapping[str, Any]) -> SetBack | None:
    return SetBack(*header["set_back"]) if "set_back" in header else None


def _sources_of(rows: Rows, order: Ints) -> dict[str, Any]:
    """Return the sources of the ticks in a block, and of each tick which one it is if there are several."""
    source = rows.source[order]
    found = np.flatnonzero(np.bincount(source)).tolist()
    sources = sorted(rows.sources[i] for i in found)
    if len(sources) <= 1:
        return {"sources": sources}
    index = np.zeros(len(rows.sources), np.int64)
    index[found] = [sources.index(rows.sources[i]) for i in found]
    return {"sources": sources, "source": index[source].tolist()}


def _advance(
    base: PartitionState,
    block: Block,
    header: Mapping[str, Any],
    ticks: engine.Ticks,
    threshold: Threshold,
    *,
    is_scored: bool = True,
) -> tuple[PartitionState, list[engine.Transition], list[bars.ClosedBar]]:
    new_keys: Sequence[str] = header["new"]
    new, hour = len(new_keys), block.arrival_ms // HOUR_MS
    keys = (*base.keys, *new_keys) if new else base.keys
    detection = engine.extended(base.detection, new)
    minutes = np.concatenate((base.minutes, bars.new_minutes(new)), axis=1)
    last_ts = np.concatenate((base.last_ts, np.full(new, -1)))
    touched_hour = np.concatenate((base.touched_hour, np.zeros(new, np.int64)))
    transitions: list[engine.Transition] = []
    memory = base.rules
    if is_scored and len(ticks.slot):
        is_ruled, limits = bool(memory or threshold.rules), table(threshold, keys)
        scores = np.empty((len(limits), len(ticks.slot))) if is_ruled else None
        transitions = engine.apply(detection, ticks, limits, scores)
        if scores is not None:
            memory, met = rules.advance(
                memory,
                keys,
                ticks,
                threshold.rules,
                is_wrong=rules.misprints(scores, limits, ticks),
                is_past=_is_past(header, len(ticks.slot)),
            )
            transitions = sorted([*transitions, *met], key=lambda one: one.row)
    closed = bars.advance(minutes, ticks)
    last_ts[ticks.slot] = ticks.ts  # in order within each slot: the last one stays
    touched_hour[ticks.slot] = hour
    state = replace(
        base,
        number=block.number,
        keys=keys,
        last_ts=last_ts,
        touched_hour=touched_hour,
        detection=detection,
        minutes=minutes,
        checkpoints=_checkpointed(base.checkpoints, block.spans),
        digests=(*base.digests, *block.digests)[-REMEMBERED_DIGESTS:],
        totals=_totals(base.totals, block.sources, hour),
        slots=_numbered(base, new_keys),
        rules=memory,
    )
    return state, transitions, closed


def _is_past(header: Mapping[str, Any], count: int) -> Bools:
    """Return which ticks of a block are of a backfill."""
    names = header.get("sources") or [""]
    is_past = np.array([origin_of(name) == "backfill" for name in names])
    return is_past[np.array(header.get("source", [0] * count), np.int64)]


def _known(
    state: PartitionState, rows: Rows, records: Sequence[StreamRecord]
) -> tuple[Bools, tuple[str, ...]]:
    """Return which rows were here before, by their place in the lane or their record's digest; and new digests."""
    is_known = np.zeros(records[-1].ordinal + 1, np.bool_)
    digests = list(state.digests)
    resumed = []
    for record in records:
        checkpoint = state.checkpoints.get(record.lane, _BEFORE_ALL)
        if record.sequence == checkpoint.sequence:
            resumed.append((record, checkpoint.row))
            continue
        before = StreamOffset(record.sequence, 0).is_at_or_before(checkpoint)
        is_known[record.ordinal] = before or record.digest in digests[-REMEMBERED_DIGESTS:]
        if not is_known[record.ordinal]:
            digests.append(record.digest)
    known = is_known[rows.record]
    for record, row in resumed:
        known |= (rows.record == record.ordinal) & (rows.row <= row)
    return known, tuple(digests[len(state.digests) :][-REMEMBERED_DIGESTS:])


def _slots(state: PartitionState, rows: Rows, left_out: Bools) -> tuple[Ints, list[str]]:
    """Return the slot of each row, and the keys of windows that begin, in order.

    The slot is -1 for a row that is left out, and for one whose window would be one too many.
    """
    count = len(rows.keys)
    if state.keys[:count] == tuple(rows.keys):  # the same poll as ever
        slot = rows.key.copy()
    else:
        slot = np.fromiter(map(state.slots.get, rows.keys, repeat(-1)), np.int64, count)[rows.key]
    new: dict[str, int] = {}
    for i in np.flatnonzero((slot < 0) & ~left_out).tolist():
        key = rows.key_of(i)
        place = new.get(key, len(state.keys) + len(new))
        if place < MAX_WINDOWS:
            slot[i] = new.setdefault(key, place)
    slot[left_out] = -1
    return slot, list(new)


def _counts(rows: Rows, applied: Bools, known: Bools, bad: Bools) -> dict[str, TickCounts]:
    """Return what became of the rows, by source."""
    quarantined = bad & ~known
    old = ~(applied | quarantined)
    duplicate = old & known
    sums = [
        np.bincount(rows.source if of is None else rows.source[of], minlength=len(rows.sources)).tolist()
        for of in (None, applied, duplicate, old & ~known, quarantined)
    ]
    counts = zip(rows.sources, zip(*sums, strict=True), strict=True)
    return {source: TickCounts(*of) for source, of in counts if of[0]}


def spans_of(rows: Rows) -> dict[str, OffsetSpan]:
    """Return the first and the last row of each lane."""
    ends: dict[str, tuple[int, int]] = {}
    starts = rows.starts()
    for ordinal, start, stop in zip(
        rows.record[starts].tolist(), starts, [*starts[1:], len(rows)], strict=True
    ):
        lane = rows.records[ordinal].lane
        ends[lane] = ends.get(lane, (start, 0))[0], stop - 1
    return {
        lane: OffsetSpan(rows.offset_of(first), rows.offset_of(last)) for lane, (first, last) in ends.items()
    }


def _checkpointed(
    checkpoints: Mapping[str, StreamOffset], spans: Mapping[str, OffsetSpan]
) -> dict[str, StreamOffset]:
    """Return the checkpoints with those of the lanes at their last rows, or where they were if that is further on."""
    after = dict(checkpoints)
    for lane, span in spans.items():
        before = after.pop(lane, _BEFORE_ALL)
        after[lane] = before if span.last.is_at_or_before(before) else span.last
    return dict([*after.items()][-REMEMBERED_LANES:])


def _totals(
    totals: Mapping[str, Total], counts: Mapping[str, TickCounts], seen_hour: int
) -> dict[str, Total]:
    sums = dict(totals)
    for source, of in counts.items():
        sums[source] = Total(sums[source].counts + of if source in sums else of, seen_hour)
    if len(sums) <= MAX_TOTALS:
        return sums
    newest_first = sorted(sums, key=lambda source: (source != OTHER_SOURCES, -sums[source].seen_hour, source))
    folded = [OTHER_SOURCES, *newest_first[MAX_TOTALS:]]
    others = [sums.pop(source) for source in folded if source in sums]
    folded_counts = sum((total.counts for total in others), TickCounts())
    return {**sums, OTHER_SOURCES: Total(folded_counts, max(total.seen_hour for total in others))}


def _numbered(base: PartitionState, new_keys: Sequence[str]) -> dict[str, int]:
    if not new_keys:
        return base.slots
    return {**base.slots, **{key: len(base.keys) + i for i, key in enumerate(new_keys)}}
