"""What recorded ticks would have made the detector announce, without the stream: events as they happen."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from consumers.alerts.event import Change
from consumers.contracts.anomaly import Anomaly
from consumers.detector.effects import anomaly_of
from consumers.detectors.engine import engine
from consumers.stream.rows import Rows
from consumers.stream.thresholds import Threshold
from producers.recordings import RejectedTick, Tick
from stream_infra.operations.recordings import ticks_of

if TYPE_CHECKING:
    from consumers.detectors.engine.engine import Transition
    from consumers.stream.rows import Floats

SOURCE = "dry-run"
TICKS_AT_ONCE = 20_000


class AnomalyChange(NamedTuple):
    """What happened to an anomaly, with the severity from then on, and when (market time, epoch ms UTC)."""

    change: Change
    anomaly: Anomaly
    at_ms: int


class History:
    """Ticks of recordings, detected in the order of their times, in memory that does not grow with them.

    Attributes
    ----------
    ticks
        How many were used.
    tickers
        Of these, in the order in which they come.
    """

    def __init__(
        self, files: Iterable[Path], threshold: Threshold, reject: Callable[[RejectedTick], None]
    ) -> None:
        self._ticks = heapq.merge(*(_ticks(file, reject) for file in files), key=lambda item: item[1].ts)
        self._threshold = threshold
        self._reject = reject
        self._slots: dict[str, int] = {}
        self._last_ts: list[int] = []
        self._states = engine.new_states(0)
        self.ticks = 0

    @property
    def tickers(self) -> tuple[str, ...]:
        """Tickers that were met."""
        return tuple(self._slots)

    def changes(self) -> Iterator[AnomalyChange]:
        """Return the life of every anomaly: its opening, its escalations, its end.

        Raises
        ------
        RecordingError
            A file cannot be read, or not any further.
        """
        while chunk := list(islice(self._ticks, TICKS_AT_ONCE)):
            ticks = [tick for item in chunk if (tick := self._newer(*item)) is not None]
            self.ticks += len(ticks)
            yield from self._detect(ticks)

    def _newer(self, file: Path, tick: Tick) -> Tick | None:
        slot = self._slots.setdefault(tick.symbol, len(self._slots))
        if slot == len(self._last_ts):
            self._last_ts.append(-1)
        if tick.ts <= self._last_ts[slot]:
            reason = f"ts {tick.ts} of {tick.symbol} is not after that of another file; must be one file for a time"
            self._reject(RejectedTick(file.name, 0, reason))
            return None
        self._last_ts[slot] = tick.ts
        return tick

    def _detect(self, ticks: list[Tick]) -> Iterator[AnomalyChange]:
        new = engine.new_states(len(self._slots) - self._states.shape[1])
        self._states = np.concatenate((self._states, new), axis=1)
        columns = engine.Ticks(
            slot=np.array([self._slots[tick.symbol] for tick in ticks], np.int64),
            ts=np.array([tick.ts for tick in ticks], np.int64),
            price=np.array([tick.price for tick in ticks]),
            bid=_floats([tick.bid for tick in ticks]),
            ask=_floats([tick.ask for tick in ticks]),
            day_volume=_floats([tick.day_volume for tick in ticks]),
        )
        rows = _rows([tick.symbol for tick in ticks], columns)
        for transition in engine.apply(self._states, columns, self._threshold.table(self.tickers)):
            yield _change(transition, rows)


_CHANGES: dict[str, Change] = {"opened": "detected", "escalated": "escalated", "ended": "ended"}


def _change(transition: Transition, rows: Rows) -> AnomalyChange:
    anomaly = anomaly_of(transition, rows, late=False)
    return AnomalyChange(_CHANGES[transition.change], anomaly, int(rows.ts[transition.row]))


def _ticks(file: Path, reject: Callable[[RejectedTick], None]) -> Iterator[tuple[Path, Tick]]:
    for tick in ticks_of(file, reject):
        yield file, tick


def _floats(values: list[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _rows(symbols: list[str], ticks: engine.Ticks) -> Rows:
    zeros = np.zeros(len(symbols), np.int64)
    return Rows(
        records=[],
        sources=[SOURCE],
        record=zeros,
        row=zeros,
        source=zeros,
        key=symbols,
        ts=ticks.ts,
        price=ticks.price,
        bid=ticks.bid,
        ask=ticks.ask,
        day_volume=ticks.day_volume,
        bad=zeros.astype(bool),
    )
