"""A partition's state as bytes and back, lossless."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec
import numpy as np

from consumers import minutes
from consumers.detectors import engine
from consumers.ledger import Counts
from consumers.rows import Position
from consumers.windows import State, Total

FORMAT = 1


class SnapshotError(ValueError):
    """A snapshot was written by another version of the detectors; the state must come from elsewhere."""


class _Head(msgspec.Struct):
    format: int
    detector_version: int
    fields: tuple[str, ...]
    partition: int
    number: int
    keys: tuple[str, ...]
    marks: dict[str, Position]
    digests: tuple[str, ...]
    totals: dict[str, tuple[dict[str, int], int]]
    snapshot_ms: int


def dump(state: State) -> bytes:
    """The state as bytes: the same state always makes the same ones."""
    head = _Head(
        FORMAT,
        engine.DETECTOR_VERSION,
        (*engine.STATE_FIELDS, *minutes.FIELDS),
        state.partition,
        state.number,
        state.keys,
        dict(state.marks),
        state.digests,
        {source: (total.counts.as_dict(), total.seen_hour) for source, total in state.totals.items()},
        state.snapshot_ms,
    )
    text = msgspec.json.encode(head)
    arrays = (state.last_ts, state.touched_hour, state.detection, state.minutes)
    parts = [np.ascontiguousarray(array).tobytes() for array in arrays]
    return zlib.compress(b"".join((len(text).to_bytes(4, "little"), text, *parts)), 1)


def load(data: bytes) -> State:
    """The state that `dump` wrote.

    Raises
    ------
    SnapshotError
        If other detectors or another format wrote it.
    """
    raw = zlib.decompress(data)
    start = 4 + int.from_bytes(raw[:4], "little")
    head = msgspec.json.decode(raw[4:start], type=_Head)
    fields = (*engine.STATE_FIELDS, *minutes.FIELDS)
    if (head.format, head.detector_version, head.fields) != (FORMAT, engine.DETECTOR_VERSION, fields):
        raise SnapshotError(
            f"snapshot of partition {head.partition} at block {head.number} is of format {head.format} and"
            f" detectors {head.detector_version}: allowed are {FORMAT} and {engine.DETECTOR_VERSION}"
        )
    return _state(head, raw, start)


def _state(head: _Head, raw: bytes, start: int) -> State:
    count, at = len(head.keys), start

    def take(dtype: Any, rows: int) -> Any:
        nonlocal at
        array = np.frombuffer(raw, dtype, rows * count, at).copy()
        at += array.nbytes
        return array

    last_ts, touched_hour = take(np.int64, 1), take(np.int64, 1)
    detection = take(np.float64, len(engine.STATE_FIELDS)).reshape(-1, count)
    bars = take(np.float64, len(minutes.FIELDS)).reshape(-1, count)
    totals = {source: Total(Counts(**counts), seen) for source, (counts, seen) in head.totals.items()}
    return State(
        partition=head.partition,
        number=head.number,
        keys=head.keys,
        last_ts=last_ts,
        touched_hour=touched_hour,
        detection=detection,
        minutes=bars,
        marks=head.marks,
        digests=head.digests,
        totals=totals,
        snapshot=head.number,
        snapshot_ms=head.snapshot_ms,
        slots={key: slot for slot, key in enumerate(head.keys)},
    )
