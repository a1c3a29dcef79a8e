"""Yahoo's quotes by the package yfinance, an optional extra: no key, no promise, for trying out.

What is read is Yahoo's chart of a symbol: the last price, its time and the volume of the day (neither bid nor ask),
and minutes. One call for each symbol. yfinance brings the cookies, the consent and the crumb that Yahoo wants, and
looks like a browser (`yfinance.data.YfData`). Its `Ticker` is not used: whatever fails there, a network that is away
or a page in place of data, is an empty answer, and so would read as a ticker that Yahoo does not know. When Yahoo
has had enough it says so for all symbols, and is left alone for a minute.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from threading import Event
from typing import Any
from urllib.parse import quote

import msgspec

from producers.http import NoReplyError, within
from producers.quote_batch import Quote
from producers.source import Environment, MinuteBar, Missing, Quotes, SourceError, SourceSpec
from producers.vendor import beside, history_environment, poll_seconds
from producers.vendor_client import NOT_JSON, decoded
from producers.vendor_state import (
    RateLimitedError,
    RejectedRequestError,
    TransientError,
    VendorState,
    limited,
)

MAX_SYMBOLS = 50
_URL = "https://query2.finance.yahoo.com/v8/finance/chart"
_PAUSE_MS = 60_000
_SHOWN = 160
_SPAN_MS = 7 * 86_400_000
_MINUTE_S = 60
_OF_CURL = re.compile(r"curl: \(\d+\) (.+?)\.?(?: See https://curl\.se/|$)")
_CRYPTO = "CRYPTOCURRENCY"
"""Whose volume is that of the last 24 hours, in another unit: `regularMarketVolume` and `volume24Hr` are equal."""


class _Meta(msgspec.Struct, rename="camel"):
    regular_market_price: float | None = None
    regular_market_volume: Any = None
    regular_market_time: Any = None
    instrument_type: Any = None


class _Columns(msgspec.Struct):
    open: list[float | None] = []
    high: list[float | None] = []
    low: list[float | None] = []
    close: list[float | None] = []
    volume: list[float | None] = []


class _Indicators(msgspec.Struct):
    quote: list[_Columns] = []


class _Result(msgspec.Struct):
    meta: _Meta
    indicators: _Indicators
    timestamp: list[int] = []


class _Rejection(msgspec.Struct):
    code: str = ""
    description: str | None = None


class _Chart(msgspec.Struct):
    result: list[_Result] | None = None
    error: _Rejection | None = None


class _Answer(msgspec.Struct):
    chart: _Chart | None = None
    finance: _Chart | None = None  # whose error it is where a call does not come as far as the chart


class YahooClient:
    """Yahoo's charts, by yfinance."""

    def __init__(self) -> None:
        logging.getLogger("yfinance").setLevel(logging.ERROR)  # its warnings tell what our error says
        self._data = import_module("yfinance.data").YfData()
        self._too_many = import_module("yfinance.exceptions").YFRateLimitError

    def chart(self, symbol: str, parameters: Mapping[str, str], seconds: float) -> _Result:
        """Return the chart of a symbol, complete within `seconds`.

        Raises
        ------
        RateLimitedError
            If Yahoo has had enough; its status is 429.
        RejectedRequestError
            If it knows no such ticker.
        TransientError
            If it does not answer, or not with a chart.
        """
        try:
            status, body = within(seconds, partial(self._get, symbol, parameters, seconds))
        except NoReplyError as error:
            raise TransientError("no complete answer in time") from error
        except self._too_many as error:
            raise RateLimitedError("too many requests", 429) from error
        except Exception as error:
            of_curl = _OF_CURL.search(str(error))
            said = of_curl[1] if of_curl else f"{type(error).__name__}: {error}"
            raise TransientError(said[:_SHOWN]) from error
        return _result_of(status, body)

    def _get(
        self, symbol: str, parameters: Mapping[str, str], seconds: float, _is_abandoned: Event
    ) -> tuple[int, bytes]:
        url = f"{_URL}/{quote(symbol, safe='&=')}"
        answer: Any = self._data.get(url, dict(parameters), timeout=seconds + 1)  # one that is abandoned ends
        return answer.status_code, answer.content


def _result_of(status: int, body: bytes) -> _Result:
    try:
        answer = msgspec.convert(decoded(body), _Answer, strict=False)  # numbers may come as text
    except msgspec.ValidationError as error:
        raise TransientError(f"an answer that is no chart: {error}"[:_SHOWN], status) from error
    except NOT_JSON as error:
        raise TransientError(f"status {status}, with what is not JSON", status) from error
    chart = answer.chart or answer.finance or _Chart()
    if chart.error is not None:
        said = chart.error.description or chart.error.code or "an error without a description"
        kind = RejectedRequestError if status == 404 else TransientError
        raise kind(f"status {status}: {said}"[:_SHOWN], status)
    if not chart.result:
        raise TransientError(f"status {status}, with an empty chart", status)
    return chart.result[0]


class YahooSource:
    """Polls Yahoo, symbol by symbol."""

    def __init__(
        self,
        client: YahooClient,
        poll_seconds: float = 4.0,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._client = client
        self._poll_ms = round(poll_seconds * 1000)
        self._clock_ms = clock_ms
        self.vendor_state = VendorState()

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:  # noqa: ARG002 - Yahoo says when it was
        """Poll once; symbols beyond the first 50 are missing.

        Raises
        ------
        SourceError
            If Yahoo limits the calls, or none of them was answered.
        """
        begins_ms = self._clock_ms()
        self.vendor_state.check(SOURCE.name, begins_ms, begins_ms)
        beyond = Missing(f"yahoo is polled for the first {MAX_SYMBOLS} tickers of the watch list")
        later = Missing("yahoo was not reached in this poll")
        found: dict[str, Quote | Missing] = dict.fromkeys(symbols, beyond)
        found |= dict.fromkeys(symbols[:MAX_SYMBOLS], later)
        why = ""
        for symbol in self._in_turn(symbols[:MAX_SYMBOLS]):
            left = (begins_ms + self._poll_ms - self._clock_ms()) / 1000
            if left <= 0:
                why = why or "the time for this poll is up"
                break
            self.vendor_state.cursor = symbol
            try:
                found[symbol] = self._quote(symbol, left)
            except RejectedRequestError:
                found[symbol] = Missing("yahoo knows no such ticker")
            except RateLimitedError as error:
                until_ms = self.vendor_state.blocked_until_ms = self._clock_ms() + _PAUSE_MS
                why = f"{limited(SOURCE.name, until_ms)}: {error}"
                if any(isinstance(quote, Quote) for quote in found.values()):
                    return found | {each: Missing(why) for each, quote in found.items() if quote == later}
                raise RateLimitedError(why, 429) from error
            except TransientError as error:
                why = str(error)
                found[symbol] = Missing(f"yahoo: {why}")
        if why and not any(isinstance(quote, Quote) for quote in found.values()):
            problem = f"yahoo answered for none of {len(symbols)} symbols; the last: {why}"
            jitter = random.uniform(0.8, 1.2)  # noqa: S311 - not a secret
            self.vendor_state.record_failure(problem, self._clock_ms(), jitter)
            raise SourceError(problem)
        self.vendor_state.record_success(why)
        return found

    def _in_turn(self, symbols: Sequence[str]) -> list[str]:
        """Return them from the one after that asked for last: a poll may not have the time for all."""
        last = self.vendor_state.cursor
        first = symbols.index(last) + 1 if last in symbols else 0
        return [*symbols[first:], *symbols[:first]]

    def _quote(self, symbol: str, seconds: float) -> Quote | Missing:
        known = self._client.chart(symbol, {"range": "1d", "interval": "1d"}, seconds).meta
        if known.regular_market_price is None:
            return Missing("yahoo has no price of it")
        at_s = beside(known.regular_market_time, int)
        ts = None if at_s is None else at_s * 1000
        is_rolling = known.instrument_type == _CRYPTO
        volume = None if is_rolling else beside(known.regular_market_volume, float)
        return Quote(known.regular_market_price, day_volume=volume, quote_ts=ts)


class YahooHistory:
    """Yahoo's bars of one minute: seven days a call, of the last thirty."""

    def __init__(self, client: YahooClient, seconds: float = 20.0) -> None:
        self._client = client
        self._seconds = seconds

    def minute_bars(self, symbol: str, since_ms: int, until_ms: int) -> Iterator[MinuteBar]:
        """Return a ticker's bars, the oldest first; rows without a price are left out."""
        for begin_ms in range(since_ms, until_ms, _SPAN_MS):
            end_ms = min(begin_ms + _SPAN_MS, until_ms)
            span = {"period1": str(begin_ms // 1000), "period2": str(-(-end_ms // 1000))}
            parameters = span | {"interval": "1m", "includePrePost": "true"}
            try:
                bars = _bars(self._client.chart(symbol, parameters, self._seconds))
            except (SourceError, ValueError) as error:
                raise SourceError(f"yahoo gave no minutes of {symbol}: {error}") from error
            yield from (bar for bar in bars if begin_ms <= bar.ts < end_ms)


def _bars(result: _Result) -> list[MinuteBar]:
    """Return the minutes of a chart, without the last price, which Yahoo appends at its own second.

    https://github.com/ranaroussi/yfinance/issues/1050
    """
    columns = next(iter(result.indicators.quote), None) or _Columns()
    if not result.timestamp:
        return []
    rows = zip(
        result.timestamp, columns.open, columns.high, columns.low, columns.close, columns.volume, strict=True
    )
    return [
        MinuteBar(at * 1000, open_, high, low, close, volume or 0.0)
        for at, open_, high, low, close, volume in rows
        if at % _MINUTE_S == 0 and not (open_ is None or high is None or low is None or close is None)
    ]


def _history(environment: Environment) -> YahooHistory:
    return YahooHistory(YahooClient(), poll_seconds(history_environment(environment)))


def _poll(environment: Environment) -> YahooSource:
    return YahooSource(YahooClient(), poll_seconds(environment))


SOURCE = SourceSpec(
    name="yahoo",
    summary="stocks, ETFs, indices, FX, futures and crypto of many exchanges by Yahoo Finance",
    assets=("stocks", "etfs", "indices", "fx", "crypto", "futures", "options"),
    market="XNYS",
    columns=("day_volume", "quote_ts"),
    poll=_poll,
    history=_history,
    symbols_per_call=1,
    max_symbols=MAX_SYMBOLS,
    packages=("yfinance",),
    limits=(
        "No contract and no promise: for trying out, and not on AWS, whose addresses Yahoo limits. "
        "Quotes of many exchanges are delayed by 15 minutes or more; those of crypto have no volume of the day. "
        "History is the last 30 days."
    ),
)
