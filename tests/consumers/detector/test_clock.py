"""A clock that was a day ahead for a while and is set right: what it left is bounded, and heals without a hand."""

from __future__ import annotations

import pytest

from consumers.detector.invocation import Consumer
from consumers.stores.last_quotes import unpack_quotes
from consumers.windows import restore
from tests.consumers import kit

START_MS = 1_795_000_000_000
DAY_MS = 86_400_000


def record(second: int, *, ahead_ms: int, sequence: int, key: str = "0", symbol: str = "AAPL") -> kit.Sent:
    """A tick whose producer's clock, and the stream's, is ahead."""
    at = START_MS + 1000 * second + ahead_ms
    return kit.Sent(kit.payload([(symbol, at, 100.0 + second % 3, 99.0, 103.0)]), str(sequence), at + 20, key)


def test_a_producers_clock_that_is_ahead_is_its_error_alone() -> None:
    memory = kit.Memory()
    consumer = kit.consumer(memory, partitions=1)
    ahead = [record(s, ahead_ms=DAY_MS, sequence=1000 + s) for s in range(60)]
    ahead = [kit.Sent(of.data, of.sequence, of.arrival_ms - DAY_MS, of.key) for of in ahead]
    report = consumer.consume(kit.event(ahead), 1 << 62)
    assert (report.counts.quarantined, report.counts.in_windows) == (60, 0)
    (entry, *_) = memory.quarantine.values()
    assert "must be at most 5000 ms beyond the record's arrival" in entry.reason
    right = [record(s, ahead_ms=0, sequence=2000 + s) for s in range(60, 70)]
    assert consumer.consume(kit.event(right), 1 << 62).counts.in_windows == 10


@pytest.mark.parametrize("ahead_ms", [120_000, 600_000, DAY_MS])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_stream_whose_clock_was_ahead_takes_ticks_again_at_once(ahead_ms: int, *, at_once: bool) -> None:
    """Kinesis numbers its records on, whatever its clock says."""
    sent = [record(s, ahead_ms=0, sequence=1000 + s) for s in range(10)]
    sent += [record(s, ahead_ms=ahead_ms, sequence=1000 + s) for s in range(10, 15)]
    sent += [record(s, ahead_ms=ahead_ms, sequence=1000 + s, symbol="MSFT") for s in range(15, 20)]
    sent += [record(s, ahead_ms=0, sequence=1000 + s) for s in range(20, 25)]
    sent += [record(s, ahead_ms=0, sequence=1000 + s, symbol="MSFT") for s in range(25, 30)]
    memory = kit.Memory()
    consumer = kit.consumer(memory, partitions=1)
    for batch in [sent] if at_once else [[of] for of in sent]:
        report = consumer.consume(kit.event(batch), 1 << 62)
        assert report.counts.in_windows == len(batch)
    assert memory.contradictions == []
    state = restore.newest(memory.ports().blocks, memory.ports().snapshots, 0)
    newest = {symbol: int(state.last_ts[slot]) for symbol, slot in state.slots.items()}
    assert newest == {"AAPL": START_MS + 24_000, "MSFT": START_MS + 29_000}


def test_a_small_correction_of_the_clock_drops_nothing() -> None:
    memory = kit.Memory()
    sent = [record(s, ahead_ms=30_000, sequence=1000 + s) for s in range(60)]
    sent += [record(s, ahead_ms=0, sequence=1000 + s) for s in range(60, 120)]
    report = kit.consumer(memory, partitions=1).consume(kit.event(sent), 1 << 62)
    assert (report.counts.in_windows, report.counts.out_of_order) == (90, 30)


def test_an_emulator_that_numbers_records_by_its_clock_takes_ticks_again() -> None:
    memory, now_ms = kit.Memory(), START_MS + DAY_MS
    consumer = Consumer(1, memory.ports(), lambda: now_ms)
    before = [record(s, ahead_ms=DAY_MS, sequence=START_MS + DAY_MS + 1000 * s) for s in range(30)]
    assert consumer.consume(kit.event(before), 1 << 62).counts.in_windows == 30
    now_ms = START_MS + 60_000
    after = [record(s, ahead_ms=0, sequence=START_MS + 1000 * s) for s in range(60, 70)]
    assert consumer.consume(kit.event(after), 1 << 62).counts.in_windows == 10
    # Whoever starts later finds the same, and the records of then change it for no longer than they last.
    later = Consumer(1, memory.ports(), lambda: now_ms + 1000)
    assert later.consume(kit.event(after), 1 << 62).counts.duplicate == 10
    later.consume(kit.event(before), 1 << 62)
    again = [record(s, ahead_ms=0, sequence=START_MS + 1000 * s) for s in range(70, 80)]
    assert later.consume(kit.event(again), 1 << 62).counts.in_windows == 10
    assert memory.contradictions == []


def test_a_detector_whose_clock_is_behind_forgets_nothing() -> None:
    memory = kit.Memory()
    consumer = Consumer(1, memory.ports(), lambda: START_MS - DAY_MS)
    for s in range(3):
        sent = [record(s, ahead_ms=0, sequence=1000 + s)]
        assert consumer.consume(kit.event(sent), 1 << 62).counts.in_windows == 1
    assert consumer.consume(kit.event(sent), 1 << 62).counts.duplicate == 1


def test_records_that_wait_for_long_in_one_lane_are_no_clock_set_back() -> None:
    memory = kit.Memory()
    consumer = kit.consumer(memory, partitions=1)
    consumer.consume(kit.event([record(0, ahead_ms=0, sequence=1000, key="AAPL")]), 1 << 62)
    consumer.consume(kit.event([record(7200, ahead_ms=0, sequence=9000)]), 1 << 62)
    late = record(10, ahead_ms=0, sequence=2000, key="AAPL")
    assert consumer.consume(kit.event([late]), 1 << 62).counts.out_of_order == 1


def test_snapshots_and_last_quotes_go_on_after_the_clock_was_set_back() -> None:
    memory = kit.Memory()
    consumer = kit.consumer(memory, partitions=1)
    symbols = [f"S{i}" for i in range(200)]  # so many that their last quotes are not written with every block

    def poll(second: int, ahead_ms: int) -> kit.Sent:
        at = START_MS + 1000 * second + ahead_ms
        rows = [(symbol, at, 10.0 + i / 7 + second / 3) for i, symbol in enumerate(symbols)]
        return kit.Sent(kit.payload(rows), str(1000 + second), at + 20)

    for second, ahead_ms in [(0, 0), (1, DAY_MS), (2, DAY_MS), (3, 0)]:
        consumer.consume(kit.event([poll(second, ahead_ms)]), 1 << 62)
    ((number, packed),) = memory.quotes.values()
    assert number == 4
    assert set(unpack_quotes(packed).ts) == {START_MS + 3000}
    consumer.consume(kit.event([poll(70, 0)]), 1 << 62)
    assert max(number for _, number in memory.snapshots) == 5
