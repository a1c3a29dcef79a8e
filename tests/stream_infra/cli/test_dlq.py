"""`stock-monitor dlq` and `quarantine` against tables, buckets, a stream and a queue."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from consumers.detector.invocation import Consumer
from consumers.detector.ports import Ports
from consumers.redrive.dead_letters import FailedBatch
from consumers.stores.anomalies import AnomalyTable
from consumers.stores.bus import Bus
from consumers.stores.charts import ChartTable
from consumers.stores.parameters import ThresholdParameter
from consumers.stores.quarantine import QuarantineBucket
from consumers.stores.snapshots import SnapshotBucket
from consumers.stores.windows import AttemptTable, BlockTable
from consumers.stream.records import records_of
from producers.partitions import partition_of
from producers.quote_batch import QuoteBatch, RejectedRow, decode, encode
from stream_infra import names
from stream_infra.cli.main import app
from stream_infra.operations import dead_letters, redriving
from stream_infra.operations.dead_letters import UnusableError
from stream_infra.operations.endpoints import Endpoints
from tests.aws import aws_in_memory, create_table

Json = Any
"""Events, items and answers of AWS and of the commands, as `json` and boto3 give them."""
BUCKET = "stock-scan-data-123456789012"
SHARD = "shardId-000000000000"
VARIABLES = {
    "PARTITIONS": "2",
    "ANOMALIES_TABLE": names.ANOMALIES_TABLE,
    "WINDOWS_TABLE": names.WINDOWS_TABLE,
    "CHARTS_TABLE": names.CHARTS_TABLE,
    "DATA_BUCKET": BUCKET,
    "BUS_NAME": names.BUS,
}
ON_BUS: list[Json] = []
SYMBOLS = [f"S{i}" for i in range(6)]
NORMAL, GAP, AFTER = 240, 8, 20


class Here(Endpoints):
    """moto's AWS, in this process, with a detector."""

    def client(self, service: Json) -> Json:
        if service == "lambda":
            return SimpleNamespace(
                get_function_configuration=lambda **_of: {"Environment": {"Variables": VARIABLES}}
            )
        if service == "events":
            return SimpleNamespace(put_events=self._put_events)
        return boto3.client(service)

    def _put_events(self, Entries: list[Json]) -> Json:  # noqa: N803  as boto3 spells it
        ON_BUS.extend(json.loads(entry["Detail"])["data"] for entry in Entries)
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in Entries]}


@dataclass
class World:
    """The monitor after a gap, its queue, and the command line."""

    here: Here
    url: str
    discarded: dict[str, Json] = field(default_factory=dict)

    def run(self, *arguments: str, expect: int = 0, stdin: str = "") -> str:
        result = CliRunner().invoke(app, arguments, input=stdin)
        assert result.exit_code == expect, result.output + repr(result.exception)
        return result.stdout

    def json(self, *arguments: str, expect: int = 0) -> Json:
        return json.loads(self.run(*arguments, "--json", expect=expect))

    def message(self, body: Json) -> None:
        self.here.client("sqs").send_message(QueueUrl=self.url, MessageBody=json.dumps(body))

    def depth(self) -> int:
        return dead_letters.DeadLetterQueue(self.here).depth()

    def table(self, name: str) -> list[Json]:
        pages = self.here.client("dynamodb").get_paginator("scan").paginate(TableName=name)
        return [item for page in pages for item in page["Items"]]

    def anomalies(self, late: bool) -> dict[str, Json]:
        found = [item for item in self.table(names.ANOMALIES_TABLE) if item["late"]["BOOL"] is late]
        return {item["id"]["S"]: item for item in found}

    def live(self) -> Json:
        """All that a redrive must not touch."""
        blocks = [item for item in self.table(names.WINDOWS_TABLE) if item["sk"]["S"].startswith("block#")]
        return blocks, self.table(names.CHARTS_TABLE), self.anomalies(late=False)

    def on_bus(self) -> list[Json]:
        """Details of the events on the bus since the last call."""
        details = ON_BUS.copy()
        ON_BUS.clear()
        return details


def record(rows: list[tuple[Json, ...]], sequence: int, arrival_ms: int, partition: int) -> dict[str, Json]:
    symbol, ts, price, bid, ask, volume = (list(column) for column in zip(*rows, strict=True))
    payload = encode(QuoteBatch("alpaca", symbol, ts, price, bid, ask, volume, [None] * len(rows), []))
    return raw(payload, sequence, arrival_ms, partition)


def raw(payload: bytes, sequence: int, arrival_ms: int, partition: int) -> dict[str, Json]:
    return {
        "eventID": f"{SHARD}:{sequence}",
        "kinesis": {
            "partitionKey": str(partition),
            "sequenceNumber": str(sequence),
            "data": base64.b64encode(payload).decode(),
            "approximateArrivalTimestamp": arrival_ms / 1000,
        },
    }


def stream(start_ms: int) -> list[Json]:
    rng, price = random.Random(7), {s: 50.0 + i for i, s in enumerate(SYMBOLS)}
    records: list[Json] = []
    for second in range(NORMAL + GAP + AFTER):
        ts = start_ms + second * 1000
        for partition in range(2):
            rows = []
            for symbol in (s for s in SYMBOLS if partition_of(s, 2) == partition):
                price[symbol] = round(price[symbol] * (1 + rng.gauss(0, 2e-4)), 2)
                jump = 1.04 if NORMAL <= second < NORMAL + GAP and rng.random() < 0.3 else 1.0
                p = round(price[symbol] * jump, 2)
                rows.append((symbol, ts, p, round(p - 0.01, 2), round(p + 0.01, 2), 100.0 * second))
            records.append(record(rows, 1_000_000 + 10 * len(records), ts + 40, partition))
    return records


def detector(here: Here) -> Consumer:
    dynamodb, s3 = here.client("dynamodb"), here.client("s3")
    now_ms = redriving.now_ms
    return Consumer(
        2,
        Ports(
            blocks=BlockTable(dynamodb, names.WINDOWS_TABLE),
            snapshots=SnapshotBucket(s3, BUCKET),
            anomalies=AnomalyTable(dynamodb, names.ANOMALIES_TABLE),
            charts=ChartTable(dynamodb, names.CHARTS_TABLE),
            bus=Bus(here.client("events"), names.BUS),
            quarantine=QuarantineBucket(s3, BUCKET),
            thresholds=ThresholdParameter(
                here.client("ssm"), names.THRESHOLD_PARAMETER, now_ms, lambda *_: None
            ),
            attempts=AttemptTable(dynamodb, names.WINDOWS_TABLE, now_ms),
        ),
        now_ms,
    )


def create(here: Here) -> World:
    for table in (names.WINDOWS_TABLE, names.CHARTS_TABLE, names.ANOMALIES_TABLE):
        key = ("ticker", "timestamp") if table == names.ANOMALIES_TABLE else ("pk", "sk")
        create_table(table, *key, client=here.client("dynamodb"))
    here.client("s3").create_bucket(Bucket=BUCKET)
    here.client("ssm").put_parameter(Name=names.THRESHOLD_PARAMETER, Value="2.5", Type="String")
    here.client("kinesis").create_stream(StreamName=names.STREAM, ShardCount=1)
    ON_BUS.clear()
    return World(here, here.client("sqs").create_queue(QueueName=names.DEAD_LETTER_QUEUE)["QueueUrl"])


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    here = Here(None, None, None, None)
    for command in ("dlq", "quarantine"):
        monkeypatch.setattr(f"stream_infra.cli.commands.{command}.resolve", lambda _aws: here)
    monkeypatch.setattr(dead_letters, "_WAIT_SECONDS", 0)
    with aws_in_memory():
        yield create(here)


@pytest.fixture
def gap(world: World) -> World:
    """A batch was discarded while the stream went on."""
    records = stream(redriving.now_ms() - 3_600_000)
    start, stop = 2 * NORMAL, 2 * (NORMAL + GAP)
    consumer = detector(world.here)
    consumer.consume({"Records": records[: start - 8]}, 1 << 62)
    consumer.consume({"Records": records[start - 8 : start]}, 1 << 62)
    for i in range(stop, len(records), 8):
        report = consumer.consume({"Records": records[i : i + 8]}, 1 << 62)
        assert report.failed_sequence is None
    world.on_bus()
    world.discarded = {"Records": records[start:stop]}
    return world


def invocation_record(event: Json, *, size: int | None = None) -> dict[str, Json]:
    records = records_of(event)
    moment = "2026-11-24T14:30:00.123Z"
    return {
        "requestContext": {
            "requestId": "6e0f6a9e",
            "functionArn": f"arn:aws:lambda:us-east-1:123456789012:function:{names.DETECTOR}",
            "condition": "RecordAgeExceeded",
            "approximateInvokeCount": 12,
        },
        "version": "1.0",
        "timestamp": moment,
        "KinesisBatchInfo": {
            "shardId": SHARD,
            "startSequenceNumber": records[0].sequence,
            "endSequenceNumber": records[-1].sequence,
            "approximateArrivalOfFirstRecord": moment,
            "approximateArrivalOfLastRecord": moment,
            "batchSize": size or len(records),
            "streamArn": f"arn:aws:kinesis:us-east-1:123456789012:stream/{names.STREAM}",
        },
    }


def fail(
    world: World, event: Json, key: str = "aws/lambda/uuid/shardId-000000000000/2026/11/24/batch"
) -> None:
    """As a mapping discards a batch: an object in S3, and its notification."""
    body = {**invocation_record(event), "payload": json.dumps(event)}
    world.here.client("s3").put_object(Bucket=BUCKET, Key=key, Body=json.dumps(body))
    world.message(
        {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": BUCKET}, "object": {"key": key}}}]}
    )


SCAN = {
    "version": "1.0",
    "timestamp": "2026-11-24T14:30:00.123Z",
    "requestContext": {"requestId": "1", "condition": "RetriesExhausted", "approximateInvokeCount": 1},
    "requestPayload": {"source": "aws.events"},
    "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
    "responsePayload": {"errorType": "ScanError", "errorMessage": "no such parameter"},
}


def test_a_failed_batch_is_listed_shown_and_brought_back_once(gap: World) -> None:
    fail(gap, gap.discarded)
    (listed,) = gap.json("dlq", "list")
    assert (listed["kind"], listed["records"], listed["payload"]) == ("batch", 2 * GAP, "s3")
    assert listed["reason"] == "RecordAgeExceeded after 12 invocations"
    assert "RecordAgeExceeded" in gap.run("dlq", "list")

    shown = gap.json("dlq", "show", listed["id"][:6])
    assert [len(of["quotes"]) for of in shown["records"]].count(0) == 0
    assert {quote["symbol"] for of in shown["records"] for quote in of["quotes"]} == set(SYMBOLS)
    assert "price 5" in gap.run("dlq", "show", listed["id"])

    live = gap.live()
    (done,) = gap.json("dlq", "redrive", listed["id"])
    assert (done["redriven"], done["in_windows"], done["present"]) == (True, len(SYMBOLS) * GAP, 0)
    assert len(done["anomalies"]) >= 2
    assert gap.live() == live
    assert gap.anomalies(late=True).keys() == set(done["anomalies"])
    sent = gap.on_bus()
    assert {of["id"] for of in sent} == set(done["anomalies"])
    assert all(of["late"] for of in sent)
    assert gap.depth() == 0

    fail(gap, gap.discarded)  # the notification comes a second time
    (again,) = gap.json("dlq", "redrive", "--all")
    assert (again["redriven"], again["in_windows"], again["anomalies"]) == (True, 0, [])
    # Whoever put the newest block may have ended before its effects: they are announced again, equal, by the same ids.
    repeated = gap.on_bus()
    assert repeated
    assert all(event in sent for event in repeated)
    assert gap.live() == live
    assert "is empty" in gap.run("dlq", "redrive", "--all")


def test_several_messages_are_redriven_in_the_order_of_the_stream(gap: World) -> None:
    records = gap.discarded["Records"]
    for part in (2, 0, 1, 3):
        fail(gap, {"Records": records[4 * part : 4 * part + 4]}, f"aws/lambda/{part}")
    text = gap.run("dlq", "redrive", "--all")
    assert text.count("12 ticks brought back") == 4
    assert gap.depth() == 0
    late = [i for i in gap.table(names.WINDOWS_TABLE) if i["sk"]["S"].startswith("backfill#")]
    assert sum(json.loads(i["sources"]["S"])["alpaca"]["in_windows"] for i in late) == len(SYMBOLS) * GAP
    of_one_pass = gap.anomalies(late=True)

    for item in late:
        gap.here.client("dynamodb").delete_item(
            TableName=names.WINDOWS_TABLE, Key={"pk": item["pk"], "sk": item["sk"]}
        )
    fail(gap, gap.discarded)
    gap.run("dlq", "redrive", "--all")
    assert gap.anomalies(late=True) == of_one_pass


def test_a_message_stays_until_its_anomalies_are_written(gap: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(gap, gap.discarded)
    from consumers.contracts.errors import IOFailedError
    from consumers.stores.windows import BackfillBlockTable

    put = BackfillBlockTable.put

    def fail_to_put(*_of: object) -> None:
        raise IOFailedError("the table is throttled")

    monkeypatch.setattr(BackfillBlockTable, "put", fail_to_put)
    (result,) = gap.json("dlq", "redrive", "--all", expect=1)
    assert (result["redriven"], result["reason"]) == (False, "the table is throttled: the message stays")
    monkeypatch.setattr(BackfillBlockTable, "put", put)
    first = gap.on_bus()
    (result,) = gap.json("dlq", "redrive", "--all")  # the message is there again at once
    assert result["redriven"]
    ids = [of["id"] for of in first + gap.on_bus()]
    assert set(ids) == set(result["anomalies"])  # those sent twice have the same ids


def test_an_interrupt_gives_the_messages_back(gap: World, monkeypatch: pytest.MonkeyPatch) -> None:
    records = gap.discarded["Records"]
    fail(gap, {"Records": records[:4]}, "aws/lambda/0")
    fail(gap, {"Records": records[4:]}, "aws/lambda/1")
    real, calls = redriving.redrive, []

    def interrupted(*arguments: Json) -> Json:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(redriving, "redrive", interrupted)
    gap.run("dlq", "redrive", "--all", expect=130)
    assert len(gap.json("dlq", "list")) == 1
    monkeypatch.setattr(redriving, "redrive", real)
    (result,) = gap.json("dlq", "redrive", "--all")
    assert result["in_windows"] == 3 * (2 * GAP - 4)


def test_a_message_with_metadata_only_is_read_from_the_stream(world: World) -> None:
    kinesis = world.here.client("kinesis")
    ts = redriving.now_ms() - 1000
    for i in range(3):
        batch = QuoteBatch("alpaca", ["AAA"], [ts + i], [50.0], [None], [None], [None], [None], [])
        kinesis.put_record(StreamName=names.STREAM, Data=encode(batch), PartitionKey="0")
    iterator = kinesis.get_shard_iterator(
        StreamName=names.STREAM, ShardId=SHARD, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    sequences = [int(of["SequenceNumber"]) for of in kinesis.get_records(ShardIterator=iterator)["Records"]]
    event = {"Records": [raw(b"", sequence, ts, 0) for sequence in sequences[:2]]}
    world.message(invocation_record(event))
    (listed,) = world.json("dlq", "list")
    assert listed["payload"] == "stream"
    shown = world.json("dlq", "show", listed["id"])
    assert [of["quotes"][0]["ts"] for of in shown["records"]] == [ts, ts + 1]
    (done,) = world.json("dlq", "redrive", "--all")
    assert (done["redriven"], done["records"], done["in_windows"]) == (True, 2, 2)

    event = {"Records": [raw(b"", sequences[0], ts, 0), raw(b"", sequences[2] + 5, ts, 0)]}
    world.message(invocation_record(event, size=4))
    (stays,) = world.json("dlq", "redrive", "--all", expect=1)
    assert "does not hold" in stays["reason"]
    assert world.depth() == 1


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        ("ProvisionedThroughputExceededException", ClientError),
        ("AccessDeniedException", ClientError),
        ("ResourceNotFoundException", UnusableError),
    ],
)
def test_records_are_said_to_be_gone_only_where_kinesis_says_so(code: str, raised: type[Exception]) -> None:
    """Kinesis API reference, GetShardIterator: the errors."""

    def get_shard_iterator(**_: object) -> Json:
        raise ClientError({"Error": {"Code": code}}, "GetShardIterator")

    batch = FailedBatch(SHARD, "1", "2", 2, names.STREAM, 0, 0, 0, "RetryAttemptsExhausted", None)
    kinesis: Json = SimpleNamespace(get_shard_iterator=get_shard_iterator)
    with pytest.raises(raised):
        dead_letters.records_of(batch, kinesis)


def test_failed_scans_and_strangers_are_listed_and_purged_and_not_redriven(world: World) -> None:
    world.message(SCAN)
    world.message({"Service": "Amazon S3", "Event": "s3:TestEvent"})
    world.message({"Records": [{"s3": {"bucket": {"name": BUCKET}, "object": {"key": "aws/lambda/gone"}}}]})
    listed = {of["kind"]: of for of in world.json("dlq", "list")}
    assert listed["scan"]["reason"].endswith("ScanError: no such parameter")
    assert listed["unknown"]["reason"] == "neither an event of S3, nor an invocation record"
    assert listed["batch"]["reason"] == f"s3://{BUCKET}/aws/lambda/gone is gone"
    assert "requestPayload" in world.run("dlq", "show", listed["scan"]["id"])

    results = world.json("dlq", "redrive", "--all", expect=1)
    assert [of["redriven"] for of in results] == [False] * 3
    assert world.json("dlq", "redrive", listed["scan"]["id"])[0]["reason"].startswith(
        "a failed scan has no quotes"
    )
    assert world.depth() == 3

    assert world.json("dlq", "purge", listed["scan"]["id"], "--yes") == {"deleted": [listed["scan"]["id"]]}
    world.run("dlq", "purge", "--all", stdin="n\n", expect=1)
    assert world.depth() == 2
    world.run("dlq", "purge", "--all", stdin="y\n")
    assert world.depth() == 0
    assert "is empty" in world.run("dlq", "list")


ODD = [
    "no JSON at all",
    "[" * 50_000,
    '{"Records":[{"s3":{"bucket":{"name":"NOT a bucket!"},"object":{"key":"x"}}}]}',
    '{"Records":[{"s3":{"bucket":{"name":"of-somebody-else"},"object":{"key":"x"}}}]}',
    '{"KinesisBatchInfo":"x"}',
    json.dumps({**SCAN, "responsePayload": {"errorMessage": "\x1b]0;owned\x07\x1b[2J"}}),
]


def test_odd_messages_keep_no_command_from_the_others(gap: World) -> None:
    for body in ODD:
        gap.here.client("sqs").send_message(QueueUrl=gap.url, MessageBody=body)
    of_nowhere = invocation_record({"Records": gap.discarded["Records"][:1]})
    of_nowhere["KinesisBatchInfo"]["shardId"] = "shardId-that-never-was"
    gap.message(of_nowhere)
    crashing = {"Records": [raw(b"[" * 50_000, 7, 1, 0)]}
    fail(gap, crashing, "aws/lambda/deep")
    fail(gap, gap.discarded)
    listed = gap.json("dlq", "list")
    assert len(listed) == len(ODD) + 3
    for message in listed:
        shown = gap.run("dlq", "show", message["id"])
        assert "\x1b" not in shown
        assert "\x07" not in shown
    text = gap.run("dlq", "list")
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80

    results = gap.json("dlq", "redrive", "--all", expect=1)
    assert [of["in_windows"] for of in results if of["redriven"]].count(len(SYMBOLS) * GAP) == 1
    assert all(of["reason"] for of in results if not of["redriven"])
    assert gap.depth() >= len(ODD)


def test_a_batch_that_crashes_the_redrive_is_said_and_the_others_go_on(
    gap: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from consumers.redrive.redrive import Redrive

    real, records = Redrive.batch, gap.discarded["Records"]

    def batch(self: Redrive, of: Json) -> Json:
        if of[0].sequence == records_of({"Records": records[:1]})[0].sequence:
            raise ZeroDivisionError
        return real(self, of)

    monkeypatch.setattr(Redrive, "batch", batch)
    fail(gap, {"Records": records[:4]}, "aws/lambda/0")
    fail(gap, {"Records": records[4:]}, "aws/lambda/1")
    bad, good = gap.json("dlq", "redrive", "--all", expect=1)
    assert good["redriven"]
    assert "report it as a defect: ZeroDivisionError" in bad["reason"]
    assert gap.depth() == 1


@pytest.mark.parametrize(
    "arguments", [("redrive",), ("purge",), ("redrive", "x", "--all"), ("show", "nobody")]
)
def test_what_is_not_said_clearly_is_rejected(world: World, arguments: tuple[str, ...]) -> None:
    world.message(SCAN)
    world.run("dlq", *arguments, expect=1)
    assert world.depth() == 1


def test_more_than_ten_messages(world: World) -> None:
    for _ in range(23):
        world.message(SCAN)
    assert len(world.json("dlq", "list")) == 23
    assert len(world.json("dlq", "list", "--limit", "12")) == 12
    assert "about 11 more" in world.run("dlq", "list", "--limit", "12")
    assert len(world.json("dlq", "purge", "--all", "--yes")["deleted"]) == 23


def test_quarantined_records_are_listed_shown_and_requeued(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Nothing is quarantined" in world.run("quarantine", "list")
    ts = redriving.now_ms() - 60_000
    consumer = detector(world.here)
    good = record([("AAA", ts, 50.0, None, None, None)], 1, ts + 40, 0)
    unreadable = raw(b'{"v":1,"source":"alpaca","symbol":"BBB","ts":%d,"price":"\xff"}' % ts, 2, ts + 41, 0)
    refused = raw(
        json.dumps(
            {"v": 1, "source": "alpaca", "symbol": ["CCC", "D D"], "ts": [ts, ts], "price": [1.0, 2.0]}
        ).encode(),
        3,
        ts + 42,
        0,
    )
    consumer.consume({"Records": [good, unreadable, refused]}, 1 << 62)
    listed = world.json("quarantine", "list")
    assert [of["sequence"] for of in listed] == ["3", "2"]
    assert "utf-8" in listed[1]["reason"]
    assert "D D" in world.run("quarantine", "list")
    assert r"\xff" in world.run("quarantine", "show", listed[1]["id"][:8])
    assert world.json("quarantine", "show", listed[0]["id"])["rows"][0]["row"] == 1

    results = world.json("quarantine", "requeue", "--all", expect=1)
    assert all(of["stays"] and not of["requeued"] for of in results)
    assert len(world.json("quarantine", "list")) == 2

    # The decoder is mended: it reads Latin-1, and takes blanks in symbols.

    def mended(payload: bytes) -> tuple[QuoteBatch, list[RejectedRow]]:
        return decode(payload.replace(b'"\xff"', b"20.0").replace(b"D D", b"DD"))

    monkeypatch.setattr("consumers.stream.decode.decode", mended)
    live = world.live()
    results = world.json("quarantine", "requeue", "--all")
    assert [(of["requeued"], of["stays"]) for of in results] == [(1, None), (1, None)]
    assert world.live() == live
    assert "Nothing is quarantined" in world.run("quarantine", "list")
    late = [i for i in world.table(names.WINDOWS_TABLE) if i["sk"]["S"].startswith("backfill#")]
    assert {symbol for i in late for symbol in ("BBB", "DD")} == {"BBB", "DD"}
    world.run("quarantine", "requeue", expect=1)
    world.run("quarantine", "requeue", "nobody", expect=1)


def test_control_characters_of_a_record_do_not_reach_the_terminal(world: World) -> None:
    ts = redriving.now_ms() - 60_000
    body = {"v": 1, "source": "a\x1b[31m", "symbol": ["A\x1b]0;x\x07"], "ts": [ts], "price": [1.0]}
    detector(world.here).consume({"Records": [raw(json.dumps(body).encode(), 1, ts, 0)]}, 1 << 62)
    detector(world.here).consume({"Records": [raw(b'{"v":1,"x":"\x1b[2J"', 2, ts, 0)]}, 1 << 62)
    listed = world.json("quarantine", "list")
    assert len(listed) == 2
    text = world.run("quarantine", "list") + "".join(
        world.run("quarantine", "show", of["id"]) for of in listed
    )
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\\x1b" in text
    assert max(map(len, world.run("quarantine", "list").splitlines())) <= 80
