"""Routes and channels by the API: checked, with who, when, before and after; and a message to try them."""

from __future__ import annotations

import json
from dataclasses import replace

import boto3
import pytest

from api.alert_models import AlertRoutes, RoutingChange
from api.models import ProblemModel
from api.services import Services
from consumers.alerts.parameters import SettingsReader
from consumers.alerts.settings import News, parse
from consumers.contracts.events import Event
from tests.api.client import NOW_MS, Api

PARAMETER = "/stock-tracker/alerts"
NTFY = {"type": "ntfy", "settings": {"url": "https://ntfy.sh/desk"}}


def put(api: Api, **wanted: object) -> RoutingChange:
    reply = api.send("PUT", "/alerts/routes", wanted)
    assert reply.status == 200, reply.text
    return RoutingChange.model_validate_json(reply.text)


def test_routes_and_channels_are_set_and_the_rest_of_the_settings_stays(api: Api) -> None:
    before = AlertRoutes.model_validate_json(api.get("/alerts/routes").text)
    assert (before.routes, before.channels) == ([], {})
    assert before.types["ntfy"].settings.keys() == NTFY["settings"].keys()  # type: ignore[attr-defined]
    assert "sns" not in before.types
    ssm = boto3.client("ssm")
    ssm.put_parameter(
        Name=PARAMETER, Value='{"time_zone":"Europe/London","digest":{"every":"day"}}', Type="String"
    )
    first = put(api, channels={"desk": NTFY})
    assert (first.by, first.before.channels, first.channels["desk"].type) == ("somebody", {}, "ntfy")
    assert first.at.endswith("Z")
    route = {"severity": ["critical"], "ticker": ["TSLA"], "channels": ["desk"], "notify": "at_once"}
    hours = {"from": "09:30", "until": "16:00"}
    second = put(api, routes=[{**route, "hours": hours}, {"notify": "digest"}])
    assert [one.channels for one in second.routes] == [["desk"], None]
    assert (second.before.routes, list(second.before.channels)) == ([], ["desk"])
    # What the notifier reads is this, and what was not set is as it was.
    settings = SettingsReader(ssm, lambda: NOW_MS, lambda error: pytest.fail(str(error))).settings()
    assert (settings.time_zone, settings.digest.every) == ("Europe/London", "day")
    at_noon = NOW_MS // 86_400_000 * 86_400_000 + 12 * 3_600_000
    news = News(severity="critical", ticker="TSLA", kind="gap", origin="live")
    assert settings.route(news, at_noon).channels == ("desk",)
    history = ssm.get_parameter_history(Name=PARAMETER)["Parameters"]
    assert [version.get("Description") for version in history][1:] == [
        "somebody set channels",
        "somebody set routes",
    ]


def test_one_value_stands_for_a_list_of_it_as_in_the_settings_file(api: Api) -> None:
    one = {"severity": "high", "ticker": "tsla", "kind": "gap", "origin": "live", "channels": "sns"}
    hours = {"from": "09:30", "until": "16:00", "weekday": "mon"}
    by_file = parse(json.dumps({"routes": [{**one, "hours": hours}]}))
    put(api, routes=[{**one, "hours": hours}])
    in_force = boto3.client("ssm").get_parameter(Name=PARAMETER)["Parameter"]["Value"]
    assert parse(in_force).routes == by_file.routes


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({}, "one of them at least"),
        ({"routes": [{"channels": ["desk"]}]}, "'desk' is no channel"),
        ({"routes": [{"severity": ["urgent"]}]}, "severity"),
        ({"channels": {"desk": {"type": "fax"}}}, "fax"),
        ({"channels": {"desk": {"type": "ntfy", "settings": {"colour": "red"}}}}, "colour"),
        ({"channels": {"sns": NTFY}}, "sns"),
        ({"routes": [{"ticker": ["TSLA"] * 900}]}, "at most 4096"),
        ({"digest": {"every": "day"}}, "digest"),
        ({"routes": [{"hours": {"from": "9:30", "until": "16:00"}}]}, "must be one such as 18:00"),
        ({"routes": [{"severity": "urgent"}]}, "urgent"),
        ({"routes": [{"channels": 7}]}, "must be a list"),
    ],
)
def test_what_is_not_allowed_is_named_and_changes_nothing(
    api: Api, wanted: dict[str, object], said: str
) -> None:
    rejected = api.send("PUT", "/alerts/routes", wanted)
    ProblemModel.model_validate(rejected.json)
    assert rejected.status == 400
    assert said in rejected.json["detail"]
    assert rejected.json["where"].partition(".")[0] in {*wanted, "routes"}
    assert "Parameter" not in json.dumps(boto3.client("ssm").get_parameters(Names=[PARAMETER])["Parameters"])


def test_where_says_which_value_is_wrong(api: Api) -> None:
    for wanted, where in (
        ({"routes": [{}, {"hours": {"from": "9:30", "until": "16:00"}}]}, "routes.1.hours.from"),
        ({"channels": {"Desk": NTFY}}, "channels.Desk"),
        ({"routes": [{}], "channels": {"desk": {"type": "fax"}}}, "channels.desk"),
    ):
        assert api.send("PUT", "/alerts/routes", wanted).json["where"] == where


def test_what_the_settings_file_takes_can_be_put_back(api: Api) -> None:
    of_file = (
        '{"routes": [{"origin": "verify", "ticker": " tsla ", "hours": {"from": "22:00", "until": "07:00"}}]}'
    )
    boto3.client("ssm").put_parameter(Name=PARAMETER, Value=of_file, Type="String")
    found = AlertRoutes.model_validate_json(api.get("/alerts/routes").text)
    routes = [route.model_dump(mode="json", by_alias=True) for route in found.routes]
    assert routes[0]["hours"]["from"] == "22:00"
    assert put(api, routes=routes).routes == found.routes


def test_a_parameter_that_was_spoilt_by_hand_is_named(api: Api) -> None:
    boto3.client("ssm").put_parameter(Name=PARAMETER, Value="{", Type="String")
    for reply in (api.get("/alerts/routes"), api.send("PUT", "/alerts/routes", {"routes": []})):
        assert reply.status == 503
        assert PARAMETER in reply.json["detail"]


def test_a_test_message_is_asked_of_the_notifier(services: Services) -> None:
    sent: list[Event] = []
    api = Api(replace(services, send_events=sent.extend))
    reply = api.send("POST", "/alerts/test", None)
    assert (reply.status, reply.json) == (200, {"id": f"test-{NOW_MS}", "by": "somebody"})
    assert [(event.detail_type, event.detail["data"]["id"]) for event in sent] == [("AlertTest", str(NOW_MS))]


def test_a_stranger_changes_nothing(services: Services) -> None:
    api = Api(replace(services, writes_open=False))
    assert api.send("PUT", "/alerts/routes", {"routes": []}).status == 401
    assert api.send("POST", "/alerts/test", None).status == 401
