"""HTTP to a vendor: one deadline for the whole answer, and the proxy that the environment names.

A client's time-outs bound a single read, so an answer that drips would last for as long as it likes. Here a call
runs in a thread that is abandoned at its deadline, whatever it waits for: a name, a handshake, a header, the body.
"""

from __future__ import annotations

import logging
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    HTTPError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
)

from producers.errors import MonitorError

_CONNECT_SECONDS = 3.0
_MAX_BYTES = 64 * 1024 * 1024
_CHUNK = 64 * 1024
_MAX_SECONDS = 1e12
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]*)?")
T = TypeVar("T")
_TOO_LATE = "no complete answer in time"
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (socket.gaierror, "host name not found"),
    (ConnectTimeoutError, "no connection in time"),
    (ReadTimeoutError, _TOO_LATE),
    (TimeoutError, _TOO_LATE),
    (DecodeError, "the answer's compression is damaged"),
    (ProtocolError, "the connection was closed before the answer was complete"),
)

# Of an odd header line it logs the whole address, and below that every address: keys are in some.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


class Reply(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoReplyError(MonitorError):
    """A server did not answer in time, or not at all; `reason` says why."""

    def __init__(self, reason: str = _TOO_LATE) -> None:
        super().__init__(reason)
        self.reason = reason


def within(seconds: float, call: Callable[[threading.Event], T]) -> T:
    """Return what `call` returns, or raise what it raises, if that takes no longer than `seconds`.

    It runs in a thread of its own. One that takes longer is abandoned: its argument is set, so that it may end.

    Raises
    ------
    NoReplyError
        If it takes longer.
    """
    if seconds <= 0:
        raise NoReplyError
    is_abandoned = threading.Event()
    done: list[T] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            done.append(call(is_abandoned))
        except Exception as error:  # noqa: BLE001 - raised where the call was made
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        is_abandoned.set()
        raise NoReplyError
    return done[0]


class HttpClient:
    """Calls one server by GET, over connections that are kept.

    Parameters
    ----------
    url
        Any address of the server; it decides whether and which proxy is used.
    headers
        Sent with every call.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = dict(headers)
        self._pool = pool_for(url, self._headers)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def get(self, url: str, seconds: float) -> Reply:
        """Return the answer to a GET of `url`, complete within `seconds`.

        Raises
        ------
        NoReplyError
            If there was none by then.
        """
        pool = self._pool
        try:
            return within(seconds, lambda is_abandoned: _get(pool, url, seconds, is_abandoned))
        except NoReplyError:
            self._pool = pool_for(
                self._url, self._headers
            )  # the thread still has a connection of the old one
            raise
        except HTTPError as error:
            raise NoReplyError(reason_of(error) or type(error).__name__) from error


def _get(pool: urllib3.PoolManager, url: str, seconds: float, is_abandoned: threading.Event) -> Reply:
    timeout = urllib3.Timeout(connect=min(_CONNECT_SECONDS, seconds), total=seconds)
    answer = pool.request("GET", url, timeout=timeout, redirect=False, preload_content=False)
    body = bytearray()
    while len(body) < _MAX_BYTES and not is_abandoned.is_set():
        chunk = answer.read1(_CHUNK, decode_content=True)
        if not chunk:
            break
        body += chunk
    answer.release_conn()
    return Reply(answer.status, answer.headers, bytes(body))


def reason_of(error: Exception) -> str:
    """Return why the network gave no answer, in words that hold no address; "" for errors that are not of the network.

    Keys are in some addresses.
    """
    causes: list[BaseException] = [error]
    while cause := causes[-1].__cause__ or next(
        (a for a in causes[-1].args if isinstance(a, Exception)), None
    ):
        causes.append(cause)
    through = "proxy: " if isinstance(error, ProxyError) else ""
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            known = str(cause.reason or cause).replace("_", " ").lower()
            return f"TLS: {getattr(cause, 'verify_message', '') or known}"
        if isinstance(cause, OSError) and not isinstance(cause, socket.gaierror):
            if cause.strerror:
                return through + cause.strerror.lower()
            if through and cause.args:
                return through + str(cause)  # what the proxy itself answers
    found = (words for type_, words in _REASONS for cause in causes if isinstance(cause, type_))
    return through + next(found, "")


def seconds_to_wait(text: str, now_ms: int) -> float | None:
    """Return the seconds that a text such as Retry-After asks to wait: a number, or a date (RFC 9110, 10.2.3).

    Parameters
    ----------
    now_ms
        The time now, epoch ms UTC.

    Returns
    -------
    float or None
        Seconds from 0, at most 10^12, however many there are; None where the text is neither.

    Examples
    --------
    >>> seconds_to_wait("2.5", 0), seconds_to_wait("Thu, 01 Jan 1970 00:01:00 GMT", 0), seconds_to_wait("soon", 0)
    (2.5, 60.0, None)
    """
    first = text.partition(",")[0].strip()  # a header that stands twice is joined by commas
    if _SECONDS.fullmatch(first):
        return min(float(first), _MAX_SECONDS)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now_ms / 1000)


def pool_for(url: str, headers: Mapping[str, str] | None = None) -> urllib3.PoolManager:
    """Return a pool of connections, through the proxy that the environment names for this address."""
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.hostname or ""):
        return urllib3.PoolManager(headers=headers, retries=False, maxsize=2)
    address = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    login = f"{unquote(address.username)}:{unquote(address.password or '')}" if address.username else None
    return urllib3.ProxyManager(
        f"{address.scheme}://{address.netloc.rpartition('@')[2]}",
        proxy_headers=urllib3.make_headers(proxy_basic_auth=login) if login else None,
        headers=headers,
        retries=False,
        maxsize=2,
    )
