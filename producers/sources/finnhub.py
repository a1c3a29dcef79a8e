"""Finnhub's quotes: one call for each symbol, so that the limit decides how often a symbol is asked for.

Shape and meaning: https://finnhub.io/docs/api/quote; limits (60 calls a minute without a subscription, 30 a
second for everyone, status 429 beyond): https://finnhub.io/docs/api/rate-limit; keys in a header:
https://finnhub.io/docs/api/authentication. It has neither bid nor ask nor volume.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from producers.quote_batch import Quote
from producers.source import Environment, Key, Missing, Option, Quotes, SourceSpec
from producers.streaming import StreamRejectedError, StreamSource, readable
from producers.vendor import VendorSource, client_of, poll_seconds, read_quote

_URL = "https://finnhub.io/api/v1"
_STREAM_URL = "wss://ws.finnhub.io"
_CALLS_PER_MINUTE = 60
_WHERE = "make one at https://finnhub.io/register"
_INVALID = re.compile(r"invalid symbol\b:?(.*)", re.IGNORECASE)


class _Quote(msgspec.Struct):
    c: float
    t: float  # seconds


class FinnhubSource(VendorSource):
    """Polls Finnhub, symbol by symbol.

    A poll asks for as many symbols as the limit allows and goes on with the others in the next. All have
    their turn, however long the watch list.
    """

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:  # noqa: ARG002 - Finnhub says when it was
        """Poll as many symbols as the limit allows now.

        Raises
        ------
        SourceError
            If none of the calls was answered.
        """
        # Status 403 costs its symbol only: the plan lacks that symbol's exchange.
        return self._poll_each(symbols, self._query)

    def _query(self, symbol: str) -> Quote | Missing:
        return read_quote(SOURCE.name, _quote, self._client.get("/quote", {"symbol": symbol}))


def _quote(answer: object) -> Quote | Missing:
    quote = msgspec.convert(answer, _Quote, strict=False)
    if quote.t <= 0:  # it answers zeros for a symbol that it does not know
        return Missing("finnhub knows no such ticker")
    return Quote(quote.c, quote_ts=int(quote.t * 1000))


class FinnhubStream:
    """Finnhub's WebSocket of trades; it has neither bid nor ask.

    https://finnhub.io/docs/api/websocket-trades; the key is part of the address, as the vendor wants it.
    """

    name = "finnhub"
    is_ready = True

    def __init__(self, url: str) -> None:
        self.url = url

    def name_of(self, symbol: str) -> str:
        """Return the ticker as it is."""
        return symbol

    def opening(self) -> Iterable[str]:
        """Return nothing: the address holds the key."""
        return ()

    def subscribe(self, names: Sequence[str]) -> Iterable[str]:
        """Return a message for each ticker."""
        return [json.dumps({"type": "subscribe", "symbol": name}) for name in names]

    def unsubscribe(self, names: Sequence[str]) -> Iterable[str]:
        """Return a message for each ticker."""
        return [json.dumps({"type": "unsubscribe", "symbol": name}) for name in names]

    def read(self, message: str | bytes) -> Iterator[tuple[str, Quote | Missing]]:
        """Return the trades that a message tells of."""
        said = msgspec.json.decode(message, type=_Said)
        if said.type == "error":
            # https://github.com/finnhubio/Finnhub-API/issues/472; before 2021 it did not name the ticker (issue 20)
            if invalid := _INVALID.match(said.msg):
                yield invalid[1].strip(), Missing("finnhub streams no such ticker, or not by this plan")
                return
            if "key" in said.msg.lower():
                raise StreamRejectedError(f"finnhub rejects the key ({said.msg}): check FINNHUB_API_KEY")
            raise ConnectionError(f"finnhub says: {said.msg}")
        for trade in readable(said.data, _Trade):
            yield trade.s, Quote(trade.p, quote_ts=None if trade.t is None else int(trade.t))


class _Trade(msgspec.Struct):
    s: str
    p: float
    t: float | None = None


class _Said(msgspec.Struct):
    type: str
    data: list[Any] = []
    msg: str = ""


def _stream(environment: Environment) -> StreamSource:
    url = environment.get("FINNHUB_STREAM_URL") or _STREAM_URL
    token = quote(environment["FINNHUB_API_KEY"].strip(), safe="")
    return StreamSource(FinnhubStream(f"{url}?token={token}"), poll_seconds(environment))


def _poll(environment: Environment) -> FinnhubSource:
    headers = {"X-Finnhub-Token": environment["FINNHUB_API_KEY"].strip()}
    return FinnhubSource(client_of(SOURCE, environment, environment.get("FINNHUB_URL") or _URL, headers))


SOURCE = SourceSpec(
    name="finnhub",
    summary="US stocks by Finnhub's quotes; other exchanges, FX and crypto by plan",
    assets=("stocks", "etfs", "fx", "crypto"),
    market="XNYS",
    columns=("quote_ts",),
    poll=_poll,
    stream=_stream,
    keys=(Key("FINNHUB_API_KEY", "make one at https://finnhub.io/register"),),
    options=(
        Option("FINNHUB_URL", "another address of the API"),
        Option("FINNHUB_STREAM_URL", "another address of the stream"),
    ),
    calls_per_minute=_CALLS_PER_MINUTE,
    symbols_per_call=1,
    limits="One call a ticker: with 60 calls a minute a watch list of 10 tickers is polled every 10 s, in turns.",
)
