"""With a parallelization factor above 1 the partition keys of a shard are delivered independently of one another."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.contracts.counts import TickCounts
from consumers.windows.state import MAX_BLOCK_LANES
from tests.consumers import kit

START_MS = 1_795_000_000_000


def total(memory: kit.Memory) -> TickCounts:
    return kit.counts(memory.blocks[0])


def test_a_tick_of_another_lane_is_no_duplicate() -> None:
    memory = kit.Memory()
    scanner = kit.Sent(kit.payload([("MSFT", START_MS, 50.0)]), "1000", START_MS + 10, "0")
    by_hand = kit.Sent(kit.payload([("AAPL", START_MS + 1, 60.0)], "by-hand"), "999", START_MS + 9, "AAPL")
    kit.consumer(memory, partitions=1).consume(kit.event([scanner]), 1 << 62)
    report = kit.consumer(memory, partitions=1).consume(kit.event([by_hand]), 1 << 62)
    assert report.counts == TickCounts(ticks_in=1, in_windows=1)


@settings(max_examples=100)
@given(data=st.data())
def test_lanes_in_any_interleaving_apply_every_tick_once(data: st.DataObject) -> None:
    keys = ["0", "AAPL", "a key of a producer's own that is long", "é"]
    lanes: dict[str, list[kit.Sent]] = {key: [] for key in keys}
    for i, key in enumerate(data.draw(st.lists(st.sampled_from(keys), min_size=1, max_size=30))):
        ts = START_MS + 1000 * i
        sent = kit.Sent(kit.payload([(f"S{keys.index(key)}", ts, 50.0)]), str(1000 + i), ts + 40, key)
        lanes[key].append(sent)
    memory, at = kit.Memory(), Counter[str]()
    consumers = {key: kit.consumer(memory, partitions=1) for key in keys}
    while left := [key for key in keys if at[key] < len(lanes[key])]:
        key, size = data.draw(st.sampled_from(left)), data.draw(st.integers(1, 5))
        start = max(0, at[key] - data.draw(st.integers(0, 2)))  # some are delivered again
        consumers[key].consume(kit.event(lanes[key][start : at[key] + size]), 1 << 62)
        at[key] += size
    counts = total(memory)
    assert counts.in_windows == sum(map(len, lanes.values()))
    assert counts.out_of_order == 0
    assert counts.balance()


def test_a_key_for_every_record_makes_few_blocks_of_bounded_size() -> None:
    memory, count = kit.Memory(), 5 * MAX_BLOCK_LANES
    sent = [
        kit.Sent(kit.payload([("AAA", START_MS + i, 50.0)]), str(1000 + i), START_MS + i, f"key {i}")
        for i in range(count)
    ]
    kit.consumer(memory, partitions=1).consume(kit.event(sent), 1 << 62)
    assert total(memory) == TickCounts(ticks_in=count, in_windows=count)
    assert len(memory.blocks[0]) == 5
    assert all(len(block.spans) <= MAX_BLOCK_LANES for block in memory.blocks[0])


def test_the_redrive_of_one_lane_takes_nothing_of_another_for_its_own() -> None:
    memory = kit.Memory()
    consumer = kit.consumer(memory, partitions=1)
    scanner = [
        kit.Sent(kit.payload([("MSFT", START_MS + i, 50.0)]), str(1000 + 2 * i), START_MS + i, "0")
        for i in range(20)
    ]
    by_hand = [
        kit.Sent(kit.payload([("AAPL", START_MS + i, 60.0)]), str(1001 + 2 * i), START_MS + i, "AAPL")
        for i in range(20)
    ]
    consumer.consume(kit.event(scanner), 1 << 62)  # the other lane's batch was discarded
    done = memory.redrive(partitions=1).batch(kit.kinesis(by_hand))
    assert (done.present, done.counts) == (0, TickCounts(ticks_in=20, in_windows=20))
    again = memory.redrive(partitions=1).batch(kit.kinesis(by_hand))
    assert (again.present, again.counts) == (20, TickCounts())
