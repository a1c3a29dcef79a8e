"""Alpaca's market data: snapshots of many stocks in one call.

Shape and meaning: https://docs.alpaca.markets/reference/stocksnapshots-1; errors and keys:
https://docs.alpaca.markets/docs/market-data-faq; 200 calls a minute without a subscription:
https://alpaca.markets/support/usage-limit-api-calls/. The names of the variables are those of Alpaca's
own Python SDK. Without ALPACA_FEED Alpaca takes the best feed that the key may read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import msgspec

from producers.markets import new_york
from producers.quote_batch import QuoteBatch
from producers.sources import SourceError
from producers.vendor import (
    PollEndsError,
    RefusedRequestError,
    Standing,
    Vendor,
    VendorClient,
    VendorError,
    poll_seconds,
    required,
)

SYMBOLS_PER_CALL = 500
_URL = "https://data.alpaca.markets"
_PATH = "/v2/stocks/snapshots"
_CALLS_PER_MINUTE = 200
_KEYS = "make one at https://app.alpaca.markets (the free plan will do)"
_FEEDS = ("iex", "sip", "delayed_sip", "otc", "boats", "overnight")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMED = re.compile(r"invalid symbols?\W+(.+)", re.IGNORECASE)
_WORD = re.compile(r"[A-Z0-9.^=/_-]+")


class _Trade(msgspec.Struct):
    p: float
    t: datetime


class _Quote(msgspec.Struct):
    t: datetime
    bp: float = 0.0
    ap: float = 0.0


class _Bar(msgspec.Struct):
    t: datetime
    v: float


class _Snapshot(msgspec.Struct, rename="camel"):
    latest_trade: _Trade | None = None
    latest_quote: _Quote | None = None
    daily_bar: _Bar | None = None


class AlpacaSource:
    """Polls Alpaca's snapshots."""

    name = "alpaca"

    def __init__(self, client: VendorClient, feed: str = "") -> None:
        if feed and feed not in _FEEDS:
            raise SourceError(f"ALPACA_FEED is {feed!r}: allowed are {', '.join(_FEEDS)}")
        self._client = client
        self._feed = {"feed": feed} if feed else {}
        self._refused: set[str] = set()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The source with the key in APCA_API_KEY_ID and APCA_API_SECRET_KEY."""
        vendor = Vendor(
            cls.name,
            environment.get("APCA_API_DATA_URL", _URL),
            {
                "APCA-API-KEY-ID": required(environment, "APCA_API_KEY_ID", cls.name, _KEYS),
                "APCA-API-SECRET-KEY": required(environment, "APCA_API_SECRET_KEY", cls.name, _KEYS),
            },
            _CALLS_PER_MINUTE,
            "check APCA_API_KEY_ID and APCA_API_SECRET_KEY, and that the subscription covers ALPACA_FEED",
        )
        return cls(VendorClient(vendor, poll_seconds(environment)), environment.get("ALPACA_FEED", ""))

    @property
    def standing(self) -> Standing:
        """How we stand with the vendor."""
        return self._client.standing

    @standing.setter
    def standing(self, standing: Standing) -> None:
        self._client.standing = standing

    def quotes(self, symbols: Sequence[str], now_ms: int) -> QuoteBatch:
        """One poll, in as many calls as the watch list takes.

        Raises
        ------
        SourceError
            If none of the calls was answered. When some were, the symbols of the others are missing.
        """
        self._client.begin_poll()
        snapshots: dict[str, Any] = {}
        errors: list[VendorError] = []
        asked = [symbol for symbol in symbols if symbol not in self._refused]
        answered = 0
        for start in range(0, len(asked), SYMBOLS_PER_CALL):
            try:
                snapshots.update(self._chunk(asked[start : start + SYMBOLS_PER_CALL]))
                answered += 1
            except VendorError as error:
                errors.append(error)
                if isinstance(error, PollEndsError) or error.status in {401, 403}:  # concerns every call
                    break
        self._client.end_poll(errors, answered=answered > 0)
        return _batch(symbols, snapshots, now_ms)

    def _chunk(self, symbols: list[str]) -> dict[str, Any]:
        """The snapshots of some symbols; one that Alpaca refuses does not cost the others theirs."""
        if not symbols:
            return {}
        try:
            answer = self._client.get(_PATH, {"symbols": ",".join(symbols), **self._feed})
        except RefusedRequestError as error:
            named = _NAMED.search(str(error))
            refused = set(_WORD.findall(named[1])) & set(symbols) if named else set()
            if len(symbols) == 1 or refused:
                self._refused.update(refused or symbols)
                return self._chunk([symbol for symbol in symbols if symbol not in self._refused])
            middle = len(symbols) // 2
            return {**self._chunk(symbols[:middle]), **self._chunk(symbols[middle:])}
        if not isinstance(answer, dict):
            raise VendorError(f"alpaca answered a JSON {type(answer).__name__}: expected is an object")
        return answer


def _batch(symbols: Sequence[str], snapshots: Mapping[str, Any], now_ms: int) -> QuoteBatch:
    batch = QuoteBatch(AlpacaSource.name, [], [], [], [], [], [], [], [])
    now = _EPOCH + timedelta(milliseconds=now_ms)
    today = now.astimezone(new_york(now.date())).date()
    for symbol in symbols:
        snapshot = _snapshot(snapshots.get(symbol))
        if snapshot is None or snapshot.latest_trade is None:
            batch.missing.append(symbol)
            continue
        trade, quote, bar = snapshot.latest_trade, snapshot.latest_quote, snapshot.daily_bar
        batch.symbol.append(symbol)
        batch.ts.append(now_ms)
        batch.price.append(trade.p)
        batch.bid.append(quote.bp or None if quote else None)  # 0 says that nobody bids
        batch.ask.append(quote.ap or None if quote else None)
        # Before the first trade of a day the bar is still that of the day before.
        is_of_today = bar is not None and bar.t.astimezone(new_york(now.date())).date() == today
        batch.day_volume.append(bar.v if bar is not None and is_of_today else None)
        batch.quote_ts.append(max(_ms(trade.t), _ms(quote.t) if quote else 0) or None)
    return batch


def _snapshot(raw: Any) -> _Snapshot | None:
    if raw is None:  # of a symbol that it knows and has no data of
        return None
    try:
        return msgspec.convert(raw, _Snapshot)
    except msgspec.ValidationError:
        return None


def _ms(at: datetime) -> int:
    return max(0, (at - _EPOCH) // timedelta(milliseconds=1)) if at.tzinfo else 0
