"""A block: what one commit adds to a partition. Free of numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumers.contracts.counts import TickCounts
    from consumers.stream.records import OffsetSpan


@dataclass(frozen=True, slots=True)
class Block:
    """What one commit adds to a partition: the ticks and all that is needed to apply them again.

    `spans` says by lane which rows of the stream are in it. `snapshot` is the number
    of the newest snapshot that existed. `packed` holds the ticks, sorted by window, and the new windows' keys.
    """

    partition: int
    number: int
    arrival_ms: int
    spans: Mapping[str, OffsetSpan]
    digests: tuple[str, ...]
    threshold: str
    detector_version: int
    sources: Mapping[str, TickCounts]
    totals: Mapping[str, TickCounts]
    snapshot: int
    packed: bytes
