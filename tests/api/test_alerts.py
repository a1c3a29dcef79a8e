"""Messages as they are listed, and what people order about them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from api.app import create_app
from api.event import normalized
from api.models import AlertList, MuteModel, ProblemModel, Removed
from api.services import Services
from consumers.alerts.event import AlertEvent
from consumers.alerts.items import Message, message_key
from consumers.alerts.model import Mute
from consumers.contracts.anomaly import Anomaly, iso_ms

NOW_MS = 1_795_530_600_123
HOUR_MS = 3_600_000
LATER = iso_ms(NOW_MS + HOUR_MS)


def _put_message(dynamodb: Any, message: Message, **sent: Any) -> None:
    item = {
        **message_key(message.id, message.made_ms),
        "message": {"S": msgspec.json.encode(message).decode()},
        "status": {"S": "sent" if sent else "publishing"},
        **sent,
    }
    dynamodb.put_item(TableName="stock-alerts", Item=item)


@pytest.fixture
def anomaly(put: Callable[..., Anomaly]) -> Anomaly:
    return put("TSLA", NOW_MS - 1000, "price_spike", severity="high")


def test_messages_are_listed_newest_first_over_the_change_of_a_day(
    call: Any, dynamodb: Any, anomaly: Anomaly
) -> None:
    yesterday = NOW_MS - 20 * HOUR_MS
    event = AlertEvent("detected", anomaly, NOW_MS - 1000, "high")
    _put_message(dynamodb, Message("digest-1", "digest", yesterday))
    sent = {"subject": {"S": "High: TSLA"}, "sent_ms": {"N": str(NOW_MS)}, "sns_id": {"S": "1"}}
    _put_message(dynamodb, Message(f"{anomaly.id}#detected", "alert", NOW_MS - 500, event), **sent)
    _put_message(dynamodb, Message("digest-0", "digest", yesterday - 5 * HOUR_MS))
    listed = call("/alerts").json
    AlertList.model_validate(listed, strict=True)
    assert [row["id"] for row in listed["alerts"]] == [f"{anomaly.id}#detected", "digest-1"]
    assert listed["alerts"][0] == {
        "id": f"{anomaly.id}#detected", "message_kind": "alert", "status": "sent", "subject": "High: TSLA",
        "made_at": iso_ms(NOW_MS - 500), "sent_at": iso_ms(NOW_MS), "anomaly_id": anomaly.id, "ticker": "TSLA",
        "kind": "price_spike", "severity": "high", "origin": "simulated",
    }  # fmt: skip
    assert (listed["alerts"][1]["status"], listed["alerts"][1]["sent_at"]) == ("pending", None)
    assert call("/alerts", since=iso_ms(yesterday - 6 * HOUR_MS)).json["count"] == 3
    assert call("/alerts", since=iso_ms(NOW_MS - 400)).json["count"] == 0


def test_a_mute_is_made_replaced_listed_and_ended(call: Any, services: Services) -> None:
    path, scope = "/alerts/mutes", {"ticker": "tsla", "kind": "price_spike"}
    made = call(path, method="PUT", body={"until": LATER, "reason": "earnings"}, **scope)
    assert made.status == 200
    MuteModel.model_validate(made.json, strict=True)
    assert services.alerts.mutes() == [Mute(NOW_MS + HOUR_MS, "TSLA", "price_spike", reason="earnings")]
    longer = iso_ms(NOW_MS + 2 * HOUR_MS)
    assert call(path, method="PUT", body={"until": longer}, **scope).status == 200
    assert [mute["until"] for mute in call("/alerts").json["mutes"]] == [longer]
    ended = call(path, method="DELETE", **scope)
    Removed.model_validate(ended.json, strict=True)
    assert (ended.status, ended.json) == (200, {"removed": "TSLA price_spike"})
    assert call(path, method="DELETE", **scope).status == 404
    assert services.alerts.mutes() == []


def test_all_can_be_muted_and_only_by_saying_so(call: Any, services: Services) -> None:
    assert call("/alerts/mutes", method="PUT", body={"until": LATER}).status == 400
    assert call("/alerts/mutes", method="PUT", body={"until": LATER}, all="true", kind="gap").status == 400
    assert call("/alerts/mutes", method="PUT", body={"until": LATER}, all="true").status == 200
    assert services.alerts.mutes()[0].covers("ANY", "gap")


def test_an_acknowledgement_holds_the_ticker_and_kind_of_its_anomaly(
    call: Any, services: Services, anomaly: Anomaly
) -> None:
    path = f"/anomalies/TSLA/{anomaly.id}/acknowledgement"
    answer = call(path, method="PUT", body={"until": LATER, "reason": "we know"})
    MuteModel.model_validate(answer.json, strict=True)
    expected = Mute(NOW_MS + HOUR_MS, "TSLA", "price_spike", acknowledged=anomaly.id, reason="we know")
    assert services.alerts.mutes() == [expected]
    assert call("/alerts").json["mutes"][0]["acknowledged"] == anomaly.id
    assert call(path, method="DELETE").status == 200
    again = call(path, method="DELETE")
    assert (again.status, again.json["where"]) == (404, "anomaly_id")


def test_an_ended_mute_is_not_listed(call: Any, services: Services) -> None:
    services.alerts.put_mute(Mute(NOW_MS, "KO"))
    services.alerts.put_mute(Mute(NOW_MS + 1, "XOM"))
    assert [mute["ticker"] for mute in call("/alerts").json["mutes"]] == ["XOM"]


@pytest.mark.parametrize(
    ("path", "query", "body", "where", "allowed"),
    [
        ("/alerts/mutes", {"kind": "oops"}, {"until": LATER}, "kind", "price_spike, level_shift"),
        ("/alerts/mutes", {"kind": "gap"}, {"until": iso_ms(NOW_MS)}, "until", "after now"),
        ("/alerts/mutes", {"kind": "gap"}, {"until": "2027-11-24T00:00Z"}, "until", "at most 30 days"),
        ("/alerts/mutes", {"kind": "gap"}, {"until": "soon"}, "until", "valid datetime"),
        ("/alerts/mutes", {"kind": "gap"}, {"until": 1_795_530_700}, "until", "ISO 8601"),
        ("/alerts/mutes", {"kind": "gap"}, {}, "until", "equired"),
        ("/alerts/mutes", {"kind": "gap"}, {"until": LATER, "why": "x"}, "why", "not permitted"),
        ("/alerts/mutes", {"kind": "gap"}, {"until": LATER, "reason": "x" * 201}, "reason", "200"),
        ("/alerts/mutes", {"kind": "gap"}, None, "body", ""),
        ("/anomalies/TSLA/oops/acknowledgement", {}, {"until": LATER}, "anomaly_id", "<ticker>-<epoch ms>"),
    ],
)
def test_bad_orders_say_where_and_what_is_allowed(
    *, call: Any, services: Services, path: str, query: dict[str, str], body: Any, where: str, allowed: str
) -> None:
    answer = call(path, method="PUT", body=body, **query)
    assert answer.status == 400
    problem = ProblemModel.model_validate(answer.json, strict=True)
    assert problem.where == where
    assert allowed in (problem.allowed or "")
    assert services.alerts.mutes() == []


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "\x00"])
def test_a_body_that_is_no_object_is_refused(services: Services, text: str) -> None:
    event = {
        "path": "/alerts/mutes",
        "httpMethod": "PUT",
        "queryStringParameters": {"kind": "gap"},
        "body": text,
    }
    answer = create_app(services).resolve(normalized(event), None)  # type: ignore[arg-type]
    assert answer["statusCode"] == 400
    assert json.loads(answer["body"])["where"].split(".")[0] in {"body", "order"}


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data", "", None])
def test_a_body_is_json_whatever_it_is_called(
    call: Any, services: Services, content_type: str | None
) -> None:
    headers = None if content_type is None else {"content-type": content_type}
    made = call("/alerts/mutes", method="PUT", kind="gap", headers=headers, body={"until": LATER})
    assert made.status == 200
    assert len(services.alerts.mutes()) == 1


def test_an_anomaly_that_is_not_there_cannot_be_acknowledged(call: Any) -> None:
    answer = call("/anomalies/KO/KO-1-gap/acknowledgement", method="PUT", body={"until": LATER})
    assert (answer.status, answer.json["where"]) == (404, "anomaly_id")


@pytest.mark.parametrize(
    ("context", "passes"),
    [
        (None, False),
        ({"authorizer": None, "identity": {"userArn": None, "sourceIp": "203.0.113.9"}}, False),
        ({"authorizer": {"claims": {}}}, False),
        ({"authorizer": {"claims": {"sub": "8c1f", "email": "a@example.com"}}}, True),
        ({"identity": {"userArn": "arn:aws:iam::111122223333:user/ops"}}, True),
    ],
)
def test_writes_need_a_caller_that_the_gateway_vouches_for(
    services: Services, anomaly: Anomaly, context: Any, passes: bool
) -> None:
    app = create_app(replace(services, writes_open=False))
    mutes, gap = "/alerts/mutes", {"kind": "gap"}
    acknowledgement = f"/anomalies/TSLA/{anomaly.id}/acknowledgement"
    for method, path, query in (
        ("PUT", mutes, gap), ("DELETE", mutes, gap), ("PUT", acknowledgement, {}), ("DELETE", acknowledgement, {}),
    ):  # fmt: skip
        event = {
            "path": path,
            "httpMethod": method,
            "queryStringParameters": query,
            "requestContext": context,
            "headers": {"Authorization": "Bearer made-up"},
            "body": f'{{"until": "{LATER}"}}' if method == "PUT" else None,
        }
        assert app.resolve(normalized(event), None)["statusCode"] == (200 if passes else 401)  # type: ignore[arg-type]
    assert services.alerts.mutes() == []
