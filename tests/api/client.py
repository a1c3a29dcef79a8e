"""The API as API Gateway calls it, on moto's stores."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, cast

import boto3
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.utilities.typing import LambdaContext

from api.anomalies import AnomalyStore
from api.app import create_app
from api.depth import Depth
from api.event import normalized
from api.services import Services
from api.watch_list import WatchedTickers, WatchListEditor
from consumers.alerts.parameters import SettingsEditor
from consumers.alerts.store import AlertStore
from consumers.alerts.table import DynamoTable
from consumers.contracts.anomaly import Anomaly, anomaly_id, sort_key, to_item
from consumers.stores.bus import Bus
from consumers.stores.charts import ChartTable
from consumers.stores.parameters import ThresholdEditor
from consumers.stores.rules import RuleParameter
from producers.archive import ArchiveReader
from producers.watch_list import WatchListReader, WatchListWriter

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import CreateTableInputTypeDef, KeySchemaElementTypeDef
    from mypy_boto3_lambda import LambdaClient

NOW_MS = 1_795_530_600_123  # 2026-11-24T14:30:00.123Z
PARAMETER = "/stock-tracker/ticker"
DATA_BUCKET = "data"

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What API Gateway would send."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> JsonObject:
        """The body; every one of this API is an object."""
        found: JsonObject = json.loads(self.text)
        return found


class Api:
    """One instance of the function: `Api(services).get("/anomalies", limit="5")`."""

    def __init__(self, services: Services) -> None:
        self._app: APIGatewayRestResolver = create_app(services)
        self._headers: dict[str, str] | None = None

    def with_headers(self, headers: dict[str, str] | None) -> Api:
        """Return the same instance, called with these headers."""
        other = copy(self)
        other._headers = headers
        return other

    def invoke(self, event: Mapping[str, object]) -> Reply:
        """Send an event as it is, complete or not."""
        result = self._app.resolve(normalized(event), LambdaContext())
        headers = {name: values[0] for name, values in result["multiValueHeaders"].items()}
        return Reply(result["statusCode"], headers, result["body"])

    def get(self, path: str, /, **query: str) -> Reply:
        """Send a GET."""
        return self.send("GET", path, None, **query)

    def send(self, method: str, path: str, body: object = None, /, **query: str) -> Reply:
        """Send a request with a body, written as JSON unless it is a text."""
        return self.invoke(
            {
                "path": path,
                "httpMethod": method,
                "headers": self._headers,
                "queryStringParameters": query or None,
                "body": body if body is None or isinstance(body, str) else json.dumps(body),
            }
        )


class AnomalyChanges(TypedDict, total=False):
    """What a test wants otherwise than usual."""

    source: str
    severity: str
    score: float
    threshold: float
    value: float
    expected: float
    tolerance: float
    direction: str
    explanation: str
    late: bool
    window: JsonObject


def make_anomaly(
    ticker: str, ts_ms: int, kind: str = "price_spike", **changes: Unpack[AnomalyChanges]
) -> Anomaly:
    """Return an anomaly as the detector writes it."""
    source = changes.get("source", "simulated")
    timestamp = sort_key(ts_ms, kind, source)
    usual = Anomaly(
        id=anomaly_id(ticker, ts_ms, kind, source),
        source=source,
        ticker=ticker,
        timestamp=timestamp,
        date=timestamp[:10],
        kind=kind,
        severity="medium",
        score=3.25,
        threshold=2.5,
        value=0.012,
        expected=0.0,
        tolerance=0.001,
        direction="up",
        late=False,
        explanation=f"{ticker} rose 1.2% in one tick.",
        window={"ticks": 240, "unit": "return"},
    )
    return replace(usual, **changes)


class Table:
    """`stock-anomalies` as the detector writes it."""

    def __init__(self, dynamodb: DynamoDBClient) -> None:
        self.dynamodb = dynamodb

    def put(
        self, ticker: str, ts_ms: int, kind: str = "price_spike", **changes: Unpack[AnomalyChanges]
    ) -> Anomaly:
        """Write an anomaly, and return it."""
        anomaly = make_anomaly(ticker, ts_ms, kind, **changes)
        self.write(anomaly)
        return anomaly

    def write(self, anomaly: Anomaly) -> None:
        """Write an anomaly."""
        self.dynamodb.put_item(TableName="stock-anomalies", Item=to_item(anomaly))

    def forget(self, anomaly: Anomaly) -> None:
        """Delete an anomaly."""
        key = {"ticker": {"S": anomaly.ticker}, "timestamp": {"S": anomaly.timestamp}}
        self.dynamodb.delete_item(TableName="stock-anomalies", Key=key)


def create_tables(dynamodb: DynamoDBClient) -> None:
    """Make the tables as StorageStack makes them."""
    _create(
        dynamodb,
        "stock-anomalies",
        ("ticker", "timestamp"),
        {"DateIndex": "date", "SeverityIndex": "severity"},
    )
    _create(dynamodb, "stock-charts", ("pk", "sk"), {})
    _create(dynamodb, "stock-alerts", ("pk", "sk"), {})


def _create(client: DynamoDBClient, name: str, keys: tuple[str, str], indexes: dict[str, str]) -> None:
    def schema(hash_key: str) -> Iterator[KeySchemaElementTypeDef]:
        yield {"AttributeName": hash_key, "KeyType": "HASH"}
        yield {"AttributeName": keys[1], "KeyType": "RANGE"}

    definition: CreateTableInputTypeDef = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": attribute, "AttributeType": "S"}
            for attribute in sorted({*keys, *indexes.values()})
        ],
        "KeySchema": list(schema(keys[0])),
    }
    if indexes:
        definition["GlobalSecondaryIndexes"] = [
            {
                "IndexName": index,
                "KeySchema": list(schema(attribute)),
                "Projection": {"ProjectionType": "ALL"},
            }
            for index, attribute in indexes.items()
        ]
    client.create_table(**definition)


class FakeScanner:
    """stock-scanner as Lambda invokes it: knows no ticker NOPE; `answer` in place of that."""

    def __init__(self, answer: Mapping[str, object] | None = None, error: str | None = None) -> None:
        self._answer = answer
        self._error = error

    @property
    def client(self) -> LambdaClient:
        """This, as the client that the API takes."""
        return cast("LambdaClient", self)

    def invoke(self, *, FunctionName: str, Payload: str) -> dict[str, object]:  # noqa: N803
        assert FunctionName == "stock-scanner"
        asked = json.loads(Payload)["validate"]
        known: Mapping[str, object] = {
            "rejected": {ticker: "acme knows no such ticker" for ticker in asked if ticker == "NOPE"}
        }
        body = json.dumps(self._answer or known).encode()
        failed = {"FunctionError": self._error} if self._error else {}
        return {"StatusCode": 200, "Payload": BytesIO(body), **failed}


def create_services(dynamodb: DynamoDBClient) -> Services:
    """Return stores on moto's tables, a watch list of AAPL and MSFT, and the clock at NOW_MS."""
    ssm, sqs, s3 = boto3.client("ssm"), boto3.client("sqs"), boto3.client("s3")
    queue_url = sqs.create_queue(QueueName="stock-scanner-dlq")["QueueUrl"]
    s3.create_bucket(Bucket=DATA_BUCKET)
    ssm.put_parameter(Name=PARAMETER, Value="AAPL, msft", Type="String", Overwrite=True)
    return Services(
        anomalies=AnomalyStore(dynamodb, "stock-anomalies"),
        alerts=AlertStore(DynamoTable(dynamodb, "stock-alerts")),
        charts=ChartTable(dynamodb, "stock-charts"),
        archive=ArchiveReader(s3, DATA_BUCKET),
        rules=RuleParameter(ssm),
        thresholds=ThresholdEditor(ssm),
        depth=Depth(boto3.client("cloudwatch"), sqs, "stock-detector", queue_url),
        watch_list=WatchedTickers(WatchListReader(ssm, s3, PARAMETER, lambda: NOW_MS)),
        alert_settings=SettingsEditor(ssm),
        send_events=Bus(boto3.client("events"), "default").put,
        editor=WatchListEditor(
            FakeScanner().client, "stock-scanner", WatchListWriter(ssm, s3, PARAMETER, DATA_BUCKET)
        ),
        source="simulated",
        now_ms=lambda: NOW_MS,
        writes_open=True,
    )
