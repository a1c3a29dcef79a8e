"""A snapshot gives back the state bit by bit; one of other detectors all but what those remember."""

from __future__ import annotations

import numpy as np
import pytest

from consumers.detectors.engine import engine
from consumers.windows import restore, snapshot
from consumers.windows.partition import PartitionState
from tests.consumers import kit


@pytest.fixture
def state() -> PartitionState:
    """A state that has seen some ticks."""
    memory = kit.Memory()
    times = range(1_795_000_000_000, 1_795_000_040_000, 1000)
    rows = [("AAA", ts, 50.0 + ts // 1000 % 3, 49.0, 51.0, ts % 1_000_000) for ts in times]
    sent = [kit.Sent(kit.payload([row]), str(row[1]), row[1] + 40, "0") for row in rows]
    kit.consumer(memory, partitions=1).consume(kit.event(sent), 1 << 62)
    return restore.newest(memory.ports().blocks, memory.ports().snapshots, 0)


def everything_but_detection(state: PartitionState) -> tuple[object, ...]:
    return (
        state.number,
        state.keys,
        state.last_ts.tolist(),
        state.touched_hour.tolist(),
        state.minutes.tolist(),
        state.checkpoints,
        state.digests,
        state.totals,
        state.slots,
    )


def test_what_is_loaded_is_what_was_dumped(state: PartitionState) -> None:
    loaded = snapshot.load(snapshot.dump(state))
    assert everything_but_detection(loaded) == everything_but_detection(state)
    assert loaded.detection.tobytes() == state.detection.tobytes()
    assert snapshot.dump(loaded) == snapshot.dump(state)


def test_other_detectors_start_anew_and_forget_no_tick(
    state: PartitionState, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = snapshot.dump(state)
    assert state.detection.any()
    monkeypatch.setattr(engine, "STATE_FIELDS", (*engine.STATE_FIELDS, "one_more"))
    monkeypatch.setattr(engine, "new_states", lambda n: np.zeros((len(engine.STATE_FIELDS), n)))
    loaded = snapshot.load(data)
    assert everything_but_detection(loaded) == everything_but_detection(state)
    assert loaded.detection.shape == (len(engine.STATE_FIELDS), 1)
    assert not loaded.detection.any()


def test_a_snapshot_of_another_format_is_refused(
    state: PartitionState, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = snapshot.dump(state)
    monkeypatch.setattr(snapshot, "FORMAT", snapshot.FORMAT + 1)
    with pytest.raises(snapshot.SnapshotError, match=r"format 2; must be 3"):
        snapshot.load(data)
