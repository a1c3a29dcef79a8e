"""Recovery drills on the real stacks. Each ends with the data proven equal, by counts and checksums."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from consumers.contracts.anomaly import Anomaly, to_item
from consumers.stores.windows import BlockTable, Ledger
from consumers.windows.codec import unpack
from producers.publisher import Publisher
from producers.quote_batch import QuoteBatch
from stream_infra.operations.recovery.tables import fingerprint, items_of
from tests.e2e.monitor import Monitor

pytestmark = pytest.mark.e2e
TABLE, RESTORED = "stock-anomalies", "drill-restored"
DATA = "stock-scan-data-000000000000"


def done(monitor: Monitor, *arguments: str) -> Any:
    answer = monitor.run("recover", *arguments, "--json")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return json.loads(answer.stdout)


@pytest.fixture
def at_rest(monitor: Monitor) -> Iterator[None]:
    """Nothing writes; what the schedule, the detector and the notifier did before goes on afterwards."""
    done(monitor, "stop", "--all")
    yield
    done(monitor, "start")


def delete(monitor: Monitor, *tables: str) -> None:
    dynamodb = monitor.client("dynamodb")
    for table in tables:
        if table in dynamodb.list_tables()["TableNames"]:
            dynamodb.delete_table(TableName=table)


def anomaly(minute: int) -> Anomaly:
    at = datetime(2026, 11, 23, 15, minute, tzinfo=UTC)
    return Anomaly(
        id=f"DRILL-{minute}",
        source="drill",
        ticker="DRILL",
        timestamp=f"{at:%Y-%m-%dT%H:%M:%S}.000Z#gap",
        date="2026-11-23",
        kind="gap",
        severity="low",
        score=3.0,
        threshold=2.5,
        value=0.01,
        expected=0.0,
        tolerance=0.001,
        direction="up",
        late=False,
        explanation="A drill.",
        window={},
    )


@pytest.fixture
def tables_gone(monitor: Monitor) -> Iterator[None]:
    yield
    delete(monitor, RESTORED, "drill-by-time")
    dynamodb = monitor.client("dynamodb")
    for backup in dynamodb.list_backups()["BackupSummaries"]:
        dynamodb.delete_backup(BackupArn=backup["BackupArn"])


@pytest.mark.usefixtures("at_rest", "tables_gone")
def test_a_table_is_restored_switched_to_and_mended(monitor: Monitor) -> None:
    dynamodb = monitor.client("dynamodb")
    for minute in range(30):
        dynamodb.put_item(TableName=TABLE, Item=to_item(anomaly(minute)))
    before = fingerprint(items_of(dynamodb, TABLE))
    backup = done(monitor, "backup")
    assert (backup["count"], backup["checksum"]) == (before.count, before.checksum)
    by_time = done(monitor, "table", "drill-by-time")
    assert (by_time["equal"], by_time["target"]["count"]) == (True, before.count)

    # The accident: some items are deleted, one is spoiled.
    items = [to_item(anomaly(minute)) for minute in range(7)]
    for item in items[:5]:
        dynamodb.delete_item(TableName=TABLE, Key={name: item[name] for name in ("ticker", "timestamp")})
    dynamodb.put_item(TableName=TABLE, Item={**items[6], "explanation": {"S": "spoiled"}})

    found = done(monitor, "table", RESTORED, "--backup", backup["backup"])
    assert found["target"] == {"count": before.count, "checksum": before.checksum}
    assert (found["missing"], found["different"], found["extra"]) == (0, 1, 5)
    recovery = dynamodb.describe_continuous_backups(TableName=RESTORED)["ContinuousBackupsDescription"]
    assert recovery["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"

    switched = done(monitor, "switch", RESTORED, "--alone")
    assert (switched["to"], switched["copied"]) == (RESTORED, 0)
    page = monitor.get("/api/anomalies/DRILL?limit=200&since=2026-11-23T00:00:00Z")["anomalies"]
    assert len(page) == 30, "the API reads the restored table"
    client = monitor.client("lambda")
    live = client.get_function(FunctionName="stock-detector", Qualifier="live")["Configuration"]
    assert live["Environment"]["Variables"]["ANOMALIES_TABLE"] == RESTORED

    mended = done(monitor, "merge", RESTORED)
    assert (mended["written"], mended["missing"], mended["different"]) == (6, 0, 0)
    back = done(monitor, "switch", TABLE)
    assert (back["from"], back["copied"], back["equal"]) == (RESTORED, 0, True)
    assert fingerprint(items_of(dynamodb, TABLE)) == before
    role = live["Role"].rsplit("/", 1)[1]
    assert (
        "stock-monitor-restored-table"
        not in monitor.client("iam").list_role_policies(RoleName=role)["PolicyNames"]
    )


def test_a_spoiled_and_a_deleted_object_come_back(monitor: Monitor) -> None:
    s3 = monitor.client("s3")
    key = s3.list_objects_v2(Bucket=DATA, Prefix="raw-data/")["Contents"][0]["Key"]
    good = s3.get_object(Bucket=DATA, Key=key)["Body"].read()

    s3.put_object(Bucket=DATA, Key=key, Body=b"spoiled")
    restored = done(monitor, "object", key)
    assert restored["sha256"] == hashlib.sha256(good).hexdigest()
    assert s3.get_object(Bucket=DATA, Key=key)["Body"].read() == good

    s3.delete_object(Bucket=DATA, Key=key)
    listed = done(monitor, "object", key, "--list")
    assert listed[0]["bytes"] is None
    assert done(monitor, "object", key)["sha256"] == restored["sha256"]
    assert s3.get_object(Bucket=DATA, Key=key)["Body"].read() == good


def test_a_parameter_goes_back_to_the_last_value_that_can_be_used(monitor: Monitor) -> None:
    ssm, name = monitor.client("ssm"), "/stock-tracker/threshold"
    good = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    for bad in ("high", "-1"):
        ssm.put_parameter(Name=name, Value=bad, Overwrite=True)
    known = done(monitor, "parameter", name, "--list")
    assert [item["value"] for item in known[:3]] == ["-1", "high", good]
    assert known[0]["problem"]
    assert not known[2]["problem"]
    assert done(monitor, "parameter", name)["value"] == good
    assert ssm.get_parameter(Name=name)["Parameter"]["Value"] == good
    refused = monitor.run("recover", "parameter", name, "--version", str(known[1]["version"]))
    assert refused.returncode == 1
    assert "cannot be used" in refused.stderr


def published(monitor: Monitor, symbol: str, polls: int) -> Counter[tuple[int, float]]:
    """Puts ticks on the stream; answers with time and price of each."""
    publisher = Publisher(monitor.client("kinesis"), "stock-quotes", 4)
    now, found = time.time_ns() // 1_000_000 - polls, Counter[tuple[int, float]]()
    for poll in range(polls):
        rows = range(8)  # symbols of every partition
        nothing: list[float | None] = [None] * len(rows)
        batch = QuoteBatch(
            source="drill",
            symbol=[f"{symbol}{row}" for row in rows],
            ts=[now + poll] * len(rows),
            price=[100.0 + row + poll / 100 for row in rows],
            bid=nothing,
            ask=nothing,
            day_volume=nothing,
            quote_ts=[None] * len(rows),
            missing=[],
        )
        publisher.publish([batch])
        found.update(zip(batch.ts, batch.price, strict=True))
    return found


def in_blocks(monitor: Monitor, heads: dict[int, int]) -> Counter[tuple[int, float]]:
    """Time and price of every tick in the blocks after `heads`."""
    table, found = BlockTable(monitor.client("dynamodb"), "stock-windows"), Counter[tuple[int, float]]()
    for partition, head in heads.items():
        for block in table.after(partition, head):
            columns, _ = unpack(block.packed)
            found.update(zip(columns.ts.tolist(), columns.price.tolist(), strict=True))
    return found


def ledger(monitor: Monitor) -> Ledger:
    return Ledger(monitor.client("dynamodb"), "stock-windows", 4)


def test_start_waits_until_all_that_waited_is_in_the_windows(monitor: Monitor) -> None:
    done(monitor, "stop", "--all")
    heads = ledger(monitor).heads()
    waiting = published(monitor, "ONE", 20)
    assert not waiting & in_blocks(monitor, heads), "nobody reads the stream"
    proof = done(monitor, "start")
    assert proof["complete"] is True
    assert proof["accounted"] >= proof["waiting"] >= waiting.total() == 160
    assert not waiting - in_blocks(monitor, heads)
    counts = ledger(monitor).counts_since(heads, "drill")
    # A batch whose invocation did not end in time comes again, and is counted again.
    assert (counts.ticks_in - counts.duplicate, counts.in_windows, counts.balance()) == (160, 160, True)


def test_a_complete_stop_and_restart_loses_no_tick_that_the_stream_holds(monitor: Monitor) -> None:
    done(monitor, "stop", "--all")
    heads = ledger(monitor).heads()
    waiting = published(monitor, "TWO", 20)
    down = monitor.make("localstack.down")  # the AWS it runs on too
    assert down.returncode == 0, down.stdout + down.stderr
    up = monitor.make("localstack.up")
    assert up.returncode == 0, up.stdout + up.stderr
    assert done(monitor, "start")["complete"] is True
    monitor.eventually(lambda: not waiting - in_blocks(monitor, heads), 60, "all that waited is in blocks")
    counts = ledger(monitor).counts_since(heads, "drill")
    # A batch whose invocation did not end in time comes again, and is counted again.
    assert (counts.ticks_in - counts.duplicate, counts.in_windows, counts.balance()) == (160, 160, True)
