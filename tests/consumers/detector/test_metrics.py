"""The metrics of an invocation: all that the operators need, and no dimension that grows with the tickers."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import boto3
import pytest
from aws_lambda_powertools import Logger, Metrics

from consumers.detector.handler import structured
from consumers.detector.settings import DetectorSettings
from consumers.detector.wiring import Detector, now_ms
from producers.settings import SettingsError
from tests.aws import aws_in_memory, create_table
from tests.consumers import kit

CANARY = {"v": 1, "source": "verify-canary", "symbol": "CANARY", "ts": 1_764_000_000_000, "price": 1}
"""As stream_infra/cdk/stacks/stream.py has it, which a test of this room does not import."""

VARIABLES = {
    "PARTITIONS": "2",
    "ANOMALIES_TABLE": "anomalies",
    "WINDOWS_TABLE": "windows",
    "CHARTS_TABLE": "charts",
    "DATA_BUCKET": "bucket",
    "BUS_NAME": "bus",
}
EVERY_TIME = {
    "TicksIn",
    "TicksInWindows",
    "TicksDuplicate",
    "TicksOutOfOrder",
    "TicksQuarantined",
    "Anomalies",
    "LostRaces",
    "StoppedPartitions",
    "FailedSnapshots",
    "BatchSeconds",
    "IteratorAge",
}


@dataclass
class Parts:
    """A detector and its metrics."""

    detector: Detector
    metrics: Metrics


@pytest.fixture
def parts() -> Iterator[Parts]:
    """A detector on moto's AWS, its metrics, and the events that it put."""
    with aws_in_memory():
        for table, keys in {
            "windows": ("pk", "sk"),
            "charts": ("pk", "sk"),
            "anomalies": ("ticker", "timestamp"),
        }.items():
            create_table(table, *keys)
        boto3.client("s3").create_bucket(Bucket="bucket")
        boto3.client("events").create_event_bus(Name="bus")
        boto3.client("ssm").put_parameter(Name="/stock-tracker/threshold", Value="2.5", Type="String")
        metrics = Metrics(namespace="StockMonitor", service="stock-detector")
        metrics.clear_metrics()
        logger = Logger(service="stock-detector")
        yield Parts(Detector(DetectorSettings.from_environment(VARIABLES), logger, metrics), metrics)
        metrics.clear_metrics()


def event(payloads: list[bytes], arrival_ms: int) -> kit.LambdaEvent:
    return {
        "Records": [
            {
                "eventID": f"shardId-000000000000:{arrival_ms + i}",
                "kinesis": {
                    "partitionKey": "0",
                    "sequenceNumber": str(arrival_ms + i),
                    "data": base64.b64encode(of).decode(),
                    "approximateArrivalTimestamp": arrival_ms / 1000,
                },
            }
            for i, of in enumerate(payloads)
        ]
    }


def ticks(symbols: list[str], ts: int, price: float) -> bytes:
    return kit.payload([(symbol, ts, price) for symbol in symbols])


def emitted(metrics: Metrics) -> tuple[dict[str, list[float]], set[str]]:
    """Values by name, and the dimensions, as they go to the log."""
    entry = json.loads(json.dumps(metrics.serialize_metric_set()))
    metrics.clear_metrics()
    (directive,) = entry["_aws"]["CloudWatchMetrics"]
    dimensions = {name for names in directive["Dimensions"] for name in names}
    return {of["Name"]: entry[of["Name"]] for of in directive["Metrics"]}, dimensions


def test_every_invocation_tells_what_became_of_its_ticks(parts: Parts) -> None:
    start_ms = now_ms() - 10_000
    payloads = [ticks(["AAA", "BBB"], start_ms, 50.0), ticks(["AAA"], start_ms - 5000, 50.0), b"not json"]
    answer = parts.detector.handle(event([*payloads, payloads[0]], start_ms + 2000), 60_000)
    assert answer == {"batchItemFailures": []}
    values, dimensions = emitted(parts.metrics)
    assert values.keys() == EVERY_TIME
    assert dimensions == {"service"}
    counts = {name: values[name] for name in values if name.startswith("Ticks")}
    assert counts == {
        "TicksIn": [6.0],
        "TicksInWindows": [2.0],
        "TicksDuplicate": [2.0],
        "TicksOutOfOrder": [1.0],
        "TicksQuarantined": [1.0],
    }
    assert 0 <= values["BatchSeconds"][0] < 60
    assert 7_000 < values["IteratorAge"][0] < 60_000


def test_the_late_tick_of_a_proof_is_no_tick_out_of_order(parts: Parts) -> None:
    start_ms = now_ms() - 10_000
    sent = [kit.payload([("AAA", at, 50.0)], "verify-1") for at in (start_ms, start_ms - 5000)]
    parts.detector.handle(event(sent, start_ms + 2000), 60_000)
    values, _ = emitted(parts.metrics)
    assert (values["TicksInWindows"], values["TicksOutOfOrder"]) == ([1.0], [0.0])


def test_an_anomaly_tells_how_long_it_took_and_no_metric_grows_with_the_tickers(parts: Parts) -> None:
    symbols = [f"S{i}" for i in range(300)]
    start_ms = now_ms() - 300_000
    steady = [ticks(symbols, start_ms + 2000 * i, 50.0 + 0.01 * (i % 2)) for i in range(120)]
    parts.detector.handle(event(steady, start_ms + 250_000), 60_000)
    parts.metrics.clear_metrics()
    parts.detector.handle(event([ticks(symbols, start_ms + 290_000, 60.0)], start_ms + 290_040), 60_000)
    values, dimensions = emitted(parts.metrics)
    assert values.keys() == EVERY_TIME | {"EventToAnomaly"}
    assert dimensions == {"service"}
    assert values["Anomalies"][0] >= 300
    assert len(values["EventToAnomaly"]) == 99  # the slowest
    assert all(9_000 < value < 120_000 for value in values["EventToAnomaly"])


def test_the_age_of_history_is_no_latency(parts: Parts) -> None:
    start_ms = now_ms() - 300_000
    steady = [ticks(["AAA"], start_ms + 2000 * i, 50.0 + 0.01 * (i % 2)) for i in range(120)]
    parts.detector.handle(event([*steady, ticks(["AAA"], start_ms + 280_000, 60.0)], now_ms()), 60_000)
    values, _ = emitted(parts.metrics)
    assert values["Anomalies"][0] >= 1
    assert "EventToAnomaly" not in values


def test_a_threshold_that_cannot_be_used_is_counted(parts: Parts) -> None:
    boto3.client("ssm").put_parameter(
        Name="/stock-tracker/threshold", Value="much", Type="String", Overwrite=True
    )
    at_ms = now_ms()
    parts.detector.handle(event([ticks(["AAA"], at_ms, 50.0)], at_ms), 60_000)
    values, _ = emitted(parts.metrics)
    assert values["ThresholdsRejected"] == [1.0]
    assert values["TicksInWindows"] == [1.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"PARTITIONS": "none"}, "PARTITIONS is 'none'; must be int"),
        ({"PARTITIONS": "0"}, "PARTITIONS is '0'"),
        ({"BUS_NAME": ""}, "BUS_NAME is not set"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(change: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        DetectorSettings.from_environment({**VARIABLES, **change})


def test_a_tick_can_be_followed_to_the_events_that_it_caused(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = io.StringIO()
    below = logging.getLogger("consumers")
    for name in ("handlers", "propagate", "level"):  # put back at the end
        monkeypatch.setattr(below, name, [] if name == "handlers" else getattr(below, name))
    structured(Logger(service=f"stock-detector-{now_ms()}", stream=lines))
    start_ms = now_ms() - 300_000
    steady = [ticks(["AAA"], start_ms + 2000 * i, 50.0 + 0.01 * (i % 2)) for i in range(120)]
    parts.detector.handle(event(steady, start_ms + 250_000), 60_000)
    lines.truncate(0)
    lines.seek(0)
    parts.detector.handle(event([ticks(["AAA"], start_ms + 290_000, 60.0)], start_ms + 290_040), 60_000)
    logged = [json.loads(line) for line in lines.getvalue().splitlines()]
    (entry,) = [of for of in logged if of["correlation_id"] == f"AAA-{start_ms + 290_000}-bad_tick"]
    assert entry["message"] == "AnomalyDetected"
    assert (entry["tick_ms"], entry["sequence"]) == (start_ms + 290_000, str(start_ms + 290_040))
    assert (entry["shard"], entry["source"]) == ("shardId-000000000000", "alpaca")


def test_the_canary_alone_sends_no_metrics_after_its_first_tick(parts: Parts) -> None:
    """CloudWatch pricing: a metric costs by the hours in which it is sent, and the canary comes around the clock."""
    payload = json.dumps(CANARY).encode()
    arrival_ms = now_ms()

    def beat() -> kit.LambdaEvent:
        nonlocal arrival_ms
        arrival_ms += 300_000
        return event([payload], arrival_ms)

    assert parts.detector.handle(beat(), 60_000) == {"batchItemFailures": []}
    assert emitted(parts.metrics)[0]["TicksInWindows"] == [1.0]
    for _ in range(3):
        assert parts.detector.handle(beat(), 60_000) == {"batchItemFailures": []}
        assert not parts.metrics.metric_set
    beside = event([payload, ticks(["AAA"], arrival_ms, 50.0)], arrival_ms + 1000)
    parts.detector.handle(beside, 60_000)
    assert emitted(parts.metrics)[0]["TicksIn"] == [2.0], "real ones are told of as ever"
