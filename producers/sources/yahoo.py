"""Yahoo's quotes by the package yfinance, an optional extra: no key, no promise, for trying out.

What is read: https://ranaroussi.github.io/yfinance/reference/api/yfinance.Ticker.html (`history`, and the
metadata that come with it: last price, its time, and the volume of the day; neither bid nor ask). One call
for each symbol. When Yahoo has had enough it says so for all of them, and is left alone for a minute.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any, NamedTuple, Self

from producers.quote_batch import QuoteBatch
from producers.sources import SourceError
from producers.vendor import RateLimitedError, Standing, limited

MAX_SYMBOLS = 50
_PAUSE_MS = 60_000


class _Quote(NamedTuple):
    price: float
    day_volume: float | None
    ts: int | None


class YahooSource:
    """Polls Yahoo, symbol by symbol."""

    name = "yahoo"

    def __init__(
        self, yfinance: Any, clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self._yfinance = yfinance
        self._refusals = (OSError, ValueError, KeyError, yfinance.exceptions.YFException)
        self._clock_ms = clock_ms
        self.standing = Standing()

    @classmethod
    def from_environment(cls, _environment: Mapping[str, str]) -> Self:
        """The source; needs no key.

        Raises
        ------
        SourceError
            If yfinance is not installed.
        """
        try:
            return cls(import_module("yfinance"))
        except ModuleNotFoundError as error:
            raise SourceError(
                f"source yahoo needs the package {error.name}: pip install 'stock-market-anomaly-monitor[yahoo]'"
            ) from error

    def quotes(self, symbols: Sequence[str], now_ms: int) -> QuoteBatch:
        """One poll; symbols beyond the first 50 are missing.

        Raises
        ------
        SourceError
            If Yahoo limits the calls, or none of them was answered.
        """
        begins_ms = self._clock_ms()
        self.standing.check(self.name, begins_ms, begins_ms)
        batch = QuoteBatch(self.name, [], [], [], [], [], [], [], list(symbols[MAX_SYMBOLS:]))
        why = ""
        for symbol in symbols[:MAX_SYMBOLS]:
            try:
                quote = self._quote(symbol)
            except self._yfinance.exceptions.YFRateLimitError as error:
                until_ms = self.standing.blocked_until_ms = self._clock_ms() + _PAUSE_MS
                raise RateLimitedError(f"{limited(self.name, until_ms)}: too many requests", 429) from error
            except self._refusals as error:
                why = f"{type(error).__name__}: {error}"
                quote = None
            _add(batch, symbol, quote, now_ms)
        if why and not batch.symbol:
            problem = f"yahoo answered for none of {len(symbols)} symbols; the last: {why[:160]}"
            self.standing.failed(problem, self._clock_ms(), random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            raise SourceError(problem)
        self.standing.answered(why[:160])
        return batch

    def _quote(self, symbol: str) -> _Quote | None:
        ticker = self._yfinance.Ticker(symbol)
        ticker.history(period="1d")  # which raises what the metadata alone would hide: a used-up limit
        known = ticker.get_history_metadata() or {}
        price, at = _number(known.get("regularMarketPrice")), known.get("regularMarketTime")
        if price is None:
            return None
        ts = round(at.timestamp() * 1000) if isinstance(at, datetime) else None
        return _Quote(price, _number(known.get("regularMarketVolume")), ts)


def _add(batch: QuoteBatch, symbol: str, quote: _Quote | None, now_ms: int) -> None:
    if quote is None:
        batch.missing.append(symbol)
        return
    batch.symbol.append(symbol)
    batch.ts.append(now_ms)
    batch.price.append(quote.price)
    batch.bid.append(None)
    batch.ask.append(None)
    batch.day_volume.append(quote.day_volume)
    batch.quote_ts.append(quote.ts)


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
