"""The front door passes requests for the API on as they came."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from localstack.api_stage import ApiStage

Json = dict[str, Any]

STAGE = "http://aws/restapis/abc/prod/_user_request_"


def ask(method: str, target: str, upstream: httpx.AsyncBaseTransport | None = None) -> httpx.Response:
    """The answer of a front door whose stage tells what it was asked, in JSON."""

    def echo(request: httpx.Request) -> httpx.Response:
        told = json.dumps({"method": request.method, "target": request.url.raw_path.decode()}).encode()
        headers = {"Content-Type": "application/json", "Allow": "GET", "Connection": "close"}
        return httpx.Response(405, headers=headers, stream=httpx.ByteStream(told))

    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [],
    }
    sent: list[Json] = []

    async def receive() -> Json:
        return {"type": "http.request", "body": b""}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(dict(message))

    async def answer() -> None:
        page = Route("/{path:path}", lambda _: PlainTextResponse("a page"))
        async with httpx.AsyncClient(
            base_url=STAGE, transport=upstream or httpx.MockTransport(echo)
        ) as client:
            await ApiStage(Starlette(routes=[page]), client, "/api")(scope, receive, send)

    asyncio.run(answer())
    start, body = sent
    return httpx.Response(start["status"], headers=start["headers"], content=body["body"])


@pytest.mark.parametrize(
    "path",
    [
        "/quotes/EUR%252FUSD",  # decoded once on the way, it would be another path
        "/quotes/A%3FB",
        "/quotes/A%23B",
        "/anomalies/%0A%7F%C2%84",
        "/anomalies?ticker=&cursor=a%2Bb%26c&limit=5&limit=6",
    ],
)
def test_path_and_query_arrive_as_they_were_sent(path: str) -> None:
    assert ask("GET", f"/api{path}").json()["target"] == f"/restapis/abc/prod/_user_request_{path}"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_the_api_judges_methods(method: str) -> None:
    answer = ask(method, "/api/health")
    assert (answer.status_code, answer.headers["allow"], answer.json()["method"]) == (405, "GET", method)
    assert "connection" not in answer.headers


def test_nothing_leaves_the_stage() -> None:
    target = ask("GET", "/api/../../other/%2e%2e").json()["target"]
    assert target == "/restapis/abc/prod/_user_request_/%2E%2E/%2E%2E/other/%2e%2e"


@pytest.mark.parametrize("path", ["/", "/apix", "/scripts/api.js"])
def test_all_else_is_a_page(path: str) -> None:
    assert ask("GET", path).text == "a page"


def test_an_aws_that_is_away_is_a_bad_gateway() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    answer = ask("GET", "/api/health", httpx.MockTransport(refuse))
    assert (answer.status_code, answer.json()["detail"]) == (502, "local AWS: connection refused")
