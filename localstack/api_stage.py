"""The API's stage behind the front door: what came in goes on as it came, whatever its method, path and query."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

# Headers that describe one connection, not the answer (RFC 9110, 7.6.1), and lengths that the server sets itself.
# What tells a browser's request stays here too: the door has judged it, and the local AWS answers programs only.
_HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "content-length",
    "host",
    "origin",
    "sec-fetch-site",
}
# A request more than these waits here. The local AWS would start one more process for it, as AWS an environment; on
# a busy machine all of them then load at the same time, and none answers in time. And an account of ten functions at
# once has these for the API beside the scanner, the detector and the notifiers.
_AT_ONCE = 4
_SENT_AS_IT_IS = "/%:@!$&'()*+,;=~"


class ApiStage:
    """An ASGI middleware in front of `app`, no route of it: a router has methods, and a mind about line feeds.

    `client` knows the stage by its base URL, `prefix` is what stands before the stage's paths here.
    """

    def __init__(self, app: ASGIApp, client: httpx.AsyncClient, prefix: str) -> None:
        self._app, self._client, self._prefix = app, client, prefix
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._unread: set[asyncio.Future[Response]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request below the prefix on to the stage, and its answer back; all else goes to the application."""
        app = self._app
        if scope["type"] == "http" and f"{scope['path']}/".startswith(f"{self._prefix}/"):
            request = Request(scope, receive)
            await request.body()
            turn = asyncio.Event()
            answer, left = (
                asyncio.ensure_future(self._forward(request, turn)),
                asyncio.ensure_future(_left(receive)),
            )
            await asyncio.wait({answer, left}, return_when=asyncio.FIRST_COMPLETED)
            left.cancel()
            if not answer.done():  # who asked has gone
                if (
                    turn.is_set()
                ):  # the function runs to its end, and holds its place of the account's until then
                    self._unread.add(answer)
                    answer.add_done_callback(self._unread.discard)
                else:
                    answer.cancel()  # no turn is spent on an answer that nobody reads
                return
            app = answer.result()
        await app(scope, receive, send)

    async def _forward(self, request: Request, turn: asyncio.Event) -> Response:
        headers = {key: value for key, value in request.headers.items() if key not in _HOP_BY_HOP}
        upstream = self._client.stream(
            request.method, self._target(request), headers=headers, content=await request.body()
        )
        try:
            async with self._free:
                turn.set()
                async with upstream as answer:
                    body = b"".join([chunk async for chunk in answer.aiter_raw()])  # raw: stays compressed
        except httpx.TransportError as error:
            problem = {
                "type": "about:blank",
                "title": "Bad Gateway",
                "status": 502,
                "detail": f"local AWS: {error}",
            }
            return JSONResponse(problem, 502, media_type="application/problem+json")
        kept = {key: value for key, value in answer.headers.items() if key not in _HOP_BY_HOP}
        return Response(body, answer.status_code, kept)

    def _target(self, request: Request) -> httpx.URL:
        """Return the path without the prefix, escaped as the caller did: decoded, a `%3F` would begin a query.

        A `..` is escaped too: the client would resolve it, and leave the stage.
        """
        path = (
            quote(request.scope["raw_path"].removeprefix(self._prefix.encode()), safe=_SENT_AS_IT_IS) or "/"
        )
        path = "/".join("%2E" * len(part) if part in {".", ".."} else part for part in path.split("/"))
        query = request.scope["query_string"]
        return httpx.URL(raw_path=path.encode() + (b"?" + query if query else b""))


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
