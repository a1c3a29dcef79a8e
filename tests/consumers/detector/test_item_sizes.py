"""No name that a producer invents makes an item larger than DynamoDB takes: a partition never stops for good."""

from __future__ import annotations

import hashlib
import random

import boto3
import msgspec
import pytest
from botocore.stub import Stubber

from consumers.alerts.event import EXPLANATION_CHARACTERS
from consumers.alerts.incidents import NOTIFICATIONS
from consumers.alerts.model import (
    SAMPLES,
    TICKERS,
    AnomalySummary,
    Digest,
    Incident,
    Message,
    Notification,
    TickerMove,
)
from consumers.contracts.charts import Bar
from consumers.contracts.counts import TickCounts
from consumers.contracts.errors import IOFailedError
from consumers.detector import crowded
from consumers.redrive.requeue import requeue
from consumers.stores.charts import ChartTable
from consumers.stores.last_quotes import unpack_quotes
from consumers.stores.windows import block_to_item
from consumers.stream.thresholds import ThresholdVersion
from consumers.windows import partition, restore, state
from consumers.windows.block import Block
from consumers.windows.state import MAX_TOTALS, OTHER_SOURCES
from producers.quote_batch import decode
from tests.consumers import kit

START_MS = 1_795_000_000_000
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-items
LARGEST_ITEM = 400 * 1024


def item_bytes(block: Block) -> int:
    sizes = [
        len(name) + len(str(next(iter(of.values()))))
        for name, of in block_to_item(block).items()
        if "B" not in of
    ]
    return sum(sizes) + len("columns") + len(block.packed)


def names(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [hashlib.sha256(rng.randbytes(8)).hexdigest() for _ in range(count)]


@pytest.mark.parametrize("key", [None, "x" * 16])
def test_thousands_of_sources_make_blocks_that_fit(key: str | None) -> None:
    memory = kit.Memory()
    memory.versions = [ThresholdVersion(1, 0, '{"default": 2.5' + " " * 4000 + "}")]
    consumer, sources = kit.consumer(memory, partitions=1), names(2000, 1)
    for at in range(0, len(sources), 250):
        part = sources[at : at + 250]
        payloads = [kit.payload([("AAPL", START_MS + at + i, 50.0)], name) for i, name in enumerate(part)]
        sent = kit.Sent(kit.aggregate(payloads), str(1000 + at), START_MS + at, key or f"key {at}")
        assert consumer.consume(kit.event([sent]), 1 << 62).failed_sequence is None
    counts = kit.counts(memory.blocks[0])
    assert counts.ticks_in == len(sources)
    last = memory.blocks[0][-1]
    assert len(last.totals) <= MAX_TOTALS + 1
    assert OTHER_SOURCES in last.totals
    assert sum(last.totals.values(), TickCounts()) == counts
    assert max(map(item_bytes, memory.blocks[0])) < LARGEST_ITEM


def test_a_block_filled_in_every_way_fits() -> None:
    memory = kit.Memory()
    memory.versions = [ThresholdVersion(1, 0, '{"default": 2.5' + " " * 4000 + "}")]
    consumer, rng = kit.consumer(memory, partitions=1), random.Random(2)
    for of in range(3):
        sources = names(100, of)
        records = []
        for i, source in enumerate(sources[:60]):
            rows = [
                (hashlib.sha256(rng.randbytes(8)).hexdigest()[:16].upper(), START_MS + i, rng.uniform(1, 999))
                for _ in range(300)
            ]
            records.append(kit.Sent(kit.payload(rows, source), str(1000 * of + i), START_MS + i, f"{i:016d}"))
        assert consumer.consume(kit.event(records), 1 << 62).failed_sequence is None
    assert max(map(item_bytes, memory.blocks[0])) < LARGEST_ITEM
    assert max(len(block.packed) for block in memory.blocks[0]) > 200 * 1024


def test_the_last_quotes_of_many_symbols_are_split() -> None:
    memory, rng = kit.Memory(), random.Random(3)
    symbols = sorted({name[:16].upper() for name in names(13_000, 4)})
    sent = []
    for at in range(0, len(symbols), 2500):
        rows = [
            (
                symbol,
                START_MS + at,
                price := rng.uniform(1, 999),
                price - rng.random(),
                price + rng.random(),
                at + 1,
            )
            for symbol in symbols[at : at + 2500]
        ]
        sent.append(kit.Sent(kit.payload(rows), str(1000 + at), START_MS + at))
    report = kit.consumer(memory, partitions=1).consume(kit.event(sent), 1 << 62)
    assert report.failed_sequence is None
    later = kit.Sent(kit.payload([(symbols[0], START_MS + 20_000, 50.0)]), "99999", START_MS + 20_000)
    assert kit.consumer(memory, partitions=1).consume(kit.event([later]), 1 << 62).failed_sequence is None
    packed = [of for _, of in memory.quotes.values()]
    assert {symbol for of in packed for symbol in unpack_quotes(of).symbol} == set(symbols)
    assert max(map(len, packed)) < LARGEST_ITEM


def crowd(count: int, at: int, sequence: int) -> kit.Sent:
    rows = [(f"N{i:05d}", START_MS + at, 10.0 + i) for i in range(count)]
    return kit.Sent(kit.payload(rows), str(sequence), START_MS + at)


def test_symbols_beyond_what_a_partition_remembers_are_quarantined_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state, "MAX_WINDOWS", 50)
    monkeypatch.setattr(crowded, "MAX_WINDOWS", 50)
    memory = kit.Memory()
    consumer = kit.consumer(memory, partitions=1)
    known = kit.Sent(kit.payload([("AAPL", START_MS, 50.0)]), "1", START_MS)
    assert consumer.consume(kit.event([known]), 1 << 62).counts.in_windows == 1
    report = consumer.consume(kit.event([crowd(80, 1000, 2)]), 1 << 62)
    assert (report.counts.in_windows, report.counts.quarantined) == (49, 31)
    (entry,) = memory.quarantine.values()
    assert (
        entry.reason == "symbol N00049: partition 0 remembers 50 symbols already, which is the most; 31 rows"
    )
    batch, rejected = decode(entry.payload)
    assert (batch.symbol, rejected) == ([f"N{i:05d}" for i in range(49, 80)], [])
    # Those that are watched go on, whoever invents what; delivered again nothing changes.
    later = kit.Sent(kit.payload([("AAPL", START_MS + 2000, 50.0)]), "3", START_MS + 2000)
    assert consumer.consume(kit.event([later]), 1 << 62).counts.in_windows == 1
    assert kit.consumer(memory, partitions=1).consume(
        kit.event([crowd(80, 1000, 2), later]), 1 << 62
    ).counts == TickCounts(81, 0, 81)
    assert len(memory.quarantine) == 1


def test_however_a_crowd_is_cut_the_same_symbols_find_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MAX_WINDOWS", 50)
    monkeypatch.setattr(crowded, "MAX_WINDOWS", 50)
    sent = [crowd(30, 0, 1), crowd(60, 1000, 2), kit.Sent(b"not json", "3", START_MS), crowd(80, 2000, 4)]
    at_once, one_by_one = kit.Memory(), kit.Memory()
    kit.consumer(at_once, partitions=1).consume(kit.event(sent), 1 << 62)
    for of in sent:
        kit.consumer(one_by_one, partitions=1).consume(kit.event([of]), 1 << 62)
    assert at_once.quarantine == one_by_one.quarantine
    states = [restore.newest(of.ports().blocks, of.ports().snapshots, 0) for of in (at_once, one_by_one)]
    assert states[0].keys == states[1].keys
    assert states[0].detection.tobytes() == states[1].detection.tobytes()


def test_what_found_no_place_can_be_requeued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MAX_WINDOWS", 2)
    monkeypatch.setattr(crowded, "MAX_WINDOWS", 2)
    memory = kit.Memory()
    for sent in (crowd(2, 0, 1), crowd(4, 120_000, 2)):
        kit.consumer(memory, partitions=1).consume(kit.event([sent]), 1 << 62)
    (entry,) = memory.quarantine.values()
    record, stays = requeue(entry)
    assert record is not None
    assert stays is None
    done = memory.redrive(partitions=1).requeued(record)
    assert [of.reason for of in done.rejected] == [entry.reason]
    monkeypatch.undo()
    assert memory.redrive(partitions=1).requeued(record._replace(sequence="9")).counts.in_windows == 2


def test_a_crowded_partition_forgets_in_a_day_what_nobody_sends_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state, "MAX_WINDOWS", 50)
    monkeypatch.setattr(crowded, "MAX_WINDOWS", 50)
    monkeypatch.setattr(partition, "CROWDED", 40)
    consumer = kit.consumer(kit.Memory(), partitions=1)
    assert consumer.consume(kit.event([crowd(50, 0, 1)]), 1 << 62).counts.in_windows == 50
    fresh = [
        kit.Sent(kit.payload([("AAPL", START_MS + ms, 50.0)]), str(ms), START_MS + ms)
        for ms in (1000, 26 * 3_600_000)
    ]
    assert consumer.consume(kit.event(fresh[:1]), 1 << 62).counts.quarantined == 1
    assert consumer.consume(kit.event(fresh[1:]), 1 << 62).counts.in_windows == 1


def test_symbols_that_were_chosen_to_share_an_item_of_bars_stop_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """DynamoDB's own answer, as its guide words it, to an update of an item that would grow beyond 400 KB."""
    client = boto3.client(
        "dynamodb", region_name="us-east-1", aws_access_key_id="t", aws_secret_access_key="t"
    )
    bar = Bar(START_MS // 60_000 * 60_000, 1, 1, 1, 1, 1, 1, 1, 1)
    with Stubber(client) as stub:
        message = "Item size to update has exceeded the maximum allowed size"
        stub.add_client_error("update_item", "ValidationException", message)
        ChartTable(client, "stock-charts").put_bars([("live", "AAPL", bar)], {"live": START_MS}, START_MS, 1)
        stub.add_client_error("update_item", "ValidationException", "Invalid UpdateExpression")
        with pytest.raises(IOFailedError):
            ChartTable(client, "stock-charts").put_bars(
                [("live", "AAPL", bar)], {"live": START_MS}, START_MS, 1
            )
    assert [record.message for record in caplog.records] == ["item of bars is full"]


def test_an_incident_and_a_digest_filled_in_every_way_fit() -> None:
    text, ticker, channels = "\u20ac" * EXPLANATION_CHARACTERS, "T" * 32, ("c" * 64,) * 20
    sample = AnomalySummary(
        "i" * 200, ticker, "spread_blowout", "critical", START_MS, 0.1, 0.1, "price", text
    )
    incident = Incident(
        id="i" * 200,
        origin="simulated",
        subject=ticker,
        opened_ms=START_MS,
        last_ms=START_MS,
        peak=3,
        samples=(sample,) * SAMPLES,
        tickers=(TickerMove(ticker, START_MS, 3, 0.123456789012),) * TICKERS,
        channels=channels,
        notifications=(Notification("m" * 200, "opened", START_MS, channels),) * NOTIFICATIONS,
    )
    digest = Digest("live", channels)
    for _ in range(1000):
        digest = digest.with_incident(incident)
    message = Message("m" * 200, "opened", START_MS, channels, incident, sample, digest)
    assert len(msgspec.json.encode(message)) < LARGEST_ITEM / 2
