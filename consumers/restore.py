"""A partition's state from what is stored: the newest, warm or cold, and the one as of an earlier block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers import snapshot
from consumers.windows import State, replay

if TYPE_CHECKING:
    from consumers.ports import BlockStore, SnapshotStore
    from consumers.windows import Block


def newest(blocks: BlockStore, snapshots: SnapshotStore, partition: int, warm: State | None = None) -> State:
    """The state after the newest block: `warm` moved on, or from the newest snapshot."""
    if warm is None:
        last = blocks.last(partition)
        warm = State(partition) if last is None else _before(snapshots, last)
    for block in blocks.after(partition, warm.number):
        warm = replay(warm, block)
    return warm


def _before(snapshots: SnapshotStore, block: Block) -> State:
    """A state from which the blocks up to `block` can be replayed."""
    data = snapshots.get(block.partition, block.snapshot) if block.snapshot else None
    return State(block.partition) if data is None else snapshot.load(data)
