"""How each ticker of the watch list is, from its last quote. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Literal, Protocol

from consumers.contracts.anomaly import iso_ms
from consumers.contracts.charts import LastQuote
from consumers.stores.last_quotes import LastQuotes

STALE_AFTER_MS = 90_000  # a scan a minute, and one that is late
_LATE_AFTER_MS = 8_000
"""A poll of the usual 5 s is late by then: it may have failed."""


class Markets(Protocol):
    """Says each ticker's market, and whether quotes of it are expected now."""

    def market_of(self, ticker: str, /) -> str:
        """Return the market of a ticker."""

    def traded(self, tickers: Sequence[str]) -> Collection[str]:
        """Return the tickers of which quotes are expected now."""


Order = Literal["list", "ticker", "change"]
"""As listed, by name, or by the size of the change."""


class Board:
    """The watch list beside its last quotes; a row is made when it is asked for.

    Parameters
    ----------
    watch_list
        The tickers in their order.
    now_ms
        Epoch ms UTC.
    """

    def __init__(self, watch_list: Sequence[str], quotes: LastQuotes, now_ms: int, markets: Markets) -> None:
        self._watch_list = watch_list
        self._quotes = quotes
        self._now_ms = now_ms
        self._markets = markets
        self._traded = markets.traded(watch_list)

    def feed(self, problem: Callable[[], str]) -> dict[str, Any]:
        """Return how fresh all quotes are (`api.models.Feed`); old ones are fine while markets are closed.

        `problem` is queried where a quote is late: it returns why the last poll failed, if it did.
        """
        times = [ts for ticker in self._watch_list if (ts := self._quotes.ts.get(ticker)) is not None]
        newest = max(times, default=None)
        live_from = self._now_ms - STALE_AFTER_MS
        live = sum(ts >= live_from for ts in times)
        is_late = bool(self._traded) and (newest is None or newest < self._now_ms - _LATE_AFTER_MS)
        return {
            "state": self._feed_state(newest, live),
            "problem": (problem() or None) if is_late else None,
            "last_quote_at": None if newest is None else iso_ms(newest),
            "age_seconds": None if newest is None else max(0, self._now_ms - newest) / 1000,
            "live": live,
            "total": len(self._watch_list),
        }

    def _feed_state(self, newest: int | None, live: int) -> str:
        if live:
            return "live"
        if self._watch_list and not self._traded:
            return "closed"
        return "missing" if newest is None else "stale"

    def arranged(self, order: Order, first: Sequence[str] = ()) -> Sequence[str]:
        """Return the tickers in an order, and before all others those of `first` that are watched."""
        tickers = self._watch_list
        if order == "ticker":
            tickers = sorted(tickers)
        elif order == "change":
            tickers = sorted(tickers, key=self._size_of_change, reverse=True)
        if not first:
            return tickers
        watched, ahead = set(tickers), set(first)
        return [*(one for one in first if one in watched), *(one for one in tickers if one not in ahead)]

    def _size_of_change(self, ticker: str) -> float:
        if ticker not in self._quotes.ts:
            return 0.0
        price, previous_close, opened = self._quotes.reference(ticker)
        reference = opened if previous_close is None else previous_close
        return abs(price / reference - 1.0) if reference else 0.0

    def rows(self, tickers: Iterable[str]) -> list[dict[str, Any]]:
        """Return one row per ticker (`api.models.Ticker`)."""
        return [self._row(ticker) for ticker in tickers]

    def _row(self, ticker: str) -> dict[str, Any]:
        row = _row(ticker, self._quotes.get(ticker), self._now_ms)
        is_open = ticker in self._traded
        if row["state"] == "stale" and not is_open:
            row["state"] = "closed"
        return {**row, "market": self._markets.market_of(ticker), "open": is_open}


def _row(ticker: str, quote: LastQuote | None, now_ms: int) -> dict[str, Any]:
    if quote is None:
        unknown = (
            "ts",
            "age_seconds",
            "price",
            "bid",
            "ask",
            "day_volume",
            "reference",
            "reference_kind",
            "change",
        )
        return {"ticker": ticker, "state": "missing", **dict.fromkeys((*unknown, "change_percent"))}
    age_ms = max(0, now_ms - quote.ts)
    reference, kind = _reference(quote)
    change = None if reference is None else quote.price - reference
    return {
        "ticker": ticker,
        "state": "live" if age_ms <= STALE_AFTER_MS else "stale",
        "ts": iso_ms(quote.ts),
        "age_seconds": age_ms / 1000,
        "price": quote.price,
        "bid": quote.bid,
        "ask": quote.ask,
        "day_volume": quote.day_volume,
        "reference": reference,
        "reference_kind": kind,
        "change": change,
        "change_percent": None if reference is None else change_percent(quote.price, reference),
    }


def change_percent(price: float, reference: float) -> float | None:
    """Return how far a price is from a reference, with the sign of the change also below zero; None of nothing.

    >>> change_percent(-37.0, -38.0) > 0, change_percent(1.0, 0.0)
    (True, None)
    """
    return 100 * (price - reference) / abs(reference) if reference else None


def _reference(quote: LastQuote) -> tuple[float | None, str | None]:
    if quote.previous_close is not None:
        return quote.previous_close, "previous_close"
    return (quote.open, "open") if quote.open is not None else (None, None)
