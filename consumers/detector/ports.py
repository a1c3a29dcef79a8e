"""What the detector needs from the outside, as narrow as it needs it. AWS adapters are in `stores`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from consumers.contracts.anomaly import Anomaly
    from consumers.contracts.events import Event
    from consumers.stores.charts import Bar
    from consumers.stream.decode import Quarantined
    from consumers.stream.thresholds import History
    from consumers.windows.state import Block


class IOFailedError(Exception):
    """Something outside did not do what it was asked; asking again later may help."""


class BlockExistsError(Exception):
    """Another invocation committed the block of that number first."""


class BlockStore(Protocol):
    """The append-only run of blocks of every partition. All reads are strongly consistent."""

    def last(self, partition: int) -> Block | None:
        """The newest block."""

    def get(self, partition: int, number: int) -> Block | None:
        """The block of that number, None if there is none."""

    def after(self, partition: int, number: int) -> Iterator[Block]:
        """The blocks after block `number`, in order."""

    def put(self, block: Block) -> None:
        """Commit a block; raises `BlockExistsError` if there is one of its number."""


class LateBlockStore(Protocol):
    """What redrives added after a block of a partition, beside the run of its blocks. Reads are strongly consistent."""

    def after(self, partition: int, number: int) -> Iterator[Block]:
        """The late blocks that go on from block `number`, in order; the first has the number after it."""

    def put(self, number: int, block: Block) -> None:
        """Commit a late block that goes on from block `number`; raises `BlockExistsError` if there is one."""


class SnapshotStore(Protocol):
    """Snapshots of a partition's state by the number of the block after which they were taken."""

    def get(self, partition: int, number: int) -> bytes | None:
        """The snapshot, None if there is none."""

    def put(self, partition: int, number: int, data: bytes) -> None:
        """Keep a snapshot."""


class AnomalyStore(Protocol):
    """Anomalies by ticker and timestamp."""

    def put(self, anomalies: Sequence[Anomaly]) -> None:
        """Write anomalies; writing one again changes nothing."""

    def put_late(self, anomalies: Sequence[Anomaly]) -> list[Anomaly]:
        """Write anomalies where there are none; answers those that are there as late ones now."""


class ChartWriter(Protocol):
    """Bars and last quotes."""

    def put_bars(self, bars: Sequence[tuple[str, str, Bar]], arrival_ms: int) -> None:
        """Write closed bars, each with its origin and symbol; writing one again changes nothing."""

    def put_quotes(self, origin: str, block: Block, as_of_ms: int, packed: bytes) -> None:
        """Write last quotes as of a block, unless newer ones are there."""


class EventBus(Protocol):
    """The bus of events."""

    def put(self, events: Sequence[Event]) -> None:
        """Send events; all are sent when it returns."""


class QuarantineStore(Protocol):
    """Records that could not be used."""

    def put(self, entries: Sequence[Quarantined]) -> None:
        """Keep entries; keeping one again changes nothing."""


class ThresholdSource(Protocol):
    """The threshold parameter."""

    def history(self) -> History:
        """All its versions, none missed that was set `EFFECTIVE_AFTER_MS` or more ago."""


class AttemptCounter(Protocol):
    """Counts attempts on a record that were begun and not ended, across processes."""

    def begin(self, shard: str, sequence: str) -> int:
        """Count an attempt; answers how many are begun and not ended, this one included."""

    def end(self, shard: str, sequence: str) -> None:
        """All attempts on the record so far are over, this one in good order."""


class Ports(NamedTuple):
    """The outside of the detector."""

    blocks: BlockStore
    snapshots: SnapshotStore
    anomalies: AnomalyStore
    charts: ChartWriter
    bus: EventBus
    quarantine: QuarantineStore
    thresholds: ThresholdSource
    attempts: AttemptCounter
