"""The tools for assistants, by the SDK's own client in memory, on the API behind a real HTTP server."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import boto3
import pytest

from api.client import Monitor
from consumers.alerts.model import AnomalySummary, Incident, Silence
from consumers.alerts.places import expiry, incident_place
from consumers.alerts.table import DynamoTable, Put, encode
from consumers.contracts.anomaly import Anomaly
from consumers.contracts.charts import Bar
from tests.api.charts import put_bar
from tests.api.client import NOW_MS, Table, create_services, create_tables
from tests.api.served import served
from tests.aws import aws_in_memory
from tests.json_types import Json

if TYPE_CHECKING:  # the SDK takes seconds to import: only the process that uses it waits
    from mcp import Client
    from mcp.client.context import ClientRequestContext
    from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult

    from stream_infra.operations.assistant import AssistantPorts

NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
ENDS = ["legacy", "auto"]
"""Both generations of the protocol: the question comes amid the call, or as its first response."""


class Person:
    """Who is asked: answers as told, and remembers the questions."""

    def __init__(self, action: Literal["accept", "decline", "cancel"], confirm: bool = True) -> None:
        self.action, self.confirm = action, confirm
        self.questions = list[str]()

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        from mcp_types import ElicitResult

        assert context.session
        self.questions.append(params.message)
        content: dict[str, str | int | float | bool | list[str] | None] | None = (
            {"confirm": self.confirm} if self.action == "accept" else None
        )
        return ElicitResult(action=self.action, content=content)


class Desk:
    """Keeps the silences that were made."""

    def __init__(self) -> None:
        self.made = list[Silence]()

    def put_silence(self, silence: Silence) -> None:
        """Keep it."""
        self.made.append(silence)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def anomaly(ports: AssistantPorts) -> Anomaly:
    """The one that was written last."""
    (found,) = ports.monitor.anomalies(ticker="AAPL")
    return Anomaly(**found.model_dump(exclude={"origin"}))


@pytest.fixture
def ports(desk: Desk) -> Iterator[AssistantPorts]:
    from stream_infra.operations.assistant import AssistantPorts

    with aws_in_memory():
        dynamodb = boto3.client("dynamodb")
        create_tables(dynamodb)
        table = Table(dynamodb)
        for seconds in range(1, 26):
            table.put("MSFT", NOW_MS - 60_000 * seconds, severity="low")
        newest = table.put("AAPL", NOW_MS - 500)
        minute = NOW_MS // 60_000 * 60_000 - 60_000
        put_bar(dynamodb, "simulated", "AAPL", Bar(minute, 1.0, 2.0, 0.5, 1.5, 10.0, 60, 1.4, 1.6))
        sample = AnomalySummary(
            newest.id, "AAPL", "price_spike", "high", NOW_MS - 500, 1.0, 0.0, "return", "AAPL rose."
        )
        incident = Incident(
            f"simulated-AAPL-{NOW_MS - 500}", "simulated", "AAPL", NOW_MS - 500, NOW_MS, 1, samples=(sample,)
        )
        DynamoTable(dynamodb, "stock-alerts").write(
            [Put(incident_place(incident.id), encode(incident), expiry(NOW_MS, 1))]
        )
        with served(create_services(dynamodb)) as (url, _), Monitor(url, retry_seconds=0) as monitor:
            yield AssistantPorts(
                monitor, desk, lambda: [{"severity": "failed", "remedy": "make up"}], lambda: NOW, "ann"
            )


def client_of(ports: AssistantPorts, person: Person | None = None, mode: Any = "auto") -> Client:
    from mcp import Client

    from stream_infra.operations.assistant import build

    return Client(build(ports), mode=mode, elicitation_callback=person)


def call(
    ports: AssistantPorts, name: str, person: Person | None = None, mode: str = "auto", **given: Any
) -> CallToolResult:
    async def in_turn() -> CallToolResult:
        async with client_of(ports, person, mode) as client:
            return await client.call_tool(name, given)

    return asyncio.run(in_turn())


def content(result: CallToolResult) -> Any:
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content.get("result", result.structured_content)


def text(result: CallToolResult) -> str:
    from mcp_types import TextContent

    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def test_the_tools_are_listed_with_what_they_take(ports: AssistantPorts) -> None:
    async def listed() -> dict[str, Any]:
        async with client_of(ports) as client:
            return {tool.name: tool for tool in (await client.list_tools()).tools}

    tools = asyncio.run(listed())
    assert set(tools) == {
        "anomalies", "incidents", "incident", "explain", "safe_to_trade", "silence", "backtest", "doctor"
    }  # fmt: skip
    assert all(tool.description for tool in tools.values())
    assert [name for name, tool in tools.items() if not tool.annotations.read_only_hint] == ["silence"]
    assert set(tools["silence"].input_schema["properties"]) == {"hours", "ticker", "kind", "reason"}


def test_anomalies_are_listed_the_newest_first(ports: AssistantPorts, anomaly: Anomaly) -> None:
    found = content(call(ports, "anomalies"))
    assert (found["anomalies"][0]["id"], len(found["anomalies"]), found["more"]) == (anomaly.id, 20, True)
    few = content(call(ports, "anomalies", ticker="MSFT", hours=0.1))
    assert (len(few["anomalies"]), few["more"]) == (6, False)


def test_an_anomaly_is_explained_with_its_bars_and_its_incident(
    ports: AssistantPorts, anomaly: Anomaly
) -> None:
    found = content(call(ports, "explain", ticker="AAPL", anomaly_id=anomaly.id))
    assert found["anomaly"]["window"] == anomaly.window
    assert found["compared"]
    assert found["incident"]["id"] == f"simulated-AAPL-{NOW_MS - 500}"
    assert (
        content(call(ports, "incident", incident_id=found["incident"]["id"]))["anomalies"][0]["id"]
        == anomaly.id
    )
    assert [bar["close"] for bar in found["bars"]] == [1.5]
    assert [one["id"] for one in content(call(ports, "incidents", hours=168))] == [found["incident"]["id"]]


@pytest.mark.parametrize("mode", ENDS)
def test_silence_is_made_once_the_person_confirms(ports: AssistantPorts, desk: Desk, mode: str) -> None:
    person = Person("accept")
    made = content(call(ports, "silence", person, mode, hours=2, ticker="aapl", reason="earnings"))
    assert (made["silenced"], made["ticker"]) == (True, "AAPL")
    assert desk.made == [Silence(NOW_MS + 7_200_000, "AAPL", None, "earnings", "ann")]
    (question,) = person.questions
    assert "AAPL" in question
    assert "earnings" in question


@pytest.mark.parametrize("mode", ENDS)
@pytest.mark.parametrize("person", [Person("decline"), Person("cancel"), Person("accept", confirm=False)])
def test_nothing_is_silenced_without_the_person(
    ports: AssistantPorts, desk: Desk, person: Person, mode: str
) -> None:
    said = content(call(ports, "silence", person, mode, hours=2, ticker="AAPL"))
    assert (said["silenced"], desk.made) == (False, [])
    assert person.questions


@pytest.mark.parametrize("mode", ENDS)
def test_a_client_that_cannot_ask_silences_nothing(ports: AssistantPorts, desk: Desk, mode: str) -> None:
    from mcp import MCPError

    async def rejected() -> str:
        async with client_of(ports, mode=mode) as client:
            with pytest.raises(MCPError) as raised:
                await client.call_tool("silence", {"hours": 2, "ticker": "AAPL"})
            return str(raised.value)

    assert "licitation" in asyncio.run(rejected())
    assert desk.made == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "must be a ticker, a kind, or both"),
        ({"ticker": "no ticker"}, "must be a ticker of"),
        ({"kind": "nothing"}, "must be one of"),
    ],
)
def test_what_cannot_be_silenced_is_not_asked(
    ports: AssistantPorts, desk: Desk, given: Json, said: str
) -> None:
    person = Person("accept")
    result = call(ports, "silence", person, hours=2, **given)
    assert result.is_error
    assert said in text(result)
    assert (person.questions, desk.made) == ([], [])


def test_an_error_says_what_the_api_says(ports: AssistantPorts) -> None:
    result = call(ports, "anomalies", severity="urgent")
    assert result.is_error
    assert "must be one or more of" in text(result)


def test_backtest_and_doctor(ports: AssistantPorts, tmp_path: Path) -> None:
    file = tmp_path / "ticks.csv"
    with file.open("w", newline="") as opened:
        written = csv.writer(opened)
        written.writerow(["ts", "symbol", "price"])
        for second in range(600):
            price = 100 + second % 7 * 0.01 + 10 * (second == 550)
            written.writerow([NOW_MS + second * 1000, "AAPL", round(price, 2)])
        written.writerows([["then", "AAPL", 1]] * 9)
    report = content(call(ports, "backtest", file=str(file)))
    assert (report["rejected_rows"], len(report["rejected"])) == (9, 5)
    assert (report["ticks"], sum(report["by_kind"].values())) == (600, len(report["anomalies"]))
    assert report["anomalies"]
    assert call(ports, "backtest", file=str(tmp_path / "none.csv")).is_error
    assert content(call(ports, "doctor")) == {
        "healthy": False, "diagnoses": [{"severity": "failed", "remedy": "make up"}]
    }  # fmt: skip
    assert json.loads(text(call(ports, "doctor")))["healthy"] is False
