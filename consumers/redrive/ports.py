"""The ports of a redrive. AWS adapters are in `stores`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.detector.ports import AnomalyWriter, EventBus, QuarantineStore, ThresholdSource
    from consumers.windows.block import Block
    from consumers.windows.ports import BlockStore, SnapshotStore


class BackfillBlockStore(Protocol):
    """What redrives added beside the run of blocks of a partition. All reads are strongly consistent."""

    def after(self, partition: int, number: int) -> Iterator[Block]:
        """Yield the backfill blocks that go on from block `number`, in order; the first has the number after it."""

    def put(self, number: int, block: Block) -> None:
        """Commit a backfill block that goes on from block `number`; raise `BlockExistsError` if there is one."""


class RedrivePorts(NamedTuple):
    """All of them."""

    blocks: BlockStore
    backfill_blocks: BackfillBlockStore
    snapshots: SnapshotStore
    anomalies: AnomalyWriter
    bus: EventBus
    quarantine: QuarantineStore
    thresholds: ThresholdSource
