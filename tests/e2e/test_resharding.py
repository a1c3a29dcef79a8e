"""Shards split and merged under the mapping runner, on an emulator that keeps the parents' records."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.monitor import Json, Monitor

pytestmark = pytest.mark.e2e
NAME = "reshard"
HANDLER = f"""
import base64, json, os, time
import boto3

sqs = boto3.client("sqs")
queue = sqs.get_queue_url(QueueName="{NAME}")["QueueUrl"]

def handler(event, context):
    records = [
        [record["eventID"].split(":")[0], base64.b64decode(record["kinesis"]["data"]).decode()]
        for record in event["Records"]
    ]
    sqs.send_message(QueueUrl=queue, MessageBody=json.dumps([time.time(), records]))
"""


def is_ministack(monitor: Monitor) -> bool:
    try:
        with urllib.request.urlopen(f"{monitor.aws}/_ministack/health", timeout=10) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return False


@pytest.fixture
def deliveries(monitor: Monitor) -> Iterator[Callable[[], list[tuple[str, str]]]]:
    """A stream of one shard, mapped to a function that notes what it gets; gives a look at that, oldest first."""
    if is_ministack(monitor):
        pytest.skip("MiniStack's SplitShard and MergeShards drop the parents' unread records")
    kinesis, functions, sqs = (monitor.client(name) for name in ("kinesis", "lambda", "sqs"))
    queue = sqs.create_queue(QueueName=NAME)["QueueUrl"]
    kinesis.create_stream(StreamName=NAME, ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName=NAME)
    stream = kinesis.describe_stream_summary(StreamName=NAME)["StreamDescriptionSummary"]["StreamARN"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", HANDLER)
    functions.create_function(
        FunctionName=NAME,
        Runtime="python3.13",
        Role="arn:aws:iam::000000000000:role/reshard",
        Handler="index.handler",
        Code={"ZipFile": code.getvalue()},
        Timeout=30,
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=NAME)
    mapping = functions.create_event_source_mapping(
        FunctionName=NAME, EventSourceArn=stream, StartingPosition="TRIM_HORIZON", BatchSize=3, Enabled=False
    )
    seen: list[tuple[float, list[tuple[str, str]]]] = []

    def look() -> list[tuple[str, str]]:
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            seen.append(tuple(json.loads(message["Body"])))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return [(shard, payload) for _, records in sorted(seen) for shard, payload in records]

    yield look
    functions.delete_event_source_mapping(UUID=mapping["UUID"])
    functions.delete_function(FunctionName=NAME)
    kinesis.delete_stream(StreamName=NAME)
    sqs.delete_queue(QueueUrl=queue)


def test_parents_are_read_before_their_children_through_a_split_and_a_merge(
    monitor: Monitor, deliveries: Callable[[], list[tuple[str, str]]]
) -> None:
    """Kinesis guide, "Strategies for resharding" and "After resharding": "assuming that the order of the data is
    important, you should, after a reshard, always continue to read data from the parent shards until it is exhausted".
    """
    kinesis = monitor.client("kinesis")

    def shards() -> list[Json]:
        kinesis.get_waiter("stream_exists").wait(StreamName=NAME)
        return list(kinesis.list_shards(StreamName=NAME)["Shards"])

    def put(generation: str) -> None:
        records = [{"Data": f"{generation}-{key}".encode(), "PartitionKey": str(key)} for key in range(12)]
        assert kinesis.put_records(StreamName=NAME, Records=records)["FailedRecordCount"] == 0

    put("one")
    (parent,) = shards()
    middle = str(2**127)
    kinesis.split_shard(StreamName=NAME, ShardToSplit=parent["ShardId"], NewStartingHashKey=middle)
    left, right = [shard["ShardId"] for shard in shards() if shard.get("ParentShardId") == parent["ShardId"]]
    put("two")
    kinesis.merge_shards(StreamName=NAME, ShardToMerge=left, AdjacentShardToMerge=right)
    shards()
    put("three")

    def all_of_them() -> list[tuple[str, str]]:
        found = deliveries()
        return found if len(found) >= 36 else []

    got = monitor.eventually(all_of_them, 60, "all 36 records")
    assert len(got) == len(set(got)) == 36
    assert [payload.split("-")[0] for _, payload in got] == ["one"] * 12 + ["two"] * 12 + ["three"] * 12
    assert len({shard for shard, _ in got}) == 4
