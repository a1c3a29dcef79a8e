"""Alpaca's market data: snapshots of many stocks in one call.

Shape and meaning: https://docs.alpaca.markets/reference/stocksnapshots-1; errors and keys:
https://docs.alpaca.markets/docs/market-data-faq; 200 calls a minute without a subscription:
https://alpaca.markets/support/usage-limit-api-calls/. The names of the variables are those of Alpaca's
own Python SDK. Without ALPACA_FEED Alpaca takes the best feed that the key may read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

import msgspec

from producers.markets import new_york
from producers.quote_batch import SYMBOL_PATTERN, Quote
from producers.source import Environment, Key, Missing, Option, Quotes, SourceSpec
from producers.vendor import VendorClient, VendorSource, client_of, epoch_ms, read_quote
from producers.vendor_state import PollEndsError, RejectedRequestError, VendorError

SYMBOLS_PER_CALL = 500
_URL = "https://data.alpaca.markets"
_PATH = "/v2/stocks/snapshots"
_CALLS_PER_MINUTE = 200
_WHERE = "make one at https://app.alpaca.markets (the free plan will do)"
_FEEDS = ("iex", "sip", "delayed_sip", "otc", "boats", "overnight")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMED = re.compile(r"invalid symbols?\W+(.+)", re.IGNORECASE)
_WORD = re.compile(SYMBOL_PATTERN)


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


class AlpacaSource(VendorSource):
    """Polls Alpaca's snapshots."""

    def __init__(self, client: VendorClient, feed: str = "") -> None:
        super().__init__(client)
        self._feed = {"feed": feed} if feed else {}
        self._rejected: dict[str, str] = {}

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:
        """Poll once, in as many calls as the watch list takes.

        Raises
        ------
        SourceError
            If none of the calls was answered. When some were, the symbols of the others are missing.
        """
        self._client.begin_poll()
        snapshots: dict[str, Any] = {}
        errors: list[VendorError] = []
        asked = [symbol for symbol in symbols if symbol not in self._rejected]
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
        unanswered = str(errors[-1]) if errors else "alpaca knows no such ticker"
        found = {symbol: Missing(self._rejected.get(symbol, unanswered)) for symbol in symbols}
        return {**found, **_quotes(snapshots, now_ms)}

    def _chunk(self, symbols: list[str]) -> dict[str, Any]:
        """Return the snapshots of some symbols; one that Alpaca rejects does not cost the others theirs."""
        if not symbols:
            return {}
        try:
            answer = self._client.get(_PATH, {"symbols": ",".join(symbols), **self._feed})
        except RejectedRequestError as error:
            named = _NAMED.search(str(error))
            rejected = set(_WORD.findall(named[1])) & set(symbols) if named else set()
            if len(symbols) == 1 or rejected:
                self._rejected.update(dict.fromkeys(rejected or symbols, str(error)))
                return self._chunk([symbol for symbol in symbols if symbol not in self._rejected])
            middle = len(symbols) // 2
            return {**self._chunk(symbols[:middle]), **self._chunk(symbols[middle:])}
        if not isinstance(answer, dict):
            raise VendorError(f"alpaca answered a JSON {type(answer).__name__}: expected is an object")
        return answer


def _quotes(snapshots: Mapping[str, Any], now_ms: int) -> dict[str, Quote | Missing]:
    now = _EPOCH + timedelta(milliseconds=now_ms)
    new_york_now = new_york(now.date())

    def read(raw: Any) -> Quote | Missing:
        return _quote(raw, new_york_now, now.astimezone(new_york_now).date())

    return {symbol: read_quote(SOURCE.name, read, raw) for symbol, raw in snapshots.items()}


def _quote(raw: Any, zone: tzinfo, today: date) -> Quote | Missing:
    snapshot = msgspec.convert(raw or {}, _Snapshot)  # null: a symbol that it knows and has no data of
    trade, quote, bar = snapshot.latest_trade, snapshot.latest_quote, snapshot.daily_bar
    if trade is None:
        return Missing("alpaca has no trade of it")
    times = [at for at in (epoch_ms(trade.t), epoch_ms(quote.t) if quote else None) if at]
    # Before the first trade of a day the bar is still that of the day before; of a new listing it has no time.
    is_of_today = bar is not None and bool(epoch_ms(bar.t)) and bar.t.astimezone(zone).date() == today
    return Quote(
        trade.p,
        bid=quote.bp or None if quote else None,  # 0 says that nobody bids
        ask=quote.ap or None if quote else None,
        day_volume=bar.v if bar is not None and is_of_today else None,
        quote_ts=max(times, default=None),
    )


def _poll(environment: Environment) -> AlpacaSource:
    headers = {
        "APCA-API-KEY-ID": environment["APCA_API_KEY_ID"].strip(),
        "APCA-API-SECRET-KEY": environment["APCA_API_SECRET_KEY"].strip(),
    }
    client = client_of(SOURCE, environment, environment.get("APCA_API_DATA_URL") or _URL, headers)
    return AlpacaSource(client, environment.get("ALPACA_FEED", ""))


SOURCE = SourceSpec(
    name="alpaca",
    summary="US stocks and ETFs by Alpaca's snapshots",
    assets=("stocks", "etfs"),
    market="XNYS",
    columns=("bid", "ask", "day_volume", "quote_ts"),
    poll=_poll,
    keys=(Key("APCA_API_KEY_ID", _WHERE), Key("APCA_API_SECRET_KEY", _WHERE)),
    options=(
        Option("ALPACA_FEED", "the feed; unset is the best that the plan may read", _FEEDS),
        Option("APCA_API_DATA_URL", "another address of the API"),
    ),
    calls_per_minute=_CALLS_PER_MINUTE,
    symbols_per_call=SYMBOLS_PER_CALL,
    limits=(
        "The free plan carries the trades and quotes of one exchange, IEX: 2 to 3 % of the market's volume. "
        "Prices follow the market; volumes and spreads are those of IEX alone, thinner and wider."
    ),
)
