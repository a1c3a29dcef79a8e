"""Yahoo's quotes by the package yfinance, an optional extra: no key, no promise, for trying out.

What is read: https://ranaroussi.github.io/yfinance/reference/api/yfinance.Ticker.html (`history`, and the
metadata that come with it: last price, its time, and the volume of the day; neither bid nor ask). One call
for each symbol. When Yahoo has had enough it says so for all of them, and is left alone for a minute.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from threading import Event
from typing import Any

from producers.http import NoReplyError, within
from producers.quote_batch import Quote
from producers.source import Environment, MinuteBar, Missing, Quotes, SourceError, SourceSpec
from producers.vendor import history_environment, poll_seconds
from producers.vendor_state import RateLimitedError, VendorState, limited

MAX_SYMBOLS = 50
_PAUSE_MS = 60_000
_SHOWN = 160
_SPAN_MS = 7 * 86_400_000


class YahooSource:
    """Polls Yahoo, symbol by symbol."""

    def __init__(
        self,
        yfinance: Any,
        poll_seconds: float = 4.0,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._yfinance = yfinance
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
            if left > 0:
                self.vendor_state.cursor = symbol
            try:
                found[symbol] = within(max(0.0, left), partial(self._quote, symbol))
            except self._yfinance.exceptions.YFRateLimitError as error:
                until_ms = self.vendor_state.blocked_until_ms = self._clock_ms() + _PAUSE_MS
                why = f"{limited(SOURCE.name, until_ms)}: too many requests"
                if any(isinstance(quote, Quote) for quote in found.values()):
                    return found | {each: Missing(why) for each, quote in found.items() if quote == later}
                raise RateLimitedError(why, 429) from error
            except NoReplyError:
                why = "yahoo: the time for this poll is up"
                found[symbol] = Missing(why)
            except Exception as error:  # noqa: BLE001 - yfinance raises what its parsing stumbles over
                why = f"{type(error).__name__}: {error}"[:_SHOWN]
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

    def _quote(self, symbol: str, _is_abandoned: Event) -> Quote | Missing:
        ticker = self._yfinance.Ticker(symbol)
        ticker.history(period="1d")  # which raises what the metadata alone would hide: a used-up limit
        known = ticker.get_history_metadata() or {}
        price, at = _number(known.get("regularMarketPrice")), known.get("regularMarketTime")
        if price is None:
            return Missing("yahoo knows no such ticker")
        ts = round(at.timestamp() * 1000) if isinstance(at, datetime) else None
        return Quote(price, day_volume=_number(known.get("regularMarketVolume")), quote_ts=ts)


class YahooHistory:
    """Yahoo's bars of one minute by yfinance: eight days a call, of the last thirty.

    https://ranaroussi.github.io/yfinance/reference/yfinance.price_history.html
    """

    def __init__(self, yfinance: Any, seconds: float = 20.0) -> None:
        self._yfinance = yfinance
        self._seconds = seconds

    def minute_bars(self, symbol: str, since_ms: int, until_ms: int) -> Iterator[MinuteBar]:
        """Return a ticker's bars, the oldest first; rows without a price are left out."""
        for begin_ms in range(since_ms, until_ms, _SPAN_MS):
            end_ms = min(begin_ms + _SPAN_MS, until_ms)
            try:
                frame = within(self._seconds, partial(self._frame, symbol, begin_ms, end_ms))
            except NoReplyError as error:
                raise SourceError(f"yahoo does not answer for {symbol}: {error.kind}") from error
            except Exception as error:
                said = f"{type(error).__name__}: {error}"[:_SHOWN]
                raise SourceError(f"yahoo has no minutes of {symbol}: {said}") from error
            for at, *values in frame[["Open", "High", "Low", "Close", "Volume"]].itertuples():
                ts, (open_, high, low, close, volume) = round(at.timestamp() * 1000), values
                if begin_ms <= ts < end_ms and all(map(math.isfinite, (open_, high, low, close))):
                    yield MinuteBar(ts, open_, high, low, close, volume if math.isfinite(volume) else 0.0)

    def _frame(self, symbol: str, begin_ms: int, end_ms: int, _is_abandoned: Event) -> Any:
        begin, end = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (begin_ms, end_ms))
        ticker = self._yfinance.Ticker(symbol)
        return ticker.history(interval="1m", start=begin, end=end, prepost=True, auto_adjust=False)


def _history(environment: Environment) -> YahooHistory:
    return YahooHistory(import_module("yfinance"), poll_seconds(history_environment(environment)))


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _poll(environment: Environment) -> YahooSource:
    return YahooSource(import_module("yfinance"), poll_seconds(environment))


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
        "Quotes of many exchanges are delayed by 15 minutes or more. History is the last 30 days."
    ),
)
