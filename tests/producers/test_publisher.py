"""Every tick arrives, in order per symbol, within the limits of Kinesis, whatever fails on the way."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.partitions import explicit_hash_key, partition_key, partition_of
from producers.publisher import (
    MAX_USER_RECORD_BYTES,
    Aggregate,
    Publisher,
    PublishError,
    encode_within,
    split_by_partition,
)
from producers.quote_batch import QuoteBatch, QuoteBatchError, decode
from tests.producers.fakes import StrictKinesis, make_batch, symbols_of_partition

PARTITIONS = 4


class Clock:
    """Time that passes only while the publisher sleeps, and a little with each look at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


def publisher_for(
    kinesis: StrictKinesis, partitions: int = PARTITIONS, stream: str = "stock-quotes"
) -> Publisher:
    clock = Clock()
    return Publisher(kinesis.client, stream, partitions, clock=clock, sleep=clock.sleep, rng=random.Random(1))


def ticks_of(batches: list[QuoteBatch]) -> list[tuple[object, ...]]:
    return [
        row
        for batch in batches
        for row in zip(
            batch.symbol,
            batch.ts,
            batch.price,
            batch.bid,
            batch.ask,
            batch.day_volume,
            batch.quote_ts,
            strict=True,
        )
    ]


def assert_in_order(batches: list[QuoteBatch]) -> None:
    """Per symbol, what is new only ever grows; what is not new was sent before (a lost answer)."""
    newest: dict[str, int] = {}
    seen: dict[str, set[int]] = defaultdict(set)
    for batch in batches:
        for symbol, ts in zip(batch.symbol, batch.ts, strict=True):
            if ts in seen[symbol]:
                continue
            assert ts > newest.get(symbol, -1)
            newest[symbol] = ts
            seen[symbol].add(ts)


def test_a_poll_goes_out_as_one_aggregate_per_partition(kinesis: StrictKinesis) -> None:
    symbols = [f"T{i}" for i in range(100)]
    report = publisher_for(kinesis).publish([make_batch(symbols, 1_000)])
    assert report.ticks == Counter(partition_of(symbol, PARTITIONS) for symbol in symbols)
    assert report.waiting == 0
    assert [len(call) for call in kinesis.calls] == [4]
    for record in kinesis.stored:
        partition = int(record["PartitionKey"])
        assert record["ExplicitHashKey"] == explicit_hash_key(partition, PARTITIONS)
    assert sorted(ticks_of(kinesis.batches())) == sorted(ticks_of([make_batch(symbols, 1_000)]))


def test_an_aggregate_holds_one_partition_only(kinesis: StrictKinesis) -> None:
    publisher_for(kinesis).publish(make_batch([f"T{i}" for i in range(50)], ts) for ts in range(1, 6))
    for record in kinesis.stored:
        for batch in [
            b for b in kinesis.batches() if partition_of(b.symbol[0], PARTITIONS) == record["PartitionKey"]
        ]:
            assert {partition_key(partition_of(s, PARTITIONS)) for s in batch.symbol} == {
                record["PartitionKey"]
            }


def test_missing_symbols_travel_with_their_partition(kinesis: StrictKinesis) -> None:
    publisher_for(kinesis).publish([make_batch(["AAPL"], 1, missing=["MSFT", "NOPE", "AMZN"])])
    assert sorted(name for batch in kinesis.batches() for name in batch.missing) == ["AMZN", "MSFT", "NOPE"]
    for batch in kinesis.batches():
        assert len({partition_of(s, PARTITIONS) for s in batch.symbol + batch.missing}) == 1


plans = st.lists(
    st.one_of(st.just("fail all"), st.just("lose the answer"), st.frozensets(st.integers(0, 7), max_size=8)),
    max_size=40,
)


@given(
    plan=plans,
    polls=st.integers(1, 5),
    watched=st.tuples(st.sets(st.integers(0, 400), min_size=1, max_size=60), st.integers(1, 8)),
)
@settings(max_examples=150)
def test_every_tick_arrives_in_order_whatever_fails(
    plan: list[str | frozenset[int]], polls: int, watched: tuple[set[int], int]
) -> None:
    names, partitions = watched
    kinesis = StrictKinesis(failures=iter(plan))
    publisher = publisher_for(kinesis, partitions)
    sent = [make_batch([f"N{name}" for name in sorted(names)], 1_000 + poll) for poll in range(polls)]
    reports = [publisher.publish([batch]) for batch in sent]
    assert sum(report.ticks.total() for report in reports) == polls * len(names)
    assert all(len({record["PartitionKey"] for record in call}) == len(call) for call in kinesis.calls)
    assert set(ticks_of(kinesis.batches())) == set(ticks_of(sent))
    assert_in_order(kinesis.batches())
    if "lose the answer" not in plan:
        assert len(ticks_of(kinesis.batches())) == polls * len(names)


@given(plan=plans, budget=st.floats(0, 3), polls=st.integers(1, 6))
@settings(max_examples=100)
def test_nothing_is_lost_or_overtaken_when_publishers_hand_over(
    plan: list[str | frozenset[int]], budget: float, polls: int
) -> None:
    kinesis = StrictKinesis(failures=iter(plan))
    symbols = [f"N{i}" for i in range(20)]
    stored: list[Aggregate] = []
    for poll in range(polls):
        publisher = publisher_for(kinesis)
        publisher.enqueue(stored)
        publisher.publish([make_batch(symbols, poll)], budget_seconds=budget)
        stored = publisher.drain()
    last = publisher_for(kinesis)
    last.enqueue(stored)
    last.publish([])
    assert_in_order(kinesis.batches())
    assert set(ticks_of(kinesis.batches())) == set(
        ticks_of([make_batch(symbols, poll) for poll in range(polls)])
    )


def test_a_failed_partition_does_not_hold_up_the_others(kinesis: StrictKinesis) -> None:
    stuck, free = symbols_of_partition(0, 4, 1)[0], symbols_of_partition(1, 4, 1)[0]
    publisher = publisher_for(kinesis)
    kinesis.failures = iter([{0}] * 1_000)
    publisher.publish([make_batch([stuck, free], 1)], budget_seconds=0.0015)
    assert [batch.symbol for batch in kinesis.batches()] == [[free]]
    assert [aggregate.partition for aggregate in publisher.waiting] == [0]


def test_what_is_over_the_time_budget_waits_and_goes_first(kinesis: StrictKinesis) -> None:
    kinesis.failures = iter(["fail all"] * 1000)
    publisher = publisher_for(kinesis)
    report = publisher.publish([make_batch(["AAPL", "MSFT"], 1)], budget_seconds=3)
    assert report.ticks.total() == 0
    assert report.waiting == 2
    stored = publisher.drain()
    assert publisher.waiting == []

    kinesis.failures = iter(())
    later = publisher_for(kinesis)
    later.enqueue(stored)
    assert later.publish([make_batch(["AAPL", "MSFT"], 2)]).ticks.total() == 4
    assert_in_order(kinesis.batches())
    assert len(ticks_of(kinesis.batches())) == 4


def test_a_poll_that_is_packed_when_time_is_up_is_sent_all_the_same(kinesis: StrictKinesis) -> None:
    publisher = publisher_for(kinesis)
    report = publisher.publish([make_batch([f"T{i}" for i in range(40_000)], 1)], budget_seconds=0.0)
    assert len(kinesis.calls) == 2, "two aggregates a partition, and a call holds one of each"
    assert (report.ticks.total(), report.waiting) == (40_000, 0)


@pytest.mark.parametrize("symbols", [1, 500, 5_000, 50_000])
def test_any_size_of_watch_list_keeps_the_limits(kinesis: StrictKinesis, symbols: int) -> None:
    names = [f"S{i}" for i in range(symbols)]
    report = publisher_for(kinesis).publish([make_batch(names, 1), make_batch(names, 2)])
    assert report.ticks.total() == 2 * symbols
    assert report.user_bytes / report.ticks.total() <= (150 if symbols == 1 else 60)
    assert_in_order(kinesis.batches())
    assert len(ticks_of(kinesis.batches())) == 2 * symbols


def test_a_poll_that_no_record_holds_is_split_by_rows() -> None:
    names = symbols_of_partition(0, 4, 9_000)
    batch = make_batch(names, 1, missing=["X" * 16] * 20_000)
    payloads = list(encode_within(batch, MAX_USER_RECORD_BYTES))
    assert len(payloads) > 1
    assert max(len(payload) for payload, _ in payloads) <= MAX_USER_RECORD_BYTES
    parts = [decode(payload)[0] for payload, _ in payloads]
    assert [symbol for part in parts for symbol in part.symbol] == names
    assert sum(len(part.missing) for part in parts) == 20_000
    assert sum(ticks for _, ticks in payloads) == len(names)


def test_what_no_record_can_hold_is_named() -> None:
    with pytest.raises(ValueError, match="must be at most 100"):
        list(encode_within(make_batch(["AAPL"], 1, missing=["X" * 16] * 3), 100))


def test_splitting_keeps_every_column() -> None:
    batch = make_batch([f"T{i}" for i in range(40)], 7)
    parts = split_by_partition(batch, 3)
    assert sorted(ticks_of([part for _, part in parts])) == sorted(ticks_of([batch]))
    for partition, part in parts:
        assert {partition_of(symbol, 3) for symbol in part.symbol} == {partition}


def test_a_stream_that_is_not_there_is_named_and_nothing_is_lost(kinesis: StrictKinesis) -> None:
    publisher = publisher_for(kinesis, stream="stock-qoutes")
    with pytest.raises(PublishError, match="stock-qoutes"):
        publisher.publish([make_batch(["AAPL", "MSFT"], 1)])
    assert sum(aggregate.ticks for aggregate in publisher.waiting) == 2


def test_a_bad_batch_is_rejected_and_those_before_it_wait(kinesis: StrictKinesis) -> None:
    publisher = publisher_for(kinesis)
    with pytest.raises(QuoteBatchError, match=r"row 0 \(AAPL\): price is null"):
        publisher.publish([make_batch(["MSFT"], 1), make_batch(["AAPL"], 2, price=float("nan"))])
    assert sum(aggregate.ticks for aggregate in publisher.waiting) == 1
    publisher.publish([])
    assert [batch.symbol for batch in kinesis.batches()] == [["MSFT"]]


def test_partitions_must_be_positive(kinesis: StrictKinesis) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        Publisher(kinesis.client, "stock-quotes", 0)
