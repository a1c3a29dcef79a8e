"""`/events` of the front door over a log that a test fills, whose connections a test can cut."""

from __future__ import annotations

import asyncio
import contextlib
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from consumers.contracts import events
from consumers.contracts.anomaly import Anomaly
from localstack.event_log import EventLog
from localstack.event_stream import EventStream


class Followed:
    """What a page follows: the log, and after which id each connection asked to go on."""

    def __init__(self, directory: Path) -> None:
        self.log = EventLog(directory / "events.jsonl")
        self.asked: list[str | None] = []
        self._stream = EventStream(self.log)
        self._cuts = 0
        self._open: list[int] = []
        """Of each connection, how many cuts there were before it."""

    def send(self, anomaly: Anomaly) -> str:
        """Let the bus deliver that an anomaly began; return its id in the log."""
        event = events.detected(anomaly)
        self.log.add("delivery", {"detail-type": event.detail_type, "detail": event.detail})
        return self.log.id_of(self.log.after(self.log.newest - 1)[0])

    def cut(self) -> None:
        """End every connection; none gets what is sent afterwards."""
        self._cuts += 1
        while any(cuts < self._cuts for cuts in list(self._open)):
            time.sleep(0.01)

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a request, until it is cut or the page goes."""
        cuts = self._cuts
        self._open.append(cuts)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            asyncio.run(self._serve(handler, cuts))
        self._open.remove(cuts)

    async def _serve(self, handler: BaseHTTPRequestHandler, cuts: int) -> None:
        url = urlsplit(handler.path)
        scope = {
            "type": "http",
            "method": "GET",
            "path": url.path,
            "query_string": url.query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in handler.headers.items()],
        }
        request = Request(scope)
        asked = request.headers.get("last-event-id") or request.query_params.get("after")
        begun = False

        async def receive() -> dict[str, Any]:
            while self._cuts == cuts:  # noqa: ASYNC110  a test's thread sets no event of this loop
                await asyncio.sleep(0.05)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                handler.send_response(message["status"])
                for name, value in message["headers"]:
                    handler.send_header(name.decode(), value.decode())
                handler.send_header("connection", "close")
                handler.end_headers()
            else:
                if not begun:  # only now the stream knows after which event it goes on
                    begun = True
                    self.asked.append(asked)
                handler.wfile.write(message["body"])

        response = await self._stream.respond(request)
        await response(scope, receive, send)
