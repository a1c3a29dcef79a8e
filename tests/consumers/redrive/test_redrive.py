"""A redrive brings back what was discarded: exactly once, late, as of then, and live state does not notice."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.contracts.anomaly import Anomaly, iso_ms
from consumers.contracts.counts import TickCounts
from consumers.contracts.errors import IOFailedError
from consumers.windows import restore
from consumers.windows.restore import GoneError
from producers.partitions import partition_of
from tests.consumers import kit

START_MS = 1_795_000_000_000
SYMBOLS = [f"S{i}" for i in range(6)]
NORMAL, GAP, AFTER = 240, 12, 30


def stream(seed: int) -> list[kit.Sent]:
    """A record a second and partition; in the gap prices jump and come back."""
    rng = random.Random(seed)
    price = {symbol: 50.0 + i for i, symbol in enumerate(SYMBOLS)}
    records: list[kit.Sent] = []
    for second in range(NORMAL + GAP + AFTER):
        ts = START_MS + second * 1000
        in_gap = NORMAL <= second < NORMAL + GAP
        for partition in range(2):
            rows = []
            for symbol in (s for s in SYMBOLS if partition_of(s, 2) == partition):
                price[symbol] = round(price[symbol] * (1 + rng.gauss(0, 2e-4)), 2)
                jump = 1.04 if in_gap and rng.random() < 0.2 else 1.0
                p = round(price[symbol] * jump, 2)
                rows.append((symbol, ts, p, round(p - 0.01, 2), round(p + 0.01, 2), 100 * second))
            sequence = str(1_000_000 + 10 * len(records))
            records.append(kit.Sent(kit.payload(rows), sequence, ts + 40, str(partition)))
    return records


@dataclass
class Case:
    """A stream whose gap was discarded, what is stored then, and the anomalies that are missing."""

    memory: kit.Memory
    discarded: list[kit.Sent]
    missing: dict[tuple[str, str], Anomaly]
    records: list[kit.Sent]


@pytest.fixture(scope="module")
def case() -> Case:
    """A stream whose gap was discarded, what is stored then, and the anomalies that are missing."""
    records = stream(3)
    start, stop = 2 * NORMAL, 2 * (NORMAL + GAP)
    memory = kit.Memory()
    consumer = kit.consumer(memory)
    consumer.consume(kit.event(records[: start - 40]), 1 << 62)
    for i in range(start - 40, start, 8):
        consumer.consume(kit.event(records[i : i + 8]), 1 << 62)
    complete = memory.copy()
    kit.consumer(complete).consume(kit.event(records[start:stop]), 1 << 62)
    missing = {key: of for key, of in complete.anomalies.items() if key not in memory.anomalies}
    for i in range(stop, len(records), 6):
        assert consumer.consume(kit.event(records[i : i + 6]), 1 << 62).failed_sequence is None
    assert len(missing) >= 3
    return Case(memory, records[start:stop], missing, records)


def live(memory: kit.Memory) -> object:
    """Everything that a redrive must leave as it is."""
    states = [restore.newest(memory.ports().blocks, memory.ports().snapshots, p) for p in range(2)]
    return (
        memory.blocks,
        memory.snapshots,
        memory.quotes,
        memory.bars,
        [state.detection.tobytes() for state in states],
        {key: of for key, of in memory.anomalies.items() if not of.late},
    )


def late(memory: kit.Memory) -> dict[tuple[str, str], Anomaly]:
    return {key: replace(of, late=False) for key, of in memory.anomalies.items() if of.late}


def brought_back(memory: kit.Memory) -> TickCounts:
    return kit.counts(chain.from_iterable(memory.backfill_blocks.values()))


def assert_brought_back(case: Case, memory: kit.Memory) -> None:
    assert live(memory) == live(case.memory)
    assert late(memory) == case.missing
    rows = len(SYMBOLS) * GAP
    assert brought_back(memory) == TickCounts(ticks_in=rows, in_windows=rows)
    told = [
        event.detail["data"] for event in memory.events.values() if event.event_id not in case.memory.events
    ]
    assert {data["id"] for data in told} == {anomaly.id for anomaly in case.missing.values()}
    assert all(data["late"] for data in told)
    assert memory.contradictions == []


def test_what_is_missing_comes_back_late_and_once(case: Case) -> None:
    memory = case.memory.copy()
    done = memory.redrive().batch(kit.kinesis(case.discarded))
    assert_brought_back(case, memory)
    assert sorted(done.anomalies) == sorted(anomaly.id for anomaly in case.missing.values())
    assert (done.records, done.present) == (2 * GAP, 0)

    again = memory.redrive().batch(kit.kinesis(case.discarded))
    assert_brought_back(case, memory)
    assert (again.present, again.counts, again.anomalies) == (len(SYMBOLS) * GAP, TickCounts(), [])


def test_live_ticks_go_on_as_if_nothing_had_happened(case: Case) -> None:
    memory, untouched = case.memory.copy(), case.memory.copy()
    memory.redrive().batch(kit.kinesis(case.discarded))
    last = case.records[-1]
    more = [
        kit.Sent(
            kit.payload([(s, last.arrival_ms + 1000, 51.0) for s in SYMBOLS]),
            "9000000",
            last.arrival_ms + 1040,
        )
    ]
    for of in (memory, untouched):
        kit.consumer(of).consume(kit.event(more), 1 << 62)
    assert live(memory) == live(untouched)


def test_a_batch_that_is_not_missing_adds_nothing(case: Case) -> None:
    memory = case.memory.copy()
    for part in (case.records[:100], case.records[-20:], case.records[400:480]):
        done = memory.redrive().batch(kit.kinesis(part))
        assert done.counts == TickCounts()
    assert memory.backfill_blocks == {}
    assert live(memory) == live(case.memory)


def test_what_one_partition_had_done_is_left_alone(case: Case) -> None:
    """The batch stopped in one partition only, in the middle of it."""
    records = case.records
    start, stop = 2 * NORMAL, 2 * (NORMAL + GAP)
    memory = kit.Memory()
    consumer = kit.consumer(memory)
    consumer.consume(kit.event(records[:start]), 1 << 62)
    applied = [r for r in records[start:stop] if r.key == "1"] + [
        r for r in records[start : start + 10] if r.key == "0"
    ]
    consumer.consume(kit.event(sorted(applied, key=lambda r: int(r.sequence))), 1 << 62)
    consumer.consume(kit.event(records[stop:]), 1 << 62)
    before = live(memory)
    done = memory.redrive().batch(kit.kinesis(case.discarded))
    assert live(memory) == before
    zero = sum(partition_of(s, 2) == 0 for s in SYMBOLS)
    assert done.counts.in_windows == zero * (GAP - 5)
    assert done.present == len(SYMBOLS) * GAP - done.counts.in_windows


@pytest.mark.parametrize("how", ["fail", "lost", "crash", "crash-after"])
def test_a_redrive_may_be_interrupted_at_any_call(case: Case, how: str) -> None:
    calls = kit.Faults()
    case.memory.copy().redrive(calls).batch(kit.kinesis(case.discarded))
    assert calls.calls > 20
    for call in range(calls.calls):
        memory = case.memory.copy()
        with pytest.raises((IOFailedError, kit.Crash)):
            memory.redrive(kit.Faults({call: how})).batch(kit.kinesis(case.discarded))
        memory.redrive().batch(kit.kinesis(case.discarded))
        assert_brought_back(case, memory)


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_messages_in_order_two_at_once_and_some_twice_are_as_one(case: Case, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, 2 * GAP - 1), max_size=3)))
    messages = [kit.kinesis(case.discarded[a:b]) for a, b in zip([0, *cuts], [*cuts, 2 * GAP], strict=True)]
    memory = case.memory.copy()

    def work(faults: kit.Faults) -> tuple[kit.Faults, Callable[[], None]]:
        def run() -> None:
            for message in messages:
                memory.redrive(faults).batch(message)

        return faults, run

    turns = data.draw(st.lists(st.booleans(), max_size=80))
    kit.Processes(turns).run(work(kit.Faults()), work(kit.Faults()))
    assert_brought_back(case, memory)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_messages_in_any_order_bring_back_every_tick(case: Case, order: tuple[int, ...]) -> None:
    memory = case.memory.copy()
    for part in order:
        memory.redrive().batch(kit.kinesis(case.discarded[8 * part : 8 * part + 8]))
    counts = brought_back(memory)
    assert counts.ticks_in == len(SYMBOLS) * GAP
    assert counts.balance()
    assert counts.duplicate == 0
    assert live(memory) == live(case.memory)


def test_an_anomaly_that_is_known_live_is_not_told_again(case: Case) -> None:
    """The producer sent the same quotes again, and those came through."""
    memory = case.memory.copy()
    known = next(iter(case.missing))
    memory.anomalies[known] = case.missing[known]
    events = set(memory.events)
    done = memory.redrive().batch(kit.kinesis(case.discarded))
    assert case.missing[known].id not in done.anomalies
    assert not memory.anomalies[known].late
    assert f"{case.missing[known].id}-detected" not in set(memory.events) - events


def test_at_the_end_of_a_shard_that_was_split_the_state_is_that_of_its_arrival(case: Case) -> None:
    """No block of the shard follows the gap: its children's blocks do."""
    records = case.records
    start, stop = 2 * NORMAL, 2 * (NORMAL + GAP)
    memory = kit.Memory()
    consumer = kit.consumer(memory)
    consumer.consume(kit.event(records[:start]), 1 << 62)
    child = [replace(r, shard="shardId-000000000001", sequence=f"7{r.sequence}") for r in records[stop:]]
    for i in range(0, len(child), 6):
        consumer.consume(kit.event(child[i : i + 6]), 1 << 62)
    memory.redrive().batch(kit.kinesis(case.discarded))
    assert late(memory) == case.missing


def test_poison_in_a_failed_batch_goes_to_quarantine(case: Case) -> None:
    memory = case.memory.copy()
    discarded = list(case.discarded)
    discarded[3] = replace(discarded[3], data=b"not json")
    done = memory.redrive().batch(kit.kinesis(discarded))
    assert done.counts.quarantined == 1
    assert done.counts.balance()
    assert [entry.payload for entry in memory.quarantine.values()] == [b"not json"]


def test_a_gap_whose_state_is_gone_is_told(case: Case) -> None:
    memory = case.memory.copy()
    memory.snapshots.clear()
    with pytest.raises(GoneError, match="older than a deployment keeps snapshots"):
        memory.redrive().batch(kit.kinesis(case.discarded))
    assert late(memory) == {}


def test_a_released_record_is_scored_as_of_then(case: Case) -> None:
    """A record that could not be read then, and can be now."""
    records = list(case.records)
    at = next(
        i
        for i in range(2 * NORMAL, 2 * (NORMAL + GAP))
        if any(key[1].startswith(time_of(records[i])) for key in case.missing)
    )
    readable = records[at]
    records[at] = replace(readable, data=b"not json")
    memory = kit.Memory()
    consumer = kit.consumer(memory)
    consumer.consume(kit.event(records[: 2 * NORMAL]), 1 << 62)
    for i in range(2 * NORMAL, len(records), 2):
        consumer.consume(kit.event(records[i : i + 2]), 1 << 62)
    before = live(memory)
    (record,) = kit.kinesis([readable])
    for _ in range(2):
        memory.redrive().requeued(record)
        assert live(memory) == before
        assert late(memory)
        assert brought_back(memory).in_windows == sum(
            partition_of(s, 2) == int(readable.key) for s in SYMBOLS
        )


def time_of(record: kit.Sent) -> str:
    return iso_ms(record.arrival_ms - 40)
