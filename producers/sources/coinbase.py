"""Coinbase Exchange's public market data: one call a product, no key.

Shape and meaning: https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-ticker;
limits (10 calls a second for an address, status 429 beyond):
https://docs.cdp.coinbase.com/exchange/rest-api/rate-limits. An unknown product is status 404. `volume` is that
of the last 24 hours, which rolls and is no volume of a session: the volume of the day stays unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from producers.quote_batch import Quote
from producers.source import Environment, Missing, Option, Quotes, SourceSpec
from producers.vendor import VendorSource, client_of, epoch_ms, read_quote
from producers.vendor_state import RejectedRequestError

_URL = "https://api.exchange.coinbase.com"
_CALLS_PER_MINUTE = 480  # of 600, which the address may have to share


class _Ticker(msgspec.Struct):
    price: float
    time: datetime
    bid: float | None = None
    ask: float | None = None


class CoinbaseSource(VendorSource):
    """Polls Coinbase, product by product."""

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:  # noqa: ARG002 - Coinbase says when it was
        """Poll as many products as the limit allows now.

        Raises
        ------
        SourceError
            If none of the calls was answered.
        """
        return self._poll_each(symbols, self._query)

    def _query(self, symbol: str) -> Quote | Missing:
        try:
            answer = self._client.get(f"/products/{product_of(symbol)}/ticker", {})
        except RejectedRequestError:
            return Missing("coinbase lists no such product; one is written like BTC-USD")
        return read_quote(SOURCE.name, _quote, answer)


def _quote(answer: object) -> Quote:
    ticker = msgspec.convert(answer, _Ticker, strict=False)  # numbers come as text
    return Quote(ticker.price, ticker.bid or None, ticker.ask or None, quote_ts=epoch_ms(ticker.time))


def product_of(symbol: str) -> str:
    """Return Coinbase's name of a pair.

    Examples
    --------
    >>> product_of("BTC/USD"), product_of("ETH-EUR")
    ('BTC-USD', 'ETH-EUR')
    """
    return symbol.rpartition(":")[2].replace("/", "-")


def _poll(environment: Environment) -> CoinbaseSource:
    return CoinbaseSource(client_of(SOURCE, environment, environment.get("COINBASE_URL") or _URL))


SOURCE = SourceSpec(
    name="coinbase",
    summary="crypto pairs by Coinbase's public market data, such as BTC-USD",
    assets=("crypto",),
    market="24/7",
    columns=("bid", "ask", "quote_ts"),
    poll=_poll,
    options=(Option("COINBASE_URL", "another address of the API"),),
    calls_per_minute=_CALLS_PER_MINUTE,
    symbols_per_call=1,
    limits="Some 40 pairs a poll of 5 s; a longer watch list takes turns. Volume is not known, so its kinds rest.",
)
