"""50,000 tickers, of a list in S3: every answer is within what Lambda and API Gateway answer, and no row is lost."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import boto3
import pytest

from api.client import dialogues
from api.parameters import MOST_ROWS
from api.services import Services
from api.watch_list import WatchedTickers
from consumers.contracts.charts import Bar, LastQuote
from consumers.stores.charts import live_pk
from localstack.published_limits import excessive_answer
from producers.watch_list import MAX_SYMBOLS, WatchListReader, WatchListWriter
from tests.api.client import NOW_MS, PARAMETER, Api, JsonObject
from tests.last_quotes import pack_quotes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

TICKERS = [f"T{n:05d}.X" for n in range(MAX_SYMBOLS)]
BUCKET = "stock-scan-data"
QUOTES_AN_ITEM = 2500
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-items
LARGEST_ITEM = 400 * 1024


def quote(n: int) -> LastQuote:
    price = 100.0 + n / 7
    bar = Bar(NOW_MS // 60_000 * 60_000, price, price * 1.01, price * 0.99, price, 1234.5, 12, price, price)
    return LastQuote(TICKERS[n], NOW_MS - n, price, price - 0.01, price + 0.01, 1e6 + n, 100.0, 100.0, bar)


@pytest.fixture
def api(services: Services) -> Api:
    """The API beside 50,000 last quotes, in items as the detector writes them, and a list that is in S3."""
    dynamodb, s3, ssm = boto3.client("dynamodb"), boto3.client("s3"), boto3.client("ssm")
    for part, start in enumerate(range(0, MAX_SYMBOLS, QUOTES_AN_ITEM)):
        packed = pack_quotes(map(quote, range(start, start + QUOTES_AN_ITEM)))
        assert len(packed) < LARGEST_ITEM
        item: dict[str, AttributeValueTypeDef] = {
            "pk": {"S": live_pk("simulated")},
            "sk": {"S": f"0/{part}"},
            "columns": {"B": packed},
        }
        dynamodb.put_item(TableName="stock-charts", Item=item)
    s3.create_bucket(Bucket=BUCKET)
    WatchListWriter(ssm, s3, PARAMETER, BUCKET).write(TICKERS, "all of them")
    watched = WatchedTickers(WatchListReader(ssm, s3, PARAMETER, lambda: NOW_MS))
    return Api(replace(services, watch_list=watched))


def answered(api: Api, path: str, **query: str) -> JsonObject:
    """Send a request; what comes back is within Lambda's limit, in which the body is a text of JSON once more."""
    reply = api.get(path, **query)
    assert reply.status == 200, reply.text
    assert excessive_answer(len(json.dumps({"body": reply.text}))) is None
    return reply.json


@pytest.mark.parametrize("at", [0, 24_000, MAX_SYMBOLS - MOST_ROWS])
def test_pages_follow_one_another_to_the_end(api: Api, at: int) -> None:
    page = answered(api, "/tickers", offset=str(at))
    assert [row["ticker"] for row in page["tickers"]] == TICKERS[at : at + MOST_ROWS]
    assert (page["feed"]["total"], page["feed"]["live"], page["count"]) == (
        MAX_SYMBOLS,
        MAX_SYMBOLS,
        MOST_ROWS,
    )
    assert (page["offset"], page["next"]) == (at, at + MOST_ROWS if at + MOST_ROWS < MAX_SYMBOLS else None)


def test_the_client_follows_the_pages(services: Services) -> None:
    api, asked = Api(replace(services, watch_list=lambda: TICKERS[: 2 * MOST_ROWS + 1])), 0
    dialogue = dialogues.tickers()
    request = next(dialogue)
    while True:
        asked += 1
        assert isinstance(request, dialogues.ApiRequest)
        try:
            request = dialogue.send(api.get(request.path, **request.query).json)
        except StopIteration as end:
            found = end.value
            break
    assert [row.ticker for row in found.tickers] == TICKERS[: 2 * MOST_ROWS + 1]
    assert (asked, found.count, found.next) == (3, 2 * MOST_ROWS + 1, None)


def test_the_order_is_of_the_whole_list(api: Api) -> None:
    page = answered(api, "/tickers", order="change", limit="3", first="T00007.X,NOBODY,T00005.X")
    assert [row["ticker"] for row in page["tickers"]] == ["T00007.X", "T00005.X", TICKERS[-1]]
    assert page["next"] == 3
    beyond = answered(api, "/tickers", offset=str(MAX_SYMBOLS))
    assert (beyond["tickers"], beyond["next"]) == ([], None)


def test_health_and_safety(api: Api) -> None:
    assert answered(api, "/health", depth="full")["feed"]["total"] == MAX_SYMBOLS
    assert answered(api, f"/safety/{TICKERS[-1]}")["quote"]["price"] == quote(MAX_SYMBOLS - 1).price


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"limit": "1001"}, "less than or equal to 1000"),
        ({"offset": "-1"}, "greater than or equal to 0"),
        ({"order": "size"}, "one of list, ticker, change"),
        ({"first": "AAPL,A$"}, "a ticker of 1 to 32"),
        ({"first": ",".join(TICKERS[:101])}, "at most 100"),
    ],
)
def test_what_a_page_cannot_be(services: Services, query: dict[str, str], said: str) -> None:
    reply = Api(services).get("/tickers", **query)
    assert (reply.status, reply.json["where"]) == (400, next(iter(query)))
    assert said in reply.json["detail"] + str(reply.json.get("allowed"))
