"""`GET /events`: the events of the bus as server-sent events, which a follower that was cut off resumes by id."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from localstack.event_log import EventLog, LoggedEvent
from producers.symbols import SYMBOL_RULE, in_capitals, is_symbol

KEEP_ALIVE_SECONDS = 15.0
"""Proxies and clients take a connection that says nothing for a dead one."""
MOST_FOLLOWERS = 32
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff", "x-accel-buffering": "no"}
_PARAMETERS = {"after", "ticker"}


class EventStream:
    """The handler of `/events` over a log."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._followers: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        """What wakes each of them, and the loop that it runs in."""
        log.on_add = self._wake

    async def respond(self, request: Request) -> Response:
        """Send what came after `Last-Event-ID` (or `after`), then each event as it comes; without an id only those.

        An id that this log does not know, or no longer, begins with an event `Gap`, then all that is kept.
        """
        if unknown := sorted(set(request.query_params) - _PARAMETERS):
            return _rejected(
                f"query parameter {unknown[0][:64]!r} is unknown here; must be one of after, ticker"
            )
        ticker = request.query_params.get("ticker")
        if ticker is not None and not is_symbol(in_capitals(ticker)):
            return _rejected(f"ticker is {ticker[:64]!r}; must be a ticker of {SYMBOL_RULE}")
        if len(self._followers) >= MOST_FOLLOWERS:
            said = f"{MOST_FOLLOWERS} connections follow the events already; must be at most as many"
            return JSONResponse({"detail": said}, 503, {"retry-after": "5"})
        id_ = request.headers.get("last-event-id") or request.query_params.get("after")
        body = self._events(id_, in_capitals(ticker) if ticker else None)
        return StreamingResponse(body, headers=_HEADERS, media_type="text/event-stream")

    async def _events(self, id_: str | None, ticker: str | None) -> AsyncIterator[str]:
        added, loop = asyncio.Event(), asyncio.get_running_loop()
        self._followers[added] = loop
        try:
            known = self._log.newest if id_ is None else self._log.number_of(id_)
            yield "retry: 1000\n\n"
            if known is None:
                yield _gap(str(id_))
            n, spoke = known or 0, loop.time()
            while True:
                added.clear()  # before the look: what is added during it wakes again
                for event in self._log.after(n):
                    n = event.n
                    if ticker in {None, event.ticker}:
                        yield self._text(event)
                        spoke = loop.time()
                try:
                    await asyncio.wait_for(added.wait(), spoke + KEEP_ALIVE_SECONDS - loop.time())
                except TimeoutError:
                    yield ": nothing new\n\n"
                    spoke = loop.time()
        finally:
            del self._followers[added]

    def _wake(self) -> None:
        for added, loop in list(self._followers.items()):
            with contextlib.suppress(RuntimeError):  # its loop has ended, and with it the follower
                loop.call_soon_threadsafe(added.set)

    def _text(self, event: LoggedEvent) -> str:
        data = json.dumps(event.detail, separators=(",", ":"))  # holds no line feed
        return f"id: {self._log.id_of(event)}\nevent: {event.detail_type}\ndata: {data}\n\n"


def _gap(id_: str) -> str:
    said = {
        "after": id_[:64],
        "detail": "events after this id are not kept any more: GET /api/anomalies has them all",
    }
    return f"event: Gap\ndata: {json.dumps(said)}\n\n"


def _rejected(detail: str) -> Response:
    problem = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": detail}
    return JSONResponse(problem, 400, media_type="application/problem+json")
