"""The health that the API tells, briefly and in depth."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partialmethod
from typing import TYPE_CHECKING

import boto3
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.client import BaseClient

from api import handler as api_handler
from api.models import Health
from api.services import Services
from api.settings import SERVER_ERRORS
from consumers.contracts.anomaly import iso_ms, ms_of_iso
from producers.feed_problem import FeedProblem
from producers.scan.feed_keeper import FeedKeeper
from tests.api.client import NOW_MS, Api
from tests.aws import create_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
from tests.api.charts import last_quote, put_quotes

WHY = "alpaca rejects the key (401: unauthorized.): check APCA_API_KEY_ID"


def test_health_is_exactly_what_the_runbook_expects(api: Api) -> None:
    answer = api.get("/health")
    assert (answer.status, answer.text) == (200, '{"status":"healthy"}')


def test_health_in_depth_tells_the_age_of_the_feed(api: Api, dynamodb: DynamoDBClient) -> None:
    assert api.get("/health", depth="full").json["status"] == "degraded"  # no quote at all yet
    put_quotes(dynamodb, "simulated", last_quote("AAPL", 2000), last_quote("MSFT", 200_000))
    health = api.get("/health", depth="full").json
    Health.model_validate(health, strict=True)
    assert health["status"] == "healthy"
    assert health["origin"] == "simulated"
    assert health["feed"] == {
        "state": "live", "last_quote_at": iso_ms(NOW_MS - 2000), "age_seconds": 2.0, "problem": None,
        "live": 1, "total": 2,
    }  # fmt: skip
    assert (health["stream_lag_seconds"], health["failed_batches"]) == (None, 0)


@pytest.mark.parametrize(
    ("now", "state", "status"),
    [
        ("2026-11-24T14:30:00.000Z", "stale", "degraded"),  # the market opens
        ("2026-11-24T14:29:59.999Z", "closed", "healthy"),
        ("2026-11-26T16:00:00.000Z", "closed", "healthy"),  # Thanksgiving
    ],
)
def test_old_quotes_are_fine_while_the_market_is_closed(
    services: Services, dynamodb: DynamoDBClient, now: str, state: str, status: str
) -> None:
    put_quotes(dynamodb, "simulated", last_quote("AAPL", 10**8))
    api = Api(replace(services, session="regular", now_ms=lambda: ms_of_iso(now)))
    health = api.get("/health", depth="full").json
    assert (health["feed"]["state"], health["status"]) == (state, status)


@pytest.mark.parametrize(("age_ms", "status"), [(1500.0, "healthy"), (61_000.0, "degraded")])
def test_health_in_depth_tells_the_lag(
    api: Api, dynamodb: DynamoDBClient, age_ms: float, status: str
) -> None:
    put_quotes(dynamodb, "simulated", last_quote("AAPL", 2000))
    boto3.client("cloudwatch").put_metric_data(
        Namespace="AWS/Lambda",
        MetricData=[
            {
                "MetricName": "IteratorAge",
                "Dimensions": [{"Name": "FunctionName", "Value": "stock-detector"}],
                "Timestamp": datetime.fromtimestamp(NOW_MS / 1000 - 100, UTC),
                "Unit": "Milliseconds",
                "Value": age_ms,
            }
        ],
    )
    health = api.get("/health", depth="full").json
    assert (health["status"], health["stream_lag_seconds"]) == (status, age_ms / 1000)


def test_health_is_degraded_while_failed_batches_wait(api: Api, dynamodb: DynamoDBClient) -> None:
    put_quotes(dynamodb, "simulated", last_quote("AAPL", 2000))
    sqs = boto3.client("sqs")
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName="stock-scanner-dlq")["QueueUrl"], MessageBody="x")
    health = api.get("/health", depth="full").json
    assert (health["status"], health["failed_batches"]) == ("degraded", 1)


def test_the_depth_of_the_health_costs_strangers_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(
        "botocore.client.BaseClient._make_api_call",
        partialmethod(_counted, calls, BaseClient._make_api_call),  # type: ignore[attr-defined]
    )
    for _ in range(5):
        assert api.get("/health", depth="full").status == 200
    assert calls.count("GetMetricStatistics") == calls.count("GetQueueAttributes") == 1


def _counted(
    client: BaseClient, calls: list[str], call: Callable[..., object], name: str, arguments: object
) -> object:
    calls.append(name)
    return call(client, name, arguments)


@pytest.mark.parametrize(("status", "counted"), [(200, 0), (404, 0), (503, 1)])
def test_a_response_of_5xx_is_counted_by_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: int, counted: int
) -> None:
    """To Lambda it is no error (Lambda guide, "Types of metrics": Errors): a bad version is told by this metric."""

    class App:
        def resolve(self, *_: object) -> dict[str, object]:
            return {"statusCode": status, "body": ""}

    monkeypatch.setattr(api_handler, "_app", App)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_VERSION", "7")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "StockMonitor")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "stock-api-handler")
    api_handler.handler({"path": "/health", "httpMethod": "GET"}, LambdaContext())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert len(lines) == counted
    for line in lines:
        (of,) = line["_aws"]["CloudWatchMetrics"]
        assert (of["Namespace"], set(of["Dimensions"][0])) == ("StockMonitor", {"service", "version"})
        assert (line["version"], line["service"], line[SERVER_ERRORS]) == ("7", "stock-api-handler", [1.0])


@pytest.mark.parametrize(
    ("age_ms", "hour_ms", "problem"),
    [(2000, 0, None), (9000, 0, WHY), (100_000, 0, WHY), (100_000, -3_600_000, None)],
)
def test_a_late_quote_comes_with_why_the_last_poll_failed(
    services: Services, dynamodb: DynamoDBClient, age_ms: int, hour_ms: int, problem: str | None
) -> None:
    """An hour before, the market is closed."""
    create_table("stock-windows", client=dynamodb)
    FeedKeeper(dynamodb, "stock-windows", boto3.client("events"), "default").record_unusable(
        "simulated", WHY, NOW_MS
    )
    put_quotes(dynamodb, "simulated", last_quote("AAPL", age_ms - hour_ms))
    reader = FeedProblem(dynamodb, "stock-windows")
    now_ms = NOW_MS + hour_ms
    api = Api(replace(services, feed_problem=reader, session="regular", now_ms=lambda: now_ms))
    assert api.get("/tickers").json["feed"]["problem"] == problem
    assert api.get("/health", depth="full").json["feed"]["problem"] == problem
    assert reader("alpaca") == ""
