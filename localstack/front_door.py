"""One origin for the browser, as CloudFront is on AWS: the dashboard at `/`, the API under `/api`.

Beside them the outbox at `/outbox`, the events of the bus at `/events` and metrics at `/metrics`.

python -m localstack.front_door
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any, NamedTuple

import httpx
from botocore.exceptions import ClientError
from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from localstack.api_stage import ApiStage
from localstack.clients import client
from localstack.complement import OUTBOX_QUEUE
from localstack.deploy import api_id
from localstack.event_log import EventLog
from localstack.event_stream import EventStream
from localstack.metrics_page import MetricsPage
from localstack.outbox import Outbox, drain
from localstack.outbox_page import CHANNELS, SCRIPT, STYLE, html
from localstack.programs_only import OwnPagesOnly
from localstack.settings import ACCOUNT, HOST, LocalSettings, read_settings
from stream_infra import names
from stream_infra.cdk.web import CONTENT_SECURITY_POLICY

IDLE_SECONDS = 30
"""Longer than any pause between the polls of a page; what says nothing, or half of something, goes."""
_SECURITY = {"content-security-policy": CONTENT_SECURITY_POLICY, "x-content-type-options": "nosniff"}


class _File(NamedTuple):
    etag: str
    content_type: str
    body: bytes


class FrontDoor:
    """Request handlers over the local AWS, but for those of the API."""

    def __init__(self, settings: LocalSettings, outbox: Outbox, is_receiving: Callable[[], bool]) -> None:
        self._s3 = client(settings, "s3")
        self._outbox = outbox
        self._is_receiving = is_receiving
        self._files: dict[str, _File] = {}

    async def file(self, request: Request) -> Response:
        """Return a file of the dashboard from memory; fetch what has changed in its bucket when a page begins."""
        key = request.path_params["path"] or "index.html"
        if key == "index.html" or key not in self._files:
            self._files = await run_in_threadpool(self._fetched, self._files)
        found = self._files.get(key)
        if found is None:
            return Response(f"no such page: /{key}\n", 404, _SECURITY, "text/plain")
        headers = _SECURITY | {"etag": found.etag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == found.etag:
            return Response(status_code=304, headers=headers)
        return Response(found.body, 200, headers, found.content_type)

    def _fetched(self, known: dict[str, _File]) -> dict[str, _File]:
        bucket, files = names.dashboard_bucket(ACCOUNT), {}
        try:
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for item in page.get("Contents", []):
                    key, file = item["Key"], known.get(item["Key"])
                    files[key] = file if file and file.etag == item["ETag"] else self._file(bucket, key)
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"NoSuchKey", "NoSuchBucket"}:  # deleted a moment ago
                raise
        return files

    def _file(self, bucket: str, key: str) -> _File:
        found = self._s3.get_object(Bucket=bucket, Key=key)
        return _File(found["ETag"], found["ContentType"], found["Body"].read())

    async def config(self, _: Request) -> Response:
        """Return what the page gets to know of its monitor: nobody signs in here, messages go to the outbox."""
        found = {"sign_in": None, "outbox": "/outbox", "events": "/events"}
        return JSONResponse(found, headers=_SECURITY)

    async def outbox(self, request: Request) -> Response:
        """Return a page of the sent messages, newest first."""
        channel, page = request.query_params.get("channel", ""), request.query_params.get("page", "1")
        if channel not in CHANNELS:
            allowed = f"must be one of {', '.join(filter(None, CHANNELS))}, or left out"
            return Response(f"channel={channel}: {allowed}\n", 400, _SECURITY, "text/plain")
        if not page.isdecimal() or int(page[:9]) < 1:
            return Response(f"page={page}: must be a whole number from 1\n", 400, _SECURITY, "text/plain")
        return HTMLResponse(html(self._outbox.after(0), channel, int(page[:9])), headers=_SECURITY)

    async def outbox_style(self, _: Request) -> Response:
        """Return the page's style sheet: the policy allows none within the page."""
        return Response(STYLE, 200, _SECURITY, "text/css")

    async def outbox_script(self, _: Request) -> Response:
        """Return the page's script: the policy allows none within the page."""
        return Response(SCRIPT, 200, _SECURITY, "text/javascript")

    async def outbox_json(self, request: Request) -> Response:
        """Messages after number `after`, and whether what fills the outbox runs."""
        after = request.query_params.get("after", "0")
        if not after.isdecimal():
            return JSONResponse({"detail": f"after={after[:20]}: must be a whole number from 0"}, 400)
        messages = [asdict(message) for message in self._outbox.after(int(after[:15]))]
        return JSONResponse({"receiving": self._is_receiving(), "messages": messages})


def build(settings: LocalSettings) -> Starlette:
    """Return the front door's application."""
    stage = f"{settings.aws}/restapis/{api_id(settings)}/{names.STAGE}/_user_request_"
    # As long as a function may take to start on a busy machine: until it ends, it holds its place.
    api = httpx.AsyncClient(base_url=stage, timeout=120, trust_env=False)
    outbox = Outbox(settings.directory / "outbox.jsonl")
    log = EventLog(settings.directory / "events.jsonl")
    stop = threading.Event()

    def add(delivery: str, body: dict[str, Any]) -> None:
        (log if "detail-type" in body else outbox).add(delivery, body)

    drainer = threading.Thread(target=drain, args=(client(settings, "sqs"), OUTBOX_QUEUE, add, stop))
    door = FrontDoor(settings, outbox, drainer.is_alive)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        drainer.start()
        yield
        stop.set()
        await run_in_threadpool(drainer.join)
        await api.aclose()

    return Starlette(
        routes=[
            Route("/outbox", door.outbox),
            Route("/outbox.css", door.outbox_style),
            Route("/outbox.js", door.outbox_script),
            Route("/outbox.json", door.outbox_json),
            Route("/config.json", door.config),
            Route("/events", EventStream(log).respond),
            Route("/metrics", MetricsPage(api, log, outbox).respond),
            Route("/{path:path}", door.file),
        ],
        # Only our own names: a page elsewhere must not reach this port under a name of its own (DNS rebinding).
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]),
            Middleware(
                OwnPagesOnly, origins=[f"http://{name}:{settings.port}" for name in (HOST, "localhost")]
            ),
            Middleware(ApiStage, client=api, prefix="/api"),
        ],
        lifespan=lifespan,
    )


def main() -> int:
    """Serve until SIGTERM."""
    settings = read_settings()
    asyncio.run(serve(build(settings), server(settings.port)))  # type: ignore[arg-type]  # Starlette's types are looser
    return 0


def server(port: int) -> Config:
    """Return how the front door is served: a connection on which nothing whole is asked for does not stay."""
    config = Config()
    config.bind = [f"{HOST}:{port}"]
    config.keep_alive_timeout = IDLE_SECONDS
    config.loglevel = "WARNING"
    return config


if __name__ == "__main__":
    sys.exit(main())
