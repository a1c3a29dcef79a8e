"""What Yahoo answers, and what becomes of it: the real package yfinance on a Yahoo of this machine (tests/yahoo.py)."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from producers.polling import poll
from producers.source import MinuteBar, SourceError
from producers.sources import create, history_of
from producers.sources.yahoo import YahooHistory, YahooSource
from producers.vendor_state import VendorState
from tests.json_types import Json
from tests.yahoo import UNKNOWN, Answer, Yahoo, answer, chart

MakeSource = Callable[..., YahooSource]
NOW_MS = 1_763_996_405_000
NOW_S = NOW_MS // 1000
TOO_MANY = Answer(429, b"Too Many Requests\r\n", "text/plain")
"""yfinance issues 2441 and 2422."""
PAGE = b"<!DOCTYPE html><html><body>Will be right back...</body></html>"
"""In place of data, with status 200 or 5xx: yfinance issues 2291 and 1256, yfinance/scrapers/history.py."""


@pytest.fixture(scope="module")
def yahoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yahoo]:
    pytest.importorskip("yfinance")
    folder = tmp_path_factory.mktemp("yahoo")
    server = Yahoo(folder, quoted)
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
            patch.delenv(variable, raising=False)
        for variable, value in server.environment.items():
            patch.setenv(variable, value)
        importlib.import_module("yfinance.cache").set_cache_location(str(folder))
        session = importlib.import_module(
            "yfinance._http"
        ).new_session()  # certificates are read when it is made
        importlib.import_module("yfinance.data").YfData(session=session)
        yield server
    server.close()


def quoted(ticker: str, _asked: Json) -> Answer:
    return answer(chart(ticker, 276.5, NOW_S - 5, []))


@pytest.fixture
def source(yahoo: Yahoo) -> Iterator[MakeSource]:
    """Make the source, of a Yahoo that answers for some tickers as it is told, and for all others with a quote."""

    def make(seconds: float = 10.0, **answers: Answer) -> YahooSource:
        yahoo.chart = lambda ticker, asked: answers.get(ticker) or quoted(ticker, asked)
        made = create("yahoo", {"POLL_INTERVAL_SECONDS": f"{seconds / 0.8}"})
        assert isinstance(made, YahooSource)
        return made

    yield make
    yahoo.chart = quoted


def changed(ticker: str, **meta: object) -> Answer:
    """Return a quote whose metadata are others."""
    body = chart(ticker, 276.5, NOW_S - 5, [])
    body["chart"]["result"][0]["meta"] |= meta
    return answer(body)


def test_the_chart_of_the_day_is_a_quote(source: MakeSource, yahoo: Yahoo) -> None:
    batch = poll("yahoo", source(), ["AAPL"], NOW_MS)
    assert (batch.source, batch.symbol, batch.ts, batch.price) == ("yahoo", ["AAPL"], [NOW_MS], [276.5])
    assert (batch.day_volume, batch.quote_ts) == ([(NOW_S - 5) % 86_400 * 10], [NOW_MS - 5000])
    assert batch.bid == batch.ask == [None]
    assert yahoo.calls[:2] == ["fc.yahoo.com/", "query1.finance.yahoo.com/v1/test/getcrumb"]


def test_tickers_are_asked_for_as_yahoo_writes_them(source: MakeSource, yahoo: Yahoo) -> None:
    tickers = ["^GSPC", "M&M.NS", "ES=F", "EURUSD=X", "0700.HK", "BTC-USD", "AAPL261218C00250000"]
    assert poll("yahoo", source(), tickers, NOW_MS).symbol == tickers
    asked = [call.rpartition("/")[2] for call in yahoo.calls[-len(tickers) :]]
    assert asked == ["%5EGSPC", *tickers[1:]]


def test_an_odd_answer_costs_its_ticker_alone(source: MakeSource) -> None:
    whole = quoted("CUT", {}).body
    odd = {
        "NOPE": (answer(UNKNOWN, 404), "yahoo knows no such ticker"),
        "FIVE": (Answer(503, PAGE, "text/html"), "yahoo: status 503, with what is not JSON"),
        "PAGE": (Answer(200, PAGE, "text/html"), "yahoo: status 200, with what is not JSON"),
        "CUT": (Answer(200, whole[:200]), "yahoo: status 200, with what is not JSON"),
        "NULL": (changed("NULL", regularMarketPrice=None), "yahoo has no price of it"),
        "NONE": (answer({"chart": {"result": None, "error": None}}), "yahoo: status 200, with an empty chart"),
        "EMPTY": (answer({"chart": {"result": [], "error": None}}), "yahoo: status 200, with an empty chart"),
        # yfinance issue 2676: "'NoneType' object is not subscriptable", "list index out of range"
        "NOCHART": (answer({"chart": None}), "yahoo: status 200, with an empty chart"),
        "LIST": (answer([]), "yahoo: an answer that is no chart: Expected `object`, got `array`"),
        "TEXT": (
            changed("TEXT", regularMarketPrice="N/A"),
            "yahoo: an answer that is no chart: Expected `float | null`, got `str`",
        ),
        # https://github.com/iprak/yahoofinance/issues/93; yfinance issue 1952
        "CRUMB": (
            answer({"finance": {"error": {"code": "Unauthorized", "description": "Invalid Crumb"}}}, 401),
            "yahoo: status 401: Invalid Crumb",
        ),
    }  # fmt: skip
    made = source(20.0, **{ticker: given for ticker, (given, _) in odd.items()})
    batch = poll("yahoo", made, ["AAPL", *odd, "MSFT"], NOW_MS)
    assert batch.symbol == ["AAPL", "MSFT"]
    assert batch.missing == list(odd)
    for ticker, (_, why) in odd.items():
        assert batch.reasons[ticker].startswith(why), ticker


def test_numbers_may_come_as_text_and_what_is_odd_beside_the_price_is_unknown(source: MakeSource) -> None:
    text = changed("SONY", regularMarketPrice="276.50", regularMarketVolume="1200")
    odd = changed("HMC", regularMarketVolume="-", regularMarketTime={}, instrumentType=5)
    made = source(SONY=text, TM=changed("TM", regularMarketVolume=math.nan), HMC=odd)
    batch = poll("yahoo", made, ["SONY", "TM", "HMC"], NOW_MS)
    assert (batch.price, batch.day_volume) == ([276.5] * 3, [1200.0, None, None])


def test_a_page_of_consent_that_cannot_be_accepted_costs_the_ticker(source: MakeSource, yahoo: Yahoo) -> None:
    # yfinance/data.py, _is_this_consent_url: Yahoo leads to it from countries of the European Union
    consent = Answer(302, b"", header=("Location", "https://consent.yahoo.com/v2/collectConsent?sessionId=1"))
    batch = poll("yahoo", source(AAPL=consent), ["AAPL", "MSFT"], NOW_MS)
    assert yahoo.calls[-2] == "consent.yahoo.com/v2/collectConsent"
    assert (batch.symbol, batch.reasons) == (["MSFT"], {"AAPL": "yahoo: status 200, with what is not JSON"})


@pytest.mark.parametrize("unit", [1000, 1_000_000])
def test_a_time_in_another_unit_costs_the_time_alone(source: MakeSource, unit: int) -> None:
    batch = poll("yahoo", source(AAPL=changed("AAPL", regularMarketTime=NOW_S * unit)), ["AAPL"], NOW_MS)
    assert (batch.price, batch.quote_ts) == ([276.5], [None])


def test_a_volume_that_rolls_over_24_hours_is_none_of_the_day(source: MakeSource) -> None:
    """Of crypto `regularMarketVolume` is `volume24Hr`, in the other currency; the form is that of BTC-USD."""
    made = source(**{"BTC-USD": changed("BTC-USD", instrumentType="CRYPTOCURRENCY", exchangeName="CCC")})
    batch = poll("yahoo", made, ["BTC-USD", "AAPL"], NOW_MS)
    assert [volume is None for volume in batch.day_volume] == [True, False]


def test_an_index_without_a_volume_has_none(source: MakeSource) -> None:
    made = source(**{"^VIX": changed("^VIX", regularMarketVolume=None, regularMarketTime=None)})
    batch = poll("yahoo", made, ["^VIX"], NOW_MS)
    assert (batch.price, batch.day_volume, batch.quote_ts) == ([276.5], [None], [None])


def test_it_is_left_alone_for_a_minute_when_it_has_had_enough(source: MakeSource) -> None:
    made = source(AAPL=TOO_MANY)
    now = [NOW_MS]
    made._clock_ms = lambda: now[0]
    with pytest.raises(SourceError, match=r"yahoo allows no more calls until .* too many requests"):
        poll("yahoo", made, ["AAPL"], NOW_MS)
    source()
    now[0] += 59_000
    with pytest.raises(SourceError, match="allows no more calls until"):
        poll("yahoo", made, ["AAPL"], NOW_MS)
    now[0] += 2_000
    assert poll("yahoo", made, ["AAPL"], NOW_MS).price == [276.5]


def test_what_was_answered_before_the_limit_is_kept(source: MakeSource) -> None:
    batch = poll("yahoo", source(MSFT=TOO_MANY), ["AAPL", "MSFT", "IBM"], NOW_MS)
    assert (batch.symbol, batch.missing) == (["AAPL"], ["MSFT", "IBM"])
    assert "too many requests" in batch.reasons["IBM"]


def test_a_network_that_is_away_is_no_unknown_ticker(
    source: MakeSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = source()
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # discard: nobody listens there
    for _ in range(5):
        with pytest.raises(SourceError, match=r"answered for none of 1 symbols; the last: Failed to connect"):
            poll("yahoo", made, ["AAPL"], NOW_MS)
    with pytest.raises(SourceError, match=r"yahoo is not called until .* after 5 failed polls"):
        poll("yahoo", made, ["AAPL"], NOW_MS)
    assert caplog.messages == []  # nothing is said twice


def test_an_answer_that_drips_ends_at_the_polls_deadline(source: MakeSource) -> None:
    drips = quoted("SLOW", {})._replace(pause_s=0.1)
    batch = poll("yahoo", source(2.0, SLOW=drips), ["AAPL", "SLOW", "MSFT"], NOW_MS)
    assert (batch.symbol, batch.missing) == (["AAPL"], ["SLOW", "MSFT"])
    assert batch.reasons["SLOW"] == "yahoo: no complete answer in time"


def test_tickers_take_turns_where_a_poll_has_no_time_for_all(source: MakeSource, yahoo: Yahoo) -> None:
    now = [NOW_MS]
    made = source(1.0)

    def slow(ticker: str, asked: Json) -> Answer:
        now[0] += 600
        return quoted(ticker, asked)

    yahoo.chart = slow
    polled, state = [], VendorState()
    for _ in range(3):
        made._clock_ms, made.vendor_state = lambda: now[0], state  # kept between scans
        polled.append(poll("yahoo", made, ["A", "B", "C", "D", "E"], NOW_MS).symbol)
    assert polled == [["A", "B"], ["C", "D"], ["A", "E"]]


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.source._is_installed", lambda _name: False)
    with pytest.raises(SourceError, match=r"source yahoo needs the package yfinance: pip install yfinance$"):
        create("yahoo", {})


def test_minutes_of_yahoo_are_bars(source: MakeSource, yahoo: Yahoo) -> None:
    source()
    begin_s = round(datetime(2025, 11, 17, 14, 30, tzinfo=UTC).timestamp())
    asked: list[Json] = []

    def minutes(ticker: str, parameters: Json) -> Answer:
        asked.append(parameters)
        first = int(parameters["period1"])
        body = chart(ticker, 2.0, first, [(first, 1.0, 1.5), (first + 60, 9.0, 9.0), (first + 120, 3.0, 2.0)])
        columns = body["chart"]["result"][0]["indicators"]["quote"][0]
        columns["open"][1] = None  # a minute without a trade
        columns["volume"][2] = None
        body["chart"]["result"][0]["timestamp"].append(first + 135)  # the last price: yfinance issue 1050
        for column in columns.values():
            column.append(0)
        return answer(body)

    yahoo.chart = minutes
    bars = history_of("yahoo", {}).minute_bars("VOD.L", begin_s * 1000, (begin_s + 8 * 86_400) * 1000)
    week = begin_s + 7 * 86_400
    assert list(bars) == [
        bar
        for at in (begin_s, week)
        for bar in (
            MinuteBar(at * 1000, 1.0, 1.5, 1.0, 1.5, 100.0),
            MinuteBar((at + 120) * 1000, 3.0, 3.0, 2.0, 2.0, 0.0),
        )
    ]
    assert [(int(each["period1"]), int(each["period2"])) for each in asked] == [
        (begin_s, week),
        (week, week + 86_400),
    ]
    assert [(each["interval"], each["includePrePost"]) for each in asked] == [("1m", "true")] * 2


OLD = {
    "code": "Unprocessable Entity",
    "description": "1m data not available for startTime=0 and endTime=60.",
}  # fmt: skip
"""https://github.com/ranaroussi/yfinance/pull/959"""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (TOO_MANY, "too many requests"),
        (answer(UNKNOWN, 404), "status 404: No data found, symbol may be delisted"),
        (answer({"chart": {"result": None, "error": OLD}}, 422), "status 422: 1m data not available"),
        (answer(chart("AAPL", 1.0, 60, [(0, 1.0, 1.0)]), 200)._replace(pause_s=0.1), "no complete answer in time"),
        (Answer(200, json.dumps(chart("AAPL", 1.0, 60, [(0, 1.0, 1.0)])).replace("[0]", "[0, 60]").encode()), "zip"),
    ],
)  # fmt: skip
def test_a_history_that_fails_or_hangs_is_said(source: MakeSource, given: Answer, said: str) -> None:
    client = source(AAPL=given)._client
    with pytest.raises(SourceError, match=f"yahoo gave no minutes of AAPL: {said}"):
        list(YahooHistory(client, seconds=1.0).minute_bars("AAPL", 0, 60_000))


def test_a_ticker_without_minutes_has_none(source: MakeSource) -> None:
    source()
    assert list(history_of("yahoo", {}).minute_bars("AAPL", 0, 60_000)) == []
