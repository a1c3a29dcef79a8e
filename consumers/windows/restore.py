"""A partition's state from what is stored: the newest, and the one as of an earlier block."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from consumers.detectors.engine import engine
from consumers.windows import snapshot
from consumers.windows.partition import HOUR_MS, PartitionState, Total
from consumers.windows.state import Step, follow, replay, retrace
from producers.errors import MonitorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from consumers.windows.block import Block
    from consumers.windows.ports import BlockStore, SnapshotStore

logger = logging.getLogger(__name__)


class GoneError(MonitorError):
    """Blocks or a snapshot that a state is made of are not there any more."""


def newest(
    blocks: BlockStore, snapshots: SnapshotStore, partition: int, cached: PartitionState | None = None
) -> PartitionState:
    """Return the state after the newest block."""
    return catch_up(blocks, snapshots, partition, cached)[0]


def catch_up(
    blocks: BlockStore, snapshots: SnapshotStore, partition: int, cached: PartitionState | None = None
) -> tuple[PartitionState, Step | None]:
    """Return the state after the newest block, and that block's step if the state was not there already.

    `cached` is advanced, or else the newest snapshot. Snapshots and blocks go after a deployment's `kept_days`. Where
    nothing came for so long that what the newest block builds on is gone, its windows begin anew: waiting would not
    bring them back,
    and would hold up what comes.
    """
    if cached is not None:
        return _advanced(cached, blocks.after(partition, cached.number))
    last = blocks.last(partition)
    if last is None:
        return PartitionState(partition), None
    try:
        base = _snapshot(snapshots, partition, last.snapshot)
        return _advanced(base, blocks.after(partition, base.number))
    except GoneError as error:
        logger.error(
            "windows begin anew", extra={"partition": partition, "block": last.number, "reason": str(error)}
        )
        return _anew(snapshots, last), None


def as_of(blocks: BlockStore, snapshots: SnapshotStore, partition: int, number: int) -> PartitionState:
    """Return the state after block `number`.

    Raises
    ------
    GoneError
        If the block or what it builds on is gone.
    """
    if number == 0:
        return PartitionState(partition)
    block = next(iter(blocks.after(partition, number - 1)), None)
    if block is None or block.number != number:
        raise GoneError(
            f"partition {partition}: block {number} is gone: older than a deployment keeps blocks"
        )
    state = _snapshot(snapshots, partition, block.snapshot)
    for later in blocks.after(partition, state.number):
        state = replay(state, _next(state.number, later))
        if state.number == number:
            break
    return state


def followed(blocks: BlockStore, snapshots: SnapshotStore, partition: int, after: int) -> Iterator[Step]:
    """Yield the steps of the blocks after block number `after`, unscored.

    Where blocks or a snapshot are gone, the steps go on with the first block whose state is known.
    """
    state: PartitionState | None = None
    at = after
    while state is None:
        first = next(iter(blocks.after(partition, at)), None)
        if first is None:
            return
        if first.number != at + 1 or at != after:
            logger.error("blocks are gone", extra={"partition": partition, "after": at, "next": first.number})
        try:
            found = _snapshot(snapshots, partition, first.snapshot)
            _next(found.number, next(iter(blocks.after(partition, found.number))))
            state = found
        except GoneError as error:
            logger.error("a block cannot be read", extra={"partition": partition, "reason": str(error)})
            at = first.number
    for block in blocks.after(partition, state.number):
        step = follow(state, _next(state.number, block))
        if block.number > after:
            yield step
        state = step.state


def followed_late(
    blocks: BlockStore, snapshots: SnapshotStore, gap: int, backfill: Sequence[Block]
) -> Iterator[Step]:
    """Yield the steps of all backfill blocks that go on from block number `gap`, unscored.

    Raises
    ------
    GoneError
        If the state as of the gap is gone.
    """
    partition = backfill[0].partition
    state = PartitionState(partition)
    if gap:
        gone = f"partition {partition}: block {gap} is gone: older than a deployment keeps blocks"
        block = blocks.get(partition, gap)
        if block is None:
            raise GoneError(gone)
        state = _snapshot(snapshots, partition, block.snapshot)
        for later in blocks.after(partition, state.number):
            if state.number == gap:
                break
            state = follow(state, _next(state.number, later)).state
    for block in backfill:
        step = follow(state, block)
        yield step
        state = step.state


def _snapshot(snapshots: SnapshotStore, partition: int, number: int) -> PartitionState:
    """Return the state in a snapshot; the one before all blocks if `number` is 0."""
    if number == 0:
        return PartitionState(partition)
    data = snapshots.get(partition, number)
    if data is None:
        raise GoneError(
            f"partition {partition}: snapshot {number} is gone: older than a deployment keeps snapshots"
        )
    try:
        return snapshot.load(data)
    except snapshot.SnapshotError as error:
        raise GoneError(f"partition {partition}: snapshot {number} cannot be read: {error}") from error


def _advanced(state: PartitionState, blocks: Iterable[Block]) -> tuple[PartitionState, Step | None]:
    """Return the state after the blocks, and the step of the last of them."""
    last: Block | None = None
    for block in blocks:
        checked = _next(last.number if last else state.number, block)
        state, last = replay(state, last) if last else state, checked
    if last is None:
        return state, None
    step = own_step(state, last)
    return step.state, step


def own_step(state: PartitionState, block: Block) -> Step:
    """Return the step that a block is after a state, without what other detectors found: these cannot say it."""
    step = retrace(state, block)
    return step if block.detector_version == engine.DETECTOR_VERSION else step._replace(transitions=[])


def _next(number: int, block: Block) -> Block:
    """Return the block, which must be the one after block `number`."""
    if block.number != number + 1:
        raise GoneError(
            f"partition {block.partition}: block {number + 1} is gone: older than a deployment keeps blocks"
        )
    return block


def _anew(snapshots: SnapshotStore, last: Block) -> PartitionState:
    """Return the state of a partition of which nothing but its newest block is known.

    It is kept as the snapshot after that block, for whoever starts later to begin from the same.
    """
    try:
        return _snapshot(snapshots, last.partition, last.number)
    except GoneError:
        hour = last.arrival_ms // HOUR_MS
        state = PartitionState(
            last.partition,
            number=last.number,
            checkpoints={lane: span.last for lane, span in last.spans.items()},
            digests=last.digests,
            totals={source: Total(counts, hour) for source, counts in last.totals.items()},
            snapshot=last.number,
            snapshot_ms=last.arrival_ms,
        )
        snapshots.put(state.partition, state.number, snapshot.dump(state))
        return state
