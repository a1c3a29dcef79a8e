"""Rights of the functions' roles: the local AWS denies what no statement of a role allows."""

from __future__ import annotations

import json
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from botocore.exceptions import ClientError

from api import contract
from consumers.contracts.anomaly import iso_ms
from localstack.rights import place
from localstack.rights_report import collect, mutations, recorded, state
from localstack.settings import ACCOUNT, LocalSettings, read_settings
from producers.publisher import Publisher
from stream_infra import names
from tests.e2e.in_the_name_of import LOGS, InTheNameOf
from tests.e2e.monitor import Json, Monitor
from tests.e2e.rare_calls import make
from tests.e2e.test_at_work import nothing_denied
from tests.e2e.test_browser import calm_then_a_jump
from tests.rights import ARGUED, Account

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def _strict(monitor: Monitor) -> None:
    if monitor.given:
        pytest.skip("LocalStack 4.9.2: policies are not enforced in this edition")


@pytest.fixture
def settings(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> LocalSettings:
    """Where the record of rights is."""
    for name, value in monitor.environment().items():
        monkeypatch.setenv(name, value)
    return read_settings()


def test_a_function_s_credentials_do_not_reach_the_work_of_another(monitor: Monitor) -> None:
    """The scanner's own items only, and events of the feed only: conditions of its role."""
    scanner = InTheNameOf(monitor, names.SCANNER)
    forged = {"pk": {"S": "partition#0"}, "sk": {"S": "block#999999999999"}}
    with pytest.raises(ClientError, match="not authorized to perform: dynamodb:PutItem"):
        scanner.client("dynamodb").put_item(TableName=names.WINDOWS_TABLE, Item=forged)
    event = {"EventBusName": names.BUS, "Source": names.EVENT_SOURCE, "Detail": "{}"}
    with pytest.raises(ClientError, match="not authorized to perform: events:PutEvents"):
        scanner.client("events").put_events(Entries=[event | {"DetailType": "AnomalyDetected"}])


def test_the_api_may_do_what_each_of_its_routes_does(monitor: Monitor) -> None:
    """Every route of the OpenAPI document, for what is really there: a right that lacks shows as a 503."""

    def request(method: str, path: str, body: Json = None) -> tuple[int, Json]:
        data = None if body is None else json.dumps(body).encode()
        asked = Request(
            f"{monitor.origin}/api{path}", data, {"content-type": "application/json"}, method=method
        )
        try:
            with urlopen(asked, timeout=30) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    def listed() -> list[Json]:
        return list(request("GET", "/incidents")[1]["incidents"])

    incident = monitor.eventually(listed, 120, "an incident is listed")[0]
    anomaly = request("GET", "/anomalies?limit=1")[1]["anomalies"][0]
    of_incident, until = (
        f"/incidents/{incident['id']}",
        {"until": iso_ms(time.time_ns() // 1_000_000 + 60_000)},
    )
    of_anomaly = f"/anomalies/{anomaly['ticker']}/{anomaly['id']}"
    routing = request("GET", "/alerts/routes")[1]
    rule = {"id": "rights", "ticker": "KO", "when": "above", "value": 1}
    tickers = [one["ticker"] for one in request("GET", "/tickers")[1]["tickers"]]
    steps: dict[tuple[str, str], list[tuple[str, Json]]] = {
        ("GET", "/alerts"): [("/alerts", None)],
        ("GET", "/alerts/routes"): [("/alerts/routes", None)],
        ("PUT", "/alerts/routes"): [("/alerts/routes", {"routes": routing["routes"]})],
        ("POST", "/alerts/test"): [("/alerts/test", None)],
        ("PUT", "/alerts/silences"): [("/alerts/silences?ticker=KO", until)],
        ("DELETE", "/alerts/silences"): [("/alerts/silences?ticker=KO", None)],
        ("GET", "/anomalies"): [("/anomalies?severity=high", None), ("/anomalies?kind=gap", None)],
        ("GET", "/anomalies/{ticker}"): [(f"/anomalies/{anomaly['ticker']}", None)],
        ("GET", "/anomalies/{ticker}/{anomaly_id}"): [(of_anomaly, None)],
        ("PUT", "/anomalies/{ticker}/{anomaly_id}/acknowledgement"): [
            (f"{of_anomaly}/acknowledgement", until)
        ],
        ("DELETE", "/anomalies/{ticker}/{anomaly_id}/acknowledgement"): [
            (f"{of_anomaly}/acknowledgement", None)
        ],
        ("GET", "/health"): [("/health", None), ("/health?depth=full", None)],
        ("GET", "/incidents"): [("/incidents", None)],
        ("GET", "/incidents/{incident_id}"): [(of_incident, None)],
        ("POST", "/incidents/{incident_id}/acknowledge"): [(f"{of_incident}/acknowledge", until)],
        ("DELETE", "/incidents/{incident_id}/acknowledge"): [(f"{of_incident}/acknowledge", None)],
        ("POST", "/incidents/{incident_id}/feedback"): [(f"{of_incident}/feedback", {"useful": True})],
        ("GET", "/kinds"): [("/kinds", None)],
        ("POST", "/links"): [("/links", {"token": "x"})],
        ("GET", "/openapi.json"): [("/openapi.json", None)],
        ("GET", "/quotes/{ticker}"): [(f"/quotes/{tickers[0]}{query}", None) for query in ("", "?length=5s")],
        ("GET", "/rules"): [("/rules", None)],
        ("POST", "/rules"): [("/rules", rule)],
        ("DELETE", "/rules/{rule_id}"): [("/rules/rights", None)],
        ("GET", "/safety/{ticker}"): [(f"/safety/{tickers[0]}", None)],
        ("GET", "/schemas"): [("/schemas", None)],
        ("GET", "/schemas/{name}"): [("/schemas/asyncapi", None)],
        ("GET", "/stats"): [("/stats", None)],
        ("GET", "/thresholds"): [("/thresholds", None)],
        ("PUT", "/thresholds"): [("/thresholds", {"kind": "gap", "value": of}) for of in (3, None)],
        ("GET", "/tickers"): [("/tickers", None)],
        ("PUT", "/tickers"): [("/tickers", {"tickers": tickers})],
    }
    routes = {(verb.upper(), path) for path, of in contract.document()["paths"].items() for verb in of}
    assert set(steps) == routes, "what each route does has to be tried here"
    with nothing_denied(monitor, names.API_HANDLER):
        for (method, _), tries in steps.items():
            for path, body in tries:
                status, said = request(method, path, body)
                assert status < 500, (method, path, said)


def test_a_watch_list_in_s3_is_read_by_all_who_watch(monitor: Monitor, settings: LocalSettings) -> None:
    """Systems Manager guide, "Managing parameter tiers": 4 KB; what is longer is an object, which the API writes."""

    def put(tickers: list[str], **more: bool) -> None:
        body = json.dumps({"tickers": tickers, **more}).encode()
        headers = {"content-type": "application/json"}
        with urlopen(
            Request(f"{monitor.origin}/api/tickers", body, headers, method="PUT"), timeout=60
        ) as said:
            assert said.status == 200

    def readers() -> set[str]:
        return {
            call.role
            for call in recorded(settings)
            if call.action == "s3:GetObject" and "/watch-lists/" in call.place
        }

    before = [one["ticker"] for one in monitor.get("/api/tickers")["tickers"]]
    put([*before, "IBM"])  # asks the scanner whether its source quotes it
    try:
        put([*before, *(f"{n:A>32}" for n in range(125))], unchecked=True)
        batch = calm_then_a_jump("RIGHTS", int(time.time() * 1000))
        Publisher(monitor.client("kinesis"), names.STREAM, 4).publish([batch])

        def has_been_read() -> bool:
            monitor.get("/api/tickers")
            return len(readers()) == 3

        monitor.eventually(has_been_read, 120, "scanner, notifier and API have read the list")
    finally:
        put(before)


def test_without_any_statement_of_a_role_a_call_of_these_tests_is_denied(
    monitor: Monitor, settings: LocalSettings
) -> None:
    """IAM guide, "Policy evaluation logic": what no statement allows is denied.

    What no test before made a function do is made with its role's credentials here: each call is judged by the
    policies that were deployed, and fails without its statement. `localstack.rights_report` says of every statement
    which calls it alone allowed; conftest.py writes its tables to build/rights.txt, and puts this test behind others.
    """
    account, denied = Account(ACCOUNT), list[str]()
    for name in names.FUNCTIONS:
        role, made = (
            InTheNameOf(monitor, name),
            {(one.role, one.action, one.place) for one in recorded(settings)},
        )
        for call in account.calls(name):
            if (role.name, call.action, place(call.resource)) in made or call.action in LOGS:
                continue
            # Simulated quotes need no keys, so the role has no right to them.
            if names.SOURCE_SECRET not in call.resource:
                denied += make(role.client, monitor.client, call)
    assert denied == []
    found = collect(settings)
    assert [one for one in mutations(found) if not one.denied] == []
    assert {use.action for use in found if state(use) == "NEVER USED"} <= ARGUED.keys()


def unknown_calls(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str, str]]:
    """Return what functions did that tests/stream_infra/cdk/test_rights.py does not judge their roles by."""
    for name, value in monitor.environment().items():
        monkeypatch.setenv(name, value)
    account, functions = Account(ACCOUNT), monitor.client("lambda")
    of_role = {
        functions.get_function(FunctionName=name)["Configuration"]["Role"].rsplit("/", 1)[1]: name
        for name in names.FUNCTIONS
    }
    known = {
        (name, call.action, place(call.resource)) for name in names.FUNCTIONS for call in account.calls(name)
    }
    made = {
        (of_role[call.role], call.action, call.place)
        for call in recorded(read_settings())
        if call.role in of_role
        and not call.place.endswith("/drill-restored")  # of a recovery, with rights of its own
    }
    assert made, "nothing was recorded"
    return made - known


def test_every_call_is_known(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the tests before made functions do; conftest.py puts it last."""
    assert unknown_calls(monitor, monkeypatch) == set()
