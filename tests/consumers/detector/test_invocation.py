"""Invocations at the level of the consumer: crashes, time-outs, outages, partitions that fail alone."""

from __future__ import annotations

from typing import Any

import pytest

from consumers.contracts.errors import IOFailedError
from consumers.detector.invocation import Consumer
from consumers.stream import decode
from consumers.windows.block import Block
from producers import quote_batch
from producers.partitions import partition_of
from producers.quote_batch import QuoteBatch, RejectedRow
from tests.consumers import kit

START_MS = 1_795_000_000_000
DEADLY = b'{"v":1,"source":"deadly"}'
A0, A1 = (next(s for s in map("S{}".format, range(99)) if partition_of(s, 2) == p) for p in (0, 1))


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads `DEADLY` dies."""
    read = quote_batch.decode

    def die(payload: bytes) -> tuple[QuoteBatch, list[RejectedRow]]:
        if payload == DEADLY:
            raise kit.Crash
        return read(payload)

    monkeypatch.setattr(decode, "decode", die)


def tick(i: int, symbol: str = "S0") -> kit.Sent:
    ts = START_MS + i * 1000
    return kit.Sent(kit.payload([(symbol, ts, 50.0)]), str(1000 + i), ts + 40)


def deliver_as_lambda_does(memory: kit.Memory, records: list[kit.Sent]) -> int:
    """All records, halving a batch on which the function dies; answers how many processes died."""
    if not records:
        return 0
    try:
        report = kit.consumer(memory).consume(kit.event(records), 1 << 62)
    except kit.Crash:
        half = len(records) // 2
        if half == 0:
            return 1 + deliver_as_lambda_does(memory, records)
        first = deliver_as_lambda_does(memory, records[:half])
        return 1 + first + deliver_as_lambda_does(memory, records[half:])
    assert report.failed_sequence is None
    return 0


@pytest.mark.usefixtures("deadly")
def test_a_record_that_crashes_alone_five_times_is_quarantined_unread() -> None:
    memory = kit.Memory()
    records = [tick(i) for i in range(8)]
    records[5] = kit.Sent(DEADLY, records[5].sequence, records[5].arrival_ms)
    died = deliver_as_lambda_does(memory, records)
    assert died == 3 + 5  # halved three times, then five times alone
    (entry,) = memory.quarantine.values()
    assert (entry.sequence, entry.payload) == ("1005", DEADLY)
    assert entry.reason == "crashed the function 5 times, alone"
    applied = sum(
        c.in_windows for blocks in memory.blocks.values() for b in blocks for c in b.sources.values()
    )
    assert applied == 7


def test_an_outage_is_no_crash_however_long_it_lasts() -> None:
    memory = kit.Memory()
    record = tick(0)
    for call in (1, 2, 3, 4, 5, 6) * 2:  # every time a new process, and every time another call fails
        report = kit.consumer(memory, kit.Faults({call: "fail"})).consume(kit.event([record]), 1 << 62)
        assert report.response() == {"batchItemFailures": [{"itemIdentifier": "1000"}]} or call > 3
        memory.blocks.clear()
    assert kit.consumer(memory).consume(kit.event([record]), 1 << 62).counts.in_windows == 1
    assert not memory.quarantine


def test_a_partition_that_fails_stops_and_the_others_go_on() -> None:
    memory = kit.Memory()
    records = [tick(0, A1), tick(1, A0), tick(2, A1), tick(3, A0)]
    ports = memory.ports()

    class Broken:
        def put(self, block: Block) -> None:
            if block.partition == 0:
                raise IOFailedError("partition 0 is throttled")
            ports.blocks.put(block)

        def __getattr__(self, name: str) -> Any:
            return getattr(ports.blocks, name)

    consumer = Consumer(2, ports._replace(blocks=Broken()), lambda: kit.NOW_MS)
    report = consumer.consume(kit.event(records), 1 << 62)
    assert report.response() == {"batchItemFailures": [{"itemIdentifier": "1001"}]}
    assert report.stopped_partitions == 1
    assert (len(memory.blocks.get(0, [])), len(memory.blocks[1])) == (0, 1)

    report = kit.consumer(memory).consume(kit.event(records[1:]), 1 << 62)
    assert report.response() == {"batchItemFailures": []}
    assert (report.counts.in_windows, report.counts.duplicate) == (2, 1)
    assert not memory.contradictions


def test_what_is_not_begun_in_time_is_left_for_the_next_delivery() -> None:
    memory = kit.Memory()
    consumer = kit.consumer(memory)
    records = [tick(i) for i in range(3)]
    report = consumer.consume(kit.event(records), kit.NOW_MS)
    assert report.response() == {"batchItemFailures": [{"itemIdentifier": "1000"}]}
    assert not memory.blocks


def test_an_event_without_records_is_answered() -> None:
    assert kit.consumer(kit.Memory()).consume({"Records": []}, 1 << 62).response() == {
        "batchItemFailures": []
    }


def test_a_tick_that_comes_late_is_counted_apart_and_not_applied() -> None:
    memory = kit.Memory()
    consumer = kit.consumer(memory)
    first, late, newer = tick(5), tick(3), tick(6)
    late = kit.Sent(late.data, "1006", newer.arrival_ms)
    again = kit.Sent(first.data, "1007", newer.arrival_ms)
    newer = kit.Sent(newer.data, "1008", newer.arrival_ms)
    counts = consumer.consume(kit.event([first, late, again, newer]), 1 << 62).counts
    assert (counts.in_windows, counts.out_of_order, counts.duplicate) == (2, 1, 1)


def test_a_redelivery_of_any_length_is_known_by_its_place_in_the_shard() -> None:
    """More records than digests are remembered, of a replay whose windows are dropped a day later."""
    memory = kit.Memory()
    sent = [
        kit.Sent(kit.payload([("S0", START_MS + i, 50.0)], "replay-a"), str(1000 + i), START_MS + i + 40)
        for i in range(40)
    ]
    kit.consumer(memory).consume(kit.event(sent), 1 << 62)
    later = tick(30 * 3600)
    kit.consumer(memory).consume(kit.event([kit.Sent(later.data, "2000", later.arrival_ms)]), 1 << 62)
    counts = kit.consumer(memory).consume(kit.event(sent), 1 << 62).counts
    assert (counts.duplicate, counts.in_windows, counts.out_of_order) == (40, 0, 0)


def quiet_then(*pieces: tuple[int, float, float, int]) -> kit.Memory:
    """What is outside after pieces of (start s, price, swing, ticks), a tick a second."""
    memory = kit.Memory()
    consumer = kit.consumer(memory)
    for start, price, swing, ticks in pieces:
        sent = []
        for i in range(ticks):
            ts = START_MS + (start + i) * 1000
            p = round(price * (1 + swing * (-1, 0, 1, 0)[i % 4]), 4)
            row = ("S0", ts, p, round(p * 0.9998, 4), round(p * 1.0002, 4))
            sent.append(kit.Sent(kit.payload([row]), str(ts), ts + 40))
        assert consumer.consume(kit.event(sent), 1 << 62).failed_sequence is None
    return memory


def kinds(memory: kit.Memory) -> set[str]:
    return {anomaly.kind for anomaly in memory.anomalies.values()}


@pytest.mark.parametrize("away_days", [1, 3, 21])
def test_a_ticker_that_comes_back_is_no_spike_and_is_known_still(away_days: int) -> None:
    memory = quiet_then((0, 100.0, 1e-4, 600), (away_days * 86_400, 100.3, 1e-4, 60))
    assert "price_spike" not in kinds(memory)
    assert "bad_tick" not in kinds(memory)
    memory = quiet_then(
        (0, 100.0, 1e-4, 600),
        (away_days * 86_400, 100.3, 1e-4, 60),
        (away_days * 86_400 + 60, 104.0, 0, 3),
    )
    assert kinds(memory) & {"price_spike", "bad_tick", "level_shift"}, "it has forgotten what is normal"


def test_a_split_over_night_is_named_and_is_no_spike() -> None:
    memory = quiet_then((0, 700.0, 1e-4, 600), (64_800, 100.0, 1e-4, 120))
    assert "price_spike" not in kinds(memory)
    texts = " ".join(anomaly.explanation for anomaly in memory.anomalies.values())
    assert "7:1" in texts, texts


def test_a_halt_is_named() -> None:
    memory = quiet_then((0, 100.0, 1e-4, 600), (600 + 900, 103.0, 1e-4, 120))
    texts = " ".join(anomaly.explanation for anomaly in memory.anomalies.values())
    assert "halt" in texts or "15 min" in texts, (kinds(memory), texts)
