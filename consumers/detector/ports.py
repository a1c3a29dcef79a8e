"""The detector's ports, as narrow as it needs them. AWS adapters are in `stores`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from consumers.contracts.anomaly import Anomaly
    from consumers.contracts.charts import Bar
    from consumers.contracts.events import Event
    from consumers.stream.records import Quarantined
    from consumers.stream.thresholds import ThresholdHistory
    from consumers.windows.block import Block
    from consumers.windows.ports import BlockStore, SnapshotStore


class AnomalyWriter(Protocol):
    """Anomalies by ticker and timestamp."""

    def put(self, anomalies: Sequence[Anomaly]) -> None:
        """Write anomalies; writing one again changes nothing."""

    def put_late(self, anomalies: Sequence[Anomaly]) -> list[Anomaly]:
        """Write anomalies where there are none; return those that are there as late ones now."""


class ChartWriter(Protocol):
    """Bars and last quotes."""

    def put_bars(
        self, bars: Sequence[tuple[str, str, Bar]], reached: Mapping[str, int], arrival_ms: int, windows: int
    ) -> None:
        """Write a block's closed bars, each with its origin and symbol; writing them again changes nothing.

        `reached` is the newest minute of each origin before the block, `windows` how many their partition has.
        """

    def put_quotes(self, origin: str, block: Block, part: int, as_of_ms: int, packed: bytes) -> None:
        """Write a part of the last quotes as of a block, unless newer ones are there."""


class EventBus(Protocol):
    """The bus of events."""

    def put(self, events: Sequence[Event]) -> None:
        """Send events; all are sent when it returns."""


class QuarantineStore(Protocol):
    """Where records go that could not be used."""

    def put(self, entries: Sequence[Quarantined]) -> None:
        """Keep entries; keeping one again changes nothing."""


class ThresholdSource(Protocol):
    """The threshold parameter."""

    def history(self) -> ThresholdHistory:
        """Return all its versions, none missed that was set `EFFECTIVE_AFTER_MS` or more ago."""


class AttemptCounter(Protocol):
    """Counts attempts on a record that were begun and not ended, across processes."""

    def begin(self, shard: str, sequence: str) -> int:
        """Count an attempt; return how many are begun and not ended, this one included."""

    def end(self, shard: str, sequence: str) -> None:
        """Record that all attempts on the record so far are over, this one in good order."""


class Ports(NamedTuple):
    """All of them."""

    blocks: BlockStore
    snapshots: SnapshotStore
    anomalies: AnomalyWriter
    charts: ChartWriter
    bus: EventBus
    quarantine: QuarantineStore
    thresholds: ThresholdSource
    attempts: AttemptCounter
