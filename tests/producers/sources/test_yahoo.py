"""What yfinance gives for a ticker, and what becomes of it. The stand-in has the shapes of yfinance 1.7."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from threading import Event
from types import SimpleNamespace

import pytest

from producers.source import MinuteBar, SourceError, poll
from producers.sources import create
from producers.sources.yahoo import YahooHistory, YahooSource
from producers.vendor_state import VendorState

Answers = Mapping[str, object]
MakeSource = Callable[[Answers], YahooSource]
NOW_MS = 1_763_996_405_000


class YFException(Exception):  # noqa: N818 - its name in yfinance/exceptions.py
    """As in yfinance/exceptions.py."""


class YFRateLimitError(YFException):
    """As in yfinance/exceptions.py."""


def module(answers: Answers) -> SimpleNamespace:
    """yfinance.Ticker(...).history(...) and .get_history_metadata(), yfinance/base.py."""

    class Ticker:
        def __init__(self, symbol: str) -> None:
            self._answer = answers[symbol]

        def history(self, period: str) -> list[object]:
            assert period == "1d"
            if isinstance(self._answer, Exception):
                raise self._answer
            return []

        def get_history_metadata(self) -> object:
            return self._answer

    exceptions = SimpleNamespace(YFException=YFException, YFRateLimitError=YFRateLimitError)
    return SimpleNamespace(Ticker=Ticker, exceptions=exceptions)


def meta(price: float | None = 276.5, **more: object) -> dict[str, object]:
    """`meta` of Yahoo's chart, its time as yfinance/utils.py, format_history_metadata, makes it."""
    return {
        "currency": "USD",
        "regularMarketPrice": price,
        "regularMarketVolume": 30123456,
        "regularMarketTime": datetime(2025, 11, 24, 15, 0, tzinfo=UTC),
        **more,
    }


@pytest.fixture
def yahoo(monkeypatch: pytest.MonkeyPatch) -> MakeSource:
    def make(answers: Answers) -> YahooSource:
        monkeypatch.setitem(sys.modules, "yfinance", module(answers))
        monkeypatch.setattr("producers.source._is_installed", lambda _name: True)
        source = create("yahoo", {})
        assert isinstance(source, YahooSource)
        return source

    return make


def test_the_metadata_of_the_day_are_a_quote(yahoo: MakeSource) -> None:
    batch = poll("yahoo", yahoo({"AAPL": meta()}), ["AAPL"], NOW_MS)
    assert (batch.source, batch.symbol, batch.ts, batch.price) == ("yahoo", ["AAPL"], [NOW_MS], [276.5])
    assert (batch.day_volume, batch.quote_ts) == ([30123456], [1_763_996_400_000])
    assert batch.bid == batch.ask == [None]


def test_symbols_without_a_price_are_missing(yahoo: MakeSource) -> None:
    answers = {
        "AAPL": meta(),
        "NOPE": {},
        "NONE": None,
        "NAN": meta(float("nan")),
        "DEAD": YFException("no data"),
    }
    batch = poll("yahoo", yahoo(answers), list(answers), NOW_MS)
    assert batch.symbol == ["AAPL"]
    assert batch.missing == ["NOPE", "NONE", "NAN", "DEAD"]


def test_it_is_left_alone_for_a_minute_when_it_has_had_enough(yahoo: MakeSource) -> None:
    source = yahoo({"AAPL": YFRateLimitError("Too Many Requests. Rate limited. Try after a while.")})
    now = [NOW_MS]
    source._clock_ms = lambda: now[0]
    with pytest.raises(SourceError, match="too many requests"):
        poll("yahoo", source, ["AAPL"], NOW_MS)
    source._yfinance = module({"AAPL": meta()})
    now[0] += 59_000
    with pytest.raises(SourceError, match="allows no more calls until"):
        poll("yahoo", source, ["AAPL"], NOW_MS)
    now[0] += 2_000
    assert poll("yahoo", source, ["AAPL"], NOW_MS).price == [276.5]


def test_nothing_at_all_is_an_error_with_the_reason(yahoo: MakeSource) -> None:
    with pytest.raises(SourceError, match=r"answered for none of 1 symbols.*ConnectionError: no route"):
        poll("yahoo", yahoo({"AAPL": ConnectionError("no route")}), ["AAPL"], NOW_MS)


def test_it_is_left_alone_for_longer_when_it_only_fails(yahoo: MakeSource) -> None:
    source = yahoo({"AAPL": ConnectionError("no route")})
    for _ in range(5):
        with pytest.raises(SourceError, match="no route"):
            poll("yahoo", source, ["AAPL"], NOW_MS)
    with pytest.raises(SourceError, match=r"yahoo is not called until .* after 5 failed polls"):
        poll("yahoo", source, ["AAPL"], NOW_MS)


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.source._is_installed", lambda _name: False)
    with pytest.raises(SourceError, match=r"source yahoo needs the package yfinance: pip install yfinance$"):
        create("yahoo", {})


def test_whatever_its_package_stumbles_over_costs_that_ticker(yahoo: MakeSource) -> None:
    # TypeError and IndexError escaped from yfinance: its issue 2676
    odd = [TypeError("'NoneType' object is not subscriptable"), IndexError("list index out of range")]
    batch = poll("yahoo", yahoo({"A": odd[0], "AAPL": meta(), "B": odd[1]}), ["A", "AAPL", "B"], NOW_MS)
    assert (batch.symbol, batch.missing) == (["AAPL"], ["A", "B"])
    assert "TypeError" in batch.reasons["A"]


def test_what_was_answered_before_the_limit_is_kept(yahoo: MakeSource) -> None:
    answers = {"AAPL": meta(), "MSFT": YFRateLimitError("Too Many Requests."), "IBM": meta()}
    batch = poll("yahoo", yahoo(answers), list(answers), NOW_MS)
    assert (batch.symbol, batch.missing) == (["AAPL"], ["MSFT", "IBM"])
    assert "too many requests" in batch.reasons["IBM"]


def test_a_call_that_lasts_ends_at_the_polls_deadline() -> None:
    class Slow:
        def __init__(self, symbol: str) -> None:
            self._symbol = symbol

        def history(self, period: str) -> None:  # noqa: ARG002
            Event().wait(30 if self._symbol == "SLOW" else 0)

        def get_history_metadata(self) -> dict[str, object]:
            return meta()

    exceptions = SimpleNamespace(YFException=YFException, YFRateLimitError=YFRateLimitError)
    source = YahooSource(SimpleNamespace(Ticker=Slow, exceptions=exceptions), poll_seconds=1.0)
    batch = poll("yahoo", source, ["AAPL", "SLOW", "MSFT"], NOW_MS)
    assert (batch.symbol, batch.missing) == (["AAPL"], ["SLOW", "MSFT"])
    assert batch.reasons["SLOW"] == "yahoo: the time for this poll is up"


def test_tickers_take_turns_where_a_poll_has_no_time_for_all() -> None:
    now = [NOW_MS]

    class Slow:
        def __init__(self, _symbol: str) -> None: ...

        def history(self, period: str) -> None:  # noqa: ARG002
            now[0] += 600

        def get_history_metadata(self) -> dict[str, object]:
            return meta()

    exceptions = SimpleNamespace(YFException=YFException, YFRateLimitError=YFRateLimitError)
    polled, state = [], VendorState()
    for _ in range(3):
        source = YahooSource(SimpleNamespace(Ticker=Slow, exceptions=exceptions), 1.0, lambda: now[0])
        source.vendor_state = state  # kept between scans
        polled.append(poll("yahoo", source, ["A", "B", "C", "D", "E"], NOW_MS).symbol)
    assert polled == [["A", "B"], ["C", "D"], ["A", "E"]]


def test_minutes_of_yahoo_are_bars() -> None:
    pandas = pytest.importorskip("pandas")
    begin = datetime(2025, 11, 17, 14, 30, tzinfo=UTC)
    asked: list[tuple[datetime, datetime]] = []

    class Ticker:
        def __init__(self, symbol: str) -> None:
            assert symbol == "VOD.L"

        def history(
            self, *, interval: str, start: datetime, end: datetime, prepost: bool, auto_adjust: bool
        ) -> object:
            """yfinance/scrapers/history.py: an index of times with a zone, NaN where Yahoo has null."""
            assert (interval, prepost, auto_adjust) == ("1m", True, False)
            asked.append((start, end))
            index = pandas.DatetimeIndex([start, start + timedelta(minutes=1)]).tz_convert("Europe/London")
            prices = {"Open": [1.0, math.nan], "High": [2.0, 2.0], "Low": [0.5, 0.5], "Close": [1.5, 1.5]}
            return pandas.DataFrame({**prices, "Volume": [10, 0]}, index=index)

    bars = YahooHistory(SimpleNamespace(Ticker=Ticker)).minute_bars(
        "VOD.L", ms(begin), ms(begin) + 8 * 86_400_000
    )
    assert list(bars) == [
        MinuteBar(ms(begin) + days * 86_400_000, 1.0, 2.0, 0.5, 1.5, 10.0) for days in (0, 7)
    ]
    assert [end - start for start, end in asked] == [timedelta(days=7), timedelta(days=1)]


def test_a_yahoo_that_hangs_or_fails_is_said() -> None:
    class Ticker:
        def __init__(self, symbol: str) -> None:
            self._symbol = symbol

        def history(self, **_: object) -> object:
            if self._symbol == "HANGS":
                Event().wait(30)
            raise YFRateLimitError("Too Many Requests")

    history = YahooHistory(SimpleNamespace(Ticker=Ticker), seconds=0.05)
    with pytest.raises(SourceError, match="yahoo does not answer for HANGS: Timeout"):
        list(history.minute_bars("HANGS", 0, 60_000))
    with pytest.raises(SourceError, match="no minutes of AAPL: YFRateLimitError: Too Many Requests"):
        list(history.minute_bars("AAPL", 0, 60_000))


def ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
