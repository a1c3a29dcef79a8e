"""Keeps web pages away from a port of this machine that is meant for programs.

Any page that a person has open may send requests to ``127.0.0.1``, and whoever may create a function of the
local AWS runs code on the machine. Programs are told apart from pages by what browsers send and pages cannot leave out:

- ``Origin``, on every request across origins that is not a plain GET, and on every WebSocket handshake
  (https://fetch.spec.whatwg.org/#origin-header, RFC 6455, 4.1);
- ``Sec-Fetch-Site``, on every request to a loopback address (https://www.w3.org/TR/fetch-metadata/);
- ``Host``, which after DNS rebinding is the attacker's name, not one of this machine's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_OWN_HOSTS = {"127.0.0.1", "localhost", "[::1]"}
_OWN_SUFFIX = ".localhost"
"""Names below it are this machine's own (RFC 6761, 6.3): S3's buckets as hosts."""
_TYPED = "none"
"""`Sec-Fetch-Site` of an address that a person typed or opened from a bookmark."""
_READS = {"GET", "HEAD", "OPTIONS"}


class ProgramsOnly:
    """An ASGI middleware: everything that a page sent is answered 403, before `app` sees it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what a program sent."""
        if scope["type"] != "lifespan" and (reason := sent_by_a_page(Headers(scope=scope))):
            await _reject(scope, receive, send, f"only programs may use the local AWS: {reason}")
        else:
            await self._app(scope, receive, send)


class OwnPagesOnly:
    """An ASGI middleware: writes and WebSockets of pages of other origins are answered 403.

    Their reads need no guard: a page cannot see the answer of another origin that does not permit it.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app, self._origins = app, frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on reads, and what programs and our own pages write."""
        if scope["type"] == "lifespan":  # has no headers, and starts what receives the outbox's messages
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if _may_write(scope) and (reason := foreign_page(headers, self._origins)):
            await _reject(scope, receive, send, f"only pages of this origin may change anything: {reason}")
        else:
            await self._app(scope, receive, send)


def sent_by_a_page(headers: Mapping[str, str]) -> str:
    """Return what shows that a web page sent the request, or that it was misled here; empty for a program's."""
    host = _without_port(headers.get("host", ""))
    if host not in _OWN_HOSTS and not host.endswith(_OWN_SUFFIX):
        return f"Host is {host!r}, not a name of this machine"
    if "origin" in headers:
        return f"Origin is {headers['origin']!r}"
    site = headers.get("sec-fetch-site", _TYPED)
    if site != _TYPED:
        return f"Sec-Fetch-Site is {site!r}"
    return ""


def foreign_page(headers: Mapping[str, str], origins: Collection[str]) -> str:
    """Return what shows that a page of another origin sent the request; empty for our own and for programs."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
    if origin is not None and origin not in origins:
        return f"Origin is {origin!r}"
    if site not in {"same-origin", _TYPED}:
        return f"Sec-Fetch-Site is {site!r}"
    return ""


def _may_write(scope: Scope) -> bool:
    return scope["type"] == "websocket" or (scope["type"] == "http" and scope["method"] not in _READS)


def _without_port(host: str) -> str:
    name, _, port = host.lower().rpartition(":")
    return name if name and port.isdigit() else host.lower()


async def _reject(scope: Scope, receive: Receive, send: Send, why: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": why[:120]})
    else:
        await PlainTextResponse(f"{why}\n", 403)(scope, receive, send)
