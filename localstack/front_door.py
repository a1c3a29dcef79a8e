"""One origin for the browser, as CloudFront is on AWS: the dashboard at `/`, the API under `/api`, the outbox beside.

python -m localstack.front_door
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from html import escape
from typing import NamedTuple

import httpx
import uvicorn
from botocore.exceptions import ClientError
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
from localstack.outbox import Outbox, OutboxMessage, drain
from localstack.programs_only import OwnPagesOnly
from localstack.settings import ACCOUNT, HOST, LocalSettings, read_settings
from stream_infra import names
from stream_infra.cdk.web import CONTENT_SECURITY_POLICY

_SECURITY = {"content-security-policy": CONTENT_SECURITY_POLICY, "x-content-type-options": "nosniff"}
_OUTBOX_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
    "article{border:1px solid color-mix(in srgb,currentColor 25%,transparent);border-radius:.5rem;padding:.75rem 1rem;"
    "margin:1rem 0}header{font-size:.85rem;opacity:.75}h2{font-size:1rem;margin:.25rem 0}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit;margin:0}"
)


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

    async def outbox(self, _: Request) -> Response:
        """Return the page of sent messages, newest first."""
        messages = "".join(_article(message) for message in reversed(self._outbox.after(0)[-200:]))
        empty = "<p>Nothing was sent yet.</p>"
        page = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            'content="width=device-width"><meta http-equiv="refresh" content="5"><title>Outbox</title>'
            '<link rel="stylesheet" href="/outbox.css"></head><body><main><h1>Outbox</h1>'
            "<p>Emails and SMS that SNS would have sent. On this machine nothing leaves.</p>"
            f'{messages or empty}<p><a href="/">Dashboard</a></p></main></body></html>'
        )
        return HTMLResponse(page, headers=_SECURITY)

    async def outbox_style(self, _: Request) -> Response:
        """Return the page's style sheet: the policy allows none within the page."""
        return Response(_OUTBOX_STYLE, media_type="text/css")

    async def outbox_json(self, request: Request) -> Response:
        """Messages after number `after`, and whether what fills the outbox runs."""
        after = request.query_params.get("after", "0")
        if not after.isdigit():
            return JSONResponse({"detail": f"after={after}: must be a whole number from 0"}, 400)
        messages = [asdict(message) for message in self._outbox.after(int(after))]
        return JSONResponse({"receiving": self._is_receiving(), "messages": messages})


def _article(message: OutboxMessage) -> str:
    subject = f"<h2>{escape(message.subject)}</h2>" if message.subject else ""
    head = f"{message.protocol} to {message.to} · {message.sent_at}"
    return f"<article><header>{escape(head)}</header>{subject}<pre>{escape(message.body)}</pre></article>"


def build(settings: LocalSettings) -> Starlette:
    """Return the front door's application."""
    stage = f"{settings.aws}/restapis/{api_id(settings)}/{names.STAGE}/_user_request_"
    api = httpx.AsyncClient(base_url=stage, timeout=30, trust_env=False)
    outbox = Outbox(settings.directory / "outbox.jsonl")
    stop = threading.Event()
    drainer = threading.Thread(target=drain, args=(client(settings, "sqs"), OUTBOX_QUEUE, outbox, stop))
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
            Route("/outbox.json", door.outbox_json),
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
    uvicorn.run(
        build(settings), host=HOST, port=settings.port, log_level="warning", access_log=False, lifespan="on"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
