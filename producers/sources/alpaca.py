"""Alpaca's market data: snapshots of many stocks, or crypto pairs, in one call.

Shape and meaning: https://docs.alpaca.markets/reference/stocksnapshots-1; errors and keys:
https://docs.alpaca.markets/docs/market-data-faq; 200 calls a minute without a subscription:
https://alpaca.markets/support/usage-limit-api-calls/. The names of the variables are those of Alpaca's
own Python SDK. Without ALPACA_FEED Alpaca takes the best feed that the key may read.

Crypto pairs such as BTC/USD have addresses of their own: https://docs.alpaca.markets/reference/cryptosnapshots-1,
https://docs.alpaca.markets/docs/real-time-crypto-pricing-data. Their daily bar begins at midnight in Chicago, so no
volume of the day is taken from it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

import msgspec

from producers.errors import shortened
from producers.markets import market_of, new_york
from producers.quote_batch import Quote
from producers.source import Environment, Key, MinuteBar, Missing, Option, Quotes, SourceError, SourceSpec
from producers.streaming import JoinedStreams, StreamRejectedError, StreamSource, readable
from producers.symbols import SYMBOL_PATTERN
from producers.vendor import (
    VendorSource,
    bars_of,
    beside,
    client_of,
    epoch_ms,
    history_client_of,
    poll_seconds,
    read_quote,
    time_of,
)
from producers.vendor_client import SHOWN, VendorClient
from producers.vendor_state import PollEndsError, RejectedRequestError, VendorError

SYMBOLS_PER_CALL = 500
_URL = "https://data.alpaca.markets"
_STREAM_URL = "wss://stream.data.alpaca.markets/v2"
_REJECTED = frozenset({401, 402, 404, 405, 409})  # not authenticated, key, too late, too many tickers, plan
_UNREADABLE = 400
"""Of a message with a ticker that is none there, which costs all others of it: alpaca-trade-api-csharp issue 576."""
_BARS_PATH = "/v2/stocks/bars"
_CRYPTO_BARS_PATH = "/v1beta3/crypto/us/bars"
_PATH = "/v2/stocks/snapshots"
_CRYPTO_PATH = "/v1beta3/crypto/us/snapshots"
_CRYPTO_STREAM_URL = "wss://stream.data.alpaca.markets/v1beta3/crypto/us"
_CALLS_PER_MINUTE = 200
_MAX_IDLE_PAGES = 3
_WHERE = "make one at https://app.alpaca.markets (the free plan will do)"
_FEEDS = ("iex", "sip", "delayed_sip", "otc", "boats", "overnight")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMED = re.compile(r"invalid symbols?\W+(.+)", re.IGNORECASE)
_WORD = re.compile(SYMBOL_PATTERN)


class _Trade(msgspec.Struct):
    p: float
    t: Any = None


class _Quote(msgspec.Struct):
    t: Any = None
    bp: Any = None
    ap: Any = None


class _Bar(msgspec.Struct):
    t: Any = None
    v: Any = None


class _Snapshot(msgspec.Struct, rename="camel"):
    latest_trade: _Trade | None = None
    latest_quote: Any = None
    daily_bar: Any = None


def pair_of(symbol: str) -> str:
    """Return Alpaca's name of a crypto pair; empty for anything else.

    Examples
    --------
    >>> pair_of("BTC-USD"), pair_of("ETH/USD"), pair_of("BRK.B")
    ('BTC/USD', 'ETH/USD', '')
    """
    return symbol.rpartition(":")[2].replace("-", "/") if market_of(symbol, "XNYS") == "24/7" else ""


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
        names = {symbol: pair_of(symbol) or symbol for symbol in symbols}
        asked = [name for name in dict.fromkeys(names.values()) if name not in self._rejected]
        stocks, pairs = (
            [name for name in asked if not pair_of(name)],
            [name for name in asked if pair_of(name)],
        )
        calls = [
            (path, of[start : start + SYMBOLS_PER_CALL])
            for path, of in ((_PATH, stocks), (_CRYPTO_PATH, pairs))
            for start in range(0, len(of), SYMBOLS_PER_CALL)
        ]
        answered = 0
        for path, chunk in calls:
            try:
                snapshots.update(self._chunk(path, chunk))
                answered += 1
            except VendorError as error:
                errors.append(error)
                if isinstance(error, PollEndsError) or error.status in {401, 403}:  # concerns every call
                    break
        self._client.end_poll(errors, answered=answered > 0)
        unanswered = str(errors[-1]) if errors else "alpaca knows no such ticker"
        quotes = _quotes(snapshots, now_ms)
        return {
            symbol: quotes.get(name) or Missing(self._rejected.get(name, unanswered))
            for symbol, name in names.items()
        }

    def _chunk(self, path: str, symbols: list[str]) -> dict[str, Any]:
        """Return the snapshots of some symbols; one that Alpaca rejects does not cost the others theirs."""
        if not symbols:
            return {}
        try:
            feed = self._feed if path == _PATH else {}
            answer = self._client.get(path, {"symbols": ",".join(symbols), **feed})
        except RejectedRequestError as error:
            named = _NAMED.search(str(error))
            rejected = set(_WORD.findall(named[1])) & set(symbols) if named else set()
            if len(symbols) == 1 or rejected:
                self._rejected.update(dict.fromkeys(rejected or symbols, str(error)))
                return self._chunk(path, [symbol for symbol in symbols if symbol not in self._rejected])
            middle = len(symbols) // 2
            return {**self._chunk(path, symbols[:middle]), **self._chunk(path, symbols[middle:])}
        if path == _CRYPTO_PATH and isinstance(answer, dict):
            answer = answer.get("snapshots")
        if not isinstance(answer, dict):
            raise VendorError(f"alpaca answered a JSON {type(answer).__name__}: expected is an object")
        if answer and answer.keys().isdisjoint(symbols):
            said = shortened(json.dumps(answer), SHOWN)
            raise VendorError(f"alpaca answered with none of the tickers asked for: {said}")
        return answer


def _quotes(snapshots: Mapping[str, Any], now_ms: int) -> dict[str, Quote | Missing]:
    now = _EPOCH + timedelta(milliseconds=now_ms)
    new_york_now = new_york(now.date())

    today = now.astimezone(new_york_now).date()

    def read(raw: Any) -> Quote | Missing:
        return _quote(raw, new_york_now, today)

    def read_pair(raw: Any) -> Quote | Missing:
        quote = read(raw)
        return quote._replace(day_volume=None) if isinstance(quote, Quote) else quote

    return {
        name: read_quote(SOURCE.name, read_pair if pair_of(name) else read, raw)
        for name, raw in snapshots.items()
    }


def _quote(raw: Any, zone: tzinfo, today: date) -> Quote | Missing:
    snapshot = msgspec.convert(
        raw or {}, _Snapshot, strict=False
    )  # null: a symbol that it knows and has no data of
    trade = snapshot.latest_trade
    if trade is None:
        return Missing("alpaca has no trade of it")
    quote = beside(snapshot.latest_quote, _Quote) or _Quote()
    bar = beside(snapshot.daily_bar, _Bar) or _Bar()
    times = [at for at in (epoch_ms(trade.t), epoch_ms(quote.t)) if at]
    # Before the first trade of a day the bar is still that of the day before; of a new listing it has no time.
    began = time_of(bar.t)
    is_of_today = began is not None and began.astimezone(zone).date() == today
    return Quote(
        trade.p,
        bid=beside(quote.bp, float) or None,  # 0 says that nobody bids
        ask=beside(quote.ap, float) or None,
        day_volume=beside(bar.v, float) if is_of_today else None,
        quote_ts=max(times, default=None),
    )


class AlpacaHistory:
    """Alpaca's historical bars, in pages of 10,000.

    https://docs.alpaca.markets/reference/stockbars; the free plan has no bars of all exchanges of the last 15 minutes,
    and is answered with status 403 then: https://docs.alpaca.markets/docs/market-data-faq
    """

    def __init__(self, client: VendorClient, feed: str) -> None:
        self._client = client
        self._feed = {"feed": feed} if feed else {}

    def minute_bars(self, symbol: str, since_ms: int, until_ms: int) -> Iterator[MinuteBar]:
        """Return a ticker's bars, the oldest first."""
        begin, end = (_EPOCH + timedelta(milliseconds=ms) for ms in (since_ms, until_ms))
        name = pair_of(symbol) or symbol
        asked = {
            "symbols": name,
            "timeframe": "1Min",
            "limit": "10000",
            "start": begin.isoformat(),
            "end": end.isoformat(),
        }
        page, newest_ms, idle = "", since_ms - 1, 0
        while idle < _MAX_IDLE_PAGES:
            idle += 1
            token = {"page_token": page} if page else {}
            if pair_of(name):
                answer = self._client.pages(_CRYPTO_BARS_PATH, {**asked, **token})
            else:
                answer = self._page({**asked, **token})
            try:
                bars = msgspec.convert(answer, _Bars)
            except msgspec.ValidationError as error:
                raise SourceError(f"alpaca answered what are no bars of {symbol}: {error}") from error
            for bar in bars_of(f"alpaca, {symbol}", (bars.bars or {}).get(name) or [], _MinuteBar):
                at = epoch_ms(bar.t)
                if at is not None and newest_ms < at < until_ms:
                    newest_ms, idle = at, 0
                    yield MinuteBar(at, bar.o, bar.h, bar.l, bar.c, bar.v)
            before, page = page, bars.next_page_token or ""
            if page in {"", before}:
                return
        raise SourceError(f"alpaca's pages of {symbol} do not end: {idle} of them brought nothing new")

    def _page(self, asked: Mapping[str, str]) -> Any:
        """Return a page; where the plan has no recent bars of all exchanges, those of IEX."""
        try:
            return self._client.pages(_BARS_PATH, {**asked, **self._feed})
        except VendorError as error:
            if self._feed or error.status != 403 or "SIP" not in str(error):
                raise
        self._feed = {"feed": "iex"}
        return self._client.pages(_BARS_PATH, {**asked, **self._feed})


class _MinuteBar(msgspec.Struct):
    t: datetime
    o: float
    h: float
    l: float  # noqa: E741 - the vendor's names
    c: float
    v: float


class _Bars(msgspec.Struct):
    bars: dict[str, Any] | None = None
    next_page_token: str | None = None


def _history(environment: Environment) -> AlpacaHistory:
    client = history_client_of(
        SOURCE,
        environment,
        environment.get("APCA_API_DATA_URL") or _URL,
        _headers(environment),
    )
    return AlpacaHistory(client, environment.get("ALPACA_FEED", ""))


def _headers(environment: Environment) -> dict[str, str]:
    return {
        "APCA-API-KEY-ID": environment["APCA_API_KEY_ID"].strip(),
        "APCA-API-SECRET-KEY": environment["APCA_API_SECRET_KEY"].strip(),
    }


class AlpacaStream:
    """A WebSocket of Alpaca, of stocks or of crypto: trades and quotes, after the key was accepted.

    Messages and error codes: https://docs.alpaca.markets/docs/streaming-market-data
    """

    name = "alpaca"

    def __init__(self, url: str, key: str, secret: str) -> None:
        self.url = url
        self.is_ready = False
        self._is_one_by_one = False
        self._auth = json.dumps({"action": "auth", "key": key, "secret": secret})

    def name_of(self, symbol: str) -> str:
        """Return a crypto pair as Alpaca writes it, anything else as it is."""
        return pair_of(symbol) or symbol

    def opening(self) -> Iterable[str]:
        """Return the message with the key; subscriptions wait until it was accepted."""
        self.is_ready = False
        return [self._auth]

    def subscribe(self, names: Sequence[str]) -> Iterable[str]:
        """Return one message for trades and quotes; one for each ticker once Alpaca could not read that."""
        groups = [[name] for name in names] if self._is_one_by_one else [list(names)]
        return [json.dumps({"action": "subscribe", "trades": of, "quotes": of}) for of in groups]

    def unsubscribe(self, names: Sequence[str]) -> Iterable[str]:
        """Return one message for trades and quotes."""
        return [json.dumps({"action": "unsubscribe", "trades": list(names), "quotes": list(names)})]

    def read(self, message: str | bytes) -> Iterator[tuple[str, Quote | Missing]]:
        """Return what a message says of tickers: trades have a price, quotes a bid and an ask."""
        for said in readable(msgspec.json.decode(message, type=list[Any]), _Said):
            at = epoch_ms(said.t)
            if said.T == "t" and said.p is not None:
                yield said.S, Quote(said.p, quote_ts=at)
            elif said.T == "q":
                yield said.S, Quote(math.nan, beside(said.bp, float), beside(said.ap, float), quote_ts=at)
            elif said.T == "success" and said.msg == "authenticated":
                self.is_ready = True
            elif said.T == "error" and not (said.code == _UNREADABLE and self._is_one_by_one):
                self._is_one_by_one = said.code == _UNREADABLE
                raise _stream_error(said)


class _Said(msgspec.Struct):
    T: str
    S: str = ""
    p: float | None = None
    bp: Any = None
    ap: Any = None
    t: Any = None
    msg: str = ""
    code: int = 0


def _stream_error(said: _Said) -> Exception:
    if said.code in _REJECTED:
        text = f"alpaca rejects the stream ({said.code}: {said.msg})"
        return StreamRejectedError(
            f"{text}: check the keys, and that the plan covers ALPACA_FEED and as many tickers"
        )
    return ConnectionError(
        f"alpaca says: {said.msg} ({said.code})"
    )  # such as 406, another connection is not closed yet


def _stream(environment: Environment) -> JoinedStreams:
    feed = environment.get("ALPACA_FEED") or "iex"
    url = environment.get("ALPACA_STREAM_URL") or f"{_STREAM_URL}/{feed}"
    crypto_url = environment.get("ALPACA_CRYPTO_STREAM_URL") or _CRYPTO_STREAM_URL
    key, secret = environment["APCA_API_KEY_ID"].strip(), environment["APCA_API_SECRET_KEY"].strip()
    streams = [
        StreamSource(AlpacaStream(of, key, secret), poll_seconds(environment)) for of in (url, crypto_url)
    ]
    return JoinedStreams(streams, lambda symbol: int(bool(pair_of(symbol))))


def _poll(environment: Environment) -> AlpacaSource:
    url = environment.get("APCA_API_DATA_URL") or _URL
    client = client_of(SOURCE, environment, url, _headers(environment))
    return AlpacaSource(client, environment.get("ALPACA_FEED", ""))


SOURCE = SourceSpec(
    name="alpaca",
    summary="US stocks and ETFs, and crypto pairs such as BTC/USD, by Alpaca's snapshots",
    assets=("stocks", "etfs", "crypto"),
    market="XNYS",
    columns=("bid", "ask", "day_volume", "quote_ts"),
    poll=_poll,
    stream=_stream,
    history=_history,
    keys=(Key("APCA_API_KEY_ID", _WHERE), Key("APCA_API_SECRET_KEY", _WHERE)),
    options=(
        Option("ALPACA_FEED", "the feed; unset is the best that the plan may read", _FEEDS),
        Option("APCA_API_DATA_URL", "another address of the API"),
        Option("ALPACA_STREAM_URL", "another address of the stream of stocks"),
        Option("ALPACA_CRYPTO_STREAM_URL", "another address of the stream of crypto pairs"),
    ),
    calls_per_minute=_CALLS_PER_MINUTE,
    symbols_per_call=SYMBOLS_PER_CALL,
    limits=(
        "The free plan carries the trades and quotes of one exchange, IEX: 2 to 3 % of the market's volume. "
        "Prices follow the market; volumes and spreads are those of IEX alone, thinner and wider. "
        "Crypto is what is traded at Alpaca itself, without volume; on AWS it is scanned at night and on weekends "
        "where the deployment's `tickers` name a pair or its `session` is `always`."
    ),
)
