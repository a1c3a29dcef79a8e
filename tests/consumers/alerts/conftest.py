"""The notifier with a table, a topic and a queue behind it, and a clock that the test sets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from consumers.alerts.event import AlertEvent, parse
from consumers.alerts.notifier import Notifier
from consumers.alerts.settings import AlertSettings
from consumers.alerts.store import AlertStore
from consumers.contracts.anomaly import Anomaly, anomaly_id, iso_ms, sort_key
from consumers.contracts.events import Event, detected, ended, escalated

T0_MS = 1_795_530_600_000
TABLE = "stock-alerts"


def make_anomaly(
    ticker: str = "AAPL",
    kind: str = "price_spike",
    ts_ms: int = T0_MS,
    severity: str = "medium",
    *,
    source: str = "alpaca",
    late: bool = False,
    **changes: Any,
) -> Anomaly:
    """An anomaly as the detector writes it."""
    values: dict[str, Any] = {
        "id": anomaly_id(ticker, ts_ms, kind, source),
        "source": source,
        "ticker": ticker,
        "timestamp": sort_key(ts_ms, kind, source),
        "date": iso_ms(ts_ms)[:10],
        "kind": kind,
        "severity": severity,
        "score": 4.25,
        "threshold": 2.5,
        "value": 189.12,
        "expected": 185.4,
        "tolerance": 0.352,
        "direction": "up",
        "late": late,
        "explanation": f"{ticker} jumped 2.0 % in 1 s, where 0.1 % is usual.",
        "window": {"count": 1800, "seconds": 1800, "unit": "price"},
    }
    return Anomaly(**{**values, **changes})


def envelope(event: Event) -> str:
    """The event as it arrives in the queue."""
    return json.dumps(
        {
            "version": "0",
            "id": "5e5b0f5c-0000-4000-8000-000000000000",
            "detail-type": event.detail_type,
            "source": "stock-monitor",
            "account": "000000000000",
            "time": "2026-11-24T14:30:01Z",
            "region": "us-east-1",
            "resources": [],
            "detail": json.loads(event.detail_json()),
        }
    )


@dataclass
class Makers:
    """What tests build events from."""

    t0_ms: int = T0_MS

    anomaly = staticmethod(make_anomaly)
    envelope = staticmethod(envelope)

    def opened(self, ts_ms: int = T0_MS, severity: str = "medium", **changes: Any) -> AlertEvent:
        """The opening of an anomaly."""
        return parse(envelope(detected(make_anomaly(ts_ms=ts_ms, severity=severity, **changes))))

    def worse(self, at_ms: int, **changes: Any) -> AlertEvent:
        """The escalation of an anomaly to `severity`."""
        return parse(envelope(escalated(make_anomaly(**changes), at_ms)))

    def over(self, at_ms: int, **changes: Any) -> AlertEvent:
        """The end of an anomaly."""
        return parse(envelope(ended(make_anomaly(**changes), at_ms)))

    def worsened(self, event: AlertEvent, at_ms: int, severity: str) -> AlertEvent:
        """The escalation of the anomaly that an event opened."""
        return replace(event, change="escalated", at_ms=at_ms, severity=severity)

    def ended(self, event: AlertEvent, at_ms: int) -> AlertEvent:
        """The end of the anomaly that an event opened."""
        return replace(event, change="ended", at_ms=at_ms, duration_seconds=(at_ms - event.at_ms) / 1000)


@pytest.fixture(scope="session")
def make() -> Makers:
    """Builds anomalies and events."""
    return Makers()


@dataclass
class Bench:
    """A notifier whose topic delivers to a queue that the test reads."""

    notifier: Notifier
    store: AlertStore
    sns: Any
    sqs: Any
    queue_url: str
    topic_arn: str
    settings: AlertSettings = field(default_factory=AlertSettings)
    now_ms: int = T0_MS + 200
    watched: int = 0

    def take(self, *events: AlertEvent) -> list[bool]:
        """Take a batch of events in, now: whether the message of each was published; raises its error."""
        self.notifier.note(events, self.settings)
        taken = self.notifier.take(events, self.settings)
        for one in taken:
            if one.error is not None:
                raise one.error
        return [one.published for one in taken]

    def sweep(self, after_minutes: float = 0) -> int:
        """Let time pass, then sweep; the number of messages published."""
        self.now_ms += round(after_minutes * 60_000)
        return self.notifier.sweep(self.settings).published

    def sent(self) -> list[dict[str, Any]]:
        """The messages that the topic delivered since the last call, the oldest first."""
        messages = []
        while found := self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for item in found:
                messages.append(json.loads(item["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=item["ReceiptHandle"])
        return messages

    def subjects(self) -> list[str]:
        """Subjects of `sent`."""
        return [message["Subject"] for message in self.sent()]


@pytest.fixture(name="_aws")
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An AWS in memory."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield


@pytest.fixture
def bench(_aws: None) -> Bench:
    """A notifier on an AWS in memory."""
    dynamodb, sns, sqs = boto3.client("dynamodb"), boto3.client("sns"), boto3.client("sqs")
    dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    topic_arn = sns.create_topic(Name="stock-tracker-alerts")["TopicArn"]
    queue_url = sqs.create_queue(QueueName="outbox")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn)
    store = AlertStore(dynamodb, TABLE)
    bench: Bench

    notifier = Notifier(
        store,
        sns,
        topic_arn,
        dashboard_url="https://monitor.example/",
        clock=lambda: bench.now_ms,
        watched=lambda: bench.watched,
        pause=lambda _attempt: None,
    )
    bench = Bench(notifier, store, sns, sqs, queue_url, topic_arn)
    return bench
