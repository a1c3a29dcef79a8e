"""The state of a partition from what is stored, also when parts of it are gone."""

from __future__ import annotations

import logging

import pytest

from consumers.windows import restore, snapshot
from consumers.windows.partition import PartitionState
from consumers.windows.ports import BlockStore, SnapshotStore
from tests.consumers import kit

START_MS = 1_795_000_000_000


@pytest.fixture
def memory() -> kit.Memory:
    """One partition after four minutes, a block every ten seconds."""
    memory = kit.Memory()
    consumer = kit.consumer(memory, partitions=1)
    for i in range(24):
        ts = START_MS + i * 10_000
        record = kit.Sent(kit.payload([("AAA", ts, 50.0 + i % 3), ("BBB", ts, 20.0)]), str(1000 + i), ts + 40)
        consumer.consume(kit.event([record]), 1 << 62)
    return memory


def ports(memory: kit.Memory) -> tuple[BlockStore, SnapshotStore]:
    return memory.ports().blocks, memory.ports().snapshots


def same(one: PartitionState, other: PartitionState) -> bool:
    return snapshot.dump(one) == snapshot.dump(other)


def test_as_of_a_block_is_the_state_that_was_the_newest_then(memory: kit.Memory) -> None:
    assert len(memory.snapshots) >= 4
    blocks = memory.blocks[0]
    for number in range(len(blocks) + 1):
        then = memory.copy()
        then.blocks[0] = blocks[:number]
        assert same(restore.as_of(*ports(memory), 0, number), restore.newest(*ports(then), 0))


def test_as_of_a_block_that_is_gone_says_so(memory: kit.Memory) -> None:
    with pytest.raises(
        restore.GoneError, match="partition 0: block 99 is gone: older than a deployment keeps blocks"
    ):
        restore.as_of(*ports(memory), 0, 99)
    memory.snapshots.clear()
    with pytest.raises(restore.GoneError, match="partition 0: snapshot 21 is gone"):
        restore.as_of(*ports(memory), 0, 24)


@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_windows_begin_anew_when_their_snapshot_is_gone(
    memory: kit.Memory, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    for key in list(memory.snapshots):
        if damage == "gone":
            del memory.snapshots[key]
        else:
            memory.snapshots[key] = b"no snapshot"
    with caplog.at_level(logging.ERROR):
        state = restore.newest(*ports(memory), 0)
    assert (state.number, state.keys) == (24, ())
    assert state.totals["alpaca"].counts.ticks_in == 48
    assert caplog.messages == ["windows begin anew"]

    # What comes goes on after the newest block, and what was there before is still known.
    old = kit.Sent(
        kit.payload([("AAA", START_MS + 230_000, 52.0), ("BBB", START_MS + 230_000, 20.0)]), "1023", START_MS
    )
    new = kit.Sent(kit.payload([("AAA", START_MS + 240_000, 50.0)]), "1024", START_MS + 240_040)
    report = kit.consumer(memory, partitions=1).consume(kit.event([old, new]), 1 << 62)
    assert report.failed_sequence is None
    assert (report.counts.duplicate, report.counts.in_windows) == (2, 1)
    assert memory.blocks[0][-1].snapshot == 24
    assert restore.newest(*ports(memory), 0).keys == ("AAA",)


def test_a_partition_of_which_all_blocks_are_gone_begins_at_block_1(memory: kit.Memory) -> None:
    memory.blocks.clear()
    assert same(restore.newest(*ports(memory), 0), PartitionState(0))


def test_a_partition_that_saw_nothing_but_poison_starts_cold() -> None:
    memory = kit.Memory()
    for i in range(3):
        report = kit.consumer(memory, partitions=1).consume(
            kit.event([kit.Sent(b"not json", str(i), START_MS + i * 90_000)]), 1 << 62
        )
        assert report.failed_sequence is None
    assert len(memory.snapshots) == 3
    assert restore.newest(*ports(memory), 0).number == 3
