"""5,000 tickers, listed in S3, every 5 seconds from a vendor: on time, in 512 MB, in few bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from producers.publisher import MAX_AGGREGATE_BYTES
from tests.json_types import Json
from tests.producers.fakes import Call, Reply, VendorStub

ROOT = Path(__file__).parents[3]
TICKERS = 5_000
# A process of its own, whose memory is the scanner's and that of moto with all that was put into it.
SCANNER = """
import json, re, sys, time
from pathlib import Path
import boto3
from moto import mock_aws

class Context:
    aws_request_id = "r1"
    def get_remaining_time_in_millis(self):
        return 120_000

def records(kinesis):
    for shard in kinesis.list_shards(StreamName="stock-quotes")["Shards"]:
        start = kinesis.get_shard_iterator(
            StreamName="stock-quotes", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )
        yield from kinesis.get_records(ShardIterator=start["ShardIterator"])["Records"]

tickers, polls = json.load(sys.stdin)
with mock_aws():
    kinesis, s3 = boto3.client("kinesis"), boto3.client("s3")
    kinesis.create_stream(StreamName="stock-quotes", ShardCount=4)
    s3.create_bucket(Bucket="stock-scan-data-1")
    s3.put_object(Bucket="stock-scan-data-1", Key="watch.txt", Body="\\n".join(tickers).encode())
    boto3.client("ssm").put_parameter(
        Name="/stock-tracker/ticker", Value="s3://stock-scan-data-1/watch.txt", Type="String"
    )
    boto3.client("events").create_event_bus(Name="stock-market")
    boto3.client("dynamodb").create_table(
        TableName="stock-windows",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    import producers.handler
    from producers.sources.alpaca import AlpacaSource

    began, asked = [], AlpacaSource.quotes
    def quotes(self, symbols, now_ms):
        began.append(time.monotonic())
        return asked(self, symbols, now_ms)
    AlpacaSource.quotes = quotes
    report = producers.handler.handler({"source": "aws.events", "polls": polls}, Context())
    # Not ru_maxrss: Linux counts into it what the process that forked this one held.
    memory_mib = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
    archived = [o["Key"] for o in s3.list_objects_v2(Bucket="stock-scan-data-1", Prefix="raw-data/")["Contents"]]
    print("MEASURED" + json.dumps({
        "report": report, "began": began, "memory_mib": memory_mib, "archived": archived,
        "sizes": [len(record["Data"]) for record in records(kinesis)],
    }))
"""


def snapshot(now: datetime, ticker: str) -> dict[str, object]:
    age = timedelta(
        seconds=max(0.3, sum(map(ord, ticker)) % 10 - 6) * 2
    )  # seven of ten are traded all the time
    at = (now - age).isoformat().replace("+00:00", "Z")
    price = round(20 + sum(map(ord, ticker)) % 400 + now.microsecond / 1e6, 2)
    return {
        "latestTrade": {"t": at, "x": "V", "p": price, "s": 100, "c": ["@"], "i": 1, "z": "C"},
        "latestQuote": {
            "t": at,
            "ap": round(price + 0.01, 2),
            "as": 1,
            "bp": round(price - 0.01, 2),
            "bs": 1,
        },
        "dailyBar": {"t": f"{now:%Y-%m-%d}T05:00:00Z", "c": price, "v": 1_200_000 + now.second, "n": 1},
    }


def run_scanner(url: str, tickers: list[str], polls: int, seconds: int) -> Json:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = {
        **kept,
        "PYTHONPATH": str(ROOT),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "STREAM_NAME": "stock-quotes",
        "SCAN_TABLE": "stock-windows",
        "DATA_BUCKET": "stock-scan-data-1",
        "SOURCE": "alpaca",
        "SESSION": "always",
        "APCA_API_KEY_ID": "PK1",
        "APCA_API_SECRET_KEY": "s3cr3t",
        "APCA_API_DATA_URL": url,
        "POLL_INTERVAL_SECONDS": str(seconds),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCANNER],
        input=json.dumps([tickers, polls]),
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "s3cr3t" not in done.stdout + done.stderr
    measured: Json = json.loads(done.stdout.rpartition("MEASURED")[2])
    return measured


def pauses_of(measured: Json) -> list[float]:
    return [later - earlier for earlier, later in pairwise(measured["began"])]


def poll_five_thousand(vendor: VendorStub, polls: int, seconds: int) -> Json:
    def answer(call: Call) -> Reply:
        now = datetime.now(UTC)
        asked = call.parameters["symbols"].split(",")
        return 200, {}, json.dumps({ticker: snapshot(now, ticker) for ticker in asked}).encode()

    vendor.answer = answer
    tickers = [f"{chr(65 + i % 26)}{i // 26:03d}" for i in range(TICKERS)]
    return run_scanner(vendor.url, tickers, polls, seconds)


@pytest.mark.speed
def test_five_thousand_tickers_are_polled_on_time(vendor: VendorStub) -> None:
    measured = poll_five_thousand(vendor, polls=3, seconds=5)
    pauses = pauses_of(measured)
    assert len(pauses) == 2
    assert all(abs(pause - 5) < 1 for pause in pauses), pauses
    assert sum(measured["sizes"]) / measured["report"]["ticks"] <= 60


def test_a_poll_of_five_thousand_tickers_loses_none_and_is_small(
    vendor: VendorStub, record_property: Callable[[str, object], None]
) -> None:
    measured = poll_five_thousand(vendor, polls=1, seconds=60)  # a busy machine has time for it
    report, sizes = measured["report"], measured["sizes"]
    assert (report["status"], report["ticks"], report["polls"]) == ("ok", TICKERS, 1), report
    assert report["waiting"] == report["missing_count"] == 0
    assert len(vendor.calls) == TICKERS // 500, "5,000 calls would be 60,000 a minute"
    assert len(measured["archived"]) == 1, "one object a scan, not one a ticker"
    assert measured["memory_mib"] < 512
    assert sum(sizes) / report["ticks"] <= 64, (
        "60 on time: late, each time says more than that the quote is fresh"
    )
    assert max(sizes) <= MAX_AGGREGATE_BYTES
    mean = sum(sizes) / len(sizes)
    figures = (
        f"{TICKERS} tickers: {measured['memory_mib']:.0f} MiB with moto; {len(sizes)} aggregates of"
        f" {mean / 1024:.0f} KiB (fill {mean / MAX_AGGREGATE_BYTES:.0%});"
        f" {sum(sizes) / report['ticks']:.1f} bytes a tick"
    )
    record_property("figures", figures)
    sys.stdout.write(f"\n{figures}\n")
