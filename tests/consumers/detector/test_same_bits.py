"""The same stream gives the same blocks and states, bit for bit, on every path that numpy and the engine can take."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from consumers.detectors.engine import engine
from consumers.stream.thresholds import ThresholdVersion
from consumers.windows import restore
from consumers.windows.partition import PartitionState
from consumers.windows.state import replay
from producers.partitions import partition_of
from tests.consumers import kit

START_MS = 1_795_000_000_000
CHANGED_MS = START_MS + 30_000
SECONDS, SYMBOLS = 100, 300
PROGRAM = """
from tests.consumers.detector.test_same_bits import digest
print(digest(7))
"""


def records() -> list[kit.Sent]:
    """Hundreds of symbols, of which some jump, and all have prices that are no short decimals."""
    rng = np.random.default_rng(11)
    price = rng.uniform(5, 500, SYMBOLS)
    sent: list[kit.Sent] = []
    for second in range(SECONDS):
        ts = START_MS + second * 1000
        price *= 1 + rng.normal(0, 3e-4, SYMBOLS)
        shown = price * np.where(rng.random(SYMBOLS) < 0.01, rng.choice([0.9, 1.05, 1.2], SYMBOLS), 1.0)
        there = rng.random(SYMBOLS) < 0.9
        for partition in range(2):
            rows = [
                (f"S{i}", ts, p, p * 0.9997, p * 1.0003, float(second * 100 + i))
                for i, p in enumerate(shown.tolist())
                if there[i] and partition_of(f"S{i}", 2) == partition
            ]
            sent.append(kit.Sent(kit.payload(rows), str(1000 + len(sent)), ts + 40, str(partition)))
    return sent


def digest(batch: int) -> str:
    """Of all blocks, anomalies, events and states, with a threshold that changes in the middle."""
    memory = kit.Memory()
    memory.versions = [
        ThresholdVersion(1, 0, "2.5"),
        ThresholdVersion(2, CHANGED_MS, '{"default": 2, "kinds": {"gap": 9}}'),
    ]
    consumer, sent = kit.consumer(memory), records()
    for start in range(0, len(sent), batch):
        assert consumer.consume(kit.event(sent[start : start + batch]), 1 << 62).failed_sequence is None
    assert len({block.threshold for block in memory.blocks[0]}) == 2
    assert memory.anomalies
    hashed = hashlib.sha256()
    for partition in range(2):
        for block in memory.blocks[partition]:
            hashed.update(repr(block).encode())
        hashed.update(state_of(memory, partition))
    for of in (memory.anomalies, memory.events):
        hashed.update(repr(sorted(of.items())).encode())
    return hashed.hexdigest()


def state_of(memory: kit.Memory, partition: int) -> bytes:
    state = restore.newest(memory.ports().blocks, memory.ports().snapshots, partition)
    return state.detection.tobytes() + state.minutes.tobytes()


@pytest.fixture(scope="module")
def usual() -> str:
    return digest(7)


def test_uncompiled(usual: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine.LOOP is not None, "the detectors are not compiled: `make compiled`"
    monkeypatch.setattr(engine, "LOOP", None)
    assert digest(7) == usual


def test_a_cold_start_replays_each_block_with_its_own_threshold() -> None:
    warm, cold = kit.Memory(), kit.Memory()
    for memory, same in ((warm, True), (cold, False)):
        memory.versions = [ThresholdVersion(1, 0, "2.5"), ThresholdVersion(2, CHANGED_MS, "6")]
        deliver(memory, same)
    # A cold start may not know of the newest snapshot yet, and nothing depends on that.
    one, other = (
        {p: [replace(block, snapshot=0) for block in blocks] for p, blocks in memory.blocks.items()}
        for memory in (warm, cold)
    )
    assert one == other
    assert warm.anomalies == cold.anomalies
    cold.snapshots.clear()
    for partition in range(2):
        replayed = PartitionState(partition)
        for block in cold.blocks[partition]:
            replayed = replay(replayed, block)
        assert replayed.detection.tobytes() + replayed.minutes.tobytes() == state_of(warm, partition)


def deliver(memory: kit.Memory, same: bool) -> None:
    sent, consumer = records()[:120], kit.consumer(memory)
    for start in range(0, len(sent), 10):
        consumer = consumer if same else kit.consumer(memory)
        assert consumer.consume(kit.event(sent[start : start + 10]), 1 << 62).failed_sequence is None


def test_without_the_features_of_this_cpu(usual: str) -> None:
    found = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]
    dispatched = np._core._multiarray_umath.__cpu_dispatch__  # type: ignore[attr-defined]
    features = [name for name in dispatched if found.get(name)]
    if not features:
        pytest.skip("this CPU has none of the features that numpy has other code for")
    here = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(here)],
        cwd=here.parents[1],
        env={**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(features), "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == usual
