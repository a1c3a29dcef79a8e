"""Coinbase's documented answers: a quote a product, what is unknown, and its errors."""

from __future__ import annotations

import json

import pytest

from producers.polling import poll
from producers.source import SourceError
from producers.sources import create, history_of
from producers.sources.coinbase import CoinbaseSource
from tests.producers.fakes import Call, Clock, MakeClient, Reply, VendorStub

NOW_MS = 1_743_512_405_000


def ticker(price: str = "6268.48", **more: object) -> Reply:
    """As in docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-ticker."""
    body = {
        "ask": "6267.71",
        "bid": "6265.15",
        "volume": "53602.03940154",
        "trade_id": 86326522,
        "price": price,
        "size": "0.00698254",
        "time": "2025-04-01T13:00:00.546Z",
        **more,
    }
    return 200, {}, json.dumps(body).encode()


# Status and text of an unknown product: exchange-api/rest-api, "Errors".
NOT_FOUND: Reply = (404, {}, b'{"message":"NotFound"}')


@pytest.fixture
def source(vendor: VendorStub, vendor_client: MakeClient, clock: Clock) -> CoinbaseSource:
    clock.now_ms = NOW_MS
    return CoinbaseSource(vendor_client(vendor.url, "coinbase", 480))


def test_a_ticker_is_a_quote(source: CoinbaseSource, vendor: VendorStub) -> None:
    vendor.script(ticker())
    batch = poll("coinbase", source, ["BTC-USD"], NOW_MS)
    assert (batch.symbol, batch.price, batch.bid, batch.ask) == (["BTC-USD"], [6268.48], [6265.15], [6267.71])
    assert (batch.day_volume, batch.quote_ts) == ([None], [1_743_512_400_546])
    assert vendor.calls[0].path == "/products/BTC-USD/ticker"


@pytest.mark.parametrize("written", ["BTC-USD", "BTC/USD", "COINBASE:BTC-USD"])
def test_a_pair_may_be_written_as_others_do(source: CoinbaseSource, vendor: VendorStub, written: str) -> None:
    vendor.script(ticker())
    assert poll("coinbase", source, [written], NOW_MS).symbol == [written]
    assert vendor.calls[0].path == "/products/BTC-USD/ticker"


def test_one_products_odd_answer_costs_that_product(source: CoinbaseSource, vendor: VendorStub) -> None:
    answers: dict[str, Reply | None] = {
        "BTC-USD": ticker(),
        "NOPE-USD": NOT_FOUND,
        "ODD-USD": ticker(price="soon"),
        "LIST-USD": (200, {}, b"[]"),
        "DATE-USD": ticker(time="0001-01-01T00:00:00Z"),
        "SIDE-USD": ticker(bid="-", ask=""),
        "NOTE-USD": (200, {}, b'{"Note": "5 calls a minute"}'),
        "BROKEN-USD": (500, {}, b'{"message":"Internal server error"}'),
        "ETH-USD": ticker("3000"),
    }
    vendor.answer = lambda call: answers[call.path.split("/")[2]]
    batch = poll("coinbase", source, list(answers), NOW_MS)
    assert batch.symbol == ["BTC-USD", "DATE-USD", "SIDE-USD", "ETH-USD"]
    assert (batch.quote_ts[1], batch.bid[2], batch.ask[2]) == (None, None, None)
    assert '{"Note": "5 calls a minute"}' in batch.reasons["NOTE-USD"]
    assert {"NOPE-USD", "ODD-USD", "LIST-USD", "BROKEN-USD"} <= set(batch.missing)
    assert "lists no such product; one is written like BTC-USD" in batch.reasons["NOPE-USD"]
    assert "status 500: Internal server error" in batch.reasons["BROKEN-USD"]


def test_a_long_list_takes_turns_within_the_limit(source: CoinbaseSource, vendor: VendorStub) -> None:
    vendor.script(ticker())
    symbols = [f"C{i}-USD" for i in range(200)]
    batch = poll("coinbase", source, symbols, NOW_MS)
    assert 30 < len(batch.symbol) < 100
    assert batch.missing == []
    assert poll("coinbase", source, symbols, NOW_MS + 5_000).symbol[0] == symbols[len(batch.symbol)]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        # docs.cdp.coinbase.com/exchange/rest-api/rate-limits
        (
            (429, {}, b'{"message":"Public rate limit exceeded"}'),
            "allows no more calls until .*rate limit exceeded",
        ),
        ((503, {}, b"<html>maintenance</html>"), "coinbase fails .status 503"),
        ((403, {}, b'{"message":"blocked"}'), r"denies access \(403: blocked\): no key is needed"),
    ],
)
def test_documented_errors_are_said(vendor: VendorStub, reply: Reply, message: str) -> None:
    vendor.script(reply)
    source = create("coinbase", {"COINBASE_URL": vendor.url, "POLL_INTERVAL_SECONDS": "1"})
    with pytest.raises(SourceError, match=message):
        poll("coinbase", source, ["BTC-USD"], NOW_MS)


def test_it_needs_no_key(vendor: VendorStub) -> None:
    def answer(call: Call) -> Reply:
        assert "authorization" not in call.headers
        return ticker()

    vendor.answer = answer
    source = create("coinbase", {"COINBASE_URL": vendor.url})
    assert poll("coinbase", source, ["BTC-USD"], NOW_MS).missing == []


def test_one_odd_candle_costs_no_other(vendor: VendorStub) -> None:
    begin = NOW_MS // 60_000 * 60
    good = [[begin + 60 * n, 1, 2, 1.5, 1.5, 3] for n in (0, 2)]
    vendor.script((200, {}, json.dumps([good[1], [begin + 60, 1, 2, 1.5, 1.5, None], good[0]]).encode()))
    history = history_of("coinbase", {"COINBASE_URL": vendor.url})
    found = list(history.minute_bars("BTC-USD", begin * 1000, begin * 1000 + 600_000))
    assert [bar.ts for bar in found] == [begin * 1000, begin * 1000 + 120_000]
