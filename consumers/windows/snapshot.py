"""A partition's state as bytes and back, lossless.

Other detectors cannot go on with what these remember: a snapshot they wrote gives back all but that, so that
a new version warms up anew and still takes no tick twice.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from consumers.contracts.counts import TickCounts
from consumers.detectors.engine import engine
from consumers.stream.records import StreamOffset
from consumers.windows import bars
from consumers.windows.compression import DamagedError, compress, decompress
from consumers.windows.partition import PartitionState, Total
from producers.errors import MonitorError

FORMAT = 2


class SnapshotError(MonitorError):
    """A snapshot is of a format that this version cannot read."""


class _Format(msgspec.Struct):
    format: int


class _Head(msgspec.Struct):
    format: int
    detector_version: int
    fields: tuple[str, ...]
    bar_fields: tuple[str, ...]
    partition: int
    number: int
    keys: tuple[str, ...]
    checkpoints: dict[str, StreamOffset]
    digests: tuple[str, ...]
    totals: dict[str, tuple[dict[str, int], int]]
    snapshot_ms: int
    rules: dict[str, dict[str, tuple[float, ...]]] = {}


def dump(state: PartitionState) -> bytes:
    """Return the state as bytes: the same state always makes the same ones."""
    head = _Head(
        FORMAT,
        engine.DETECTOR_VERSION,
        engine.STATE_FIELDS,
        bars.FIELDS,
        state.partition,
        state.number,
        state.keys,
        dict(state.checkpoints),
        state.digests,
        {source: (total.counts.as_dict(), total.seen_hour) for source, total in state.totals.items()},
        state.snapshot_ms,
        {key: dict(of) for key, of in state.rules.items()},
    )
    text = msgspec.json.encode(head)
    arrays = (state.last_ts, state.touched_hour, state.detection, state.minutes)
    parts = [np.ascontiguousarray(array).tobytes() for array in arrays]
    return compress(b"".join((len(text).to_bytes(4, "little"), text, *parts)))


def load(data: bytes) -> PartitionState:
    """Return the state that `dump` wrote; of other detectors or bars all but what those remember.

    Raises
    ------
    SnapshotError
        If it is of another format, or damaged.
    """
    try:
        raw = decompress(data)
        start = 4 + int.from_bytes(raw[:4], "little")
        if (found := msgspec.json.decode(raw[4:start], type=_Format).format) != FORMAT:
            raise SnapshotError(f"the snapshot is of format {found}", allowed=f"{FORMAT}")
        head = msgspec.json.decode(raw[4:start], type=_Head)
    except (DamagedError, msgspec.MsgspecError) as error:
        raise SnapshotError(f"the snapshot is damaged: {error}") from error
    return _state(head, raw, start)


def _state(head: _Head, raw: bytes, start: int) -> PartitionState:
    count, at = len(head.keys), start

    def take(dtype: Any, rows: int) -> Any:
        nonlocal at
        array = np.frombuffer(raw, dtype, rows * count, at).copy()
        at += array.nbytes
        return array

    last_ts, touched_hour = take(np.int64, 1), take(np.int64, 1)
    detection = take(np.float64, len(head.fields)).reshape(len(head.fields), count)
    minutes = take(np.float64, len(head.bar_fields)).reshape(len(head.bar_fields), count)
    is_own = (head.detector_version, head.fields) == (engine.DETECTOR_VERSION, engine.STATE_FIELDS)
    if not is_own:
        detection = engine.new_states(count)
    if head.bar_fields != bars.FIELDS:
        minutes = bars.new_minutes(count)
    totals = {source: Total(TickCounts(**counts), seen) for source, (counts, seen) in head.totals.items()}
    return PartitionState(
        partition=head.partition,
        number=head.number,
        keys=head.keys,
        last_ts=last_ts,
        touched_hour=touched_hour,
        detection=detection,
        minutes=minutes,
        checkpoints=head.checkpoints,
        digests=head.digests,
        totals=totals,
        snapshot=head.number,
        # A snapshot of others is followed by one of these detectors at once, for all later starts to begin from.
        snapshot_ms=head.snapshot_ms if is_own else 0,
        slots={key: slot for slot, key in enumerate(head.keys)},
        rules=head.rules,
    )
