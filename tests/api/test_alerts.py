"""Messages as they are listed, and what people order about them."""

from __future__ import annotations

import base64
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import boto3
import pytest

from api.incident_models import IncidentDetail, IncidentList, IncidentModel
from api.models import AlertList, ProblemModel, Removed, SilenceModel
from api.rule_models import RuleModel
from api.services import Services
from consumers.alerts import links
from consumers.alerts.event import AlertEvent
from consumers.alerts.model import Acknowledgement, Message, Silence
from consumers.alerts.notifier import Notifier
from consumers.alerts.settings import AlertSettings
from consumers.contracts.anomaly import Anomaly, iso_ms
from tests.api.charts import bar, put_bar
from tests.api.client import NOW_MS, Api, JsonObject, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HOUR_MS = 3_600_000
LATER = iso_ms(NOW_MS + HOUR_MS)


@pytest.fixture
def anomaly(table: Table) -> Anomaly:
    return table.put("TSLA", NOW_MS - 1000, "price_spike", severity="high")


@pytest.fixture
def notified(services: Services, anomaly: Anomaly) -> Notifier:
    """A notifier that took the anomaly in, and whose one channel took the message."""
    notifier = Notifier(
        services.alerts,
        lambda _channel, _message, _settings: "receipt-1",
        dead_letter=lambda _message, _delivery: None,
        clock=lambda: NOW_MS,
        watched=lambda: 2,
    )
    notifier.handle([AlertEvent.of("detected", anomaly, NOW_MS - 1000)], AlertSettings())
    return notifier


@pytest.mark.usefixtures("notified")
def test_messages_are_listed_newest_first_over_the_change_of_a_day(
    api: Api, services: Services, anomaly: Anomaly
) -> None:
    yesterday = NOW_MS - 20 * HOUR_MS
    for made_ms in (yesterday, yesterday - 5 * HOUR_MS):
        services.alerts.put_message(Message(f"test-{made_ms}", "test", made_ms, ("sns",)), made_ms)
    listed = api.get("/alerts").json
    AlertList.model_validate(listed, strict=True)
    incident = f"simulated-TSLA-{NOW_MS - 1000}"
    assert [row["id"] for row in listed["alerts"]] == [f"{incident}#1", f"test-{yesterday}"]
    subject = listed["alerts"][0].pop("subject")
    assert subject.startswith("[SIMULATED] HIGH: TSLA price spike")
    assert listed["alerts"][0] == {
        "id": f"{incident}#1", "message_kind": "opened", "status": "sent", "made_at": iso_ms(NOW_MS),
        "sent_at": iso_ms(NOW_MS), "incident_id": incident, "anomaly_id": anomaly.id, "ticker": "TSLA",
        "kind": "price_spike", "severity": "high", "origin": "simulated",
        "deliveries": [{"channel": "sns", "status": "sent", "attempts": 1, "sent_at": iso_ms(NOW_MS),
                        "receipt": "receipt-1", "error": None, "picture": None}],
    }  # fmt: skip
    assert (listed["alerts"][1]["status"], listed["alerts"][1]["sent_at"]) == ("pending", None)
    assert api.get("/alerts", since=iso_ms(yesterday - 6 * HOUR_MS)).json["count"] == 3
    assert api.get("/alerts", since=iso_ms(NOW_MS + 1)).status == 400


def token(services: Services, action: links.Action, message: str = "#1", until_ms: int = 0) -> str:
    id_ = f"simulated-TSLA-{NOW_MS - 1000}"
    until_s = (until_ms or NOW_MS + HOUR_MS) // 1000
    allowed = links.Grant(action, id_, id_ + message, "desk", until_s)
    return links.sign(services.alerts.link_key(NOW_MS, bytes), allowed)


@pytest.mark.usefixtures("notified")
def test_a_link_acts_once_and_without_a_sign_in(services: Services) -> None:
    api = Api(replace(services, writes_open=False))
    link = token(services, "acknowledge")
    reply = api.send("POST", "/links", {"token": link})
    IncidentModel.model_validate(reply.json, strict=True)
    assert (reply.status, reply.json["state"]) == (200, "acknowledged")
    assert reply.json["acknowledged_by"] == "a link sent to desk"
    assert reply.json["acknowledged_until"] == iso_ms(NOW_MS + 4 * HOUR_MS)
    for bad, said in (
        (link, "the link was used"),
        (token(services, "silence", until_ms=NOW_MS), "the link has expired"),
        (link[:-8] + "AAAAAAAA", "not of this monitor"),
        ("nonsense", "the link is not of this monitor"),
    ):
        refused = api.send("POST", "/links", {"token": bad})
        ProblemModel.model_validate(refused.json)
        assert refused.status == 410
        assert said in refused.json["detail"]
    assert api.send("POST", "/links", {"token": "x" * 2000}).status == 400
    assert api.send("POST", "/links", {"token": token(services, "silence")}).status == 200
    (silence,) = services.alerts.silences()
    assert (silence.ticker, silence.by, silence.until_ms) == ("TSLA", "a link sent to desk", NOW_MS + HOUR_MS)
    id_ = f"simulated-TSLA-{NOW_MS - 1000}"
    assert api.send("POST", f"/incidents/{id_}/acknowledge", {"until": LATER}).status == 401
    assert api.send("DELETE", f"/incidents/{id_}/acknowledge").status == 401


@pytest.mark.usefixtures("notified")
def test_an_incident_was_useful_or_noise_with_who_and_when(
    api: Api, services: Services, dynamodb: DynamoDBClient
) -> None:
    minute_ms = (NOW_MS - 1000) // 60_000 * 60_000
    for minutes, close in ((0, 100.0), (5, 101.0)):
        put_bar(dynamodb, "simulated", "TSLA", bar(minute_ms + minutes * 60_000, close))
    path = f"/incidents/simulated-TSLA-{NOW_MS - 1000}"
    before = api.get(path).json
    IncidentDetail.model_validate(before, strict=True)
    assert before["feedback"] == []
    assert before["after"] == [{"minutes": 5, "move": pytest.approx(0.01)}, {"minutes": 30, "move": None}]
    said = api.send("POST", f"{path}/feedback", {"useful": False})
    IncidentDetail.model_validate(said.json, strict=True)
    (row,) = said.json["feedback"]
    assert (row["useful"], row["at"], row["by"]) == (False, iso_ms(NOW_MS), "somebody")
    assert {**said.json, "feedback": []} == before  # the incident and its anomalies stay as they were
    for body, status in (
        ({"useful": True, "anomaly_id": "TSLA-1-gap"}, 400),
        ({"useful": "yes"}, 400),
        ({}, 400),
        ({"useful": True, "more": 1}, 400),
    ):
        assert api.send("POST", f"{path}/feedback", body).status == status
    assert api.send("POST", "/incidents/live-TSLA-1/feedback", {"useful": True}).status == 404
    closed = Api(replace(services, writes_open=False))
    assert closed.send("POST", f"{path}/feedback", {"useful": True}).status == 401
    link = token(services, "useful")
    assert closed.send("POST", "/links", {"token": link}).status == 200
    assert closed.send("POST", "/links", {"token": link}).status == 410
    assert [one["by"] for one in api.get(path).json["feedback"]][-1] == "a link sent to desk"


@pytest.mark.usefixtures("notified")
def test_an_incident_is_acknowledged_by_its_id(api: Api) -> None:
    path = f"/incidents/simulated-TSLA-{NOW_MS - 1000}"
    assert api.get(path).json["state"] == "open"
    known = api.send("POST", f"{path}/acknowledge", {"until": LATER, "reason": "mine"}).json
    IncidentModel.model_validate(known, strict=True)
    assert (known["state"], known["acknowledged_until"]) == ("acknowledged", LATER)
    assert api.get(path).json.items() >= known.items()
    assert api.send("DELETE", f"{path}/acknowledge").json["state"] == "open"
    for path, status in (
        ("/incidents/live-TSLA-1", 404),
        ("/incidents/nonsense", 400),
        ("/incidents/live-A-1x", 400),
    ):
        assert api.get(path).status == status
        reply = api.send("POST", f"{path}/acknowledge", {"until": LATER})
        assert (reply.status, reply.json["where"]) == (status, "incident_id")


def test_incidents_are_listed_with_their_state(api: Api, notified: Notifier, anomaly: Anomaly) -> None:
    def row() -> JsonObject:
        listed = api.get("/incidents").json
        IncidentList.model_validate(listed, strict=True)
        (found,) = listed["incidents"]
        return JsonObject(found)

    assert (row()["state"], row()["severity"], row()["open_count"]) == ("open", "high", 1)
    assert [message["kind"] for message in row()["messages"]] == ["opened"]
    path = f"/anomalies/TSLA/{anomaly.id}/acknowledgement"
    assert api.send("PUT", path, {"until": LATER}).status == 200
    assert (row()["state"], row()["acknowledged_until"]) == ("acknowledged", LATER)
    worse = replace(anomaly, severity="critical")
    notified.handle([AlertEvent.of("escalated", worse, NOW_MS)], AlertSettings())
    assert (row()["state"], row()["severity"]) == ("open", "critical")
    notified.handle([AlertEvent.of("ended", worse, NOW_MS)], AlertSettings())
    assert (row()["state"], row()["resolved_at"]) == ("resolved", iso_ms(NOW_MS))


def test_what_is_resolved_is_not_acknowledged_and_the_answer_says_so(
    api: Api, services: Services, notified: Notifier, anomaly: Anomaly
) -> None:
    notified.handle([AlertEvent.of("ended", anomaly, NOW_MS)], AlertSettings())
    incident = services.alerts.incident_of(anomaly.id)
    for method, path, body in (
        ("PUT", f"/anomalies/TSLA/{anomaly.id}/acknowledgement", {"until": LATER}),
        ("POST", f"/incidents/simulated-TSLA-{NOW_MS - 1000}/acknowledge", {"until": LATER}),
        ("POST", "/links", {"token": token(services, "acknowledge")}),
    ):
        answer = api.send(method, path, body)
        said = ProblemModel.model_validate(answer.json, strict=True)
        assert (answer.status, said.title) == (409, "Conflict")
        assert f"was resolved at {iso_ms(NOW_MS)}: there is nothing to acknowledge" in said.detail
    assert services.alerts.incident_of(anomaly.id) == incident
    withdrawn = api.send("DELETE", f"/incidents/simulated-TSLA-{NOW_MS - 1000}/acknowledge")
    assert (withdrawn.status, withdrawn.json["where"]) == (404, "incident_id")


def test_a_silence_is_made_replaced_listed_and_expired(api: Api, services: Services) -> None:
    path, scope = "/alerts/silences", {"ticker": "tsla", "kind": "price_spike"}
    made = api.send("PUT", path, {"until": LATER, "reason": "earnings"}, **scope)
    assert made.status == 200
    SilenceModel.model_validate(made.json, strict=True)
    assert made.json["by"] == "somebody"
    assert services.alerts.silences() == [
        Silence(NOW_MS + HOUR_MS, "TSLA", "price_spike", "earnings", "somebody")
    ]
    rejected = api.send("PUT", path, {"until": LATER, "reason": "two\nlines"}, **scope)
    assert (rejected.status, rejected.json["where"]) == (400, "reason")
    assert rejected.json["allowed"] == "one line of at most 200 characters"
    longer = iso_ms(NOW_MS + 2 * HOUR_MS)
    assert api.send("PUT", path, {"until": longer}, **scope).status == 200
    assert [one["until"] for one in api.get("/alerts").json["silences"]] == [longer]
    ended = api.send("DELETE", path, **scope)
    Removed.model_validate(ended.json, strict=True)
    assert (ended.status, ended.json) == (200, {"removed": "TSLA price_spike"})
    assert api.send("DELETE", path, **scope).status == 404
    assert services.alerts.silences() == []


def test_all_can_be_silenced_and_only_by_saying_so(api: Api, services: Services) -> None:
    assert api.send("PUT", "/alerts/silences", {"until": LATER}).status == 400
    assert api.send("PUT", "/alerts/silences", {"until": LATER}, all="true", kind="gap").status == 400
    assert api.send("PUT", "/alerts/silences", {"until": LATER}, all="true").status == 200
    assert services.alerts.silences()[0].covers("ANY", "gap")


@pytest.mark.usefixtures("notified")
def test_an_acknowledgement_is_of_the_incident_of_an_anomaly(
    api: Api, services: Services, anomaly: Anomaly
) -> None:
    path = f"/anomalies/TSLA/{anomaly.id}/acknowledgement"
    answer = api.send("PUT", path, {"until": LATER, "reason": "we know"})
    SilenceModel.model_validate(answer.json, strict=True)
    (incident,) = services.alerts.acknowledged(NOW_MS)
    assert incident.acknowledgement == Acknowledgement("somebody", NOW_MS + HOUR_MS, 2, "we know", anomaly.id)
    assert api.get("/alerts").json["silences"] == [answer.json]
    assert (answer.json["acknowledged"], answer.json["by"]) == (anomaly.id, "somebody")
    assert api.send("DELETE", path).status == 200
    again = api.send("DELETE", path)
    assert (again.status, again.json["where"]) == (404, "anomaly_id")
    assert api.get("/alerts").json["silences"] == []


def test_an_ended_silence_is_not_listed(api: Api, services: Services) -> None:
    services.alerts.put_silence(Silence(NOW_MS, "KO"))
    services.alerts.put_silence(Silence(NOW_MS + 1, "XOM"))
    assert [one["ticker"] for one in api.get("/alerts").json["silences"]] == ["XOM"]


@pytest.mark.parametrize(
    ("path", "query", "body", "where", "allowed"),
    [
        ("/alerts/silences", {"kind": "oops"}, {"until": LATER}, "kind", "bad_tick, frozen_feed"),
        ("/alerts/silences", {"kind": "gap"}, {"until": iso_ms(NOW_MS)}, "until", "after now"),
        ("/alerts/silences", {"kind": "gap"}, {"until": "2027-11-24T00:00Z"}, "until", "at most 30 days"),
        ("/alerts/silences", {"kind": "gap"}, {"until": "soon"}, "until", "an ISO 8601 instant such as"),
        ("/alerts/silences", {"kind": "gap"}, {"until": 1_795_530_700}, "until", "ISO 8601"),
        ("/alerts/silences", {"kind": "gap"}, {}, "until", "given"),
        ("/alerts/silences", {"kind": "gap"}, {"until": LATER, "why": "x"}, "why", "left out"),
        ("/alerts/silences", {"kind": "gap"}, {"until": LATER, "reason": "x" * 201}, "reason", "200"),
        ("/alerts/silences", {"kind": "gap"}, None, "body", ""),
        ("/anomalies/TSLA/oops/acknowledgement", {}, {"until": LATER}, "anomaly_id", "<ticker>-<epoch ms>"),
    ],
)
def test_bad_requests_say_where_and_what_is_allowed(
    *, api: Api, services: Services, path: str, query: dict[str, str], body: object, where: str, allowed: str
) -> None:
    answer = api.send("PUT", path, body, **query)
    assert answer.status == 400
    problem = ProblemModel.model_validate(answer.json, strict=True)
    assert problem.where == where
    assert allowed in (problem.allowed or "")
    assert services.alerts.silences() == []


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '"x"',
        "\x00",
        "[" * 9000,
        '{"until":' * 1500,
        '{"until":' + "9" * 5000 + "}",
        " " * 20_000,
        "1e400",
    ],
    ids=["cut", "list", "text", "control", "brackets", "objects", "digits", "long", "huge"],
)
def test_a_body_that_is_no_object_is_rejected(api: Api, text: str) -> None:
    for event in (
        {"body": text},
        {"body": base64.b64encode(text.encode()).decode(), "isBase64Encoded": True},
    ):
        reply = api.invoke(
            {
                "path": "/alerts/silences",
                "httpMethod": "PUT",
                "queryStringParameters": {"kind": "gap"},
                **event,
            }
        )
        assert reply.status == 400
        assert len(reply.text) < 1000
        assert reply.json["where"].split(".")[0] in {"body", "wanted"}


def test_a_body_that_is_no_base64_after_all_is_rejected(api: Api) -> None:
    event = {"path": "/alerts/silences", "httpMethod": "PUT", "queryStringParameters": {"kind": "gap"}}
    assert api.invoke({**event, "body": "\x00{", "isBase64Encoded": True}).status == 400


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data", "", None])
def test_a_body_is_json_whatever_it_is_called(api: Api, services: Services, content_type: str | None) -> None:
    headers = None if content_type is None else {"content-type": content_type}
    made = api.with_headers(headers).send("PUT", "/alerts/silences", {"until": LATER}, kind="gap")
    assert made.status == 200
    assert len(services.alerts.silences()) == 1


def test_an_anomaly_that_is_not_there_cannot_be_acknowledged(api: Api) -> None:
    answer = api.send("PUT", "/anomalies/KO/KO-1-gap/acknowledgement", {"until": LATER})
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
@pytest.mark.usefixtures("notified")
def test_writes_need_a_caller_that_the_gateway_vouches_for(
    services: Services, anomaly: Anomaly, context: object, passes: bool
) -> None:
    api = Api(replace(services, writes_open=False))
    silences, gap = "/alerts/silences", {"kind": "gap"}
    acknowledgement = f"/anomalies/TSLA/{anomaly.id}/acknowledgement"
    targets: list[tuple[str, dict[str, str]]] = [(silences, gap), (acknowledgement, {})]
    for method, (path, query) in product(("PUT", "DELETE"), targets):
        event = {
            "path": path,
            "httpMethod": method,
            "queryStringParameters": query,
            "requestContext": context,
            "headers": {"Authorization": "Bearer made-up"},
            "body": f'{{"until": "{LATER}"}}' if method == "PUT" else None,
        }
        assert api.invoke(event).status == (200 if passes else 401)
    assert services.alerts.silences() == []


def test_rules_are_added_listed_and_removed(api: Api) -> None:
    wanted = {"id": "aapl-200", "when": "above", "value": 200, "ticker": "aapl", "repeat": "daily"}
    added = api.send("POST", "/rules", wanted)
    RuleModel.model_validate(added.json)
    assert (added.status, added.json["ticker"], added.json["severity"]) == (200, "AAPL", "high")
    assert api.get("/rules").json == {"rules": [added.json], "count": 1}
    for changes, said in (
        ({}, "rule: two rules have the id 'aapl-200'; must be different ids"),
        ({"id": "b", "when": "moves"}, "value: must be a percentage from 0.01 to 90"),
        ({"id": "b", "ticker": ""}, "ticker: must be named, where a price is the limit"),
        ({"id": "b c"}, "id: must be 1 to 32 of A-Z a-z 0-9 -"),
        ({"id": "b", "hysteresis": 51}, "hysteresis: must be 0 to 50 percent"),
        ({"id": "b", "ticker": "A B"}, "ticker: ticker is 'A B'; must be a ticker of 1 to 32 of A-Z"),
        ({"id": "b", "ticker": None}, "ticker: ticker is null; must be a ticker of 1 to 32 of A-Z"),
        ({"id": "b", "value": True}, "value: value is true; must be a number"),
        ({"id": "b", "repeat": "hourly"}, "repeat: must be one of once, daily, always"),
    ):
        where, _, sentence = said.partition(": ")
        rejected = api.send("POST", "/rules", {**wanted, **changes})
        ProblemModel.model_validate(rejected.json)
        assert (rejected.status, rejected.json["where"]) == (400, where)
        assert sentence in rejected.json["detail"]
    assert api.send("POST", "/rules", {**wanted, "colour": "red"}).status == 400
    assert api.send("DELETE", "/rules/aapl-200").json == {"removed": "aapl-200"}
    assert api.send("DELETE", "/rules/aapl-200").status == 404
    assert api.get("/rules").json["count"] == 0


def test_thresholds_are_set_one_by_one_and_say_by_whom(api: Api) -> None:
    assert api.get("/thresholds").json == {"default": 2.5, "kinds": {}, "tickers": {}}
    signed = api.send("PUT", "/thresholds", {"value": 4, "ticker": "TSLA", "kind": "gap"})
    assert (signed.status, signed.json["tickers"], signed.json["by"]) == (
        200,
        {"TSLA": {"gap": 4}},
        "somebody",
    )
    api.send("PUT", "/thresholds", {"value": 3, "kind": "gap"})
    api.send("PUT", "/thresholds", {"value": 5, "ticker": "KO"})
    api.send("PUT", "/thresholds", {"value": 2})
    found = api.get("/thresholds").json
    assert found == {"default": 2, "kinds": {"gap": 3}, "tickers": {"TSLA": {"gap": 4}, "KO": 5}}
    history = boto3.client("ssm").get_parameter_history(Name="/stock-tracker/threshold")["Parameters"]
    assert [version["Description"] for version in history][-2:] == [
        "somebody set KO to 5",
        "somebody set default to 2",
    ]
    for where, given, allowed in (
        ("value", {"value": 0}, "a number from 0.1 to 1000"),
        ("kind", {"value": 3, "kind": "rule"}, "one of bad_tick, "),
        ("ticker", {"value": 3, "ticker": "A B"}, "a ticker of 1 to 32 of A-Z"),
    ):
        rejected = api.send("PUT", "/thresholds", given)
        assert (rejected.status, rejected.json["where"]) == (400, where)
        assert rejected.json["allowed"].startswith(allowed)
    for wrong in (
        {"value": 3, "kind": "gape"},
        {"value": "3"},
        {"value": 3, "tickers": "KO"},
        {},
    ):
        assert api.send("PUT", "/thresholds", wrong).status == 400
    assert api.get("/thresholds").json == found


@pytest.mark.parametrize(
    ("path", "name", "change"),
    [
        ("/thresholds", "/stock-tracker/threshold", ("PUT", {"value": 3})),
        (
            "/rules",
            "/stock-tracker/rules",
            ("POST", {"id": "a", "when": "above", "value": 2, "ticker": "KO"}),
        ),
    ],
)
def test_a_parameter_that_was_spoilt_by_hand_is_named(
    api: Api, path: str, name: str, change: tuple[str, dict[str, object]]
) -> None:
    boto3.client("ssm").put_parameter(Name=name, Value="{", Type="String", Overwrite=True)
    for answer in (api.get(path), api.send(change[0], path, change[1])):
        assert answer.status == 503
        assert name in answer.text


def test_an_incident_says_what_news_of_it_waits_for(
    api: Api, services: Services, notified: Notifier, anomaly: Anomaly, table: Table
) -> None:
    """Only `alerts show` did."""
    services.alerts.put_silence(Silence(NOW_MS + HOUR_MS, "TSLA"))
    medium = table.put("KO", NOW_MS - 1000, "price_spike", severity="medium")
    daily = AlertSettings.model_validate({"digest": {"every": "day"}})
    worse = AlertEvent.of("escalated", replace(anomaly, severity="critical"), NOW_MS)
    notified.handle([AlertEvent.of("detected", medium, NOW_MS - 1000)], daily)

    def unsent() -> dict[str, object]:
        return {one["subject"]: one["unsent"] for one in api.get("/incidents").json["incidents"]}

    assert unsent() == {"TSLA": None, "KO": "for_digest"}
    notified.handle([worse], daily)
    assert unsent() == {"TSLA": "kept_back", "KO": "for_digest"}
