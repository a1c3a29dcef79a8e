"""What recorded ticks would have made the detector announce, without the stream: events as they happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from consumers.alerts.event import Change
from consumers.contracts.anomaly import Anomaly
from consumers.detector.effects import anomaly_of
from consumers.detectors.engine import engine
from consumers.stream.rows import Rows
from consumers.stream.threshold_table import table
from consumers.stream.thresholds import Threshold
from producers.recordings import RejectedTick
from stream_infra.operations.offline.arrays import TickBlock
from stream_infra.operations.offline.reading import blocks

if TYPE_CHECKING:
    from consumers.detectors.engine.engine import Transition

SOURCE = "dry-run"
ReadTicks = Callable[[Sequence[str], engine.Ticks, slice], None]


class AnomalyChange(NamedTuple):
    """What happened to an anomaly, with the severity from then on, and when (market time, epoch ms UTC)."""

    change: Change
    anomaly: Anomaly
    at_ms: int


class RecordedHistory:
    """Ticks of recordings, detected in the order of their times, in memory that does not grow with them.

    Attributes
    ----------
    ticks
        How many were used.
    last_ms
        When the last of these was, epoch ms UTC.
    tickers
        Of these, in the order in which they come.
    """

    def __init__(
        self, files: Sequence[Path], threshold: Threshold, reject: Callable[[RejectedTick], None]
    ) -> None:
        self._blocks = blocks(files, reject)
        self._detection = Detection(threshold)
        self.ticks = 0
        self.last_ms = 0

    @property
    def tickers(self) -> tuple[str, ...]:
        """Tickers that were met."""
        return self._detection.tickers

    def changes(self, read: ReadTicks | None = None) -> Iterator[AnomalyChange]:
        """Return the life of every anomaly: its opening, its escalations, its end.

        Parameters
        ----------
        read
            Takes all ticks, with the tickers of their slots: those up to a change before it is returned.

        Raises
        ------
        RecordingError
            A file cannot be read, or not any further.
        """
        for block in self._blocks:
            self.ticks += len(block.ticks.ts)
            self.last_ms = max(self.last_ms, int(block.ticks.ts.max(initial=0)))
            done = 0
            for change in self._detection.changes(block):
                if read is not None:
                    later = np.flatnonzero(block.ticks.ts[done:] > change.at_ms)
                    until = done + int(later[0]) if len(later) else len(block.ticks.ts)
                    read(self.tickers, block.ticks, slice(done, until))
                    done = until
                yield change
            if read is not None:
                read(self.tickers, block.ticks, slice(done, None))


class Detection:
    """The detectors at one threshold, given block after block."""

    def __init__(self, threshold: Threshold) -> None:
        self.threshold = threshold
        self.tickers: tuple[str, ...] = ()
        self._states = engine.new_states(0)

    def changes(self, block: TickBlock) -> Iterator[AnomalyChange]:
        """Return what happens to anomalies in the block that follows the last one."""
        if block.new:
            self.tickers = (*self.tickers, *block.new)
            self._states = engine.extended(self._states, len(block.new))
        found = engine.apply(self._states, block.ticks, table(self.threshold, self.tickers))
        if found:
            rows = _rows(self.tickers, block.ticks)
            yield from (_change(transition, rows) for transition in found)


_CHANGES: dict[str, Change] = {"opened": "detected", "escalated": "escalated", "ended": "ended"}


def _change(transition: Transition, rows: Rows) -> AnomalyChange:
    anomaly = anomaly_of(transition, rows, late=False)
    return AnomalyChange(_CHANGES[transition.change], anomaly, int(rows.ts[transition.row]))


def _rows(symbols: Sequence[str], ticks: engine.Ticks) -> Rows:
    zeros = np.zeros(len(ticks.slot), np.int64)
    return Rows(
        records=[],
        sources=[SOURCE],
        keys=symbols,
        record=zeros,
        row=zeros,
        source=zeros,
        key=ticks.slot,
        ts=ticks.ts,
        price=ticks.price,
        bid=ticks.bid,
        ask=ticks.ask,
        day_volume=ticks.day_volume,
        bad=zeros.astype(bool),
    )
