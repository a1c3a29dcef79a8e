"""Alpaca's documented answers, and what becomes of them."""

from __future__ import annotations

import json
import math

import pytest

from producers.polling import poll
from producers.quote_batch import usable
from producers.source import MinuteBar, SourceError
from producers.sources import create, history_of
from producers.sources.alpaca import SYMBOLS_PER_CALL, AlpacaSource
from tests.producers.fakes import Call, Clock, MakeClient, Reply, VendorStub

NOW_MS = 1_647_614_040_000  # 2022-03-18T14:34:00Z, 10:34 in New York


def snapshot(price: float = 161.1998, **changes: object) -> dict[str, object]:
    """As in alpaca-py, tests/data/test_historical_stock_data.py, test_get_snapshot."""
    return {
        "latestTrade": {
            "t": "2022-03-18T14:33:58.448432206Z",
            "x": "D",
            "p": price,
            "s": 200,
            "c": ["@"],
            "i": 39884,
            "z": "C",
        },
        "latestQuote": {
            "t": "2022-03-18T14:33:58.547942Z",
            "ax": "K",
            "ap": 161.2,
            "as": 2,
            "bx": "K",
            "bp": 161.19,
            "bs": 5,
            "c": ["R"],
            "z": "C",
        },
        "minuteBar": {
            "t": "2022-03-18T14:32:00Z",
            "o": 161.595,
            "h": 161.63,
            "l": 161.31,
            "c": 161.365,
            "v": 195503,
            "n": 1880,
            "vw": 161.448073,
        },
        "dailyBar": {
            "t": "2022-03-18T04:00:00Z",
            "o": 160.59,
            "h": 161.92,
            "l": 159.76,
            "c": 161.365,
            "v": 31749988,
            "n": 186143,
            "vw": 160.683364,
        },
        "prevDailyBar": {
            "t": "2022-03-17T04:00:00Z",
            "o": 158.6,
            "h": 161,
            "l": 157.63,
            "c": 160.62,
            "v": 73839892,
            "n": 609067,
            "vw": 159.425082,
        },
        **changes,
    }


def answered(snapshots: object) -> tuple[int, dict[str, str], bytes]:
    # Three headers of limits as in https://forum.alpaca.markets/t/executing-orders/12029
    headers = {
        "X-Ratelimit-Limit": "200",
        "X-Ratelimit-Remaining": "195",
        "X-Ratelimit-Reset": str(NOW_MS // 1000 + 26),
    }
    return 200, headers, json.dumps(snapshots).encode()


@pytest.fixture
def source(vendor: VendorStub, vendor_client: MakeClient, clock: Clock) -> AlpacaSource:
    clock.now_ms = NOW_MS
    return AlpacaSource(vendor_client(vendor.url, "alpaca", 200), "iex")


def test_a_snapshot_is_a_quote(source: AlpacaSource, vendor: VendorStub) -> None:
    vendor.script(answered({"AAPL": snapshot()}))
    batch = poll("alpaca", source, ["AAPL"], NOW_MS)
    assert (batch.source, batch.symbol, batch.ts) == ("alpaca", ["AAPL"], [NOW_MS])
    assert (batch.price, batch.bid, batch.ask) == ([161.1998], [161.19], [161.2])
    assert batch.day_volume == [31749988]
    assert batch.quote_ts == [1_647_614_038_547]  # the newer of trade and quote
    assert batch.missing == []
    assert vendor.calls[0].path == "/v2/stocks/snapshots"
    assert vendor.calls[0].parameters == {"symbols": "AAPL", "feed": "iex"}


def test_keys_come_from_the_environment_and_go_into_the_headers(vendor: VendorStub) -> None:
    # https://docs.alpaca.markets/docs/market-data-faq names the headers, alpaca-trade-api-python the variables.
    vendor.script(answered({"AAPL": snapshot()}))
    source = create(
        "alpaca",
        {"APCA_API_KEY_ID": "PK1", "APCA_API_SECRET_KEY": "s3cr3t", "APCA_API_DATA_URL": vendor.url},
    )
    poll("alpaca", source, ["AAPL"], NOW_MS)
    headers = vendor.calls[0].headers
    assert (headers["apca-api-key-id"], headers["apca-api-secret-key"]) == ("PK1", "s3cr3t")
    assert vendor.calls[0].parameters == {"symbols": "AAPL"}
    source._client.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "APCA_API_KEY_ID is not set: make one at"),
        ({"APCA_API_KEY_ID": "PK1"}, "APCA_API_SECRET_KEY is not set"),
        (
            {"APCA_API_KEY_ID": "a", "APCA_API_SECRET_KEY": "b", "ALPACA_FEED": "all"},
            "ALPACA_FEED is 'all'; must be one of iex, sip",
        ),
    ],
)
def test_what_is_not_set_up_is_said(environment: dict[str, str], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        create("alpaca", environment)


def test_symbols_it_has_no_data_of_are_missing(source: AlpacaSource, vendor: VendorStub) -> None:
    # null for a symbol that it knows, github.com/alpacahq/alpaca-py/issues/157; an unknown one is left out.
    no_trade = {"latestTrade": None, "latestQuote": None, "minuteBar": None, "dailyBar": None}
    vendor.script(answered({"AAPL": snapshot(), "KUBTY": None, "NEW": no_trade, "ODD": {"latestTrade": 3}}))
    batch = poll("alpaca", source, ["AAPL", "KUBTY", "GONE", "NEW", "ODD"], NOW_MS)
    assert batch.symbol == ["AAPL"]
    assert batch.missing == ["KUBTY", "GONE", "NEW", "ODD"]


@pytest.mark.parametrize(
    "odd",
    [
        {"dailyBar": {"t": "0001-01-01T00:00:00Z", "v": 0}},  # Go's zero time, of a new listing
        {"latestTrade": {"t": "0001-01-01T00:00:00Z", "p": 3.0}},
        {"latestQuote": {"t": "9999-12-31T23:59:59Z", "bp": 1, "ap": 2}},
        {"dailyBar": []},
        {"latestTrade": {"t": 0, "p": "1"}},
        {"latestTrade": None, "dailyBar": 7},
        {"latestTrade": {"t": "2126-01-01T00:00:00Z", "p": 3.0}},
        {"latestTrade": {"t": "2025-04-01T13:00:00Z", "p": "soon"}},
    ],
)
def test_one_tickers_odd_answer_costs_no_other_anything(
    source: AlpacaSource, vendor: VendorStub, odd: dict[str, object]
) -> None:
    vendor.script(answered({"AAPL": snapshot(), "NEWCO": {**snapshot(), **odd}, "MSFT": snapshot()}))
    batch = poll("alpaca", source, ["AAPL", "NEWCO", "MSFT"], NOW_MS)
    assert {"AAPL", "MSFT"} <= set(batch.symbol)
    assert set(batch.symbol) | set(batch.missing) == {"AAPL", "NEWCO", "MSFT"}
    assert all(batch.reasons.get(ticker) for ticker in batch.missing)
    assert usable(batch)[1] == []


def test_zero_is_no_bid_and_a_crossed_or_stale_quote_is_passed_on(
    source: AlpacaSource, vendor: VendorStub
) -> None:
    # Crossed, as in test_get_quotes of the SDK's tests: ask 158.65 below bid 159.52.
    crossed = {"t": "2022-03-09T09:00:00.000059Z", "ap": 158.65, "as": 1, "bp": 159.52, "bs": 4}
    nobody = {"t": "2022-03-18T14:33:58Z", "ap": 0, "as": 0, "bp": 0, "bs": 0}
    old = {"t": "2022-03-09T09:00:00Z", "p": 100.0, "s": 1}
    vendor.script(
        answered(
            {
                "AAPL": snapshot(latestQuote=nobody),
                "MSFT": snapshot(latestQuote=crossed, latestTrade=old),
                "TSLA": snapshot(latestQuote=None),
            }
        )
    )
    batch = poll("alpaca", source, ["AAPL", "MSFT", "TSLA"], NOW_MS)
    assert batch.bid == [None, 159.52, None]
    assert batch.ask == [None, 158.65, None]
    assert batch.quote_ts[1] == 1_646_816_400_000


def test_what_is_no_number_beside_a_price_is_unknown(source: AlpacaSource, vendor: VendorStub) -> None:
    """NaN is no JSON, and some servers write it."""
    odd = {"t": "2022-03-18T14:33:58Z", "bp": math.nan, "ap": 161.2}
    bar = {"t": "2022-03-18T04:00:00Z", "v": math.nan}
    vendor.script(answered({"AAPL": snapshot(latestQuote=odd, dailyBar=bar)}))
    batch = poll("alpaca", source, ["AAPL"], NOW_MS)
    assert (batch.price, batch.bid, batch.ask, batch.day_volume) == ([161.1998], [None], [161.2], [None])
    assert usable(batch)[1] == []


@pytest.mark.parametrize("odd", [{"bp": "-", "ap": "", "t": 5}, "n/a", [], 7])
def test_what_is_odd_beside_a_price_is_unknown(source: AlpacaSource, vendor: VendorStub, odd: object) -> None:
    vendor.script(answered({"AAPL": snapshot(latestQuote=odd, dailyBar=odd)}))
    batch = poll("alpaca", source, ["AAPL"], NOW_MS)
    assert (batch.price, batch.bid, batch.ask, batch.day_volume) == ([161.1998], [None], [None], [None])


def test_what_is_null_is_unknown_and_costs_no_price(source: AlpacaSource, vendor: VendorStub) -> None:
    nobody = {"t": None, "bp": None, "ap": 161.2}
    vendor.script(
        answered(
            {
                "AAPL": snapshot(latestQuote=nobody, dailyBar={"t": "2022-03-18T04:00:00Z", "v": None}),
                "MSFT": snapshot(latestTrade={"p": 100.0}, dailyBar={}, latestQuote={}),
            }
        )
    )
    batch = poll("alpaca", source, ["AAPL", "MSFT"], NOW_MS)
    assert (batch.price, batch.bid, batch.ask) == ([161.1998, 100.0], [None, None], [161.2, None])
    assert (batch.day_volume, batch.quote_ts) == ([None, None], [1_647_614_038_448, None])


def test_before_the_first_trade_of_a_day_no_volume_is_known(source: AlpacaSource, vendor: VendorStub) -> None:
    yesterday = {"t": "2022-03-17T04:00:00Z", "v": 73839892}
    vendor.script(answered({"AAPL": snapshot(dailyBar=yesterday)}))
    assert poll("alpaca", source, ["AAPL"], NOW_MS).day_volume == [None]


def test_a_long_list_takes_several_calls_and_one_that_fails_costs_its_own_symbols(
    source: AlpacaSource, vendor: VendorStub
) -> None:
    symbols = [f"S{i}" for i in range(2 * SYMBOLS_PER_CALL + 3)]

    def answer(call: Call) -> Reply:
        asked = call.parameters["symbols"].split(",")
        if f"S{SYMBOLS_PER_CALL}" in asked:
            return 500, {}, b'{"message": "internal server error occurred"}'
        return answered({symbol: snapshot() for symbol in asked})

    vendor.answer = answer
    batch = poll("alpaca", source, symbols, NOW_MS)
    assert len(batch.symbol) == SYMBOLS_PER_CALL + 3
    assert batch.missing == symbols[SYMBOLS_PER_CALL : 2 * SYMBOLS_PER_CALL]
    assert "status 500: internal server error occurred" in source.vendor_state.last_error
    assert source.vendor_state.failures == 0


@pytest.mark.parametrize("named", [True, False])
def test_a_symbol_that_it_rejects_does_not_cost_the_others_theirs(
    source: AlpacaSource, vendor: VendorStub, named: bool
) -> None:
    # "invalid symbol: …" as in github.com/alpacahq/alpaca-trade-api-python/issues/601
    def answer(call: Call) -> Reply:
        asked = call.parameters["symbols"].split(",")
        bad = [symbol for symbol in asked if "^" in symbol]
        if bad:
            message = f"invalid symbol: {bad[0]}" if named else "bad request"
            return 400, {}, json.dumps({"message": message}).encode()
        return answered({symbol: snapshot() for symbol in asked})

    vendor.answer = answer
    symbols = [*(f"S{i}" for i in range(20)), "^VIX", "S21", "^GSPC"]
    batch = poll("alpaca", source, symbols, NOW_MS)
    assert batch.missing == ["^VIX", "^GSPC"]
    assert len(batch.symbol) == 21
    called = len(vendor.calls)
    assert poll("alpaca", source, symbols, NOW_MS + 5000).missing == ["^VIX", "^GSPC"]
    assert len(vendor.calls) == called + 1, "what it rejected once is not asked for again"


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        # https://docs.alpaca.markets/reference/stocksnapshots-1, responses 401, 403, 429, 500
        (401, {"message": "unauthorized."}, r"rejects the key \(401: unauthorized\.\): check APCA"),
        # https://docs.alpaca.markets/docs/market-data-faq
        (
            403,
            {"message": "subscription does not permit querying recent SIP data"},
            r"denies access \(403: subscription does not permit querying recent SIP data\)",
        ),
        (429, {"message": "too many requests."}, r"allows no more calls until .*too many requests"),
        (500, {"message": "internal server error occurred"}, "status 500: internal server error"),
    ],
)
def test_documented_errors_say_what_and_what_to_do(
    vendor: VendorStub, status: int, body: dict[str, str], message: str
) -> None:
    vendor.script((status, {}, json.dumps(body).encode()))
    source = create(
        "alpaca", {"APCA_API_KEY_ID": "a1", "APCA_API_SECRET_KEY": "b2", "APCA_API_DATA_URL": vendor.url}
    )
    with pytest.raises(SourceError, match=message):
        poll("alpaca", source, ["AAPL"], NOW_MS)
    source._client.close()  # type: ignore[attr-defined]


def test_an_answer_of_another_shape_is_an_error(source: AlpacaSource, vendor: VendorStub) -> None:
    vendor.script(answered([1, 2]))
    with pytest.raises(SourceError, match="alpaca answered a JSON list: expected is an object"):
        poll("alpaca", source, ["AAPL"], NOW_MS)


def test_crypto_pairs_are_asked_for_at_their_own_address(source: AlpacaSource, vendor: VendorStub) -> None:
    """As in docs.alpaca.markets/reference/cryptosnapshots-1: below `snapshots`, with ids of trades and no feed."""

    def answer(call: Call) -> Reply:
        asked = call.parameters["symbols"].split(",")
        if call.path == "/v2/stocks/snapshots":
            assert asked == ["AAPL"]
            return answered({"AAPL": snapshot()})
        assert call.path == "/v1beta3/crypto/us/snapshots"
        return answered({"snapshots": {name: snapshot() for name in asked if name != "NOPE/USD"}})

    vendor.answer = answer
    batch = poll("alpaca", source, ["BTC/USD", "AAPL", "ETH-USD", "NOPE/USD"], NOW_MS)
    assert batch.symbol == ["BTC/USD", "AAPL", "ETH-USD"]
    assert [volume is None for volume in batch.day_volume] == [True, False, True]
    assert batch.reasons == {"NOPE/USD": "alpaca knows no such ticker"}


def test_stocks_that_fail_cost_crypto_nothing(source: AlpacaSource, vendor: VendorStub) -> None:
    def answer(call: Call) -> Reply:
        if call.path == "/v2/stocks/snapshots":
            return 500, {}, b'{"message": "internal server error occurred"}'
        return answered({"snapshots": {"BTC/USD": snapshot()}})

    vendor.answer = answer
    batch = poll("alpaca", source, ["BTC/USD", "AAPL"], NOW_MS)
    assert (batch.symbol, batch.missing) == (["BTC/USD"], ["AAPL"])
    assert "internal server error" in batch.reasons["AAPL"]


@pytest.mark.parametrize(
    "body",
    [{"aapl": snapshot()}, {"status": "ERROR", "detail": "no"}, {"code": 40410000}, {"TSLA": snapshot()}],
)
def test_an_answer_about_nothing_that_was_asked_for_is_an_error(
    source: AlpacaSource, vendor: VendorStub, body: dict[str, object]
) -> None:
    """It was told as tickers that Alpaca does not know."""
    vendor.script(answered(body))
    with pytest.raises(SourceError, match=f"none of the tickers asked for: .*{next(iter(body))}"):
        poll("alpaca", source, ["AAPL", "MSFT"], NOW_MS)


@pytest.mark.parametrize(
    "at", ["2022-03-18T24:00:00Z", "2016-12-31T23:59:60Z", "", 1647613980, None, {"s": 1}]
)
def test_an_odd_time_beside_a_price_is_unknown(source: AlpacaSource, vendor: VendorStub, at: object) -> None:
    odd = {"latestTrade": {"p": 161.2, "t": at}, "dailyBar": {"t": at, "v": 5}}
    vendor.script(answered({"AAPL": odd, "MSFT": snapshot()}))
    batch = poll("alpaca", source, ["AAPL", "MSFT"], NOW_MS)
    assert (batch.symbol, batch.quote_ts[0], batch.day_volume[0]) == (["AAPL", "MSFT"], None, None)


def bars(vendor: VendorStub) -> list[MinuteBar]:
    environment = {"APCA_API_KEY_ID": "a1", "APCA_API_SECRET_KEY": "b2", "APCA_API_DATA_URL": vendor.url}
    return list(history_of("alpaca", environment).minute_bars("AAPL", NOW_MS - 600_000, NOW_MS))


def minute(hour_and_minute: str, price: object = 1.5) -> dict[str, object]:
    return {"t": f"2022-03-18T{hour_and_minute}:00Z", "o": price, "h": 2, "l": 1, "c": 1.5, "v": 3, "n": 1}


def page(*of: object, token: str | None = None) -> Reply:
    return answered({"bars": {"AAPL": list(of)}, "next_page_token": token})


def test_pages_that_do_not_end_are_an_error(vendor: VendorStub) -> None:
    """They went on for ever where each names another one."""
    vendor.answer = lambda _: page(minute("14:30"), token=str(len(vendor.calls)))
    with pytest.raises(SourceError, match="alpaca's pages of AAPL do not end"):
        bars(vendor)
    assert len(vendor.calls) < 10


def test_a_page_without_bars_is_not_the_last(vendor: VendorStub) -> None:
    vendor.script(page(minute("14:30"), token="b"), page(token="c"), page(minute("14:31")))
    assert [bar.ts % 3_600_000 // 60_000 for bar in bars(vendor)] == [30, 31]


@pytest.mark.parametrize(
    "odd", [None, {}, minute("14:31", None), minute("14:31", "a"), {**minute("1"), "t": 1e30}]
)
def test_one_odd_bar_costs_no_other_and_is_told(
    vendor: VendorStub, odd: object, caplog: pytest.LogCaptureFixture
) -> None:
    vendor.script(page(minute("14:30", "1.5"), odd, minute("14:32")))
    assert [bar.ts % 3_600_000 // 60_000 for bar in bars(vendor)] == [30, 32]
    assert "alpaca, AAPL: 1 of 3 bars cannot be read and are left out: " in caplog.text


def test_bars_of_which_none_can_be_read_are_an_error(vendor: VendorStub) -> None:
    vendor.script(page(minute("14:30", None), None))
    with pytest.raises(
        SourceError, match="alpaca, AAPL: the answer holds no bar: Expected `object`, got `null`"
    ):
        bars(vendor)
