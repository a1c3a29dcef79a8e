"""One poll of a source: its answer as a quote batch, whatever the source does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from producers.quote_batch import Quote, QuoteBatch
from producers.quote_values import known
from producers.redaction import redacted, shows_key
from producers.source import COLUMNS, Missing, Quotes, Source, SourceError

_MAX_AHEAD_MS: Final = 60_000
"""Clocks differ by so much. A quote's own time that is further in the future is left out, as is one of 1970: it is in
another unit, or wrong, and would make the quote, or every later one of its ticker, look old."""
_NO_ANSWER: Final = "the source does not answer for it"


def poll(name: str, source: Source, symbols: Sequence[str], now_ms: int) -> QuoteBatch:
    """Poll a source once: the quotes of `symbols` at `now_ms` (epoch ms UTC) as a batch of source `name`.

    Symbols without a quote are `missing`, with the reason where the source gives one, as are those whose quote is none.

    Raises
    ------
    SourceError
        If the source cannot answer. Whatever else it raises becomes one: a source that fails in a way nobody
        thought of is a failed poll, not a dead scan. No error, and no reason, shows a key of the source.
    """
    return batch_of(name, _asked(name, source, symbols, now_ms), now_ms)


def _asked(name: str, source: Source, symbols: Sequence[str], now_ms: int) -> dict[str, Quote | Missing]:
    try:
        quotes = source.quotes(symbols, now_ms)
        if not isinstance(quotes, Mapping):
            raise TypeError(f"quotes returned a {type(quotes).__name__}; must be a mapping of tickers")
        return {symbol: _usable(name, quotes.get(symbol, Missing()), now_ms) for symbol in symbols}
    except SourceError as error:
        if shows_key(name, str(error)):
            raise SourceError(redacted(name, str(error))) from None
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a failed poll; without its cause where that shows a key
        said = f"source {name} failed: {type(error).__name__}: {error}"
        raise SourceError(redacted(name, said)) from (None if shows_key(name, said) else error)


def _usable(name: str, quote: object, now_ms: int) -> Quote | Missing:
    """Return what a source gave for a ticker if that is a quote, and the reason if not, which shows no key.

    NaN or infinity beside the price is unknown.
    """
    if isinstance(quote, Missing):
        return quote._replace(reason=redacted(name, str(quote.reason or "")))
    if not isinstance(quote, Quote):
        return Missing(f"the source returned a {type(quote).__name__}; must be a Quote or Missing")
    beside: dict[str, Any] = {column: known(getattr(quote, column)) for column in COLUMNS}
    quote = quote._replace(**beside)
    at = quote.quote_ts
    if isinstance(at, int | float) and (at > now_ms + _MAX_AHEAD_MS or 100 * at < now_ms):
        quote = quote._replace(quote_ts=None)
    return quote


def unquoted(name: str, source: Source, symbols: Sequence[str], now_ms: int) -> dict[str, str]:
    """Return those of `symbols` that source `name` does not quote, as of `now_ms` (epoch ms UTC), with the reason.

    Raises
    ------
    SourceError
        If the source cannot answer.
    """
    return {
        symbol: found.reason or _NO_ANSWER
        for symbol, found in _asked(name, source, symbols, now_ms).items()
        if isinstance(found, Missing) and found.is_asked and not found.is_known
    }


def batch_of(name: str, quotes: Quotes, now_ms: int) -> QuoteBatch:
    """Return the quotes as a batch of source `name`, observed at `now_ms` (epoch ms UTC)."""
    answered = {symbol: quote for symbol, quote in quotes.items() if isinstance(quote, Quote)}
    missing = {
        symbol: quote.reason
        for symbol, quote in quotes.items()
        if not isinstance(quote, Quote) and quote.is_asked
    }
    columns = [list(column) for column in zip(*answered.values(), strict=True)] or [[] for _ in Quote._fields]
    price, bid, ask, day_volume, quote_ts = columns
    return QuoteBatch(
        source=name,
        symbol=list(answered),
        ts=[now_ms] * len(answered),
        price=price,
        bid=bid,
        ask=ask,
        day_volume=day_volume,
        quote_ts=quote_ts,
        missing=list(missing),
        reasons={symbol: reason for symbol, reason in missing.items() if reason},
    )
