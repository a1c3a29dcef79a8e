"""The function `stock-notifier`: batches of its queue, and the sweep."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from consumers.alerts import handler as notifier
from consumers.contracts.events import detected

Invoke = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def invoke(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Invoke]:
    monkeypatch.setenv("ALERTS_TABLE", "stock-alerts")
    monkeypatch.setenv("TOPIC_ARN", bench.topic_arn)
    monkeypatch.setenv("DASHBOARD_URL", "https://monitor.example")
    monkeypatch.setenv("TICKER_PARAMETER", "/stock-tracker/ticker")
    monkeypatch.setattr(notifier, "_now_ms", lambda: bench.now_ms)
    _forget()
    yield lambda event: notifier.handler(event, None)
    _forget()


def _forget() -> None:
    for made_once in (notifier._settings, notifier._reader, notifier._notifier, notifier._watch_list):
        made_once.cache_clear()


def _batch(*bodies: str) -> dict[str, Any]:
    return {"Records": [{"messageId": f"m{n}", "body": body} for n, body in enumerate(bodies)]}


def test_a_bad_message_fails_alone(invoke: Invoke, bench: Any, make: Any) -> None:
    good = make.envelope(detected(make.anomaly()))
    other = make.envelope(detected(make.anomaly(ticker="MSFT")))
    answer = invoke(_batch(good, "not json", other, good.replace("AnomalyDetected", "AnomalyEaten")))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}, {"itemIdentifier": "m3"}]}
    assert len(bench.sent()) == 2


def test_a_failed_publish_fails_its_item_only(
    invoke: Invoke, bench: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = [make.envelope(detected(make.anomaly(ticker=ticker))) for ticker in ("AAPL", "MSFT")]
    sns = notifier._notifier()._sns
    publish = sns.publish

    def refuse_apple(**message: Any) -> Any:
        if "AAPL" in message["Subject"]:
            raise sns.exceptions.ClientError({"Error": {"Code": "Throttled"}}, "Publish")
        return publish(**message)

    monkeypatch.setattr(sns, "publish", refuse_apple)
    assert invoke(_batch(*bodies)) == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    monkeypatch.setattr(sns, "publish", publish)
    assert invoke(_batch(bodies[0])) == {"batchItemFailures": []}
    assert len(bench.sent()) == 2


def test_the_sweep_sends_what_is_due(invoke: Invoke, bench: Any, make: Any) -> None:
    bodies = [make.envelope(detected(make.anomaly(ts_ms=make.t0_ms + n))) for n in range(3)]
    invoke(_batch(*bodies))
    assert invoke({"digest": True}) == {"published": 0, "series": 0}
    bench.now_ms += 16 * 60_000
    assert invoke({"digest": True}) == {"published": 1, "series": 1}
    assert len(bench.sent()) == 2


def test_settings_are_those_of_the_parameter_and_a_bad_one_changes_nothing(
    invoke: Invoke, bench: Any, make: Any
) -> None:
    ssm = boto3.client("ssm")

    def put(value: dict[str, Any]) -> None:
        ssm.put_parameter(
            Name="/stock-tracker/alerts", Type="String", Value=json.dumps(value), Overwrite=True
        )

    put({"cooldown_minutes": 3})
    invoke(_batch(*(make.envelope(detected(make.anomaly(ts_ms=make.t0_ms + n))) for n in range(2))))
    put({"cooldown_minutes": 0})
    notifier._reader.cache_clear()  # a cold start: the last good value is in the parameter's history
    bench.now_ms += 3 * 60_000
    assert invoke({"digest": True})["published"] == 1
