"""Where rows are missing: which of them no block holds, and after which block each belongs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from consumers.stream.records import StreamOffset

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from consumers.stream.records import OffsetSpan
    from consumers.stream.rows import Bools, Ints, Rows
    from consumers.windows.block import Block


def not_in(rows: Rows, blocks: Sequence[Block]) -> Rows:
    """Return the rows that lie in none of the blocks, by their offsets."""
    missing = np.ones(len(rows), np.bool_)
    starts = np.flatnonzero(np.diff(rows.record, prepend=-1)).tolist()
    for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
        record, row = rows.record_of(start), rows.row[start:stop]
        for span in (block.spans[record.lane] for block in blocks if record.lane in block.spans):
            missing[start:stop] &= ~_within(record.sequence, row, span)
    return rows.take(np.flatnonzero(missing))


def _within(sequence: str, row: Ints, span: OffsetSpan) -> Bools:
    """Return which rows of a record lie in the span."""
    low, high = span
    if sequence not in (low.sequence, high.sequence):
        record = StreamOffset(sequence, 0)
        return np.full(len(row), low.is_at_or_before(record) and record.is_at_or_before(high))
    after = row >= low.row if sequence == low.sequence else row >= 0
    return after & (row <= high.row) if sequence == high.sequence else after


def by_gap(
    rows: Rows, blocks: Sequence[Block], lanes: Mapping[str, str], last: int
) -> Iterator[tuple[int, Rows]]:
    """Yield runs of rows, each with the number of the block to whose state it must be applied.

    Parameters
    ----------
    blocks
        The blocks around the rows, in order.
    lanes
        The lane of the stream that the rows of each lane came from.
    last
        The number of the partition's newest block.
    """
    at: dict[str, int] = dict.fromkeys(lanes.values(), 0)
    start, before = 0, -1
    for i in range(len(rows)):
        record, offset = rows.record_of(i), rows.offset_of(i)
        lane = lanes[record.lane]
        while at[lane] < len(blocks) and not _is_after(blocks[at[lane]], lane, offset, record.arrival_ms):
            at[lane] += 1
        number = blocks[at[lane]].number - 1 if at[lane] < len(blocks) else last
        if i and number != before:
            yield before, rows.slice(start, i)
            start = i
        before = number
    if len(rows):
        yield before, rows.slice(start, len(rows))


def _is_after(block: Block, lane: str, offset: StreamOffset, arrival_ms: int) -> bool:
    """Return whether the block holds something at or after a row, by its place in the lane, else by arrival."""
    span = block.spans.get(lane)
    if span is not None and offset.sequence.isdecimal() and span.last.sequence.isdecimal():
        return offset.is_at_or_before(span.last)
    # At the same millisecond too: where it lies must not depend on which blocks there are by now.
    return block.arrival_ms >= arrival_ms
