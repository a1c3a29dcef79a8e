"""Says when records came to a stream, so that nobody has to ask many times a second.

`GET /_monitor/arrivals?after=N` waits until the number of calls that put records is not N, at most `WAIT_SECONDS`, and
answers it as JSON. AWS has no such call: a runner on another AWS polls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/_monitor/arrivals"
WAIT_SECONDS = 5.0
"""Who is asked to end does not wait for longer."""
_PUTS = {"Kinesis_20131202.PutRecord", "Kinesis_20131202.PutRecords"}


class Arrivals:
    """An ASGI middleware: counts the calls that put records, and tells who waits for the next."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._count = 0
        self._next = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve whoever waits; pass on everything else."""
        if scope["type"] == "http" and scope["path"] == PATH:
            after = parse_qs(scope["query_string"].decode()).get("after", [""])[0]
            if str(self._count) == after:
                await _first(self._next.wait(), _disconnected(receive))
            await JSONResponse(self._count)(scope, receive, send)
            return
        await self._app(scope, receive, send)
        if scope["type"] == "http" and Headers(scope=scope).get("x-amz-target") in _PUTS:
            self._count += 1
            came, self._next = self._next, asyncio.Event()
            came.set()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _first(*waiting: Coroutine[Any, Any, object]) -> None:
    """Wait for one of them, at most `WAIT_SECONDS`."""
    tasks = [asyncio.ensure_future(one) for one in waiting]
    await asyncio.wait(tasks, timeout=WAIT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
