"""The Python client against the API behind a real HTTP server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import pytest

from api.client import ApiError, ApiUnavailableError, AsyncMonitor, Monitor, dialogues
from api.services import Services
from consumers.alerts.model import AnomalySummary, Incident
from consumers.alerts.places import expiry, incident_place
from consumers.alerts.table import DynamoTable, Put, encode
from tests.api.charts import last_quote, put_quotes
from tests.api.client import NOW_MS, Table
from tests.api.served import served

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
T = TypeVar("T")


async def take(source: AsyncIterator[T], count: int) -> list[T]:
    found: list[T] = []
    async for one in source:
        found.append(one)
        if len(found) == count:
            break
    return found


@pytest.fixture
def address(services: Services) -> Iterator[tuple[str, list[str]]]:
    with served(services) as both:
        yield both


def test_anomalies_come_page_by_page_each_once(
    address: tuple[str, list[str]], table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogues, "PAGE", 20)
    url, requests = address
    written = [table.put("AAPL" if n % 2 else "BRK/A", NOW_MS - 1000 * n).id for n in range(45)]
    with Monitor(url) as monitor:
        assert [anomaly.id for anomaly in monitor.anomalies()] == written
        assert len(requests) == 3
        assert [anomaly.id for anomaly in monitor.anomalies(limit=21)] == written[:21]
        span = monitor.anomalies(ticker="BRK/A", since=NOW - timedelta(seconds=9), until=NOW)
        assert [anomaly.id for anomaly in span] == written[2:9:2]
        assert monitor.anomalies.get("BRK/A", written[0]).id == written[0]
        assert list(monitor.anomalies(kind="gap")) == []

    async def in_turn() -> list[str]:
        async with AsyncMonitor(url) as monitor:
            assert (await monitor.anomalies.get("BRK/A", written[0])).id == written[0]
            return [anomaly.id async for anomaly in monitor.anomalies(limit=25)]

    assert asyncio.run(in_turn()) == written[:25]


def test_errors_say_what_the_api_says(address: tuple[str, list[str]]) -> None:
    with Monitor(address[0]) as monitor:
        with pytest.raises(
            ApiError, match=r"GET /anomalies: severity is 'urgent'; must be one or more of"
        ) as raised:
            list(monitor.anomalies(severity="urgent"))
        assert raised.value.status == 400
        with pytest.raises(ApiError, match="no such incident"):
            monitor.incidents.get("live-AAPL-1763994600123")
        with pytest.raises(ApiError, match="has no zone; must be aware"):
            list(monitor.anomalies(since=datetime(2026, 11, 24)))  # noqa: DTZ001
    with pytest.raises(ApiError, match="must be a web address"):
        Monitor("127.0.0.1:8080")


def test_what_fails_for_the_moment_is_sent_again(services: Services) -> None:
    failures: list[tuple[int, dict[str, str]]] = [(503, {"Retry-After": "0"}), (0, {}), (429, {})]
    with (
        served(services, lambda _: failures.pop(0) if failures else None) as (url, requests),
        Monitor(url) as monitor,
    ):
        assert monitor.health().status == "degraded"  # of no quotes
    assert len(requests) == 4


def test_a_long_retry_after_ends_the_attempts_at_once(services: Services) -> None:
    with (
        served(services, lambda _: (503, {"Retry-After": "600"})) as (url, requests),
        Monitor(url) as monitor,
    ):
        with pytest.raises(ApiUnavailableError, match="GET /tickers: the API returns 503") as raised:
            monitor.tickers()
        assert (raised.value.status, len(requests)) == (503, 1)


def test_safe_to_trade_says_yes_or_why_not(address: tuple[str, list[str]], dynamodb: DynamoDBClient) -> None:
    put_quotes(dynamodb, "simulated", last_quote("AAPL", 2000), last_quote("MSFT", 200_000))
    with Monitor(address[0]) as monitor:
        assert monitor.safe_to_trade("AAPL")
        stale = monitor.safe_to_trade("MSFT")
        assert not stale
        assert [reason.code for reason in stale.reasons] == ["stale_quote"]
        assert monitor.safe_to_trade("MSFT", max_age_seconds=300)
        with pytest.raises(ApiError, match="must be a ticker"):
            monitor.safe_to_trade("not a ticker")


def test_a_monitor_that_does_not_respond_makes_nothing_safe(services: Services) -> None:
    with served(services) as (url, _):
        pass
    with Monitor(url, retry_seconds=0) as monitor:
        found = monitor.safe_to_trade("AAPL")
    assert not found
    assert [reason.code for reason in found.reasons] == ["monitor_unreachable"]

    async def in_turn() -> list[str]:
        async with AsyncMonitor(url, retry_seconds=0) as monitor:
            return [reason.code for reason in (await monitor.safe_to_trade("AAPL")).reasons]

    assert asyncio.run(in_turn()) == ["monitor_unreachable"]


def test_followed_anomalies_come_once_in_order_though_some_are_late(
    address: tuple[str, list[str]], table: Table
) -> None:
    with Monitor(address[0]) as monitor:
        table.put("AAPL", NOW_MS - 1)  # before it began
        followed = monitor.anomalies.follow(since=NOW, poll_seconds=0)
        first = [table.put("AAPL", NOW_MS + n).id for n in range(3)]
        assert [one.id for one in islice(followed, 3)] == first
        newest = table.put("MSFT", NOW_MS + 90_000).id
        assert next(followed).id == newest
        late = table.put("MSFT", NOW_MS + 5).id  # written after one that is newer
        assert next(followed).id == late


def _incident(open_: int = 1) -> Incident:
    sample = AnomalySummary(
        "id", "AAPL", "price_spike", "high", NOW_MS - 500, 1.0, 0.0, "return", "AAPL rose."
    )
    return Incident(
        f"simulated-AAPL-{NOW_MS - 500}", "simulated", "AAPL", NOW_MS - 500, NOW_MS, 2,
        anomalies=1, open=open_, samples=(sample,),
    )  # fmt: skip


def _put(dynamodb: DynamoDBClient, incident: Incident) -> None:
    put = Put(incident_place(incident.id), encode(incident), expiry(NOW_MS, 1))
    DynamoTable(dynamodb, "stock-alerts").write([put])


def test_incidents_are_followed_and_acknowledged(
    address: tuple[str, list[str]], dynamodb: DynamoDBClient
) -> None:
    incident = _incident()
    _put(dynamodb, incident)
    with Monitor(address[0]) as monitor:
        assert [one.id for one in monitor.incidents()] == [incident.id]
        followed = monitor.incidents.follow(poll_seconds=0)
        assert next(followed).state == "open"
        known = monitor.incidents.acknowledge(incident.id, until=NOW + timedelta(hours=1), reason="earnings")
        assert known.state == "acknowledged"
        assert next(followed).state == "acknowledged"
        _put(dynamodb, _incident(open_=0))
        assert next(followed).state == "resolved"

    async def in_turn() -> list[str]:
        async with AsyncMonitor(address[0]) as monitor:
            _put(dynamodb, _incident())
            (found,) = await take(monitor.incidents.follow(poll_seconds=0), 1)
            assert found == await monitor.incidents.get(found.id)
            return [one.id for one in await monitor.incidents()]

    assert asyncio.run(in_turn()) == [incident.id]


def test_without_httpx_the_import_says_what_to_install() -> None:
    program = "import sys; sys.modules['httpx'] = None\nimport api.client"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode
    assert "pip install 'stock-market-anomaly-monitor[client]'" in done.stderr


def test_the_function_does_not_import_the_client() -> None:
    program = "import sys, api.app; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
