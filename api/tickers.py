"""How each ticker of the watch list is, from its last quote. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Protocol

from consumers.contracts.anomaly import iso_ms
from consumers.contracts.charts import LastQuote

STALE_AFTER_MS = 90_000  # a scan a minute, and one that is late


class Markets(Protocol):
    """Says each ticker's market, and whether quotes of it are expected now."""

    def market_of(self, ticker: str, /) -> str:
        """Return the market of a ticker."""

    def traded(self, tickers: Sequence[str]) -> Collection[str]:
        """Return the tickers of which quotes are expected now."""


def ticker_rows(
    watch_list: Sequence[str], quotes: Iterable[LastQuote], now_ms: int, markets: Markets
) -> list[dict[str, Any]]:
    """Return one row per ticker, in the order of the watch list (`api.models.Ticker`)."""
    by_symbol = {quote.symbol: quote for quote in quotes}
    traded = markets.traded(watch_list)
    rows: list[dict[str, Any]] = []
    for ticker in watch_list:
        row = _row(ticker, by_symbol.get(ticker), now_ms)
        if row["state"] == "stale" and ticker not in traded:
            row["state"] = "closed"
        rows.append({**row, "market": markets.market_of(ticker), "open": ticker in traded})
    return rows


def feed(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return how fresh the rows are as a whole (`api.models.Feed`); old quotes are fine while markets are closed."""
    newest = max((row["ts"] for row in rows if row["ts"] is not None), default=None)
    ages = [row["age_seconds"] for row in rows if row["age_seconds"] is not None]
    return {
        "state": _feed_state(rows, newest),
        "last_quote_at": newest,
        "age_seconds": min(ages, default=None),
        "live": sum(row["state"] == "live" for row in rows),
        "total": len(rows),
    }


def _feed_state(rows: Sequence[dict[str, Any]], newest: str | None) -> str:
    if any(row["state"] == "live" for row in rows):
        return "live"
    if rows and not any(row["open"] for row in rows):
        return "closed"
    return "missing" if newest is None else "stale"


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
        "change_percent": 100 * change / reference if change is not None and reference else None,
    }


def _reference(quote: LastQuote) -> tuple[float | None, str | None]:
    if quote.previous_close is not None:
        return quote.previous_close, "previous_close"
    return (quote.open, "open") if quote.open is not None else (None, None)
