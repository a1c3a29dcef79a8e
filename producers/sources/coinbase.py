"""Coinbase Exchange's public market data: one call a product, no key.

Shape and meaning: https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-ticker;
limits (10 calls a second for an address, status 429 beyond):
https://docs.cdp.coinbase.com/exchange/rest-api/rate-limits. An unknown product is status 404. `volume` is that
of the last 24 hours, which rolls and is no volume of a session: the volume of the day stays unknown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from producers.quote_batch import Quote
from producers.source import Environment, MinuteBar, Missing, Option, Quotes, SourceSpec
from producers.streaming import StreamSource
from producers.vendor import (
    VendorSource,
    bars_of,
    beside,
    client_of,
    epoch_ms,
    history_client_of,
    poll_seconds,
    read_quote,
)
from producers.vendor_client import VendorClient
from producers.vendor_state import RejectedRequestError

_URL = "https://api.exchange.coinbase.com"
_STREAM_URL = "wss://ws-feed.exchange.coinbase.com"
_WRONG = re.compile(r"(\S+) is not a valid product")
_PRODUCT = re.compile(r"\b[A-Z0-9]+-[A-Z0-9]+\b")
_ONE_FAILED = ("Failed to subscribe", "Failed to unsubscribe")
"""Each message is about one product, so that this costs no other, also where the reason does not name it."""
_MINUTE_MS = 60_000
_CANDLES = 300
_CALLS_PER_MINUTE = 480  # of 600, which the address may have to share


class _Ticker(msgspec.Struct):
    price: float
    time: Any = None
    bid: Any = None
    ask: Any = None


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
    bid, ask = (beside(side, float) or None for side in (ticker.bid, ticker.ask))
    return Quote(ticker.price, bid, ask, quote_ts=epoch_ms(ticker.time))


def product_of(symbol: str) -> str:
    """Return Coinbase's name of a pair.

    Examples
    --------
    >>> product_of("BTC/USD"), product_of("ETH-EUR")
    ('BTC-USD', 'ETH-EUR')
    """
    return symbol.rpartition(":")[2].replace("/", "-")


class CoinbaseHistory:
    """Coinbase's candles, 300 a call.

    https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-candles
    """

    def __init__(self, client: VendorClient) -> None:
        self._client = client

    def minute_bars(self, symbol: str, since_ms: int, until_ms: int) -> Iterator[MinuteBar]:
        """Return a pair's bars, the oldest first."""
        for begin_ms in range(since_ms - since_ms % _MINUTE_MS, until_ms, _CANDLES * _MINUTE_MS):
            end_ms = min(begin_ms + _CANDLES * _MINUTE_MS, until_ms)
            span = {"granularity": "60", "start": _iso(begin_ms), "end": _iso(end_ms - 1)}
            answer = self._client.pages(f"/products/{product_of(symbol)}/candles", span)
            candles = bars_of(f"coinbase, {symbol}", answer, tuple[int, float, float, float, float, float])
            for at, low, high, open_, close, volume in sorted(candles):
                if since_ms <= at * 1000 < until_ms:
                    yield MinuteBar(at * 1000, open_, high, low, close, volume)


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _history(environment: Environment) -> CoinbaseHistory:
    url = environment.get("COINBASE_URL") or _URL
    return CoinbaseHistory(history_client_of(SOURCE, environment, url))


class CoinbaseStream:
    """Coinbase's WebSocket feed: channels ticker and heartbeat.

    https://docs.cdp.coinbase.com/exchange/websocket-feed/channels. A wrong product fails its subscription, so each
    product has a message of its own.
    """

    name = "coinbase"
    is_ready = True

    def __init__(self, url: str) -> None:
        self.url = url

    def name_of(self, symbol: str) -> str:
        """Return Coinbase's name of a pair."""
        return product_of(symbol)

    def opening(self) -> Iterable[str]:
        """Return nothing: no key is needed."""
        return ()

    def subscribe(self, names: Sequence[str]) -> Iterable[str]:
        """Return a message for each product."""
        return [_message("subscribe", name) for name in names]

    def unsubscribe(self, names: Sequence[str]) -> Iterable[str]:
        """Return a message for each product."""
        return [_message("unsubscribe", name) for name in names]

    def read(self, message: str | bytes) -> Iterator[tuple[str, Quote | Missing]]:
        """Return what a message says of a product."""
        said = msgspec.json.decode(message, type=_Said, strict=False)
        if said.type == "ticker" and said.price is not None:
            bid, ask = (beside(side, float) for side in (said.best_bid, said.best_ask))
            yield said.product_id, Quote(said.price, bid, ask, quote_ts=epoch_ms(said.time))
        elif said.type == "error":
            text = f"coinbase says: {said.message} {said.reason}".strip()
            if wrong := _WRONG.search(said.reason):
                yield wrong[1], Missing("coinbase lists no such product; one is written like BTC-USD")
            elif named := _PRODUCT.search(said.reason):
                yield named[0], Missing(text)
            elif not said.message.startswith(_ONE_FAILED):
                raise ConnectionError(text)


class _Said(msgspec.Struct):
    type: str
    product_id: str = ""
    price: float | None = None
    best_bid: Any = None
    best_ask: Any = None
    time: Any = None
    message: str = ""
    reason: str = ""


def _message(kind: str, name: str) -> str:
    return json.dumps({"type": kind, "product_ids": [name], "channels": ["ticker", "heartbeat"]})


def _stream(environment: Environment) -> StreamSource:
    url = environment.get("COINBASE_STREAM_URL") or _STREAM_URL
    return StreamSource(CoinbaseStream(url), poll_seconds(environment))


def _poll(environment: Environment) -> CoinbaseSource:
    return CoinbaseSource(client_of(SOURCE, environment, environment.get("COINBASE_URL") or _URL))


SOURCE = SourceSpec(
    name="coinbase",
    summary="crypto pairs by Coinbase's public market data, such as BTC-USD",
    assets=("crypto",),
    market="24/7",
    columns=("bid", "ask", "quote_ts"),
    poll=_poll,
    stream=_stream,
    history=_history,
    options=(
        Option("COINBASE_URL", "another address of the API"),
        Option("COINBASE_STREAM_URL", "another address of the stream"),
    ),
    calls_per_minute=_CALLS_PER_MINUTE,
    symbols_per_call=1,
    limits="Some 40 pairs a poll of 5 s; a longer watch list takes turns. Volume is not known, so its kinds rest.",
)
