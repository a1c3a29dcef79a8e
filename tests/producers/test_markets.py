"""Every market opens and closes as the independent calendar says, and every ticker has the market it is listed at."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Literal

import pytest

from producers.errors import ArgumentError
from producers.markets import (
    _INDICES,
    _SUFFIXES,
    _VENUES,
    check_market,
    closed_hours,
    is_open,
    market_of,
    markets,
    trading_hours,
)
from producers.markets.generate import EXCHANGES, FILE, _calendar
from producers.markets.listings import Listings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_every_session_of_2015_to_2028_is_that_of_the_independent_calendar(exchange: str) -> None:
    from pandas import isna  # it takes seconds: only the process that uses it waits

    schedule = _calendar(exchange).schedule
    expected = {
        day.date(): [
            at.to_pydatetime() for at in (row.open, row.break_start, row.break_end, row.close) if not isna(at)
        ]
        for day, row in zip(schedule.index, schedule.itertuples(index=False), strict=True)
    }
    day, last, ours = min(expected), max(expected), {}
    while day <= last:
        if parts := trading_hours("regular", day, exchange):
            ours[day] = [at for part in parts for at in part]
        day += timedelta(days=1)
    assert ours == expected


def test_there_are_thirty_exchanges_and_more_in_a_small_table() -> None:
    assert len(EXCHANGES) >= 30
    assert FILE.stat().st_size < 150_000
    assert set(markets()) == {*EXCHANGES, "24/7", "fx"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("market", "moment", "expected"),
    [
        # The weeks between the changes of New York (8 March 2026) and London (29 March).
        ("XNYS", "2026-03-06T14:29", False), ("XNYS", "2026-03-06T14:30", True), ("XNYS", "2026-03-09T13:30", True),
        ("XLON", "2026-03-09T08:00", True), ("XLON", "2026-03-27T16:29", True), ("XLON", "2026-03-30T07:00", True),
        ("XLON", "2026-03-30T15:30", False),
        # Tokyo has no summer time and a lunch break, 11:30 to 12:30.
        ("XTKS", "2026-07-01T02:29", True), ("XTKS", "2026-07-01T02:30", False), ("XTKS", "2026-07-01T03:30", True),
        ("XTKS", "2026-07-01T06:30", False),
        # Sydney opens on the UTC day before its own in summer.
        ("XASX", "2026-01-04T23:00", True), ("XASX", "2026-01-04T22:59", False),
        ("XNYS", "2026-11-27T17:59", True), ("XNYS", "2026-11-27T18:00", False),  # a half day
        ("24/7", "2026-12-25T12:00", True), ("fx", "2026-11-28T12:00", False), ("fx", "2026-11-29T22:00", True),
        ("fx", "2026-11-27T21:59", True), ("fx", "2026-11-27T22:00", False), ("fx", "2026-07-05T21:00", True),
        ("XNYS", "2031-07-02T15:00", True),  # beyond the table
    ],
)  # fmt: skip
def test_sessions_breaks_and_daylight_saving(market: str, moment: str, expected: bool) -> None:
    assert is_open("regular", at(moment), market) is expected


@pytest.mark.parametrize("session", ["regular", "extended"])
@pytest.mark.parametrize("market", markets())
def test_a_closed_market_says_since_when_and_until_when(
    market: str, session: Literal["regular", "extended"]
) -> None:
    moments = [
        at("2026-01-01T00:07") + timedelta(hours=35 * n) for n in range(250)
    ]  # every hour of a day, all year
    closed = {moment: closed_hours(session, moment, market) for moment in moments}
    assert [found is None for found in closed.values()] == [is_open(session, one, market) for one in moments]
    a_moment = timedelta(microseconds=1)
    for moment, (ends, begins) in {one: found for one, found in closed.items() if found}.items():
        assert ends <= moment < begins
        assert is_open(session, ends - a_moment, market)
        assert is_open(session, begins, market)
        between = [ends, (ends + (begins - ends) / 2), begins - a_moment]
        assert not any(is_open(session, one, market) for one in between)


@pytest.mark.parametrize(
    ("market", "moment", "since", "until"),
    [
        ("XNYS", "2026-11-26T15:00", "2026-11-25T21:00", "2026-11-27T14:30"),  # Thanksgiving
        ("XNYS", "2026-11-29T15:00", "2026-11-27T18:00", "2026-11-30T14:30"),  # after a half day
        ("XTKS", "2026-07-01T03:00", "2026-07-01T02:30", "2026-07-01T03:30"),  # lunch
        (
            "fx",
            "2026-03-08T20:59",
            "2026-03-06T22:00",
            "2026-03-08T21:00",
        ),  # New York changed its clocks meanwhile
    ],
)
def test_holidays_lunch_and_weekends(market: str, moment: str, since: str, until: str) -> None:
    assert closed_hours("regular", at(moment), market) == (at(since), at(until))


@pytest.mark.parametrize(
    ("market", "moment", "expected"),
    [
        ("XNYS", "2026-11-24T09:00", True), ("XNYS", "2026-11-24T08:59", False), ("XNYS", "2026-11-25T00:59", True),
        ("XNYS", "2026-11-27T21:59", True), ("XNYS", "2026-11-27T22:00", False),  # half days end at 17:00
        ("XLON", "2026-11-24T07:59", False),  # no extended hours there
    ],
)  # fmt: skip
def test_extended_hours(market: str, moment: str, expected: bool) -> None:
    assert is_open("extended", at(moment), market) is expected


@pytest.mark.parametrize(
    ("symbol", "market"),
    [
        ("AAPL", "XNYS"), ("BRK.B", "XNYS"), ("BRK-B", "XNYS"), ("^GSPC", "XNYS"), ("^VIX", "XNYS"), ("^N225", "XTKS"),
        ("^FTSE", "XLON"), ("^GDAXI", "XETR"), ("^NSEI", "XBOM"), ("BTC-AUD", "24/7"), ("BTC/CHF", "24/7"),
        ("0700.HK", "XHKG"),
        ("OPAP.AT", "ASEX"), ("TEVA.TA", "XTAE"), ("BRD.RO", "XBSE"),
        ("VOD.L", "XLON"), ("M&M.NS", "XBOM"), ("SAP.DE", "XETR"), ("7203.T", "XTKS"), ("ES=F", "CMES"),
        ("BINANCE:BTCUSDT", "24/7"), ("OANDA:EUR_USD", "fx"), ("EURUSD=X", "fx"), ("EUR/USD", "fx"),
        ("BTC/USD", "24/7"), ("BTC-USD", "24/7"), ("AAPL250117C00150000", "XNYS"), (".L", "XNYS"),
        ("USD/TRY", "fx"), ("USD-MXN", "fx"), ("XAU/USD", "fx"), ("BTC-INR", "24/7"), ("USDT-TRY", "24/7"),
        ("DERIBIT:BTC-27DEC24-100000-C", "24/7"), ("C:USDMXN", "fx"), ("X:BTCUSD", "24/7"), ("C", "XNYS"),
        ("ES1!", "CMES"), ("CME_MINI:NQ1!", "CMES"), ("BAC-PRL", "XNYS"), ("SAP.SG", "XFRA"), ("ABC.CN", "XTSE"),
        ("CLZ26.NYM", "CMES"), ("DX-Y.NYB", "CMES"), ("SBER.ME", "XMOS"), ("BHP.XA", "XASX"), ("NSE:M&M", "XBOM"),
        ("BMFBOVESPA:PETR4", "BVMF"), ("KRX:005930", "XKRX"), ("XLON:VOD", "XLON"), ("NASDAQ:AAPL", "XNYS"),
        ("NSE:NIFTY1!", "XBOM"), ("CME:ESZ2026", "CMES"), ("PINK:ROG.SW", "XSWX"), ("OTC:RHHBY", "XNYS"),
    ],
)  # fmt: skip
def test_a_tickers_form_says_its_market(symbol: str, market: str) -> None:
    assert market_of(symbol) == market
    assert market_of(symbol, "24/7") == "24/7", "whatever a source of a market that never closes lists"


def test_every_index_has_a_calendar_and_every_calendar_a_form_of_tickers() -> None:
    assert {*_INDICES.values(), *_VENUES.values()} <= set(markets())
    said = {*_SUFFIXES.values(), "24/7", "fx", "CMES", "XNYS"}
    assert set(markets()) - said == {"XNAS"}, (
        "only settings say it: a ticker of Nasdaq's looks like one of XNYS"
    )


def test_an_unknown_market_is_rejected_by_name() -> None:
    with pytest.raises(ArgumentError, match=r"unknown market 'XNYZ'; must be one of 24/7, fx, ASEX, BVMF"):
        check_market("XNYZ")
    with pytest.raises(ArgumentError, match="unknown market"):
        trading_hours("regular", date(2026, 1, 5), "NYSE!")


def test_the_settings_say_what_a_form_does_not() -> None:
    listings = Listings("ABC=XLON, ES=F=CMES,xyz=24/7", "XNYS")
    assert [listings(ticker) for ticker in ("ABC", "ES=F", "XYZ", "IBM")] == ["XLON", "CMES", "24/7", "XNYS"]
    for wrong in ("ABC", "ABC=NOWHERE", "A B=XLON", "=XLON"):
        with pytest.raises(ArgumentError):
            Listings(wrong, "XNYS")


@pytest.mark.parametrize("ticker", ["QNBK.QA", "FPT.VN", "COMI.CA", "EMAAR.AE"])
def test_a_market_of_which_no_calendar_is_known_is_a_guess_until_it_is_set(ticker: str) -> None:
    listings = Listings("", "XNYS")
    assert (listings(ticker), listings.is_guess(ticker)) == ("XNYS", True)
    assert not Listings(f"{ticker}=XSAU", "XNYS").is_guess(ticker)
    assert not Listings("", "24/7").is_guess(ticker), "which never closes"
    assert not any(map(listings.is_guess, ("AAPL", "BRK.B", "VOD.L", "AE", ".QA", "BTC-USD")))
