"""GET /safety/{ticker}: through a stall, a misprint, a halt, a closed market, a critical incident."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from botocore.client import BaseClient

from api.models import Safety
from api.safety import reasons
from api.services import Services
from consumers.alerts.event import AlertEvent, Change
from consumers.alerts.model import FEED, MARKET, Acknowledgement, AnomalySummary, Incident, TickerMove
from consumers.alerts.notifier import Notifier
from consumers.alerts.settings import AlertSettings
from consumers.contracts.anomaly import Anomaly, ms_of_iso
from consumers.contracts.charts import Bar, LastQuote
from consumers.stores.charts import live_pk
from producers.markets.listings import Listings
from stream_infra.operations import cost, prices
from tests.api.charts import last_quote, put_quotes
from tests.api.client import NOW_MS, Api, make_anomaly
from tests.consumers.detector.test_requests import item_bytes
from tests.json_types import Json
from tests.last_quotes import pack_quotes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Take = Callable[..., None]


@pytest.fixture
def take(services: Services) -> Take:
    """Let a notifier take in what happened to an anomaly, as the queue brings it."""

    def take(anomaly: Anomaly, change: Change = "detected", at_ms: int = NOW_MS - 1000) -> None:
        notifier = Notifier(
            services.alerts,
            lambda _channel, _message, _settings: "receipt",
            dead_letter=lambda _message, _delivery: None,
            clock=lambda: NOW_MS,
            watched=lambda: 2,
        )
        notifier.handle([AlertEvent.of(change, anomaly, at_ms)], AlertSettings())

    return take


def codes(api: Api, ticker: str = "AAPL", **query: str) -> list[str]:
    reply = api.get(f"/safety/{ticker}", **query)
    assert reply.status == 200, reply.text
    safety = Safety.model_validate(reply.json, strict=True)
    assert bool(safety) == safety.safe == (not safety.reasons)
    return [reason.code for reason in safety.reasons]


@pytest.fixture
def quoted(dynamodb: DynamoDBClient) -> None:
    put_quotes(dynamodb, "simulated", last_quote("AAPL", 2000), last_quote("MSFT", 200_000))


@pytest.mark.usefixtures("quoted")
def test_a_fresh_quote_without_incidents_is_safe(api: Api) -> None:
    found = api.get("/safety/aapl").json
    assert found["safe"] is True
    assert (found["ticker"], found["quote"]["price"], found["quote"]["age_seconds"]) == ("AAPL", 101.0, 2.0)
    assert (found["quote"]["market"], found["quote"]["open"], found["origin"]) == ("XNYS", True, "simulated")


@pytest.mark.usefixtures("quoted")
def test_a_stall_is_not_safe_and_the_caller_says_how_old_is_too_old(api: Api) -> None:
    assert codes(api, "MSFT") == ["stale_quote"]
    assert codes(api, "MSFT", max_age_seconds="300") == []
    assert codes(api, "AAPL", max_age_seconds="1") == ["stale_quote"]
    assert codes(api, "NVDA") == ["no_quote"]
    assert api.get("/safety/AAPL", max_age_seconds="0").status == 400
    assert api.get("/safety/not a ticker").status == 400


@pytest.mark.usefixtures("quoted")
def test_a_critical_incident_is_not_safe_until_it_is_resolved(
    api: Api, services: Services, take: Take
) -> None:
    long_ago = make_anomaly("AAPL", NOW_MS - 3_600_000, severity="critical")
    take(long_ago, at_ms=NOW_MS - 3_600_000)
    # A later incident of the ticker does not hide the one that goes on, and high alone is no reason.
    high = make_anomaly("AAPL", NOW_MS - 5000, "level_shift", severity="high")
    take(high, at_ms=NOW_MS - 5000)
    assert codes(api) == ["critical_incident"]
    (incident,) = [
        one for one in services.alerts.unresolved("simulated", ["AAPL"]) if one.severity == "critical"
    ]
    known = Acknowledgement("me", NOW_MS + 3_600_000, 0)
    services.alerts.acknowledge(incident.id, known, NOW_MS)
    assert codes(api) == ["critical_incident"]  # somebody knows of it: it goes on all the same
    assert codes(api, "MSFT", max_age_seconds="300") == []
    take(long_ago, "ended", NOW_MS - 500)
    assert codes(api) == []


@pytest.mark.usefixtures("quoted")
@pytest.mark.parametrize("kind", ["bad_tick", "frozen_feed", "gap"])
def test_a_misprint_and_a_halt_are_not_safe_at_any_severity(api: Api, take: Take, kind: str) -> None:
    anomaly = make_anomaly("AAPL", NOW_MS - 2000, kind, severity="low")
    take(anomaly)
    assert codes(api) == ["doubtful_quotes"]
    take(anomaly, "ended", NOW_MS - 500)
    assert codes(api) == []


@pytest.mark.usefixtures("quoted")
@pytest.mark.parametrize(
    ("now", "markets", "wanted"),
    [
        ("2026-11-24T14:30:00.000Z", "", []),
        ("2026-11-24T14:29:59.999Z", "", ["market_closed"]),
        ("2026-11-26T16:00:00.000Z", "", ["market_closed"]),  # Thanksgiving
        ("2026-11-26T16:00:00.000Z", "AAPL=XLON", []),
        ("2026-11-24T14:30:00.000Z", "AAPL=XTKS", ["market_closed"]),
    ],
)
def test_each_ticker_has_its_own_market(
    services: Services, now: str, markets: str, wanted: list[str]
) -> None:
    market_of = Listings(markets, "XNYS")
    api = Api(replace(services, session="regular", now_ms=lambda: ms_of_iso(now), market_of=market_of))
    assert codes(api, max_age_seconds="86400") in (wanted, [*wanted, "stale_quote"])


def _wide(subject: str, *tickers: str, peak: int = 2) -> Incident:
    moves = tuple(TickerMove(ticker, NOW_MS, peak, 0.0) for ticker in tickers)
    sample = AnomalySummary("id", "T", "gap", "high", NOW_MS, 1.0, 0.0, "seconds", "T sent no quote.")
    return Incident("id", "live", subject, NOW_MS, NOW_MS, peak, samples=(sample,), tickers=moves)


@pytest.mark.parametrize(
    ("incident", "wanted"),
    [
        (_wide(FEED, "AAPL", "MSFT"), ["feed_stalled"]),
        (_wide(FEED, "IBM", "MSFT"), []),  # the feed of others
        (_wide(FEED, *(f"T{n}" for n in range(200))), ["feed_stalled"]),  # more than it lists
        (_wide(MARKET, "IBM"), []),
        (_wide(MARKET, "IBM", peak=3), ["critical_incident"]),
    ],
)
def test_incidents_over_many_tickers(incident: Incident, wanted: list[str]) -> None:
    found = reasons(
        "AAPL", last_quote("AAPL", 10), [incident],
        market="XNYS", is_market_open=True, max_age_ms=1000, now_ms=NOW_MS,
    )  # fmt: skip
    assert [reason["code"] for reason in found] == wanted


@pytest.mark.usefixtures("quoted")
def test_one_call_is_three_requests_of_the_stores(
    api: Api, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(make_anomaly("AAPL", NOW_MS - 2000, severity="critical"))
    calls: list[str] = []
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def counted(client: BaseClient, name: str, arguments: object) -> object:
        calls.append(name)
        return original(client, name, arguments)

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", counted)
    assert codes(api) == ["critical_incident"]
    assert sorted(calls) == ["BatchGetItem", "Query", "Query"]


@pytest.mark.parametrize("tickers", [20, 500, 5000])
def test_a_thousand_calls_cost_what_the_table_says(
    api: Api, dynamodb: DynamoDBClient, take: Take, monkeypatch: pytest.MonkeyPatch, tickers: int
) -> None:
    """DynamoDB guide, "Read and write operations": a unit for 4 KB read consistently, half of one otherwise."""
    partitions, rng = 4, random.Random(tickers)
    for partition in range(partitions):
        quotes = [_of_a_real_day(f"T{n:04d}", rng) for n in range(partition, tickers, partitions)]
        packed = {"pk": live_pk("simulated"), "sk": str(partition), "columns": pack_quotes(quotes)}
        item = {name: {"B" if name == "columns" else "S": value} for name, value in packed.items()}
        dynamodb.put_item(TableName="stock-charts", Item=item)
    take(make_anomaly("T0000", NOW_MS - 2000, severity="critical"))
    units: list[float] = []
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def counted(client: BaseClient, name: str, arguments: Json) -> Json:
        found: Json = original(client, name, arguments)
        items = found["Items"] if name == "Query" else found["Responses"]["stock-alerts"]
        share = 1.0 if name == "BatchGetItem" or arguments.get("ConsistentRead") else 0.5
        sizes = [sum(map(item_bytes, items))] if name == "Query" else list(map(item_bytes, items))
        units.append(share * sum(max(1, math.ceil(size / 4096)) for size in sizes))
        return found

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", counted)
    assert codes(api, "T0000") == ["critical_incident"]
    estimate = cost.checks(1000, tickers, partitions)
    (line,) = [line for line in estimate.lines if line.price == prices.READ_UNIT]
    assert 1000 * sum(units) == pytest.approx(line.quantity, rel=0.15)


def _of_a_real_day(symbol: str, rng: random.Random) -> LastQuote:
    """A last quote whose figures do not repeat from ticker to ticker."""
    price = round(rng.uniform(5, 900), 2)
    volume, ticks = rng.randrange(10**5), rng.randrange(60)
    bar = Bar(
        NOW_MS, price, price + 0.07, price - 0.11, price + 0.02, volume, ticks, price - 0.01, price + 0.01
    )
    close = round(price * rng.uniform(0.97, 1.03), 2)
    return LastQuote(
        symbol,
        NOW_MS - rng.randrange(3000),
        price,
        price - 0.01,
        price + 0.01,
        rng.randrange(10**8),
        close,
        close,
        bar,
    )
