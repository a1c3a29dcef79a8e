"""The API on moto's DynamoDB and SSM, with a clock that stands still."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws

from api.anomalies import AnomalyStore
from api.app import create_app
from api.depth import Depth
from api.event import normalized
from api.services import Services
from api.watch_list import WatchList
from consumers.alerts.store import AlertStore
from consumers.contracts.anomaly import Anomaly, anomaly_id, sort_key, to_item
from consumers.stores.charts import ChartTable

NOW_MS = 1_795_530_600_123  # 2026-11-24T14:30:00.123Z
PARAMETER = "/stock-tracker/ticker"


@dataclass(frozen=True)
class Answer:
    """What API Gateway would send."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


Call = Callable[..., Answer]


def _table(client: Any, name: str, keys: tuple[str, str], indexes: dict[str, str]) -> None:
    def schema(hash_key: str) -> list[dict[str, str]]:
        return [
            {"AttributeName": hash_key, "KeyType": "HASH"},
            {"AttributeName": keys[1], "KeyType": "RANGE"},
        ]

    projection = {"ProjectionType": "ALL"}
    secondary = [
        {"IndexName": index, "KeySchema": schema(attribute), "Projection": projection}
        for index, attribute in indexes.items()
    ]
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": attribute, "AttributeType": "S"} for attribute in {*keys, *indexes.values()}
        ],
        KeySchema=schema(keys[0]),
        **({"GlobalSecondaryIndexes": secondary} if secondary else {}),
    )


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A DynamoDB client whose tables are as StorageStack makes them."""
    for name, value in {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("dynamodb")
        indexes = {"DateIndex": "date", "SeverityIndex": "severity"}
        _table(client, "stock-anomalies", ("ticker", "timestamp"), indexes)
        _table(client, "stock-charts", ("pk", "sk"), {})
        _table(client, "stock-alerts", ("pk", "sk"), {})
        yield client


@pytest.fixture
def services(dynamodb: Any) -> Services:
    """Stores on those tables, a watch list of AAPL and MSFT, and the clock at NOW_MS."""
    ssm, sqs = boto3.client("ssm"), boto3.client("sqs")
    queue_url = sqs.create_queue(QueueName="stock-scanner-dlq")["QueueUrl"]
    ssm.put_parameter(Name=PARAMETER, Value="AAPL, msft", Type="String")
    return Services(
        anomalies=AnomalyStore(dynamodb, "stock-anomalies"),
        alerts=AlertStore(dynamodb, "stock-alerts"),
        charts=ChartTable(dynamodb, "stock-charts"),
        depth=Depth(boto3.client("cloudwatch"), sqs, "stock-detector", queue_url),
        watch_list=WatchList(ssm, PARAMETER, lambda: NOW_MS),
        source="simulated",
        now_ms=lambda: NOW_MS,
        writes_open=True,
    )


@pytest.fixture
def call(services: Services) -> Call:
    """Ask the API as API Gateway does: `call("/anomalies", limit="5")`."""
    app = create_app(services)

    def ask(
        path: str,
        *,
        headers: dict[str, str] | None = None,
        method: str = "GET",
        body: Any = None,
        context: dict[str, Any] | None = None,
        **query: str,
    ) -> Answer:
        event = {
            "body": None if body is None else json.dumps(body),
            "requestContext": context,
            "path": path,
            "httpMethod": method,
            "headers": headers,
            "queryStringParameters": query or None,
        }
        result = app.resolve(normalized(event), None)  # type: ignore[arg-type]
        headers_out = {name: values[0] for name, values in result["multiValueHeaders"].items()}
        return Answer(result["statusCode"], headers_out, result["body"])

    return ask


@pytest.fixture
def make() -> Callable[..., Anomaly]:
    """An anomaly: `make("AAPL", ts_ms, "gap", severity="low")`."""
    return make_anomaly


@pytest.fixture
def put(dynamodb: Any) -> Callable[..., Anomaly]:
    """Like `make`, and written to the table."""

    def write(*args: Any, **changes: Any) -> Anomaly:
        anomaly = make_anomaly(*args, **changes)
        dynamodb.put_item(TableName="stock-anomalies", Item=to_item(anomaly))
        return anomaly

    return write


def make_anomaly(ticker: str, ts_ms: int, kind: str = "price_spike", **changes: Any) -> Anomaly:
    """An anomaly as the detector writes it."""
    timestamp = sort_key(ts_ms, kind)
    fields: dict[str, Any] = {
        "id": anomaly_id(ticker, ts_ms, kind),
        "source": "simulated",
        "ticker": ticker,
        "timestamp": timestamp,
        "date": timestamp[:10],
        "kind": kind,
        "severity": "medium",
        "score": 3.25,
        "threshold": 2.5,
        "value": 0.012,
        "expected": 0.0,
        "tolerance": 0.001,
        "direction": "up",
        "late": False,
        "explanation": f"{ticker} rose 1.2% in one tick.",
        "window": {"ticks": 240, "unit": "return"},
    }
    return Anomaly(**{**fields, **changes})
