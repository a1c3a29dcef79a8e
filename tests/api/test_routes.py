"""What the API answers, good and bad."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from api.anomalies import AnomalyListing, AnomalyQuery, AnomalyStore
from api.models import AnomalyModel, AnomalyPage, BarList, KindList, ProblemModel, Stats, TickerList
from api.services import Services
from consumers.contracts import schema
from consumers.contracts.anomaly import iso_ms, ms_of_iso
from consumers.contracts.kinds import EVERY_KIND
from producers.archive import Archive
from producers.markets import Session
from producers.quote_batch import QuoteBatch
from tests.api.client import DATA_BUCKET, NOW_MS, Api, Reply, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
from tests.api.charts import MINUTE_MS, bar, last_quote, put_bar, put_quotes


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
def test_an_event_written_by_hand_is_enough(services: Services, event: dict[str, object]) -> None:
    assert Api(services).invoke(event).status == 200


def test_anomalies_are_listed_newest_first_with_their_source(api: Api, table: Table) -> None:
    table.put("AAPL", NOW_MS - 5000, severity="low")
    table.put("MSFT", NOW_MS - 1000, severity="critical", source="replay-7")
    table.put("KO", NOW_MS - 90 * 86_400_000, severity="high", source="alpaca")
    page = api.get("/anomalies").json
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
def test_filters(api: Api, table: Table, query: dict[str, str], expected: set[str]) -> None:
    table.put("A", NOW_MS - 5000, severity="low")
    table.put("B", NOW_MS - 1000, severity="critical", source="replay-7")
    table.put("C", NOW_MS - 86_400_000, "gap", severity="high", source="alpaca")
    answer = api.get("/anomalies", **query)
    assert answer.status == 200
    assert {anomaly["ticker"] for anomaly in answer.json["anomalies"]} == expected


def test_one_ticker_and_one_anomaly(api: Api, table: Table) -> None:
    anomaly = table.put("BRK.B", NOW_MS)
    table.put("AAPL", NOW_MS)
    listed = api.get("/anomalies/brk.b").json["anomalies"]
    assert [found["id"] for found in listed] == [anomaly.id]
    found = api.get(f"/anomalies/BRK.B/{anomaly.id}")
    AnomalyModel.model_validate(found.json, strict=True)
    assert found.json == listed[0]
    missing = api.get("/anomalies/BRK.B/BRK.B-1-gap")
    assert (missing.status, missing.json["where"]) == (404, "anomaly_id")


@pytest.mark.parametrize("path", ["EUR%2FUSD", "EUR%252FUSD"])
def test_a_slash_in_a_ticker_survives_gateways_that_decode(api: Api, table: Table, path: str) -> None:
    anomaly = table.put("EUR/USD", NOW_MS)
    assert api.get(f"/anomalies/{path}").json["count"] == 1
    identity = quote(anomaly.id, safe="")
    assert api.get(f"/anomalies/{path}/{identity}").json["id"] == anomaly.id


@pytest.mark.parametrize(
    ("path", "query", "where", "allowed"),
    [
        ("/anomalies/AA PL", {}, "ticker", "1 to 32 of A-Z"),
        ("/anomalies/\u0084", {}, "ticker", "1 to 32 of A-Z"),
        ('/quotes/A?B"', {}, "ticker", "1 to 32 of A-Z"),
        ("/quotes/\ud800", {}, "ticker", "1 to 32 of A-Z"),
        ("/anomalies", {"ticker": "x" * 33}, "ticker", "1 to 32 of A-Z"),
        ("/anomalies", {"limit": "0"}, "limit", "greater than or equal to 1"),
        ("/anomalies", {"limit": "201"}, "limit", "less than or equal to 200"),
        ("/anomalies", {"limit": "many"}, "limit", "a whole number"),
        ("/anomalies", {"cursor": "nonsense"}, "cursor", "the `next` of an earlier response"),
        ("/anomalies", {"date": "24.11.2026"}, "date", "a date such as 2026-11-24"),
        ("/stats", {"date": "0"}, "date", "a date such as 2026-11-24"),
        ("/anomalies", {"date": "2026-02-30"}, "date", "a date such as 2026-11-24"),
        ("/anomalies", {"since": "yesterday"}, "since", "an ISO 8601 instant such as"),
        ("/anomalies", {"until": "1763996400123"}, "until", "ISO 8601"),
        ("/anomalies", {"until": "-0.5"}, "until", "ISO 8601"),
        ("/anomalies", {"since": "2026-11-24T10:00Z", "until": "2026-11-24T09:00Z"}, "since", "before until"),
        ("/anomalies", {"kind": "price_spike,oops"}, "kind", "bad_tick, frozen_feed"),
        ("/anomalies", {"severity": "urgent"}, "severity", "low, medium, high, critical"),
        ("/anomalies", {"source": "a b"}, "source", "live, backfill, simulated, replay"),
        ("/anomalies", {"tikcer": "AAPL"}, "tikcer", "date, since, until, ticker"),
        ("/anomalies/AAPL/oops", {}, "anomaly_id", "<ticker>-<epoch ms>-<kind>"),
        ("/anomalies/AAPL/MSFT-1-gap", {}, "anomaly_id", "AAPL-"),
        ("/anomalies/BTC/USD", {}, "anomaly_id", "a slash in a ticker is written %252F"),
        ("/anomalies/AAPL/AAPL-999999999999999-gap", {}, "anomaly_id", "AAPL-"),
        ("/quotes/AAPL", {"since": "2026-11-01T00:00Z"}, "since", "up to 48 hours before"),
        ("/quotes/AAPL", {"since": "2026-11-25T00:00Z"}, "since", "up to 48 hours before"),
        ("/quotes/AAPL", {"minutes": "0"}, "minutes", "greater than or equal to 1"),
        ("/quotes/AAPL", {"minutes": "60", "since": "2026-11-24T14:00Z"}, "minutes", "left out beside since"),
        ("/quotes/AAPL", {"minutes": "61", "length": "5s"}, "minutes", "at most 60 with bars below a minute"),
        ("/health", {"depth": "deep"}, "depth", "full"),
    ],
)
def test_bad_requests_say_where_and_what_is_allowed(
    api: Api, path: str, query: dict[str, str], where: str, allowed: str
) -> None:
    answer = api.get(path, **query)
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
        ("PATCH", "/alerts/silences", "DELETE, PUT"),
        ("GET", "/anomalies/KO/KO-1-gap/acknowledgement", "DELETE, PUT"),
    ],
)
def test_a_method_that_is_not_possible_is_a_405(api: Api, method: str, path: str, allowed: str) -> None:
    answer = api.send(method, path)
    assert (answer.status, answer.headers["Allow"]) == (405, allowed)
    assert answer.json["allowed"] == (f"one of {allowed}" if "," in allowed else allowed)


def test_what_is_wrong_is_said_of_each_part_and_what_is_allowed_of_the_first(api: Api) -> None:
    answer = api.send("POST", "/rules", {"id": "x", "above": -5})
    assert (answer.status, answer.json["where"], answer.json["allowed"]) == (400, "when", "given")
    assert answer.json["detail"].count("; must be ") == answer.json["detail"].count(" is ") == 3


def test_a_route_without_parameters_says_that_there_are_none(api: Api) -> None:
    assert api.get("/kinds", x="1").json["detail"] == "query parameter 'x' is unknown here; must be left out"


@pytest.mark.parametrize("path", ["/nothing", "/anomalies//x"])
def test_unknown_paths_list_the_known_ones(api: Api, path: str) -> None:
    answer = api.get(path, x="1")
    assert answer.status == 404
    assert "/quotes/{ticker}" in answer.json["allowed"]


def test_a_slash_in_a_ticker_that_came_undone_is_explained(api: Api) -> None:
    reply = api.send("GET", "/quotes/BTC/USD")
    assert reply.status == 404
    assert reply.json["detail"].endswith("; a slash in a ticker is written %252F")


def test_an_unchanged_answer_is_a_304(api: Api, table: Table) -> None:
    table.put("AAPL", NOW_MS)
    first = api.get("/anomalies")
    for tag in (first.headers["ETag"], f'"other", {first.headers["ETag"]}', first.headers["ETag"][2:]):
        again = api.with_headers({"If-None-Match": tag}).get("/anomalies")
        assert (again.status, again.text) == (304, "")
        assert again.headers["ETag"] == first.headers["ETag"]
    table.put("AAPL", NOW_MS + 1)
    assert api.with_headers({"if-none-match": first.headers["ETag"]}).get("/anomalies").status == 200


def test_growing_older_alone_changes_no_tag(services: Services, dynamodb: DynamoDBClient) -> None:
    put_quotes(dynamodb, "simulated", last_quote("AAPL", 0), last_quote("MSFT", 0))

    def tickers(later_ms: int) -> Reply:
        return Api(replace(services, now_ms=lambda: NOW_MS + later_ms)).get("/tickers")

    tags = [tickers(later).headers["ETag"] for later in (0, 30_000, 100_000)]
    assert tags[0] == tags[1]
    assert tags[1] != tags[2]  # now the quotes are stale, which is news


def test_tickers_in_the_order_of_the_watch_list(api: Api, dynamodb: DynamoDBClient) -> None:
    put_quotes(
        dynamodb, "simulated", last_quote("MSFT", 5000, previous_close=None), last_quote("UNWATCHED", 0)
    )
    listed = api.get("/tickers").json
    TickerList.model_validate(listed, strict=True)
    assert [(row["ticker"], row["state"]) for row in listed["tickers"]] == [
        ("AAPL", "missing"),
        ("MSFT", "live"),
    ]
    msft = listed["tickers"][1]
    assert (msft["reference"], msft["reference_kind"], msft["change"]) == (99.0, "open", 2.0)
    assert msft["change_percent"] == pytest.approx(2.0202, rel=1e-4)
    assert msft["age_seconds"] == 5.0


def test_a_replay_lists_what_it_brought(api: Api, dynamodb: DynamoDBClient) -> None:
    put_quotes(dynamodb, "replay", last_quote("SPY", 10**11))
    listed = api.get("/tickers", source="replay-2013").json
    assert (listed["origin"], [row["ticker"] for row in listed["tickers"]]) == ("replay", ["SPY"])


def test_bars_of_a_ticker_with_the_open_minute(api: Api, dynamodb: DynamoDBClient) -> None:
    for minutes_ago in (2, 1):
        put_bar(dynamodb, "simulated", "AAPL", bar(MINUTE_MS - minutes_ago * 60_000))
    put_quotes(dynamodb, "simulated", last_quote("AAPL", 0))
    answer = api.get("/quotes/AAPL").json
    BarList.model_validate(answer, strict=True)
    assert [bar["minute"] for bar in answer["bars"]] == [iso_ms(MINUTE_MS - n * 60_000) for n in (2, 1, 0)]
    assert answer["bars"][-1]["close"] == 101.0
    assert api.get("/quotes/AAPL", source="replay").json["bars"] == []
    narrow = api.get("/quotes/AAPL", since=iso_ms(MINUTE_MS - 60_000), until=iso_ms(MINUTE_MS)).json
    assert narrow["count"] == 1


@pytest.mark.parametrize(
    ("session", "age_minutes", "until_minutes_ago"),
    [
        ("always", 3, 0),  # a pause is seen
        ("always", 90, 90),  # a silence longer than what was asked for ends the bars
        ("regular", 0, 0),
        ("extended", 0, 0),
    ],
)
def test_the_last_minutes_end_now_or_with_the_last_quote(
    services: Services, dynamodb: DynamoDBClient, session: Session, age_minutes: int, until_minutes_ago: int
) -> None:
    put_quotes(dynamodb, "simulated", last_quote("AAPL", age_minutes * 60_000))
    answer = Api(replace(services, session=session)).get("/quotes/AAPL", minutes="60").json
    until_ms = MINUTE_MS + 60_000 - until_minutes_ago * 60_000
    assert (answer["since"], answer["until"]) == (iso_ms(until_ms - 3_600_000), iso_ms(until_ms))
    assert (answer["closed_since"], answer["opens_at"]) == (None, None)


def test_while_its_market_is_closed_the_last_minutes_are_those_of_its_last_session(
    services: Services, dynamodb: DynamoDBClient
) -> None:
    sunday_ms = NOW_MS + 5 * 86_400_000
    friday_ms = ms_of_iso("2026-11-27T17:59:55.000Z")  # a half day
    put_quotes(dynamodb, "simulated", last_quote("AAPL", NOW_MS - friday_ms))
    api = Api(replace(services, session="regular", now_ms=lambda: sunday_ms))
    answer = api.get("/quotes/AAPL", minutes="240").json
    BarList.model_validate(answer, strict=True)
    assert (answer["since"], answer["until"]) == ("2026-11-27T14:00:00.000Z", "2026-11-27T18:00:00.000Z")
    assert answer["closed_since"] == "2026-11-27T18:00:00.000Z"
    assert answer["opens_at"] == "2026-11-30T14:30:00.000Z"
    assert api.get("/quotes/AAPL", minutes="240", source="replay").json["closed_since"] is None
    assert api.get("/quotes/BTC-USD", minutes="240").json["closed_since"] is None
    assert api.get("/quotes/MSFT", minutes="240").json["until"] == iso_ms(
        sunday_ms // 60_000 * 60_000 + 60_000
    )


def test_bars_below_a_minute_are_of_what_scans_archived(api: Api) -> None:
    archive = Archive(boto3.client("s3"), DATA_BUCKET)
    ticks = [
        (0, 100.0, 99.9, 10.0),
        (400, 102.0, 99.0, 12.0),
        (5000, 101.0, None, None),
        (9999, -1.0, None, 15.0),
    ]
    for at_ms, price, bid, day_volume in ticks:
        ts = MINUTE_MS - 60_000 + at_ms
        archive.add(
            QuoteBatch("simulated", ["AAPL"], [ts], [price], [bid], [bid and 100.0], [day_volume], [None], [])
        )
    archive.write(MINUTE_MS - 60_000)
    answer = api.get("/quotes/AAPL", length="5s").json
    BarList.model_validate(answer, strict=True)
    first, second = answer["bars"]
    assert (first["open"], first["high"], first["low"], first["close"], first["ticks"]) == (
        100,
        102,
        100,
        102,
        2,
    )
    assert (first["spread_low"], first["spread_high"]) == (pytest.approx(0.1), 1)
    assert first["volume"] is None  # what was traded before it is not known
    assert (second["minute"], second["close"], second["bid"]) == (iso_ms(MINUTE_MS - 55_000), 101, None)
    (only,) = api.get("/quotes/AAPL", length="1s", since=iso_ms(MINUTE_MS - 56_000)).json["bars"]
    assert only["minute"] == second["minute"]
    assert api.get("/quotes/AAPL", length="5s", source="replay").json["bars"] == []
    assert api.get("/quotes/MSFT", length="5s").json["bars"] == []
    too_long = api.get("/quotes/AAPL", length="5s", since=iso_ms(NOW_MS - 7_200_000))
    assert too_long.status == 400
    assert "up to an hour before" in too_long.json["allowed"]


def test_stats_count_a_day_by_severity(api: Api, table: Table) -> None:
    table.put("AAPL", NOW_MS, severity="high")
    table.put("MSFT", NOW_MS, severity="high")
    table.put("AAPL", NOW_MS - 86_400_000, severity="low")
    stats = api.get("/stats").json
    Stats.model_validate(stats, strict=True)
    assert stats["by_severity"] == {"low": 0, "medium": 0, "high": 2, "critical": 0}
    assert api.get("/stats", date="2026-11-23").json["total"] == 1


class Down(AnomalyStore):
    """A store that cannot be reached."""

    def page(self, query: AnomalyQuery, limit: int, token: str | None) -> AnomalyListing:  # noqa: ARG002
        raise EndpointConnectionError(endpoint_url="dynamodb")


def test_a_store_that_does_not_respond_is_a_503_that_says_try_again(
    services: Services, dynamodb: DynamoDBClient
) -> None:
    reply = Api(replace(services, anomalies=Down(dynamodb, "stock-anomalies"))).get("/anomalies")
    assert (reply.status, reply.headers["Retry-After"]) == (503, "2")
    assert "dynamodb" not in reply.text


def test_the_kinds_are_those_of_the_detectors(api: Api) -> None:
    listed = KindList.model_validate(api.get("/kinds").json, strict=True)
    assert [kind.kind for kind in listed.kinds] == list(EVERY_KIND)
    assert all(kind.label and kind.summary for kind in listed.kinds)


def test_counts_follow_the_filters(api: Api, table: Table) -> None:
    table.put("AAPL", NOW_MS, severity="high")
    table.put("MSFT", NOW_MS - 1, "gap", severity="high")
    table.put("MSFT", NOW_MS - 86_400_000, severity="low", source="replay-7")

    def counted(**query: str) -> dict[str, int]:
        stats = Stats.model_validate(api.get("/stats", **query).json, strict=True)
        return {severity: n for severity, n in stats.by_severity.items() if n}

    assert counted(since="2026-11-20T00:00:00Z") == {"high": 2, "low": 1}
    assert counted(since="2026-11-20T00:00:00Z", kind="price_spike") == {"high": 1, "low": 1}
    assert counted(since="2026-11-20T00:00:00Z", source="replay") == {"low": 1}
    assert counted(ticker="MSFT", since="2026-11-24T00:00:00Z", until="2026-11-25T00:00:00Z") == {"high": 1}
    assert counted(date="2026-11-24", until="2026-11-01T00:00:00Z") == {}
    assert api.get("/stats", since="2026-11-20T00:00:00Z").json["date"] is None


@pytest.mark.parametrize("path", ["/anomalies", "/anomalies/AAPL", "/alerts", "/quotes/AAPL", "/stats"])
@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize(
    "instant",
    [
        "0001-01-01T00:00:00+23:59",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999Z",
        "9999-12-31T23:59:59-23:59",
        "9999-12-31T23:59:59.9999999-00:01",
    ],
)
def test_an_instant_beyond_the_calendar_is_rejected(api: Api, path: str, name: str, instant: str) -> None:
    if (path, name) == ("/alerts", "until"):
        return
    reply = api.get(path, **{name: instant})
    assert (reply.status, reply.json["where"]) == (400, name)
    assert "1970-01-01T00:00:00Z to 9999-12-31T23:59:59.999Z" in reply.json["allowed"]


@pytest.mark.parametrize("instant", ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"])
@pytest.mark.parametrize("path", ["/anomalies", "/quotes/AAPL", "/stats"])
def test_the_edges_of_the_calendar_are_instants(api: Api, path: str, instant: str) -> None:
    assert api.get(path, until=instant).status == 200
    assert api.get(path, since=instant).status == (400 if path.startswith("/quotes") else 200)


@pytest.mark.parametrize("date", ["0001-01-01", "9999-12-31"])
@pytest.mark.parametrize("path", ["/anomalies", "/stats"])
def test_the_edges_of_the_calendar_are_days(api: Api, path: str, date: str) -> None:
    assert api.get(path, date=date).status == 200


@pytest.mark.parametrize("name", ["limit", "date", "since", "cursor", "kind", "no_such_name"])
def test_an_error_does_not_repeat_what_is_long(api: Api, name: str) -> None:
    reply = api.get("/anomalies", **{name: "9" * 100_000})
    assert reply.status == 400
    assert len(reply.text) < 1000


def test_the_contracts_have_an_address(api: Api) -> None:
    listed = api.get("/schemas").json
    assert [row["name"] for row in listed["schemas"]] == list(schema.TITLES)
    for row in listed["schemas"]:
        answer = api.get(row["path"])
        assert answer.json == schema.published(row["name"])
        assert (answer.json.get("$id") or answer.json["id"]) == row["id"]
    unknown = api.get("/schemas/nothing")
    assert (unknown.status, "asyncapi" in unknown.json["allowed"]) == (400, True)
