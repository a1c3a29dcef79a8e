"""What a cold start takes, and how much is remembered of a symbol."""

from __future__ import annotations

import random

import pytest

from consumers.windows import restore
from consumers.windows.block import Block
from consumers.windows.partition import PartitionState
from consumers.windows.state import replay
from tests.consumers import kit

START_MS = 1_795_000_020_000  # a full minute
SYMBOLS = 300


@pytest.fixture(scope="module")
def memory() -> kit.Memory:
    """A partition just before its next snapshot, with a block a second: the most that a cold start replays."""
    memory, rng = kit.Memory(), random.Random(1)
    consumer = kit.consumer(memory, partitions=1)
    price = {f"S{i}": 100.0 for i in range(SYMBOLS)}
    for second in range(119):
        ts, rows = START_MS + second * 1000, []
        for symbol, last in price.items():
            price[symbol] = last * (1 + rng.gauss(0, 2e-4))
            p = round(price[symbol], 2)
            rows.append((symbol, ts, p, round(p - 0.01, 2), round(p + 0.01, 2), 100.0 * second))
        event = kit.event([kit.Sent(kit.payload(rows), str(1000 + second), ts + 40)])
        assert consumer.consume(event, 1 << 62).failed_sequence is None
    assert max(number for _, number in memory.snapshots) == 61
    return memory


def test_a_cold_start_replays_the_blocks_of_a_minute_at_most(
    memory: kit.Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    replayed: list[int] = []

    def counting(state: PartitionState, block: Block) -> PartitionState:
        replayed.append(block.number)
        return replay(state, block)

    monkeypatch.setattr(restore, "replay", counting)
    state = restore.newest(memory.ports().blocks, memory.ports().snapshots, 0)
    assert state.number == 119
    assert replayed == list(range(62, 119))  # the last one is retraced


def test_a_symbol_takes_less_than_a_kibibyte(memory: kit.Memory) -> None:
    state = restore.newest(memory.ports().blocks, memory.ports().snapshots, 0)
    columns = (state.detection, state.minutes, state.last_ts, state.touched_hour)
    assert state.detection.nbytes <= 1024 * SYMBOLS
    assert sum(column.nbytes for column in columns) <= 1056 * SYMBOLS  # with the minute's bar and two times
    assert len(memory.snapshots[0, 61]) <= 1024 * SYMBOLS
