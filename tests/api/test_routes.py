"""What the API answers, good and bad."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from api.app import create_app
from api.event import normalized
from api.models import AnomalyModel, AnomalyPage, BarList, Health, ProblemModel, Stats, TickerList
from api.services import Services
from consumers.contracts.anomaly import Anomaly, iso_ms, ms_of_iso
from consumers.stores.charts import (
    Bar,
    LastQuote,
    bar_attribute,
    bar_to_attribute,
    bars_pk,
    live_pk,
    pack_quotes,
)

NOW_MS = 1_795_530_600_123
MINUTE_MS = NOW_MS // 60_000 * 60_000


def _bar(minute_ms: int, close: float = 100.0) -> Bar:
    return Bar(minute_ms, 99.0, 101.0, 98.5, close, 1200.0, 12, 99.9, 100.1)


def _quote(symbol: str, age_ms: int, **changes: Any) -> LastQuote:
    quote = LastQuote(
        symbol, NOW_MS - age_ms, 101.0, 100.9, 101.1, 5e6, 99.0, 100.0, _bar(MINUTE_MS, close=101.0)
    )
    return replace(quote, **changes)


def _put_quotes(dynamodb: Any, origin: str, *quotes: LastQuote) -> None:
    item = {"pk": {"S": live_pk(origin)}, "sk": {"S": "0"}, "columns": {"B": pack_quotes(quotes)}}
    dynamodb.put_item(TableName="stock-charts", Item=item)


def _put_bar(dynamodb: Any, origin: str, symbol: str, bar: Bar) -> None:
    dynamodb.put_item(
        TableName="stock-charts",
        Item={
            "pk": {"S": bars_pk(origin, symbol)},
            "sk": {"S": iso_ms(bar.minute_ms)},
            bar_attribute(symbol): bar_to_attribute(bar),
        },
    )


def test_health_is_exactly_what_the_runbook_expects(call: Any) -> None:
    answer = call("/health")
    assert (answer.status, answer.text) == (200, '{"status":"healthy"}')


def test_health_in_depth_tells_the_age_of_the_feed(call: Any, dynamodb: Any) -> None:
    assert call("/health", depth="full").json["status"] == "degraded"  # no quote at all yet
    _put_quotes(dynamodb, "simulated", _quote("AAPL", 2000), _quote("MSFT", 200_000))
    health = call("/health", depth="full").json
    Health.model_validate(health, strict=True)
    assert health["status"] == "healthy"
    assert health["origin"] == "simulated"
    assert health["feed"] == {
        "state": "live", "last_quote_at": iso_ms(NOW_MS - 2000), "age_seconds": 2.0, "live": 1, "total": 2,
    }  # fmt: skip
    assert (health["stream_lag_seconds"], health["failed_batches"]) == (None, 0)


@pytest.mark.parametrize(
    ("now", "state", "status"),
    [
        ("2026-11-24T14:30:00.000Z", "stale", "degraded"),  # the market opens
        ("2026-11-24T14:29:59.999Z", "closed", "healthy"),
        ("2026-11-26T16:00:00.000Z", "closed", "healthy"),  # Thanksgiving
    ],
)
def test_old_quotes_are_fine_while_the_market_is_closed(
    services: Services, dynamodb: Any, now: str, state: str, status: str
) -> None:
    _put_quotes(dynamodb, "simulated", _quote("AAPL", 10**8))
    app = create_app(replace(services, session="regular", now_ms=lambda: ms_of_iso(now)))
    query = {"depth": "full"}
    health = json.loads(
        app.resolve(normalized({"path": "/health", "queryStringParameters": query}), None)["body"]
    )  # type: ignore[arg-type]
    assert (health["feed"]["state"], health["status"]) == (state, status)


def test_health_in_depth_tells_lag_and_failed_batches(call: Any, dynamodb: Any) -> None:
    _put_quotes(dynamodb, "simulated", _quote("AAPL", 2000))
    metric = {
        "MetricName": "IteratorAge",
        "Dimensions": [{"Name": "FunctionName", "Value": "stock-detector"}],
        "Timestamp": datetime.fromtimestamp(NOW_MS / 1000 - 100, UTC),
        "Unit": "Milliseconds",
    }
    cloudwatch = boto3.client("cloudwatch")
    cloudwatch.put_metric_data(Namespace="AWS/Lambda", MetricData=[{**metric, "Value": 1500.0}])
    health = call("/health", depth="full").json
    assert (health["status"], health["stream_lag_seconds"]) == ("healthy", 1.5)
    cloudwatch.put_metric_data(Namespace="AWS/Lambda", MetricData=[{**metric, "Value": 61_000.0}])
    health = call("/health", depth="full").json
    assert (health["status"], health["stream_lag_seconds"]) == ("degraded", 61.0)


def test_health_is_degraded_while_failed_batches_wait(call: Any, dynamodb: Any) -> None:
    _put_quotes(dynamodb, "simulated", _quote("AAPL", 2000))
    sqs = boto3.client("sqs")
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName="stock-scanner-dlq")["QueueUrl"], MessageBody="x")
    health = call("/health", depth="full").json
    assert (health["status"], health["failed_batches"]) == ("degraded", 1)


@pytest.mark.parametrize(
    "event",
    [
        {"path": "/health", "httpMethod": "GET"},
        {"path": "/health/"},
        {
            "path": "/health",
            "httpMethod": "GET",
            "headers": None,
            "queryStringParameters": None,
            "requestContext": None,
        },
    ],
)
def test_an_event_written_by_hand_is_enough(services: Services, event: dict[str, Any]) -> None:
    assert create_app(services).resolve(normalized(event), None)["statusCode"] == 200  # type: ignore[arg-type]


def test_anomalies_are_listed_newest_first_with_their_source(call: Any, put: Callable[..., Anomaly]) -> None:
    put("AAPL", NOW_MS - 5000, severity="low")
    put("MSFT", NOW_MS - 1000, severity="critical", source="replay-7")
    put("KO", NOW_MS - 90 * 86_400_000, severity="high", source="alpaca")
    page = call("/anomalies").json
    AnomalyPage.model_validate(page, strict=True)
    assert [(a["ticker"], a["origin"]) for a in page["anomalies"]] == [
        ("MSFT", "replay"), ("AAPL", "simulated"), ("KO", "live"),
    ]  # fmt: skip
    assert (page["count"], page["next"]) == (3, None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"severity": "critical"}, {"B"}),
        ({"severity": "low,critical"}, {"A", "B"}),
        ({"kind": "gap"}, {"C"}),
        ({"ticker": "a"}, {"A"}),
        ({"source": "replay"}, {"B"}),
        ({"source": "live"}, {"C"}),
        ({"source": "replay-7"}, {"B"}),
        ({"date": "2026-11-23"}, {"C"}),
        ({"since": "2026-11-24T14:29:58Z"}, {"B"}),
        ({"until": "2026-11-24T14:29:58Z"}, {"A", "C"}),
        ({"since": "2026-11-24T15:29:50+01:00", "until": "2026-11-24T14:29:58"}, {"A"}),
        ({"date": "2026-11-24", "until": "2026-11-01T00:00:00Z"}, set()),
    ],
)
def test_filters(call: Any, put: Callable[..., Anomaly], query: dict[str, str], expected: set[str]) -> None:
    put("A", NOW_MS - 5000, severity="low")
    put("B", NOW_MS - 1000, severity="critical", source="replay-7")
    put("C", NOW_MS - 86_400_000, "gap", severity="high", source="alpaca")
    answer = call("/anomalies", **query)
    assert answer.status == 200
    assert {anomaly["ticker"] for anomaly in answer.json["anomalies"]} == expected


def test_one_ticker_and_one_anomaly(call: Any, put: Callable[..., Anomaly]) -> None:
    anomaly = put("BRK.B", NOW_MS)
    put("AAPL", NOW_MS)
    listed = call("/anomalies/brk.b").json["anomalies"]
    assert [found["id"] for found in listed] == [anomaly.id]
    found = call(f"/anomalies/BRK.B/{anomaly.id}")
    AnomalyModel.model_validate(found.json, strict=True)
    assert found.json == listed[0]
    missing = call("/anomalies/BRK.B/BRK.B-1-gap")
    assert (missing.status, missing.json["where"]) == (404, "anomaly_id")


@pytest.mark.parametrize("path", ["EUR%2FUSD", "EUR%252FUSD"])
def test_a_slash_in_a_ticker_survives_gateways_that_decode(
    call: Any, put: Callable[..., Anomaly], path: str
) -> None:
    anomaly = put("EUR/USD", NOW_MS)
    assert call(f"/anomalies/{path}").json["count"] == 1
    identity = quote(anomaly.id, safe="")
    assert call(f"/anomalies/{path}/{identity}").json["id"] == anomaly.id


@pytest.mark.parametrize(
    ("path", "query", "where", "allowed"),
    [
        ("/anomalies/AA PL!", {}, "ticker", "1 to 16 of A-Z"),
        ("/anomalies/\u0084", {}, "ticker", "1 to 16 of A-Z"),
        ('/quotes/A?B"', {}, "ticker", "1 to 16 of A-Z"),
        ("/quotes/\ud800", {}, "ticker", "1 to 16 of A-Z"),
        ("/anomalies", {"ticker": "x" * 17}, "ticker", "1 to 16 of A-Z"),
        ("/anomalies", {"limit": "0"}, "limit", "greater than or equal to 1"),
        ("/anomalies", {"limit": "201"}, "limit", "less than or equal to 200"),
        ("/anomalies", {"limit": "many"}, "limit", "a valid integer"),
        ("/anomalies", {"cursor": "nonsense"}, "cursor", "the `next` of an earlier answer"),
        ("/anomalies", {"date": "24.11.2026"}, "date", "a valid date"),
        ("/stats", {"date": "0"}, "date", "a valid date"),
        ("/anomalies", {"date": "2026-02-30"}, "date", "a valid date"),
        ("/anomalies", {"since": "yesterday"}, "since", "a valid datetime"),
        ("/anomalies", {"until": "1763996400123"}, "until", "ISO 8601"),
        ("/anomalies", {"until": "-0.5"}, "until", "ISO 8601"),
        ("/anomalies", {"since": "2026-11-24T10:00Z", "until": "2026-11-24T09:00Z"}, "since", "before until"),
        ("/anomalies", {"kind": "price_spike,oops"}, "kind", "price_spike, level_shift"),
        ("/anomalies", {"severity": "urgent"}, "severity", "low, medium, high, critical"),
        ("/anomalies", {"source": "a b"}, "source", "live, simulated, replay"),
        ("/anomalies", {"tikcer": "AAPL"}, "tikcer", "date, since, until, ticker"),
        ("/anomalies/AAPL/oops", {}, "anomaly_id", "<ticker>-<epoch ms>-<kind>"),
        ("/anomalies/AAPL/MSFT-1-gap", {}, "anomaly_id", "AAPL-"),
        ("/anomalies/AAPL/AAPL-999999999999999-gap", {}, "anomaly_id", "AAPL-"),
        ("/quotes/AAPL", {"since": "2026-11-01T00:00Z"}, "since", "up to 48 hours before"),
        ("/quotes/AAPL", {"since": "2026-11-25T00:00Z"}, "since", "up to 48 hours before"),
        ("/health", {"depth": "deep"}, "depth", "'full'"),
    ],
)
def test_bad_requests_say_where_and_what_is_allowed(
    call: Any, path: str, query: dict[str, str], where: str, allowed: str
) -> None:
    answer = call(path, **query)
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    problem = ProblemModel.model_validate(answer.json, strict=True)
    assert problem.where == where
    assert allowed in (problem.allowed or "")
    assert where in problem.detail


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/anomalies", "GET"),
        ("DELETE", "/health", "GET"),
        ("PATCH", "/alerts/mutes", "DELETE, PUT"),
        ("GET", "/anomalies/KO/KO-1-gap/acknowledgement", "DELETE, PUT"),
    ],
)
def test_a_method_that_is_not_possible_is_a_405(call: Any, method: str, path: str, allowed: str) -> None:
    answer = call(path, method=method)
    assert (answer.status, answer.headers["Allow"], answer.json["allowed"]) == (405, allowed, allowed)


@pytest.mark.parametrize("path", ["/nothing", "/anomalies//x"])
def test_unknown_paths_list_the_known_ones(call: Any, path: str) -> None:
    answer = call(path, x="1")
    assert answer.status == 404
    assert "/quotes/{ticker}" in answer.json["allowed"]


def test_an_unchanged_answer_is_a_304(call: Any, put: Callable[..., Anomaly]) -> None:
    put("AAPL", NOW_MS)
    first = call("/anomalies")
    for tag in (first.headers["ETag"], f'"other", {first.headers["ETag"]}', first.headers["ETag"][2:]):
        again = call("/anomalies", headers={"If-None-Match": tag})
        assert (again.status, again.text) == (304, "")
        assert again.headers["ETag"] == first.headers["ETag"]
    put("AAPL", NOW_MS + 1)
    assert call("/anomalies", headers={"if-none-match": first.headers["ETag"]}).status == 200


def test_growing_older_alone_changes_no_tag(services: Services, dynamodb: Any) -> None:
    _put_quotes(dynamodb, "simulated", _quote("AAPL", 0), _quote("MSFT", 0))

    def tickers(later_ms: int) -> dict[str, Any]:
        app = create_app(replace(services, now_ms=lambda: NOW_MS + later_ms))
        answer: dict[str, Any] = app.resolve(normalized({"path": "/tickers"}), None)  # type: ignore[arg-type]
        return answer

    tags = [tickers(later)["multiValueHeaders"]["ETag"] for later in (0, 30_000, 100_000)]
    assert tags[0] == tags[1]
    assert tags[1] != tags[2]  # now the quotes are stale, which is news


def test_tickers_in_the_order_of_the_watch_list(call: Any, dynamodb: Any) -> None:
    _put_quotes(dynamodb, "simulated", _quote("MSFT", 5000, previous_close=None), _quote("UNWATCHED", 0))
    listed = call("/tickers").json
    TickerList.model_validate(listed, strict=True)
    assert [(row["ticker"], row["state"]) for row in listed["tickers"]] == [
        ("AAPL", "missing"),
        ("MSFT", "live"),
    ]
    msft = listed["tickers"][1]
    assert (msft["reference"], msft["reference_kind"], msft["change"]) == (99.0, "open", 2.0)
    assert msft["change_percent"] == pytest.approx(2.0202, rel=1e-4)
    assert msft["age_seconds"] == 5.0


def test_a_replay_lists_what_it_brought(call: Any, dynamodb: Any) -> None:
    _put_quotes(dynamodb, "replay", _quote("SPY", 10**11))
    listed = call("/tickers", source="replay-2013").json
    assert (listed["origin"], [row["ticker"] for row in listed["tickers"]]) == ("replay", ["SPY"])


def test_bars_of_a_ticker_with_the_open_minute(call: Any, dynamodb: Any) -> None:
    for minutes_ago in (2, 1):
        _put_bar(dynamodb, "simulated", "AAPL", _bar(MINUTE_MS - minutes_ago * 60_000))
    _put_quotes(dynamodb, "simulated", _quote("AAPL", 0))
    answer = call("/quotes/AAPL").json
    BarList.model_validate(answer, strict=True)
    assert [bar["minute"] for bar in answer["bars"]] == [iso_ms(MINUTE_MS - n * 60_000) for n in (2, 1, 0)]
    assert answer["bars"][-1]["close"] == 101.0
    assert call("/quotes/AAPL", source="replay").json["bars"] == []
    narrow = call("/quotes/AAPL", since=iso_ms(MINUTE_MS - 60_000), until=iso_ms(MINUTE_MS)).json
    assert narrow["count"] == 1


def test_stats_count_a_day_by_severity(call: Any, put: Callable[..., Anomaly]) -> None:
    put("AAPL", NOW_MS, severity="high")
    put("MSFT", NOW_MS, severity="high")
    put("AAPL", NOW_MS - 86_400_000, severity="low")
    stats = call("/stats").json
    Stats.model_validate(stats, strict=True)
    assert stats["by_severity"] == {"low": 0, "medium": 0, "high": 2, "critical": 0}
    assert call("/stats", date="2026-11-23").json["total"] == 1


def test_a_store_that_does_not_answer_is_a_503_that_says_try_again(services: Services) -> None:
    class Down:
        def page(self, *_args: Any) -> Any:
            raise EndpointConnectionError(endpoint_url="dynamodb")

    app = create_app(replace(services, anomalies=Down()))  # type: ignore[arg-type]
    answer = app.resolve(normalized({"path": "/anomalies"}), None)  # type: ignore[arg-type]
    assert answer["statusCode"] == 503
    assert answer["multiValueHeaders"]["Retry-After"] == ["2"]
    assert "dynamodb" not in answer["body"]
