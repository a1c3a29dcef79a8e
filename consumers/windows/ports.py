"""Where a partition's blocks and snapshots are kept, as `windows` needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from producers.errors import MonitorError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.windows.block import Block


class BlockExistsError(MonitorError):
    """Another invocation committed the block of that number first."""


class BlockStore(Protocol):
    """The append-only run of blocks of every partition. All reads are strongly consistent."""

    def last(self, partition: int) -> Block | None:
        """Return the newest block."""

    def get(self, partition: int, number: int) -> Block | None:
        """Return the block of that number, None if there is none."""

    def after(self, partition: int, number: int) -> Iterator[Block]:
        """Yield the blocks after block `number`, in order."""

    def put(self, block: Block) -> None:
        """Commit a block; raise `BlockExistsError` if there is one of its number."""


class SnapshotStore(Protocol):
    """Snapshots of a partition's state by the number of the block after which they were taken."""

    def get(self, partition: int, number: int) -> bytes | None:
        """Return the snapshot, None if there is none."""

    def put(self, partition: int, number: int, data: bytes) -> None:
        """Keep a snapshot."""
