"""`/metrics` says what the API says, as Prometheus' own parser reads it; the dashboards query what there is."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request

from api.services import Services
from consumers.contracts import events
from localstack.event_log import EventLog
from localstack.metrics_page import MetricsPage
from localstack.outbox import Outbox
from stream_infra import names
from tests.api.charts import last_quote, put_quotes
from tests.api.client import NOW_MS, Api, Table, create_services, create_tables, make_anomaly
from tests.aws import aws_in_memory
from tests.json_types import Json
from tests.localstack.test_event_stream import of_the_bus
from tests.localstack.test_outbox import ALERT, notification

Samples = dict[tuple[str, tuple[str, ...]], float]

GRAFANA = Path(__file__).parents[2] / "docs" / "grafana"
DASHBOARDS: list[Json] = [json.loads(file.read_text()) for file in sorted(GRAFANA.glob("*.json"))]


@pytest.fixture
def services() -> Iterator[Services]:
    with aws_in_memory():
        dynamodb = boto3.client("dynamodb")
        create_tables(dynamodb)
        put_quotes(dynamodb, "simulated", last_quote("AAPL", 2000))
        table = Table(dynamodb)
        for ago in (1000, 2000, 3000):
            table.put("AAPL", NOW_MS - ago, severity="high")
        yield create_services(dynamodb)


def samples(api: httpx.MockTransport, folder: Path) -> Samples:
    log, outbox = EventLog(folder / "events.jsonl"), Outbox(folder / "outbox.jsonl")
    for n in range(3):
        log.add("delivery", of_the_bus(events.detected(make_anomaly("AAPL", NOW_MS + n))))
    log.add("delivery", of_the_bus(events.alert_test("1", NOW_MS)))
    outbox.add("m-1", notification(json.dumps(ALERT)))

    async def run() -> str:
        async with httpx.AsyncClient(base_url="http://stage", transport=api) as client:
            response = await MetricsPage(client, log, outbox).respond(Request({"type": "http"}))
        assert response.headers["content-type"].startswith("text/plain; version=")
        return bytes(response.body).decode()

    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(asyncio.run(run()))
        for sample in family.samples
    }


def responding(services: Services) -> httpx.MockTransport:
    api = Api(services)

    def respond(request: httpx.Request) -> httpx.Response:
        answer = api.get(request.url.path, **dict(request.url.params))
        return httpx.Response(answer.status, json=answer.json)

    return httpx.MockTransport(respond)


def test_the_figures_are_those_of_the_api(services: Services, tmp_path: Path) -> None:
    found = samples(responding(services), tmp_path)
    assert found["stock_monitor_api_up", ()] == 1
    assert found["stock_monitor_quote_age_seconds", ()] == 2
    assert found["stock_monitor_tickers", ("true",)] == 1
    assert found["stock_monitor_tickers", ("false",)] == 1  # MSFT has no quote
    assert found["stock_monitor_anomalies_today", ("high",)] == 3
    assert found["stock_monitor_anomalies_today", ("low",)] == 0
    (of_kind,) = (value for (name, labels), value in found.items() if labels[:1] == ("AnomalyDetected",))
    assert of_kind == 3
    assert found["stock_monitor_events_total", ("AlertTest", "", "")] == 1
    assert found["stock_monitor_messages_total", ("sms",)] == 1


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    for transport in (httpx.MockTransport(fail), httpx.MockTransport(lambda _: httpx.Response(503))):
        found = samples(transport, tmp_path)
        assert found["stock_monitor_api_up", ()] == 0
        assert {name for name, _ in found if not name.endswith("_created")} == {
            "stock_monitor_api_up", "stock_monitor_events_total", "stock_monitor_messages_total"
        }  # fmt: skip


def test_the_dashboard_of_prometheus_queries_what_there_is(services: Services, tmp_path: Path) -> None:
    """All but the lag and the dead letters, which moto does not know of: they are named in the code."""
    there = {name for name, _ in samples(responding(services), tmp_path)}
    there |= {"stock_monitor_stream_lag_seconds", "stock_monitor_failed_batches"}
    asked = {
        name for target in targets("prometheus") for name in re.findall(r"stock_monitor_\w+", target["expr"])
    }
    assert asked
    assert asked <= there


def test_the_dashboard_of_cloudwatch_names_what_is_deployed() -> None:
    named = {*names.FUNCTIONS, names.STREAM, names.DEAD_LETTER_QUEUE}
    for target in targets("cloudwatch"):
        assert {value for values in target["dimensions"].values() for value in values} <= named
        if target["namespace"] == "StockMonitor":
            assert any(f'"{target["metricName"]}"' in text for text in producers()), target["metricName"]


def producers() -> Iterator[str]:
    for file in (GRAFANA.parents[1] / "producers").rglob("*.py"):
        yield file.read_text()


def targets(kind: str) -> Iterator[Json]:
    for board in DASHBOARDS:
        for panel in board["panels"]:
            if panel["datasource"]["type"] == kind:
                yield from panel["targets"]


@pytest.mark.parametrize("board", DASHBOARDS, ids=[board["uid"] for board in DASHBOARDS])
def test_grafana_knows_every_field_of_a_dashboard(board: Json) -> None:
    """Grafana's own models drop what they do not know: nothing of ours is dropped."""
    register_default_plugins()
    read = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))
    assert lost(board, read) == []
    wrong = {**board, "panelz": board["panels"]}
    assert lost(wrong, json.loads(json.dumps(Dashboard.from_json(wrong), cls=JSONEncoder))) == ["/panelz"]


def lost(given: Any, read: Any, where: str = "") -> list[str]:
    """Where something that was given was not read, or as something else."""
    if isinstance(given, dict) and isinstance(read, dict):
        return [
            place
            for name, one in given.items()
            for place in (lost(one, read[name], f"{where}/{name}") if name in read else [f"{where}/{name}"])
        ]
    if isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        pairs = enumerate(zip(given, read, strict=True))
        return [place for n, (one, other) in pairs for place in lost(one, other, f"{where}/{n}")]
    return [] if given == read else [where]


@pytest.mark.parametrize("board", DASHBOARDS, ids=[board["uid"] for board in DASHBOARDS])
def test_a_dashboard_can_be_imported(board: Json) -> None:
    """What Grafana asks of a dashboard: ids and letters once, panels that do not overlap, a source that is chosen."""
    assert "id" not in board  # Grafana gives it
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    cells = [
        (x, y)
        for panel in board["panels"]
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    variables = {variable["name"] for variable in board["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(board))) <= variables
    for panel in board["panels"]:
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters))
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
