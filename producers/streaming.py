"""Streams of quotes: a WebSocket held for the length of a scan, of which every poll takes a sample.

A thread reads what the vendor sends and keeps the newest quote of each ticker, so that no message waits for a slow
poll. When the connection is lost it is made again, after growing pauses; meanwhile polls fail and say so, for the
last quotes of a dead connection would look like a market that stands still.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

import msgspec
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from producers.http import reason_of, seconds_to_wait
from producers.quote_batch import Quote
from producers.quote_values import known, why_no_quote
from producers.source import COLUMNS, Missing, Quotes, SourceError

_OPEN_SECONDS: Final = 5.0
_PING_SECONDS: Final = 4.0
"""A connection that does not answer a ping within this time, sent as often, is dead."""
_READ_SECONDS: Final = 0.25
_FIRST_PAUSE_SECONDS: Final = 0.2
_MAX_PAUSE_SECONDS: Final = 4.0
_MAX_ASKED_SECONDS: Final = 3600.0
_MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
_MESSAGES_A_SECOND: Final = 80
"""Of those that are sent; Coinbase takes 100 from an address: https://docs.cdp.coinbase.com/exchange/websocket-feed/rate-limits."""
T = TypeVar("T")
_NO_QUOTE: Final = Missing("no quote of it came yet")


class StreamRejectedError(SourceError):
    """The vendor ends the stream and no new connection would change it: a wrong key, or a plan without it."""


class StreamDialect(Protocol):
    """How a vendor's stream is spoken to."""

    name: str
    url: str
    is_ready: bool
    """Whether the vendor takes subscriptions now; `opening` and `read` set it where keys are checked first."""

    def name_of(self, symbol: str) -> str:
        """Return the vendor's name of a ticker."""

    def opening(self) -> Iterable[str]:
        """Return the messages that begin a connection, such as the keys."""

    def subscribe(self, names: Sequence[str]) -> Iterable[str]:
        """Return the messages that subscribe to tickers, by the vendor's names."""

    def unsubscribe(self, names: Sequence[str]) -> Iterable[str]:
        """Return the messages that end the subscription of tickers."""

    def read(self, message: str | bytes) -> Iterator[tuple[str, Quote | Missing]]:
        """Return what a message says of which tickers; nothing for one that says nothing of any.

        A bid or an ask of None is the one before, 0 says that there is none any more; a price of NaN is the one before.

        Raises
        ------
        StreamRejectedError
            If it says that the vendor rejects the key or the plan.
        ConnectionError
            If it says that another connection would help.
        """


class StreamSource:
    """Samples a vendor's stream.

    Parameters
    ----------
    dialect
        How the vendor is spoken to.
    poll_seconds
        How long a poll may wait for a connection and the first quotes.
    """

    def __init__(self, dialect: StreamDialect, poll_seconds: float) -> None:
        self._dialect = dialect
        self._poll_seconds = poll_seconds
        self._changed = threading.Condition()
        self._newest: dict[str, Quote | Missing] = {}
        self._wanted: tuple[str, ...] = ()
        self._awaited: set[str] = set()
        self._connected = False
        self._problem = "no connection yet"
        self._odd = ""
        self._rejected: StreamRejectedError | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:  # noqa: ARG002 - the vendor says when it was
        """Return the newest quotes of `symbols`; subscribes to what is new among them.

        Raises
        ------
        SourceError
            If there is no connection, or the vendor rejects the key or the plan.
        """
        names, found = dict[str, str](), dict[str, Quote | Missing]()
        for symbol in symbols:
            try:
                names[symbol] = self._dialect.name_of(symbol)
            except Exception as error:  # noqa: BLE001 - a ticker that the vendor has no name for costs no other
                found[symbol] = Missing(f"the stream has no name for it: {type(error).__name__}: {error}")
        with self._changed:
            self._wanted = tuple(dict.fromkeys(names.values()))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        with self._changed:
            self._changed.wait_for(self._is_ready, self._poll_seconds)
            if self._connected:  # a ticker that is not traded is waited for once, and not in every poll
                self._awaited = set(self._wanted)
            if self._rejected is not None:
                raise self._rejected
            if not self._connected:
                why = f"{self._problem}; {self._odd}" if self._odd else self._problem
                raise SourceError(f"the stream of {self._dialect.name} is not connected: {why}")
            return {**found, **{symbol: self._sample(name) for symbol, name in names.items()}}

    def _sample(self, name: str) -> Quote | Missing:
        newest = self._newest.get(name, _NO_QUOTE)
        if isinstance(newest, Quote) and not math.isnan(newest.price):
            return newest._replace(bid=newest.bid or None, ask=newest.ask or None)
        if isinstance(newest, Missing) and newest is not _NO_QUOTE:
            return newest
        return Missing(f"{_NO_QUOTE.reason}; {self._odd}") if self._odd else _NO_QUOTE

    def close(self) -> None:
        """End the connection; another poll would fail."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_OPEN_SECONDS)

    def _is_ready(self) -> bool:
        known = self._newest.keys() | self._awaited
        return self._rejected is not None or (self._connected and known >= set(self._wanted))

    def _run(self) -> None:
        failures = 0
        while not self._closing.is_set() and self._rejected is None:
            asked = 0.0
            try:
                with self._connection() as connection:
                    self._hold(connection)
            except StreamRejectedError as error:
                self._lose(str(error), error)
            except Exception as error:  # noqa: BLE001 - of the network, or of the dialect: polls say it
                if isinstance(error, InvalidStatus):
                    if error.response.status_code in {401, 403}:
                        said = f"{self._dialect.name} rejects the key (status {error.response.status_code})"
                        self._lose(said, StreamRejectedError(said))
                    asked = _asked_to_wait(error)
                # A vendor may greet, take subscriptions and close each time: a connection counts that brought a quote.
                came = any(isinstance(quote, Quote) for quote in self._newest.values())
                failures = 1 if came else failures + 1
                waits = f"; it asks to wait {asked:.0f} s" if asked else ""
                self._lose((reason_of(error) or f"{type(error).__name__}: {error}"[:160]) + waits)
            longest = min(_MAX_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 8))
            pause = random.uniform(longest / 2, longest)  # noqa: S311 - jitter, not a secret
            self._closing.wait(max(pause, asked))

    def _connection(self) -> ClientConnection:
        return connect(
            self._dialect.url,
            open_timeout=_OPEN_SECONDS,
            close_timeout=1.0,
            ping_interval=_PING_SECONDS,
            ping_timeout=_PING_SECONDS,
            max_size=_MAX_MESSAGE_BYTES,
        )

    def _hold(self, connection: ClientConnection) -> None:
        """Read the stream until it ends or the source is closed."""
        for message in self._dialect.opening():
            connection.send(message)
        subscribed: tuple[str, ...] = ()
        waiting: list[str] = []
        next_at = 0.0
        while not self._closing.is_set():
            wanted = self._wanted
            if self._dialect.is_ready and wanted != subscribed:
                waiting += self._changes(subscribed, wanted)
                subscribed = wanted
            if waiting and time.monotonic() >= next_at:
                for message in waiting[:_MESSAGES_A_SECOND]:
                    connection.send(message)
                del waiting[:_MESSAGES_A_SECOND]
                next_at = time.monotonic() + 1.0
            with suppress(TimeoutError):
                self._merge(self._read(connection.recv(timeout=_READ_SECONDS)))

    def _read(self, message: str | bytes) -> list[tuple[str, Quote | Missing]]:
        found = list[tuple[str, Quote | Missing]]()
        try:
            for name, quote in self._dialect.read(message):
                found.append((name, _sound(quote)))
        except (SourceError, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - one odd message must not end the stream; polls say it
            self._odd = f"a message cannot be read: {type(error).__name__}: {error}"[:160]
        return found

    def _changes(self, before: Sequence[str], wanted: Sequence[str]) -> list[str]:
        """Return the messages that change the subscription, and forget the quotes of what is no longer wanted."""
        kept = {*before} & {*wanted}
        gone, new = ([name for name in names if name not in kept] for names in (before, wanted))
        messages = [*self._dialect.unsubscribe(gone)] if gone else []
        messages += self._dialect.subscribe(new) if new else []
        with self._changed:
            for name in gone:
                self._newest.pop(name, None)
        return messages

    def _merge(self, news: list[tuple[str, Quote | Missing]]) -> None:
        with self._changed:
            # A greeting is no connection: a vendor may still reject the key, or say that another scan has the stream.
            self._connected = self._dialect.is_ready
            for name, quote in news:
                self._newest[name] = _merged(self._newest.get(name), quote)
            self._changed.notify_all()

    def _lose(self, problem: str, rejected: StreamRejectedError | None = None) -> None:
        with self._changed:
            self._connected = False
            self._problem = problem
            self._rejected = rejected or self._rejected
            self._newest.clear()
            self._awaited.clear()
            self._changed.notify_all()


class JoinedStreams:
    """Several streams of a vendor, each of its own tickers, opened when one of them is watched.

    Parameters
    ----------
    streams
        The streams.
    which
        Returns the index of a ticker's stream.
    """

    def __init__(self, streams: Sequence[StreamSource], which: Callable[[str], int]) -> None:
        self._streams, self._which = streams, which

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:
        """Return the newest quotes of all; where one stream fails, its own tickers are missing.

        Raises
        ------
        SourceError
            If every stream that is needed fails.
        """
        found: dict[str, Quote | Missing] = {}
        failed: list[SourceError] = []
        needed = sorted({self._which(symbol) for symbol in symbols})
        for index in needed:
            own = [symbol for symbol in symbols if self._which(symbol) == index]
            try:
                found.update(self._streams[index].quotes(own, now_ms))
            except SourceError as error:
                failed.append(error)
                found.update(dict.fromkeys(own, Missing(str(error))))
        if failed and len(failed) == len(needed):
            raise failed[0]
        return found

    def close(self) -> None:
        """End all connections."""
        for stream in self._streams:
            stream.close()


def _sound(quote: object) -> Quote | Missing:
    """Return a quote of a dialect, whose price may be NaN, or why it is none."""
    if isinstance(quote, Missing):
        return quote
    if not isinstance(quote, Quote):
        return Missing(f"the stream returned a {type(quote).__name__}; must be a Quote or Missing")
    beside: dict[str, Any] = {column: known(getattr(quote, column)) for column in COLUMNS}
    quote = quote._replace(**beside)
    is_priced = not (isinstance(quote.price, float) and math.isnan(quote.price))
    why = why_no_quote(*(quote if is_priced else quote._replace(price=0.0)))
    return quote if why is None else Missing(f"the stream returned no quote: {why}")


def readable(items: Iterable[object], kind: type[T]) -> Iterator[T]:
    """Return a message's items as `kind`; one that is none costs no other of the message.

    Raises
    ------
    msgspec.ValidationError
        After all others, if one is none.
    """
    odd: msgspec.ValidationError | None = None
    for item in items:
        try:
            found = msgspec.convert(item, kind, strict=False)
        except msgspec.ValidationError as error:
            odd = error
        else:
            yield found
    if odd is not None:
        raise odd


def _asked_to_wait(rejected: InvalidStatus) -> float:
    """Return the seconds that a server asks to wait before the next connection (Retry-After), an hour at most."""
    after = next(iter(rejected.response.headers.get_all("Retry-After")), "")
    return min(seconds_to_wait(after, time.time_ns() // 1_000_000) or 0.0, _MAX_ASKED_SECONDS)


def _merged(before: Quote | Missing | None, news: Quote | Missing) -> Quote | Missing:
    """Return the newest quote with what the news leave out: a trade says no bid, a quote no price."""
    if not isinstance(before, Quote) or not isinstance(news, Quote):
        return news
    newest = max((at for at in (before.quote_ts, news.quote_ts) if at is not None), default=None)
    return Quote(
        price=before.price if math.isnan(news.price) else news.price,  # NaN: a quote without a trade
        bid=before.bid if news.bid is None else news.bid,
        ask=before.ask if news.ask is None else news.ask,
        day_volume=before.day_volume if news.day_volume is None else news.day_volume,
        quote_ts=newest,
    )
