"""The lake holds each row once, whatever came late and wherever a run ended."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from consumers.contracts.errors import IOFailedError
from tests.consumers import kit
from tests.consumers.lake.day import DISCARDED, FIRST, SECOND, SENT, Day, rows_in

GAP = SENT[DISCARDED.start : DISCARDED.stop]


@pytest.fixture(scope="module")
def played() -> Day:
    """A day of which a part was discarded, and a lake that has taken in two thirds of it."""
    day = Day()
    day.consume(SENT[: DISCARDED.start])
    day.consume(SENT[DISCARDED.stop : 260])
    day.notify()
    day.run()
    day.consume(SENT[260:])
    done = day.memory.redrive().batch(kit.kinesis([record for second in GAP for record in second]))
    assert done.counts.in_windows > 0
    assert done.anomalies
    day.notify()
    return day


def again(day: Day) -> Day:
    """The same, with a lake of its own."""
    other = copy.copy(day)
    other.s3 = day.s3.copy()
    return other


def test_the_rows_are_those_that_were_counted_late_ones_too(played: Day, tmp_path: Path) -> None:
    day = again(played)
    report = day.run()
    assert report.is_done
    assert report.late_blocks > 0
    day.write(tmp_path)
    assert rows_in(tmp_path) == day.counts()
    assert all(count > 0 for count in day.counts().values()), "a table that is empty shows nothing"
    assert {path.parent.name for path in tmp_path.glob("lake/ticks/*/*")} == {
        f"date={FIRST}",
        f"date={SECOND}",
    }


def test_a_run_that_finds_nothing_new_writes_nothing(played: Day) -> None:
    day = again(played)
    day.run()
    before = dict(day.s3.objects)
    report = day.run()
    assert (report.blocks, report.late_blocks, report.rows) == (0, 0, {})
    assert day.s3.objects == before


def writes(day: Day) -> int:
    """How many writes a run makes."""
    counted = again(day)
    counted.run()
    return counted.s3.faults.calls


def test_a_crash_at_any_write_leaves_each_row_once(played: Day, tmp_path: Path) -> None:
    number = writes(played)
    assert number >= 10
    wanted = played.counts()
    for step in range(number):  # before the next write is after this one
        day, folder = again(played), tmp_path / str(step)
        day.s3.faults = kit.Faults({step: "crash-after"})
        with pytest.raises(kit.Crash):
            day.run()
        day.run()
        day.write(folder)
        assert rows_in(folder) == wanted, step


def test_of_two_runs_at_once_the_slower_one_gives_way(played: Day, tmp_path: Path) -> None:
    slow, fast = again(played), again(played)
    fast.s3 = slow.s3
    first = True

    def overtake() -> None:
        nonlocal first
        if first:
            first = False
            fast.run()

    slow.s3.faults.before_call = overtake
    with pytest.raises(IOFailedError, match="PreconditionFailed"):
        slow.run()
    slow.run()
    slow.write(tmp_path)
    assert rows_in(tmp_path) == slow.counts()


def test_a_run_whose_time_is_up_is_gone_on_with(
    played: Day, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.lake.run.MAX_ROWS", 300)
    day = again(played)
    for _ in range(3):
        report = day.run(until_ms=0)
        assert (report.blocks > 0, report.is_done) == (True, False)
    assert day.run().is_done
    day.write(tmp_path)
    assert rows_in(tmp_path)["ticks"] == day.counts()["ticks"]


def test_what_is_gone_costs_its_own_ticks_only(played: Day, tmp_path: Path) -> None:
    """Snapshots and blocks stay for 15 days: a lake that did not run for longer goes on with what can be read."""
    day = again(played)
    day.s3.objects.clear()
    day.memory = played.memory.copy()
    day.memory.backfill_blocks.clear()
    first = min(number for _, number in day.memory.snapshots)
    day.oldest_block = first + 2
    day.memory.snapshots = {key: of for key, of in day.memory.snapshots.items() if key[1] > first + 1}
    day.run()
    day.write(tmp_path)
    left = {}
    for partition, blocks in day.memory.blocks.items():
        known = [
            block
            for block in blocks[day.oldest_block - 1 :]
            if (partition, block.snapshot) in day.memory.snapshots
        ]
        left[partition] = blocks[known[0].number - 1 :]
    assert 0 < min(map(len, left.values())) < len(day.memory.blocks[0]) - first
    assert rows_in(tmp_path)["ticks"] == sum(
        counts.in_windows for blocks in left.values() for block in blocks for counts in block.sources.values()
    )
