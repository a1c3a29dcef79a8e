"""The function `stock-notifier`: batches of its queue, and the sweep."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ClientError

from consumers.alerts import handler as notifier
from consumers.alerts.decision import DIGESTS_AT_ONCE
from consumers.contracts.events import detected
from tests.aws import aws_in_memory, create_table
from tests.consumers.alerts.bench import HOUR_MS, T0_MS, envelope, make_anomaly
from tests.json_types import Json


class Function:
    """The function on an AWS in memory, whose topic delivers to a queue that the test reads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ms = T0_MS + 200
        create_table("stock-alerts")
        self.ssm, self.sqs, sns = boto3.client("ssm"), boto3.client("sqs"), boto3.client("sns")
        topic = sns.create_topic(Name="stock-tracker-alerts")["TopicArn"]
        self.outbox = self.sqs.create_queue(QueueName="outbox")["QueueUrl"]
        self.dead_letters = self.sqs.create_queue(QueueName="stock-notifier-dlq")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.outbox, AttributeNames=["QueueArn"])["Attributes"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["QueueArn"])
        for name, value in {
            "ALERTS_TABLE": "stock-alerts",
            "CHARTS_TABLE": "stock-charts",
            "TOPIC_ARN": topic,
            "DASHBOARD_URL": "https://monitor.example",
            "TICKER_PARAMETER": "/stock-tracker/ticker",
            "CHANNEL_SECRETS": "stock-tracker/channels/",
            "DEAD_LETTER_QUEUE_URL": self.dead_letters,
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(notifier, "_now_ms", lambda: self.now_ms)

    def take(self, *bodies: str) -> list[str]:
        """Deliver a batch; return the ids of messages that come again."""
        records = [{"messageId": f"m{n}", "body": body} for n, body in enumerate(bodies)]
        answer = notifier.handler({"Records": records}, None)  # type: ignore[arg-type]
        return [item["itemIdentifier"] for item in answer["batchItemFailures"]]

    def sweep(self) -> Json:
        """Run the minute rule."""
        return notifier.handler({"digest": True}, None)  # type: ignore[arg-type]

    def put(self, settings: Json) -> None:
        """Set the parameter."""
        text = json.dumps(settings)
        self.ssm.put_parameter(Name="/stock-tracker/alerts", Type="String", Value=text, Overwrite=True)

    def read(self, url: str) -> list[Json]:
        """Return what a queue was sent since the last call."""
        found = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found


def forget_what_is_made_once() -> None:
    for one in (notifier._settings, notifier._reader, notifier._notifier, notifier._watch_list):
        one.cache_clear()


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Iterator[Function]:
    forget_what_is_made_once()
    with aws_in_memory():
        yield Function(monkeypatch)
    forget_what_is_made_once()


def _body(severity: str = "high", ticker: str = "AAPL", ts_ms: int = T0_MS) -> str:
    return envelope(detected(make_anomaly(ticker, ts_ms=ts_ms, severity=severity)))


def test_a_bad_message_fails_alone_and_what_is_sent_is_the_incident(function: Function) -> None:
    assert function.take(
        _body(), "not json", _body(ticker="MSFT"), _body().replace("price_spike", "eaten")
    ) == [
        "m1",
        "m3",
    ]
    first, second = sorted(function.read(function.outbox), key=lambda message: message["Subject"])
    assert first["Subject"] == "HIGH: AAPL price spike, 189.12 (expected 185.40)"
    assert second["Subject"].startswith("HIGH: MSFT price spike")
    whole = json.loads(first["Message"])
    assert "https://monitor.example/?anomaly=AAPL-" in whole["email"]
    assert whole["message"]["incident"] == "live-AAPL-1795530600000"
    values = {name: item["Value"] for name, item in first["MessageAttributes"].items()}
    assert values == {
        "ticker": "AAPL",
        "kind": "price_spike",
        "severity": "high",
        "origin": "live",
        "message": "opened",
        "AWS.SNS.SMS.SMSType": "Transactional",
    }


def test_many_tickers_are_an_array_for_filter_policies(function: Function) -> None:
    function.ssm.put_parameter(
        Name="/stock-tracker/ticker", Value=",".join(f"T{n}" for n in range(6)), Type="String"
    )
    assert function.take(*(_body(ticker=f"T{n}") for n in range(6))) == []
    (message,) = function.read(function.outbox)
    assert message["MessageAttributes"]["ticker"]["Type"] == "String.Array"


def test_a_failed_publish_is_pending_and_goes_out_later_once(
    function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.take(_body(ticker="KO"))
    sns = notifier._notifier()._deliverer.send.__self__._clients["sns"]  # type: ignore[attr-defined]
    publish = sns.publish

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "InternalError"}}, "Publish")

    monkeypatch.setattr(sns, "publish", refuse)
    assert function.take(_body()) == []
    assert function.sweep()["sent"] == 0
    monkeypatch.setattr(sns, "publish", publish)
    function.now_ms += 60_000
    assert function.sweep() == {"sent": 1, "incidents": 0, "errors": 0}
    assert function.take(_body()) == []
    function.now_ms += 60_000
    assert function.sweep()["sent"] == 0
    assert len(function.read(function.outbox)) == 2


def test_what_sns_never_takes_is_a_dead_letter(function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    function.take(_body(ticker="KO"))
    sns = notifier._notifier()._deliverer.send.__self__._clients["sns"]  # type: ignore[attr-defined]

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "InvalidParameter", "Message": "Subject"}}, "Publish")

    monkeypatch.setattr(sns, "publish", refuse)
    function.take(_body())
    (dead,) = function.read(function.dead_letters)
    assert dead["detail"]["data"]["message_id"] == "live-AAPL-1795530600000#1"
    assert "InvalidParameter" in dead["detail"]["data"]["error"]
    assert function.sweep()["sent"] == 0
    monkeypatch.undo()
    monkeypatch.setattr(notifier, "_now_ms", lambda: function.now_ms)
    assert function.take(json.dumps(dead), json.dumps(dead)) == []  # moved back to the queue, twice
    assert function.sweep()["sent"] == 1
    assert function.take(json.dumps(dead)) == []
    assert function.sweep()["sent"] == 0


def test_the_sweep_sends_what_is_due(function: Function) -> None:
    for n in range(DIGESTS_AT_ONCE):
        function.now_ms += 1
        assert function.take(_body("low", ticker=f"T{n}")) == []  # a digest at once
    function.take(*(_body("low", ts_ms=T0_MS + n) for n in range(3)))
    assert function.sweep() == {"sent": 0, "incidents": 0, "errors": 0}
    function.now_ms += HOUR_MS
    assert function.sweep()["sent"] == 1
    assert len(function.read(function.outbox)) == DIGESTS_AT_ONCE + 1


def test_settings_are_those_of_the_parameter_and_a_bad_one_changes_nothing(function: Function) -> None:
    function.put({"routes": [{"severity": "low", "notify": "at_once"}]})
    function.take(_body("low"))
    function.put({"routes": [{"severity": "lowest"}]})
    notifier._reader.cache_clear()  # a cold start: the last good value is in the parameter's history
    function.take(_body("low", ticker="MSFT"))
    assert len(function.read(function.outbox)) == 2


def test_a_test_is_sent_to_every_channel_once(function: Function) -> None:
    data = {"id": "1", "at": "2026-11-24T14:30:00Z"}
    body = json.dumps({"detail-type": "AlertTest", "detail": {"metadata": {"version": 1}, "data": data}})
    assert function.take(body, body) == []
    (message,) = function.read(function.outbox)
    assert message["Subject"] == "[TEST] Stock monitor"


def test_settings_that_cannot_be_read_again_stay_in_force(
    function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.put({"routes": [{"severity": "low", "notify": "at_once"}]})
    function.take(_body("low"))

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException"}}, "GetParameter")

    monkeypatch.setattr(notifier._reader()._ssm, "get_parameter", refuse)
    function.now_ms += 60_000
    assert function.take(_body("low", ticker="MSFT")) == []
    assert len(function.read(function.outbox)) == 2
    notifier._reader()._settings = None  # there is nothing to go by
    with pytest.raises(ClientError):
        function.sweep()


def test_a_request_that_cannot_be_done_stays_in_the_queue_and_delays_no_event(
    function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise ClientError({"Error": {"Code": "InternalServerError"}}, "PutItem")

    monkeypatch.setattr(notifier._notifier(), "test", refuse)
    data = {"id": "1", "at": "2026-11-24T14:30:00Z"}
    test = json.dumps({"detail-type": "AlertTest", "detail": {"metadata": {"version": 1}, "data": data}})
    assert function.take(test, _body()) == ["m0"]
    assert len(function.read(function.outbox)) == 1
