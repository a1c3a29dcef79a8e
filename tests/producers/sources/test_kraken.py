"""Kraken's documented answers: all pairs in one call, its own names, and its errors with status 200."""

from __future__ import annotations

import json

import pytest

from producers.polling import poll
from producers.source import MinuteBar, SourceError
from producers.sources import create, history_of
from producers.sources.kraken import PAIRS_PER_CALL, KrakenHistory, KrakenSource, result_of
from producers.vendor_state import RateLimitedError
from tests.producers.fakes import Call, Clock, MakeClient, Reply, VendorStub

NOW_MS = 1_743_512_405_000
# As in docs.kraken.com/api/docs/rest-api/get-tradable-asset-pairs
PAIRS = {
    "XXBTZUSD": {"altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD"},
    "XETHZEUR": {"altname": "ETHEUR", "wsname": "ETH/EUR", "base": "XETH", "quote": "ZEUR"},
    "XDGUSD": {"altname": "XDGUSD", "wsname": "XDG/USD"},
}
# As in docs.kraken.com/api/docs/rest-api/get-ticker-information
TICKER: dict[str, list[str] | list[int] | str] = {
    "a": ["30300.10000", "1", "1.000"],
    "b": ["30300.00000", "1", "1.000"],
    "c": ["30303.20000", "0.00067643"],
    "v": ["4083.67001100", "4412.73601799"],
    "p": ["30706.77771", "30689.13205"],
    "t": [34619, 38907],
    "l": ["29868.30000", "29868.30000"],
    "h": ["31631.00000", "31631.00000"],
    "o": "30502.80000",
}


def result(value: object, *errors: str) -> Reply:
    return 200, {}, json.dumps({"error": list(errors), "result": value}).encode()


def answer(call: Call) -> Reply:
    if call.path == "/0/public/AssetPairs":
        return result(PAIRS)
    assert call.path == "/0/public/Ticker"
    asked = call.parameters["pair"].split(",")
    assert set(asked) <= set(PAIRS), "one unknown pair fails the whole call"
    return result(dict.fromkeys(asked, TICKER))


@pytest.fixture
def source(vendor: VendorStub, vendor_client: MakeClient, clock: Clock) -> KrakenSource:
    clock.now_ms = NOW_MS
    vendor.answer = answer
    return KrakenSource(vendor_client(vendor.url, "kraken", 50, read=result_of))


def test_a_ticker_is_a_quote(source: KrakenSource, vendor: VendorStub) -> None:
    batch = poll("kraken", source, ["BTC/USD"], NOW_MS)
    assert (batch.symbol, batch.price, batch.bid, batch.ask) == (["BTC/USD"], [30303.2], [30300.0], [30300.1])
    assert (batch.day_volume, batch.quote_ts) == ([4083.670011], [None])
    assert vendor.calls[1].parameters == {"pair": "XXBTZUSD"}


@pytest.mark.parametrize(
    "written", ["BTC/USD", "BTC-USD", "BTCUSD", "XBT/USD", "XBTUSD", "XXBTZUSD", "KRAKEN:BTC-USD"]
)
def test_a_pair_may_be_written_as_kraken_and_as_others_do(source: KrakenSource, written: str) -> None:
    assert poll("kraken", source, [written], NOW_MS).symbol == [written]


def test_which_pairs_there_are_is_asked_once_and_others_are_missing(
    source: KrakenSource, vendor: VendorStub
) -> None:
    for at in (NOW_MS, NOW_MS + 5_000):
        batch = poll("kraken", source, ["BTC/USD", "NOPE/USD", "DOGE/USD"], at)
        assert (batch.symbol, batch.missing) == (["BTC/USD", "DOGE/USD"], ["NOPE/USD"])
        assert "lists no such pair; one is written like BTC/USD" in batch.reasons["NOPE/USD"]
    assert [call.path.rpartition("/")[2] for call in vendor.calls] == ["AssetPairs", "Ticker", "Ticker"]


@pytest.mark.parametrize("odd", [None, [], ["-"], "n/a"])
def test_what_is_odd_beside_a_price_is_unknown(source: KrakenSource, vendor: VendorStub, odd: object) -> None:
    ticker = {**TICKER, "b": odd, "v": odd}
    vendor.answer = lambda call: answer(call) if "Asset" in call.path else result({"XXBTZUSD": ticker})
    batch = poll("kraken", source, ["BTC/USD"], NOW_MS)
    assert (batch.price, batch.bid, batch.ask, batch.day_volume) == ([30303.2], [None], [30300.1], [None])


@pytest.mark.parametrize("odd", [None, 3, {"c": ["soon"]}, {**TICKER, "c": []}])
def test_one_pairs_odd_answer_costs_that_pair(source: KrakenSource, vendor: VendorStub, odd: object) -> None:
    def oddly(call: Call) -> Reply:
        return answer(call) if "Asset" in call.path else result({"XXBTZUSD": odd, "XETHZEUR": TICKER})

    vendor.answer = oddly
    batch = poll("kraken", source, ["BTC/USD", "ETH/EUR"], NOW_MS)
    assert (batch.symbol, batch.missing) == (["ETH/EUR"], ["BTC/USD"])


def test_a_long_list_takes_several_calls(source: KrakenSource, vendor: VendorStub) -> None:
    many = {f"P{i}": {"altname": f"P{i}", "wsname": f"P{i}/USD"} for i in range(PAIRS_PER_CALL + 5)}

    def answers(call: Call) -> Reply:
        names = call.parameters.get("pair", "").split(",")
        return result(many) if "Asset" in call.path else result(dict.fromkeys(names, TICKER))

    vendor.answer = answers
    assert len(poll("kraken", source, [f"{name}/USD" for name in many], NOW_MS).symbol) == len(many)
    assert len(vendor.calls) == 3


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        # docs.kraken.com/api/docs/guides/spot-errors
        (
            result(None, "EAPI:Rate limit exceeded"),
            "allows no more calls until .* UTC: EAPI:Rate limit exceeded",
        ),
        (result({}, "EService:Unavailable"), "kraken fails .EService:Unavailable"),
        (result({}, "EQuery:Unknown asset pair"), "rejects the request .EQuery:Unknown asset pair"),
        ((200, {}, b"[1]"), "answered what is no result"),
        ((502, {}, b"bad gateway"), "status 502: bad gateway"),
    ],
)
def test_documented_errors_are_said(vendor: VendorStub, reply: Reply, message: str) -> None:
    vendor.script(reply)
    source = create("kraken", {"KRAKEN_URL": vendor.url, "POLL_INTERVAL_SECONDS": "1"})
    with pytest.raises(SourceError, match=message):
        poll("kraken", source, ["BTC/USD"], NOW_MS)


def test_a_limit_in_an_answer_of_success_is_one(source: KrakenSource, vendor: VendorStub) -> None:
    vendor.script(result(None, "EGeneral:Too many requests"))
    for _ in range(2):
        with pytest.raises(RateLimitedError, match="kraken allows no more calls until"):
            poll("kraken", source, ["BTC/USD"], NOW_MS)
    assert len(vendor.calls) == 1, "it is left alone, as after status 429"


def test_a_failure_in_an_answer_of_success_is_tried_again(source: KrakenSource, vendor: VendorStub) -> None:
    failures = [result(None, "EService:Unavailable"), result({}, "EService:Busy")]
    vendor.answer = lambda call: failures.pop() if failures else answer(call)
    assert poll("kraken", source, ["BTC/USD"], NOW_MS).symbol == ["BTC/USD"]


def test_history_waits_for_a_limit_in_an_answer_of_success(
    vendor: VendorStub, vendor_client: MakeClient, clock: Clock
) -> None:
    first, limits = NOW_MS // 60_000 * 60, [result(None, "EAPI:Rate limit exceeded")]
    clock.now_ms = NOW_MS
    vendor.answer = lambda call: (
        answer(call) if "Asset" in call.path else limits.pop() if limits else candles(first, 6)
    )
    client = vendor_client(vendor.url, "kraken", 50, read=result_of, retry_seconds=900)
    bars = list(KrakenHistory(client).minute_bars("BTC/USD", first * 1000, first * 1000 + 3_600_000))
    assert bars
    assert clock.now_ms - NOW_MS >= 15_000


def test_a_warning_is_no_error(source: KrakenSource, vendor: VendorStub) -> None:
    vendor.answer = lambda call: result(
        PAIRS if "Asset" in call.path else {"XXBTZUSD": TICKER}, "WGeneral:Deprecated"
    )
    assert poll("kraken", source, ["BTC/USD"], NOW_MS).symbol == ["BTC/USD"]


def candles(first: int, count: int) -> Reply:
    """The shape of docs.kraken.com/api-reference/market-data/get-ohlc-data."""
    rows = [
        [first + 60 * n, "30306.1", "30306.2", "30305.7", "30305.9", "30306.1", "3.39", 23 if n % 2 else 0]
        for n in range(count)
    ]
    return result({"XXBTZUSD": rows, "last": first + 60 * (count - 2)})


def test_candles_are_bars_of_minutes_with_trades(vendor: VendorStub) -> None:
    first = NOW_MS // 60_000 * 60
    vendor.answer = lambda call: candles(first, 6) if call.path == "/0/public/OHLC" else answer(call)
    history = history_of("kraken", {"KRAKEN_URL": vendor.url})
    bars = list(history.minute_bars("BTC/USD", first * 1000, first * 1000 + 3_600_000))
    assert bars == [  # the last is not over
        MinuteBar((first + 60 * n) * 1000, 30306.1, 30306.2, 30305.7, 30305.9, 3.39) for n in (1, 3)
    ]
    assert vendor.calls[1].parameters == {"pair": "XXBTZUSD", "interval": "1", "since": str(first - 60)}
    with pytest.raises(SourceError, match="AAPL: kraken lists no such pair"):
        list(history.minute_bars("AAPL", 0, 60_000))


def test_minutes_that_kraken_no_longer_has_are_not_left_out_in_silence(vendor: VendorStub) -> None:
    first = NOW_MS // 60_000 * 60
    vendor.answer = lambda call: candles(first, 720) if call.path == "/0/public/OHLC" else answer(call)
    history = history_of("kraken", {"KRAKEN_URL": vendor.url})
    with pytest.raises(SourceError, match=r"newest 720 minutes alone; must be from 2025-04-01T13:00Z on"):
        list(history.minute_bars("BTC/USD", first * 1000 - 86_400_000, first * 1000 + 86_400_000))


@pytest.mark.parametrize("pairs", [{}, None])
def test_a_list_without_pairs_is_an_error_and_not_pairs_that_are_not_listed(
    source: KrakenSource, vendor: VendorStub, pairs: object
) -> None:
    vendor.answer = lambda _: result(pairs)
    with pytest.raises(SourceError, match="kraken answered with no pairs at all"):
        poll("kraken", source, ["BTC/USD"], NOW_MS)
    vendor.answer = answer
    assert poll("kraken", source, ["BTC/USD"], NOW_MS + 5_000).symbol == ["BTC/USD"]


def test_one_odd_candle_costs_no_other(vendor: VendorStub) -> None:
    first = NOW_MS // 60_000 * 60
    rows = json.loads(candles(first, 4)[2])["result"]["XXBTZUSD"]
    rows[2] = [first + 120, "x"]
    vendor.answer = lambda call: result({"XXBTZUSD": rows}) if call.path == "/0/public/OHLC" else answer(call)
    history = history_of("kraken", {"KRAKEN_URL": vendor.url})
    assert len(list(history.minute_bars("BTC/USD", first * 1000, first * 1000 + 3_600_000))) == 1
