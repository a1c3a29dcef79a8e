"""The function, with all its adapters, on moto."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import boto3
import pytest
from mypy_boto3_kinesis import KinesisClient

import producers.handler
from producers.quote_batch import decode
from producers.scan.report import ScanReport
from producers.settings import SettingsError
from tests.producers.fakes import Aws, user_records


@dataclass
class Context:
    aws_request_id: str = "6f1b6c9e"
    function_name: str = "stock-scanner"

    def get_remaining_time_in_millis(self) -> int:
        return 120_000


@pytest.fixture
def stream(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[KinesisClient]:
    for name, value in {
        "STREAM_NAME": "stock-quotes",
        "SCAN_TABLE": aws.table,
        "DATA_BUCKET": aws.bucket,
        "SOURCE": "simulated",
        "SESSION": "always",
        "PARTITIONS": "4",
    }.items():
        monkeypatch.setenv(name, value)
    producers.handler._client.cache_clear()
    kinesis = boto3.client("kinesis")
    kinesis.create_stream(StreamName="stock-quotes", ShardCount=2)
    aws.watch("IBM,GE,$$$")
    yield kinesis
    producers.handler._client.cache_clear()


def records(kinesis: KinesisClient) -> list[bytes]:
    found = []
    for shard in kinesis.list_shards(StreamName="stock-quotes")["Shards"]:
        start = kinesis.get_shard_iterator(
            StreamName="stock-quotes", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )
        found += [
            record["Data"] for record in kinesis.get_records(ShardIterator=start["ShardIterator"])["Records"]
        ]
    return found


def test_a_scan_from_ssm_to_the_stream_and_the_archive(
    stream: KinesisClient,
    aws: Aws,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    report = producers.handler.handler({"polls": 1}, Context())
    assert json.loads(json.dumps(report)) == report
    assert report["status"] == "ok"
    assert report["ticks"] + len(report["missing"]) == 2
    batches = [decode(payload)[0] for data in records(stream) for payload in user_records(data)]
    assert sorted(s for batch in batches for s in batch.symbol + batch.missing) == ["GE", "IBM"]
    assert {batch.source for batch in batches} == {"simulated"}
    assert len(aws.keys("raw-data/")) == report["ticks"]

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    metrics = next(line for line in lines if "_aws" in line)
    directive = metrics["_aws"]["CloudWatchMetrics"][0]
    assert directive["Namespace"] == "StockMonitor"
    assert directive["Dimensions"] == [["service"]]  # none per ticker, which would cost by the ticker
    assert metrics["TicksPublished"] == [report["ticks"]]
    assert metrics["TickersRejected"] == [1.0]
    assert "PollsSkipped" not in metrics, "a metric costs by the hour in which it is sent"
    assert "'$$$' is no ticker" in report["rejected"][0]
    log = next(record for record in caplog.records if record.message == "scan")
    assert log.levelname == "WARNING"
    assert log.__dict__["report"] == report


def test_polls_that_were_skipped_are_a_metric(capsys: pytest.CaptureFixture[str]) -> None:
    producers.handler._emit(ScanReport(polls=3, skipped_polls=9), "r1")
    (metrics,) = (json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line)
    assert metrics["PollsSkipped"] == [9.0]


@pytest.mark.usefixtures("stream")
def test_an_empty_payload_is_a_plain_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producers.handler, "deadline", lambda *_: 0)
    assert producers.handler.handler(None, Context())["polls"] == 1


@pytest.mark.usefixtures("stream")
def test_a_backfill_warms_the_windows() -> None:
    report = producers.handler.handler({"backfill_minutes": 2}, Context())
    assert report["status"] == "ok"
    assert report["polls"] in (24, 25)
    assert report["ticks"] > 0


@pytest.mark.usefixtures("stream")
def test_a_bad_setting_fails_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION", "weekends")
    with pytest.raises(SettingsError, match=r"SESSION is 'weekends'"):
        producers.handler.handler({}, Context())
