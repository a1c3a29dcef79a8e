"""Kraken's public market data: all pairs in one call, no key.

Shape and meaning: https://docs.kraken.com/api/docs/rest-api/get-ticker-information (`a` ask, `b` bid, `c` last
trade, `v` volume today since 00:00 UTC and of 24 hours; no time); pairs and their names:
https://docs.kraken.com/api/docs/rest-api/get-tradable-asset-pairs. Every answer has status 200 and a list `error`:
https://docs.kraken.com/api/docs/guides/spot-errors. Public calls: about one a second for an address,
https://docs.kraken.com/api/docs/guides/spot-rest-ratelimits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from producers.quote_batch import Quote
from producers.source import Environment, Missing, Option, Quotes, SourceSpec
from producers.vendor import VendorClient, VendorSource, client_of, read_quote
from producers.vendor_state import RateLimitedError, RejectedRequestError, TransientError, VendorError

_URL = "https://api.kraken.com"
_CALLS_PER_MINUTE = 50
PAIRS_PER_CALL = 200
_OWN_NAMES = {"XBT": "BTC", "XDG": "DOGE"}  # Kraken's codes, and what everybody else writes


class _Pair(msgspec.Struct):
    altname: str
    wsname: str = ""


class _Answer(msgspec.Struct):
    error: list[str] = []
    result: dict[str, Any] | None = None


class _Ticker(msgspec.Struct):
    a: list[float]
    b: list[float]
    c: list[float]
    v: list[float]


class KrakenSource(VendorSource):
    """Polls Kraken; which pairs there are is asked once."""

    def __init__(self, client: VendorClient) -> None:
        super().__init__(client)
        self._pairs: dict[str, str] = {}

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:  # noqa: ARG002 - it gives no times
        """Poll once, in as many calls as the watch list takes.

        Raises
        ------
        SourceError
            If none of the calls was answered.
        """
        self._client.begin_poll()
        unlisted = Missing("kraken lists no such pair; one is written like BTC/USD")
        found: dict[str, Quote | Missing] = dict.fromkeys(symbols, unlisted)
        errors: list[VendorError] = []
        try:
            wanted = self._listed(symbols)
            names = list(dict.fromkeys(wanted.values()))
            for start in range(0, len(names), PAIRS_PER_CALL):
                asked = names[start : start + PAIRS_PER_CALL]
                tickers = self._result("/0/public/Ticker", {"pair": ",".join(asked)})
                quotes = {name: read_quote(SOURCE.name, _quote, tickers.get(name)) for name in asked}
                found |= {symbol: quotes[name] for symbol, name in wanted.items() if name in quotes}
        except VendorError as error:
            errors.append(error)
        answered = not errors or any(isinstance(quote, Quote) for quote in found.values())
        self._client.end_poll(errors, answered=answered)
        return found

    def _listed(self, symbols: Sequence[str]) -> dict[str, str]:
        """Return Kraken's names of those symbols that it lists."""
        if not self._pairs:
            pairs = self._result("/0/public/AssetPairs", {})
            self._pairs = {written: key for key, pair in pairs.items() for written in _written(key, pair)}
        plain = {symbol: symbol.rpartition(":")[2].replace("-", "/") for symbol in symbols}
        return {symbol: self._pairs[name] for symbol, name in plain.items() if name in self._pairs}

    def _result(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        try:
            answer = msgspec.convert(self._client.get(path, parameters), _Answer)
        except msgspec.ValidationError as error:
            raise VendorError(f"kraken answered what is no result: {error}") from error
        for said in answer.error:
            if said.startswith("E"):  # warnings begin with W
                raise _error(said)
        return answer.result or {}


def _error(said: str) -> VendorError:
    if "Rate limit" in said or "Too many requests" in said:
        return RateLimitedError(f"kraken allows no more calls now ({said})", 429)
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
    return Quote(ticker.c[0], ticker.b[0] or None, ticker.a[0] or None, ticker.v[0])


def _poll(environment: Environment) -> KrakenSource:
    return KrakenSource(client_of(SOURCE, environment, environment.get("KRAKEN_URL") or _URL))


SOURCE = SourceSpec(
    name="kraken",
    summary="crypto and FX pairs by Kraken's public market data, such as BTC/USD",
    assets=("crypto", "fx"),
    market="24/7",
    columns=("bid", "ask", "day_volume"),
    poll=_poll,
    options=(Option("KRAKEN_URL", "another address of the API"),),
    calls_per_minute=_CALLS_PER_MINUTE,
    symbols_per_call=PAIRS_PER_CALL,
    limits="The volume of the day begins at 00:00 UTC.",
)
