"""PUT /tickers: validated with the source, only for those who may write, and who changed what is on record."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import boto3
import pytest

from api.models import WatchListChange
from api.services import Services
from api.watch_list import WatchListEditor
from consumers.contracts.anomaly import iso_ms, ms_of_iso
from producers.watch_list import WatchListWriter
from tests.api.charts import last_quote, put_quotes
from tests.api.client import NOW_MS, PARAMETER, Api, FakeScanner

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def versions() -> list[tuple[str, str]]:
    """Each version's value and description, as `aws ssm get-parameter-history` shows them."""
    found = boto3.client("ssm").get_parameter_history(Name=PARAMETER)["Parameters"]
    return [(each["Value"], each.get("Description", "")) for each in found]


def with_scanner(services: Services, scanner: FakeScanner) -> Api:
    writer = WatchListWriter(boto3.client("ssm"), boto3.client("s3"), PARAMETER, "data")
    return Api(replace(services, editor=WatchListEditor(scanner.client, "stock-scanner", writer)))


def test_the_watch_list_is_changed_and_the_change_is_on_record(api: Api) -> None:
    reply = api.send("PUT", "/tickers", {"tickers": ["msft", " BTC/USD", "MSFT", "BINANCE:BTCUSDT"]})
    WatchListChange.model_validate(reply.json, strict=True)
    assert reply.json == {
        "tickers": ["MSFT", "BTC/USD", "BINANCE:BTCUSDT"],
        "added": ["BTC/USD", "BINANCE:BTCUSDT"],
        "removed": ["AAPL"],
        "by": "somebody",
        "at": iso_ms(NOW_MS),
    }
    assert versions()[-1] == (
        "MSFT,BTC/USD,BINANCE:BTCUSDT",
        "somebody added BTC/USD, BINANCE:BTCUSDT, removed AAPL",
    )


def test_a_change_is_seen_by_the_next_request_whoever_made_it(api: Api) -> None:
    assert api.get("/tickers").json["count"] == 2  # from here on known for half a minute
    boto3.client("ssm").put_parameter(Name=PARAMETER, Value="AAPL,KO", Type="String", Overwrite=True)
    changed = api.send("PUT", "/tickers", {"tickers": ["AAPL", "MSFT"]}).json
    assert (changed["added"], changed["removed"]) == (["MSFT"], ["KO"])
    assert [row["ticker"] for row in api.get("/tickers").json["tickers"]] == ["AAPL", "MSFT"]
    assert versions()[-1][1] == "somebody added MSFT, removed KO"
    assert api.send("PUT", "/tickers", {"tickers": ["AAPL"]}).json["removed"] == ["MSFT"]


def test_what_the_source_does_not_quote_is_rejected_unless_it_is_unchecked(api: Api) -> None:
    reply = api.send("PUT", "/tickers", {"tickers": ["AAPL", "NOPE"]})
    assert (reply.status, reply.json["where"]) == (400, "tickers")
    assert "does not quote NOPE (NOPE: acme knows no such ticker)" in reply.json["detail"]
    assert versions()[-1][0] == "AAPL, msft"
    assert api.send("PUT", "/tickers", {"tickers": ["AAPL", "NOPE"], "unchecked": True}).status == 200
    assert versions()[-1][0] == "AAPL,NOPE"


@pytest.mark.parametrize(
    ("scanner", "detail"),
    [
        (FakeScanner({"problem": "alpaca rejects the key"}), "alpaca rejects the key; unchecked true takes"),
        (FakeScanner({"errorMessage": "Task timed out"}, "Unhandled"), "stock-scanner failed"),
        (FakeScanner({"rejected": 5}), "stock-scanner failed"),
    ],
)
def test_a_source_that_cannot_be_queried_is_said(
    services: Services, scanner: FakeScanner, detail: str
) -> None:
    reply = with_scanner(services, scanner).send("PUT", "/tickers", {"tickers": ["KO"]})
    assert reply.status == 503
    assert detail in reply.json["detail"]
    assert versions()[-1][0] == "AAPL, msft"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"tickers": []}, "tickers"),
        ({"tickers": ["A$"]}, "a ticker of 1 to 32"),
        ({"tickers": [5]}, "a ticker of 1 to 32"),
        (
            {"tickers": ["s3://bucket/key"], "unchecked": True},
            "a ticker of 1 to 32",
        ),  # the parameter holds a reference
        ({"tickers": ["S3:ABC", "AAPL"], "unchecked": True}, "a ticker of 1 to 32"),
        ({"tickers": "AAPL"}, "tickers is 'AAPL'; must be a list"),
        (["AAPL"], "must be a JSON object"),
        ({"tickers": []}, "tickers is []; must be at least 1 item"),
        ({"tickers": ["A"], "market": "XNYS"}, "market is unknown here"),
        ({"tickers": [f"T{n}" for n in range(1_001)]}, "at most 1000"),
        ("[", "JSON"),
        (
            '{"tickers": ["AAPL"], "tickers": ["KO"]}',
            'name "tickers" stands twice; must be a name that is there once',
        ),
    ],
)
def test_what_is_wrong_is_said(api: Api, body: object, detail: str) -> None:
    reply = api.send("PUT", "/tickers", body)
    assert reply.status == 400
    assert detail in reply.json["detail"]


def test_only_who_signed_in_may_change_it(services: Services) -> None:
    api = Api(replace(services, writes_open=False))
    event = {"path": "/tickers", "httpMethod": "PUT", "body": '{"tickers": ["KO"]}'}
    headers = {"headers": {"Content-Type": "application/json"}}
    assert api.invoke({**event, **headers}).status == 401
    assert versions()[-1][0] == "AAPL, msft"
    claims = {"requestContext": {"authorizer": {"claims": {"sub": "8c1f", "email": "ann@example.org"}}}}
    reply = api.invoke({**event, **headers, **claims})
    assert (reply.status, reply.json["by"]) == (200, "ann@example.org")
    assert versions()[-1][1] == "ann@example.org added KO, removed AAPL, MSFT"


def test_each_ticker_is_closed_with_its_own_market(services: Services, dynamodb: DynamoDBClient) -> None:
    boto3.client("ssm").put_parameter(Name=PARAMETER, Value="AAPL,VOD.L,BTC-USD", Overwrite=True)
    put_quotes(dynamodb, "simulated", *(last_quote(name, 10**7) for name in ("AAPL", "VOD.L", "BTC-USD")))

    def states(at: str) -> list[tuple[str, str, bool]]:
        now_ms = ms_of_iso(at)
        listed = Api(replace(services, session="regular", now_ms=lambda: now_ms)).get("/tickers").json
        return [(row["market"], row["state"], row["open"]) for row in listed["tickers"]]

    assert states("2026-11-25T09:00:00.000Z") == [
        ("XNYS", "closed", False),
        ("XLON", "stale", True),
        ("24/7", "stale", True),
    ]
