"""Kraken's public market data: all pairs in one call, no key.

Shape and meaning: https://docs.kraken.com/api/docs/rest-api/get-ticker-information (`a` ask, `b` bid, `c` last
trade, `v` volume today since 00:00 UTC and of 24 hours; no time); pairs and their names:
https://docs.kraken.com/api/docs/rest-api/get-tradable-asset-pairs. Every answer has status 200 and a list `error`:
https://docs.kraken.com/api/docs/guides/spot-errors. Public calls: about one a second for an address,
https://docs.kraken.com/api/docs/guides/spot-rest-ratelimits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from producers.quote_batch import Quote
from producers.source import Environment, MinuteBar, Missing, Option, Quotes, SourceError, SourceSpec
from producers.streaming import StreamSource, readable
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
from producers.vendor_state import RateLimitedError, RejectedRequestError, TransientError, VendorError

_URL = "https://api.kraken.com"
_STREAM_URL = "wss://ws.kraken.com/v2"
_CALLS_PER_MINUTE = 50
PAIRS_PER_CALL = 200
_CANDLES = 720
_MINUTE_MS = 60_000
_UNLISTED = "kraken lists no such pair; one is written like BTC/USD"
_OWN_NAMES = {"XBT": "BTC", "XDG": "DOGE"}  # Kraken's codes, and what everybody else writes


class _Pair(msgspec.Struct):
    altname: str
    wsname: str = ""


class _Answer(msgspec.Struct):
    error: list[str] = []
    result: dict[str, Any] | None = None


class _Ticker(msgspec.Struct):
    c: list[float]
    a: Any = None
    b: Any = None
    v: Any = None


class _Pairs:
    """Kraken's names of the pairs that it lists, asked for once."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def listed(
        self, symbols: Sequence[str], result: Callable[[str, Mapping[str, str]], dict[str, Any]]
    ) -> dict[str, str]:
        """Return the names of those symbols that Kraken lists; `result` makes a call."""
        if not self._names:
            if not (pairs := result("/0/public/AssetPairs", {})):
                raise VendorError("kraken answered with no pairs at all")
            self._names = {written: key for key, pair in pairs.items() for written in _written(key, pair)}
        plain = {symbol: symbol.rpartition(":")[2].replace("-", "/") for symbol in symbols}
        return {symbol: self._names[name] for symbol, name in plain.items() if name in self._names}


class KrakenSource(VendorSource):
    """Polls Kraken; which pairs there are is asked once."""

    def __init__(self, client: VendorClient) -> None:
        super().__init__(client)
        self._pairs = _Pairs()

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:  # noqa: ARG002 - it gives no times
        """Poll once, in as many calls as the watch list takes.

        Raises
        ------
        SourceError
            If none of the calls was answered.
        """
        self._client.begin_poll()
        found: dict[str, Quote | Missing] = dict.fromkeys(symbols, Missing(_UNLISTED))
        errors: list[VendorError] = []
        try:
            wanted = self._pairs.listed(symbols, self._client.get)
            names = list(dict.fromkeys(wanted.values()))
            for start in range(0, len(names), PAIRS_PER_CALL):
                asked = names[start : start + PAIRS_PER_CALL]
                tickers = self._client.get("/0/public/Ticker", {"pair": ",".join(asked)})
                quotes = {name: read_quote(SOURCE.name, _quote, tickers.get(name)) for name in asked}
                found |= {symbol: quotes[name] for symbol, name in wanted.items() if name in quotes}
        except VendorError as error:
            errors.append(error)
        answered = not errors or any(isinstance(quote, Quote) for quote in found.values())
        self._client.end_poll(errors, answered=answered)
        return found


def result_of(answer: object) -> dict[str, Any]:
    """Return the result in an answer of status 200, whose list `error` says whether it is one.

    Raises
    ------
    VendorError
        If it is none.
    """
    try:
        said = msgspec.convert(answer, _Answer)
    except msgspec.ValidationError as error:
        raise VendorError(f"kraken answered what is no result: {error}") from error
    for problem in said.error:
        if problem.startswith("E"):  # warnings begin with W
            raise _error(problem)
    return said.result or {}


def _error(said: str) -> VendorError:
    if "Rate limit" in said or "Too many requests" in said:
        return RateLimitedError(said, 429)
    if said.startswith(("EService", "EGeneral:Temporary", "EGeneral:Internal")):
        return TransientError(f"kraken fails ({said})")
    return RejectedRequestError(f"kraken rejects the request ({said})")


def _written(key: str, raw: object) -> list[str]:
    """Return how a pair may be written: Kraken's own names, and base/quote with the codes that others use."""
    try:
        pair = msgspec.convert(raw, _Pair)
    except msgspec.ValidationError:
        return [key]
    codes = pair.wsname.split("/")
    usual = [_OWN_NAMES.get(code, code) for code in codes]
    return [key, pair.altname, pair.wsname, "/".join(usual), "".join(usual)]


def _quote(raw: object) -> Quote | Missing:
    if raw is None:
        return Missing("kraken answered without it")
    ticker = msgspec.convert(raw, _Ticker, strict=False)  # numbers come as text
    bid, ask, volume = (
        next(iter(beside(of, list[float]) or []), None) for of in (ticker.b, ticker.a, ticker.v)
    )
    return Quote(ticker.c[0], bid or None, ask or None, volume)


class KrakenHistory:
    """Kraken's candles of one minute: the newest 720, of which the last is not over yet.

    https://docs.kraken.com/api-reference/market-data/get-ohlc-data
    """

    def __init__(self, client: VendorClient) -> None:
        self._client = client
        self._pairs = _Pairs()

    def minute_bars(self, symbol: str, since_ms: int, until_ms: int) -> Iterator[MinuteBar]:
        """Return a pair's bars, the oldest first; minutes without a trade are left out."""
        name = self._pairs.listed([symbol], self._client.pages).get(symbol)
        if name is None:
            raise SourceError(f"{symbol}: {_UNLISTED}")
        asked = {"pair": name, "interval": "1", "since": str(since_ms // 1000 - 60)}
        found = [rows for key, rows in self._client.pages("/0/public/OHLC", asked).items() if key != "last"]
        candles = bars_of(f"kraken, {symbol}", found[0] if found else [], _Candle)
        oldest_ms = candles[0].time * 1000 if candles else since_ms
        if len(candles) >= _CANDLES and oldest_ms > since_ms + _MINUTE_MS:
            first = datetime.fromtimestamp(oldest_ms / 1000, UTC)
            raise SourceError(
                f"kraken keeps the newest {_CANDLES} minutes alone",
                allowed=f"from {first:%Y-%m-%dT%H:%MZ} on",
            )
        for candle in candles[:-1]:
            if since_ms <= candle.time * 1000 < until_ms and candle.count:
                yield MinuteBar(
                    candle.time * 1000, candle.open, candle.high, candle.low, candle.close, candle.volume
                )


class _Candle(msgspec.Struct, array_like=True):
    time: int
    open: float
    high: float
    low: float
    close: float
    vwap: float
    volume: float
    count: int


def _history(environment: Environment) -> KrakenHistory:
    url = environment.get("KRAKEN_URL") or _URL
    return KrakenHistory(history_client_of(SOURCE, environment, url, read=result_of))


class KrakenStream:
    """Kraken's WebSocket, version 2: channel ticker, with a snapshot and a heartbeat each second.

    https://docs.kraken.com/exchange/api-reference/spot-websocket-v2/ticker
    """

    name = "kraken"
    is_ready = True

    def __init__(self, url: str) -> None:
        self.url = url

    def name_of(self, symbol: str) -> str:
        """Return the name of a pair: base and quote, with the codes that others use."""
        base, _, quote = symbol.rpartition(":")[2].replace("-", "/").partition("/")
        return f"{_OWN_NAMES.get(base, base)}/{quote}"

    def opening(self) -> Iterable[str]:
        """Return nothing: no key is needed."""
        return ()

    def subscribe(self, names: Sequence[str]) -> Iterable[str]:
        """Return one message; the response names each pair that fails."""
        return [_message("subscribe", names)]

    def unsubscribe(self, names: Sequence[str]) -> Iterable[str]:
        """Return one message."""
        return [_message("unsubscribe", names)]

    def read(self, message: str | bytes) -> Iterator[tuple[str, Quote | Missing]]:
        """Return what a message says of pairs."""
        said = msgspec.json.decode(message, type=_Said)
        if said.method == "subscribe" and said.success is False:
            yield said.symbol, Missing(f"kraken rejects the pair ({said.error}); one is written like BTC/USD")
        elif said.channel == "ticker":
            for pair in readable(said.data, _Streamed):
                bid, ask = (beside(side, float) for side in (pair.bid, pair.ask))
                yield pair.symbol, Quote(pair.last, bid, ask, quote_ts=epoch_ms(pair.timestamp))


class _Said(msgspec.Struct):
    channel: str = ""
    data: list[Any] = []
    method: str = ""
    success: bool | None = None
    symbol: str = ""
    error: str = ""


class _Streamed(msgspec.Struct):
    symbol: str
    last: float
    bid: Any = None
    ask: Any = None
    timestamp: Any = None


def _message(method: str, names: Sequence[str]) -> str:
    return json.dumps(
        {"method": method, "params": {"channel": "ticker", "symbol": list(names), "event_trigger": "bbo"}}
    )


def _stream(environment: Environment) -> StreamSource:
    url = environment.get("KRAKEN_STREAM_URL") or _STREAM_URL
    return StreamSource(KrakenStream(url), poll_seconds(environment))


def _poll(environment: Environment) -> KrakenSource:
    url = environment.get("KRAKEN_URL") or _URL
    return KrakenSource(client_of(SOURCE, environment, url, read=result_of))


SOURCE = SourceSpec(
    name="kraken",
    summary="crypto and FX pairs by Kraken's public market data, such as BTC/USD",
    assets=("crypto", "fx"),
    market="24/7",
    columns=("bid", "ask", "day_volume"),
    poll=_poll,
    stream=_stream,
    history=_history,
    options=(
        Option("KRAKEN_URL", "another address of the API"),
        Option("KRAKEN_STREAM_URL", "another address of the stream"),
    ),
    calls_per_minute=_CALLS_PER_MINUTE,
    symbols_per_call=PAIRS_PER_CALL,
    limits="The volume of the day begins at 00:00 UTC. History is the newest 720 minutes.",
)
