"""Finnhub's quotes: one call for each symbol, so that the limit decides how often a symbol is asked for.

Shape and meaning: https://finnhub.io/docs/api/quote; limits (60 calls a minute without a subscription, 30 a
second for everyone, status 429 beyond): https://finnhub.io/docs/api/rate-limit; keys in a header:
https://finnhub.io/docs/api/authentication. It has neither bid nor ask nor volume.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import msgspec

from producers.quote_batch import QuoteBatch
from producers.vendor import (
    PollEndsError,
    Standing,
    Vendor,
    VendorClient,
    VendorError,
    poll_seconds,
    required,
)

_URL = "https://finnhub.io/api/v1"
_CALLS_PER_MINUTE = 60
_KEYS = "make one at https://finnhub.io/register"


class _Quote(msgspec.Struct):
    c: float
    t: int


class FinnhubSource:
    """Polls Finnhub, symbol by symbol.

    A poll asks for as many symbols as the limit allows and goes on with the others in the next; the batch
    holds those asked for. All have their turn, however long the watch list.
    """

    name = "finnhub"

    def __init__(self, client: VendorClient) -> None:
        self._client = client

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The source with the key in FINNHUB_API_KEY."""
        vendor = Vendor(
            cls.name,
            environment.get("FINNHUB_URL", _URL),
            {"X-Finnhub-Token": required(environment, "FINNHUB_API_KEY", cls.name, _KEYS)},
            _CALLS_PER_MINUTE,
            "check FINNHUB_API_KEY, and that the plan covers the exchange of this ticker",
        )
        return cls(VendorClient(vendor, poll_seconds(environment)))

    @property
    def standing(self) -> Standing:
        """How we stand with the vendor."""
        return self._client.standing

    @standing.setter
    def standing(self, standing: Standing) -> None:
        self._client.standing = standing

    def quotes(self, symbols: Sequence[str], now_ms: int) -> QuoteBatch:
        """One poll of as many symbols as the limit allows now.

        Raises
        ------
        SourceError
            If none of the calls was answered.
        """
        self._client.begin_poll()
        batch = QuoteBatch(self.name, [], [], [], [], [], [], [], [])
        errors: list[VendorError] = []
        for symbol in self._turn(symbols):
            try:
                answer = self._client.get("/quote", {"symbol": symbol})
            except VendorError as error:
                errors.append(error)
                if isinstance(error, PollEndsError) or error.status == 401:  # concerns every call
                    break
                batch.missing.append(symbol)  # 403 does not: the plan lacks the exchange of this symbol
            else:
                _add(batch, symbol, answer, now_ms)
            self._client.standing.cursor = symbol
        self._client.end_poll(errors, answered=len(batch.symbol) > 0)
        return batch

    def _turn(self, symbols: Sequence[str]) -> list[str]:
        """The symbols whose turn it is: those after the one asked for last."""
        last = self._client.standing.cursor
        start = symbols.index(last) + 1 if last in symbols else 0
        return [*symbols[start:], *symbols[:start]][: self._client.affordable()]


def _add(batch: QuoteBatch, symbol: str, answer: object, now_ms: int) -> None:
    quote = _quote(answer)
    if quote is None:
        batch.missing.append(symbol)
        return
    batch.symbol.append(symbol)
    batch.ts.append(now_ms)
    batch.price.append(quote.c)
    batch.bid.append(None)
    batch.ask.append(None)
    batch.day_volume.append(None)
    batch.quote_ts.append(quote.t * 1000)


def _quote(answer: object) -> _Quote | None:
    """The quote, or None where Finnhub knows none: it answers zeros for a symbol that it does not know."""
    try:
        quote = msgspec.convert(answer, _Quote)
    except msgspec.ValidationError:
        return None
    return None if quote.t <= 0 else quote
