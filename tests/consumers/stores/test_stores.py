"""The detector's ports on AWS: what they ask for, what they make of each answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Never, cast

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.stub import Stubber

from consumers.contracts.anomaly import Anomaly, anomaly_id, from_item, iso_ms, sort_key
from consumers.contracts.charts import Bar, LastQuote
from consumers.contracts.counts import TickCounts
from consumers.contracts.errors import IOFailedError
from consumers.contracts.events import detected
from consumers.stores.anomalies import AnomalyTable
from consumers.stores.bus import Bus
from consumers.stores.calls import CONFIG
from consumers.stores.charts import (
    MANY_GROUPS,
    MANY_WINDOWS,
    ChartTable,
    unpack_bars,
)
from consumers.stores.parameters import ThresholdParameter
from consumers.stores.quarantine import QuarantineBucket
from consumers.stores.snapshots import SnapshotBucket
from consumers.stores.windows import AttemptTable, BackfillBlockTable, BlockTable
from consumers.stream.records import OffsetSpan, Quarantined, StreamOffset
from consumers.stream.thresholds import ThresholdVersion
from consumers.windows.block import Block
from consumers.windows.ports import BlockExistsError
from producers.quote_batch import RejectedRow
from tests.aws import aws_in_memory, create_table
from tests.json_types import Json
from tests.last_quotes import pack_quotes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_ssm.client import SSMClient

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient


T_MS = 1_795_530_600_123
TABLE = "table"


def block(number: int, packed: bytes = b"packed", partition: int = 0) -> Block:
    counts = {"alpaca": TickCounts(3, 2, 1)}
    return Block(
        partition=partition,
        number=number,
        arrival_ms=T_MS + number,
        spans={
            "shardId-000000000000/0": OffsetSpan(StreamOffset("49590338", 0), StreamOffset("49590339", 5))
        },
        digests=("a1", "b2"),
        threshold='{"default": 2.5}',
        detector_version=1,
        sources=counts,
        totals=counts,
        snapshot=max(0, number - 3),
        packed=packed,
    )


def anomaly(
    ticker: str = "AAA", source: str = "alpaca", *, late: bool = False, score: float = 4.0
) -> Anomaly:
    return Anomaly(
        id=anomaly_id(ticker, T_MS, "price_spike", source),
        source=source,
        ticker=ticker,
        timestamp=sort_key(T_MS, "price_spike", source),
        date=iso_ms(T_MS)[:10],
        kind="price_spike",
        severity="high",
        score=score,
        threshold=2.5,
        value=1.5,
        expected=0.1 + 0.2,
        tolerance=0.5,
        direction="up",
        late=late,
        explanation="AAA jumped.",
        window={"count": 3, "unit": "price"},
    )


@dataclass
class Aws:
    """Clients of moto's AWS."""

    dynamodb: DynamoDBClient
    s3: S3Client
    ssm: SSMClient


@pytest.fixture
def aws() -> Iterator[Aws]:
    """Clients of moto's AWS, and a table with keys pk and sk."""
    with aws_in_memory():
        dynamodb = boto3.client("dynamodb", config=CONFIG)
        for table, keys in ((TABLE, ("pk", "sk")), ("anomalies", ("ticker", "timestamp"))):
            create_table(table, *keys, client=dynamodb)
        s3 = boto3.client("s3", config=CONFIG)
        s3.create_bucket(Bucket="bucket")
        yield Aws(dynamodb, s3, boto3.client("ssm"))


def requests_of(client: BaseClient) -> list[tuple[str, Json]]:
    """The requests that a client makes from now on."""
    made: list[tuple[str, Json]] = []
    client.meta.events.register(
        "provide-client-params.*.*", lambda params, model, **_: made.append((model.name, params))
    )
    return made


def refused(code: str, operation: str = "PutItem") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "as asked"}}, operation)


def refusing(error: Exception) -> Any:
    """A client of which every call raises."""

    class Client:
        def __getattr__(self, name: str) -> Callable[..., object]:
            def call(**_of: object) -> Never:
                raise error

            if name == "get_paginator":
                return lambda _of: SimpleNamespace(paginate=call)
            return call

    return Client()


def test_blocks_come_back_as_they_were_put(aws: Aws) -> None:
    table = BlockTable(aws.dynamodb, TABLE)
    assert table.last(0) is None
    assert list(table.after(0, 0)) == []
    blocks = [block(number) for number in range(1, 13)]
    for of in (*blocks, block(1, partition=1), block(1, partition=10)):
        table.put(of)
    assert table.last(0) == blocks[-1]
    assert list(table.after(0, 0)) == blocks
    assert list(table.after(0, 10)) == blocks[10:]
    assert table.get(0, 7) == blocks[6]
    assert table.get(0, 13) is None
    assert table.last(2) is None


def test_a_block_is_never_replaced_and_its_own_put_may_be_repeated(aws: Aws) -> None:
    table = BlockTable(aws.dynamodb, TABLE)
    table.put(block(1))
    table.put(block(1))  # the first answer was lost
    with pytest.raises(BlockExistsError, match="partition#0 block#000000000001"):
        table.put(block(1, b"another"))
    assert table.last(0) == block(1)


def test_blocks_of_more_than_a_page_come_in_order(aws: Aws) -> None:
    table = BlockTable(aws.dynamodb, TABLE)
    blocks = [block(number, bytes([number]) * 300_000) for number in range(1, 9)]
    for of in blocks:
        table.put(of)
    made = requests_of(aws.dynamodb)
    assert list(table.after(0, 0)) == blocks
    assert len(made) > 1


def test_all_that_decides_is_read_strongly_consistent(aws: Aws) -> None:
    made = requests_of(aws.dynamodb)
    table, late = BlockTable(aws.dynamodb, TABLE), BackfillBlockTable(aws.dynamodb, TABLE)
    table.last(0)
    table.get(0, 1)
    list(table.after(0, 0))
    list(late.after(0, 0))
    AnomalyTable(aws.dynamodb, "anomalies").put_late([anomaly(), anomaly()])
    reads = [params for name, params in made if name in {"Query", "GetItem"}]
    assert len(reads) >= 4
    assert all(params["ConsistentRead"] is True for params in reads)
    commits = [params for name, params in made if name == "PutItem"]
    assert all("attribute_not_exists" in params["ConditionExpression"] for params in commits)


def test_backfill_blocks_lie_beside_the_run_of_blocks(aws: Aws) -> None:
    live, late = BlockTable(aws.dynamodb, TABLE), BackfillBlockTable(aws.dynamodb, TABLE)
    live.put(block(5))
    for number in (6, 7):
        late.put(5, block(number))
    late.put(6, block(7))
    late.put(5, block(6))
    with pytest.raises(BlockExistsError):
        late.put(5, block(6, b"another"))
    assert list(late.after(0, 5)) == [block(6), block(7)]
    assert list(late.after(0, 6)) == [block(7)]
    assert live.last(0) == block(5)
    assert list(live.after(0, 0)) == [block(5)]


ERRORS = [
    refused("ProvisionedThroughputExceededException"),
    refused("ThrottlingException"),
    refused("InternalServerError"),
    refused("AccessDeniedException"),
    ReadTimeoutError(endpoint_url="http://127.0.0.1"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__ + str(error)[24:50])
def test_whatever_aws_refuses_is_a_failure_of_io_that_says_what_was_done(error: Exception) -> None:
    client = refusing(error)
    blocks, charts = BlockTable(client, TABLE), ChartTable(client, TABLE)
    bar = Bar(T_MS // 60_000 * 60_000, 1.0, 2.0, 0.5, 1.5, None, 3, None, None)
    entry = Quarantined("shard", "1", 0, 0, T_MS, "reason", b"")
    calls: dict[str, Callable[[], object]] = {
        "read the newest block of partition 3": lambda: blocks.last(3),
        "read block 4 of partition 3": lambda: blocks.get(3, 4),
        "read the blocks of partition 3 after 4": lambda: list(blocks.after(3, 4)),
        "commit partition#0 block#000000000004": lambda: blocks.put(block(4)),
        "read the backfill blocks of partition 3 after 4": lambda: list(
            BackfillBlockTable(client, TABLE).after(3, 4)
        ),
        "count the attempts": lambda: AttemptTable(client, TABLE, lambda: T_MS).begin("shard", "1"),
        "end the attempts": lambda: AttemptTable(client, TABLE, lambda: T_MS).end("shard", "1"),
        "write 1 anomalies": lambda: AnomalyTable(client, TABLE).put([anomaly()]),
        "write anomaly AAA": lambda: AnomalyTable(client, TABLE).put_late([anomaly()]),
        "write 1 items of bars": lambda: charts.put_bars([("live", "AAA", bar)], {}, T_MS, 1),
        "set 1 bars": lambda: charts.put_bars([("live", "AAA", bar)], {"live": T_MS}, T_MS, 1),
        "write the last quotes of partition 0": lambda: charts.put_quotes("live", block(1), 0, T_MS, b""),
        "put 1 events": lambda: Bus(client, "bus").put([detected(anomaly())]),
        "read the threshold": ThresholdParameter(client, "t", lambda: T_MS, lambda *_: None).history,
        "read snapshots/0/000000000001": lambda: SnapshotBucket(client, "bucket").get(0, 1),
        "write snapshots/0/000000000001": lambda: SnapshotBucket(client, "bucket").put(0, 1, b""),
        "write quarantine/shard/1/0.json": lambda: QuarantineBucket(client, "bucket").put([entry]),
        "list quarantine/": lambda: list(QuarantineBucket(client, "bucket").entries()),
    }
    for what, call in calls.items():
        with pytest.raises(IOFailedError, match=what):
            call()


def test_anomalies_left_unprocessed_are_written_again(aws: Aws) -> None:
    anomalies = [anomaly(f"A{i}") for i in range(30)]
    real = aws.dynamodb.batch_write_item
    calls: list[int] = []
    waits: list[float] = []

    def throttled(RequestItems: Json) -> Json:  # noqa: N803  as boto3 spells it
        requests = RequestItems["anomalies"]
        calls.append(len(requests))
        real(RequestItems={"anomalies": requests[::2]})
        return {"UnprocessedItems": {"anomalies": requests[1::2]} if requests[1::2] else {}}

    client = SimpleNamespace(batch_write_item=throttled)
    AnomalyTable(client, "anomalies", waits.append).put(anomalies)  # type: ignore[arg-type]
    assert calls == [25, 12, 6, 3, 1, 5, 2, 1]
    assert waits == sorted(waits[:4]) + sorted(waits[4:])
    found = aws.dynamodb.scan(TableName="anomalies")["Items"]
    assert sorted((from_item(item) for item in found), key=lambda a: a.id) == sorted(
        anomalies, key=lambda a: a.id
    )


def test_anomalies_that_stay_unprocessed_are_a_failure(aws: Aws) -> None:
    with Stubber(aws.dynamodb) as stub:
        for _ in range(6):
            stub.add_response(
                "batch_write_item",
                {"UnprocessedItems": {"anomalies": [{"PutRequest": {"Item": {"ticker": {"S": "AAA"}}}}]}},
            )
        with pytest.raises(IOFailedError, match="1 anomalies stayed unprocessed by anomalies: throttled"):
            AnomalyTable(aws.dynamodb, "anomalies", lambda _: None).put([anomaly()])


def test_an_anomaly_twice_in_a_batch_is_one_request(aws: Aws) -> None:
    AnomalyTable(aws.dynamodb, "anomalies").put(
        [anomaly(), anomaly()]
    )  # a batch with the same key twice is refused
    assert aws.dynamodb.scan(TableName="anomalies")["Count"] == 1


def test_a_recording_and_a_redrive_never_change_what_is_there(aws: Aws) -> None:
    table = AnomalyTable(aws.dynamodb, "anomalies")
    table.put([anomaly()])
    table.put([anomaly(source="replay-a", score=9.0)])
    assert table.put_late([anomaly(late=True, score=9.0), anomaly("BBB", late=True)]) == [
        anomaly("BBB", late=True)
    ]
    assert table.put_late([anomaly("BBB", late=True)]) == [anomaly("BBB", late=True)]  # to be told again
    found = {
        from_item(item).id: from_item(item) for item in aws.dynamodb.scan(TableName="anomalies")["Items"]
    }
    there = [anomaly(), anomaly(source="replay-a", score=9.0), anomaly("BBB", late=True)]
    assert found == {of.id: of for of in there}


def test_events_that_failed_are_sent_again_and_only_those() -> None:
    sent: list[list[str]] = []
    answers = [
        {
            "FailedEntryCount": 1,
            "Entries": [{"EventId": "1"}, {"ErrorCode": "ThrottlingException"}] + [{"EventId": "1"}] * 8,
        },
        {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]},
        {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}] * 2},
    ]

    def put_events(Entries: list[Json]) -> Json:  # noqa: N803  as boto3 spells it
        sent.append([entry["Detail"] for entry in Entries])
        return answers.pop(0)

    events = [detected(anomaly(f"A{i}")) for i in range(12)]
    Bus(SimpleNamespace(put_events=put_events), "bus", lambda _: None).put(events)  # type: ignore[arg-type]
    assert [len(batch) for batch in sent] == [10, 1, 2]
    assert sent[1] == [events[1].detail_json()]
    assert {detail for batch in sent for detail in batch} == {event.detail_json() for event in events}


def test_events_that_are_refused_to_the_end_are_a_failure() -> None:
    answer = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "sorry"}]}
    client = cast("EventBridgeClient", SimpleNamespace(put_events=lambda Entries: answer))  # noqa: N803, ARG005
    with pytest.raises(IOFailedError, match="1 events were rejected by bus: InternalFailure: sorry"):
        Bus(client, "bus", lambda _: None).put([detected(anomaly())])


def test_attempts_are_counted_until_one_ends_well(aws: Aws) -> None:
    table = AttemptTable(aws.dynamodb, TABLE, lambda: T_MS)
    assert [table.begin("shard", "1") for _ in range(3)] == [1, 2, 3]
    assert table.begin("shard", "2") == 1
    table.end("shard", "1")
    assert table.begin("shard", "1") == 1


def test_bars_and_quotes_are_read_as_they_were_written(aws: Aws) -> None:
    charts, store = ChartTable(aws.dynamodb, TABLE), ChartTable(aws.dynamodb, TABLE)
    minute = T_MS // 60_000 * 60_000
    bars = [
        ("live", f"S{i}", Bar(minute, 1.0, 2.5, 0.5, 1.5, None if i % 2 else 7.0, 3, 1.4, None))
        for i in range(500)
    ]
    later = {"live": minute + 60_000}
    charts.put_bars(bars[:450], {"live": minute}, T_MS, 500)
    charts.put_bars(bars[450:], later, T_MS, 500)
    charts.put_bars(bars[:450], {"live": minute}, T_MS, 500)  # whoever writes them once more takes none away
    charts.put_bars(bars[460:470], later, T_MS, 500)
    found = charts.closes("live", ["S0", "S449", "S499", "S500"], [minute], 500)
    assert found == {minute: {"S0": 1.5, "S449": 1.5, "S499": 1.5}}
    for _, symbol, bar in bars[:5] + bars[-5:]:
        assert store.bars("live", symbol, minute, minute + 60_000) == [bar]
    assert store.bars("simulated", "S0", minute, minute + 60_000) == []

    def quote(ts: int) -> LastQuote:
        return LastQuote(
            "S0", ts, 1.5, None, None, 7.0, 1.0, None, Bar(minute, 1.0, 2.5, 0.5, 1.5, 7.0, 3, None, None)
        )

    charts.put_quotes("live", block(8), 0, T_MS, pack_quotes([quote(T_MS)]))
    charts.put_quotes(
        "live", block(7), 0, T_MS - 1, pack_quotes([quote(T_MS - 1)])
    )  # an older block comes late
    assert list(store.last_quotes("live")) == [quote(T_MS)]
    charts.put_quotes("live", block(1), 0, T_MS + 9, pack_quotes([quote(T_MS + 9)]))  # blocks began anew
    assert list(store.last_quotes("live")) == [quote(T_MS + 9)]


def test_bars_of_many_symbols_go_to_more_items_and_are_read_with_those_of_before(aws: Aws) -> None:
    charts, minute = ChartTable(aws.dynamodb, TABLE), T_MS // 60_000 * 60_000
    symbols = [f"S{i:05d}" for i in range(MANY_WINDOWS + 1)]

    def bar(ms: int) -> Bar:
        return Bar(ms, 1.0, 2.5, 0.5, 1.5, 7.0, 3, 1.4, None)

    quotes = [LastQuote(of, minute, 1.5, None, None, 7.0, 1.0, None, bar(minute + 60_000)) for of in symbols]
    charts.put_bars([("live", "S00007", bar(minute - 60_000))], {}, T_MS, MANY_WINDOWS)
    charts.put_bars([("live", of, bar(minute)) for of in symbols], {}, T_MS, len(symbols))
    charts.put_quotes("live", block(1), 0, minute, pack_quotes(quotes))
    found = charts.bars("live", "S00007", minute - 60_000, minute + 120_000)
    assert found == [bar(minute + n * 60_000) for n in (-1, 0, 1)]
    items = aws.dynamodb.scan(TableName=TABLE)["Items"]
    most = max(len(unpack_bars(item["bars"]["B"])) for item in items if "bars" in item)
    assert most <= 4 * len(symbols) / MANY_GROUPS


def test_snapshots_and_quarantine_are_kept_in_the_bucket(aws: Aws) -> None:
    snapshots = SnapshotBucket(aws.s3, "bucket")
    assert snapshots.get(0, 1) is None
    snapshots.put(0, 1, b"state")
    assert snapshots.get(0, 1) == b"state"

    quarantine = QuarantineBucket(aws.s3, "bucket")
    entries = [
        Quarantined(
            "shard", "9", i, p, T_MS, f"reason {i}", bytes(range(256)), (RejectedRow(i, "AAA", "bad"),) * i
        )
        for i in range(2)
        for p in range(2)
    ]
    for _ in range(2):
        quarantine.put(entries)
    assert sorted(quarantine.entries(), key=lambda e: (e.index, e.partition)) == entries
    quarantine.replace(entries[0], None)
    quarantine.replace(entries[1], replacement := Quarantined("shard", "9", 0, 1, T_MS, "other", b"x"))
    assert sorted(quarantine.entries(), key=lambda e: (e.index, e.partition)) == [replacement, *entries[2:]]
    for entry in (replacement, *entries[2:]):
        quarantine.replace(entry, None)
    assert list(quarantine.entries()) == []
    assert [item["Key"] for item in aws.s3.list_objects_v2(Bucket="bucket")["Contents"]] == [
        "snapshots/0/000000000001"
    ]


def test_the_threshold_is_read_when_it_changed_and_a_bad_one_is_told_once(aws: Aws) -> None:
    now = [round(datetime.now(UTC).timestamp() * 1000)]
    told: list[tuple[ThresholdVersion, str]] = []
    parameter = ThresholdParameter(
        aws.ssm, "/t", lambda: now[0], lambda version, reason: told.append((version, reason))
    )
    made = requests_of(aws.ssm)

    def look(after_ms: int = 30_000) -> float:
        now[0] += after_ms
        return parameter.history().in_force(now[0] + 60_000).default

    assert look() == 2.5  # there is none yet
    assert [reason for _, reason in told] == ["the parameter does not exist: 2.5 is in force"]
    aws.ssm.put_parameter(Name="/t", Value="3", Type="String")
    assert look(1_000) == 2.5  # asked less than 25 s ago
    assert look() == 3.0
    asked = len(made)
    assert look() == 3.0
    assert [name for name, _ in made[asked:]] == ["GetParameter"] * 2  # of the threshold, and of the rules
    aws.ssm.put_parameter(Name="/t", Value="much", Type="String", Overwrite=True)
    for _ in range(3):
        assert look() == 3.0
    assert len(told) == 2
    assert told[1][0].number == 2
    aws.ssm.put_parameter(Name="/t", Value='{"default": 4}', Type="String", Overwrite=True)
    assert look() == 4.0


def test_a_parameter_that_is_created_again_is_in_force_though_its_version_is_the_same(aws: Aws) -> None:
    now = [round(datetime.now(UTC).timestamp() * 1000)]
    parameter = ThresholdParameter(aws.ssm, "/t", lambda: now[0], lambda *_: None)
    for value in ("3", "4"):
        aws.ssm.put_parameter(Name="/t", Value=value, Type="String")
        now[0] += 30_000
        assert parameter.history().in_force(now[0] + 60_000).default == float(value)
        aws.ssm.delete_parameter(Name="/t")
