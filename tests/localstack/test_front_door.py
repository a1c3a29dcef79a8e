"""The front door passes requests for the API on as they came."""

from __future__ import annotations

import asyncio
import contextlib
import json
from urllib.parse import unquote

import httpx
import pytest
from hypercorn.asyncio import serve
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Message

from localstack import front_door
from localstack.api_stage import ApiStage
from localstack.settings import HOST, port_is_free
from tests.json_types import Json
from tests.ports import free_port

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

    came = iter([{"type": "http.request", "body": b""}])

    async def receive() -> Json:
        return (
            next(came, None) or await asyncio.get_running_loop().create_future()
        )  # stays until it is answered

    async def send(message: Message) -> None:
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


def test_a_crowd_of_requests_takes_turns_and_who_has_left_takes_none() -> None:
    """Each one at a time is a process of the local AWS: a busy machine starts no forty of them."""
    running = most = asked = 0

    async def slow(_: httpx.Request) -> httpx.Response:
        nonlocal running, most, asked
        running, asked = running + 1, asked + 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return httpx.Response(200, stream=httpx.ByteStream(b"{}"))

    async def crowd() -> list[int]:
        statuses: list[int] = []

        async def one(stage: ApiStage, leaves: bool) -> None:
            path = "/api/health"
            scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode()}
            came = iter([{"type": "http.request", "body": b""}])
            gone = {"type": "http.disconnect"}

            async def receive() -> Json:
                return next(came, None) or (
                    gone if leaves else await asyncio.get_running_loop().create_future()
                )

            async def send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])

            await stage(scope | {"query_string": b"", "headers": []}, receive, send)

        async with httpx.AsyncClient(base_url=STAGE, transport=httpx.MockTransport(slow)) as client:
            stage = ApiStage(Starlette(), client, "/api")
            await asyncio.gather(*(one(stage, leaves=number >= 40) for number in range(60)))
        return statuses

    assert asyncio.run(crowd()) == [200] * 40
    assert most == 4
    assert asked == 40


def test_a_call_that_began_holds_its_turn_though_nobody_waits_for_it() -> None:
    """Lambda guide, "Understanding Lambda function scaling": each request in flight takes one of the concurrency.

    The function runs to its end, whoever has left.
    """
    ends = asyncio.Event()
    begun = 0

    async def slow(_: httpx.Request) -> httpx.Response:
        nonlocal begun
        begun += 1
        await ends.wait()
        return httpx.Response(200, stream=httpx.ByteStream(b""))

    async def leaver(stage: ApiStage, number: int) -> None:
        came = [{"type": "http.request", "body": b""}]

        async def receive() -> Json:
            while not came and begun < min(number + 1, 4):  # noqa: ASYNC110  it leaves when it has begun
                await asyncio.sleep(0)
            return came.pop() if came else {"type": "http.disconnect"}

        async def send(_: Message) -> None:
            pytest.fail("nobody is there")

        scope = {"type": "http", "method": "GET", "path": "/api/", "raw_path": b"/api/"}
        await stage(scope | {"query_string": b"", "headers": []}, receive, send)

    async def crowd() -> int:
        async with httpx.AsyncClient(base_url=STAGE, transport=httpx.MockTransport(slow)) as client:
            stage = ApiStage(Starlette(), client, "/api")
            for number in range(6):
                await leaver(stage, number)
            before = begun
            ends.set()
            await asyncio.gather(*stage._unread)
        return before

    assert asyncio.run(crowd()) == begun == 4


def test_half_open_connections_do_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """600 of them were there for good: each is a file of the process, of which it has a thousand."""
    monkeypatch.setattr(front_door, "IDLE_SECONDS", 0.5)
    port = free_port()

    async def run() -> list[bytes]:
        app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("a page"))])
        over = asyncio.Event()
        serving = asyncio.create_task(serve(app, front_door.server(port), shutdown_trigger=over.wait))  # type: ignore[arg-type]
        while port_is_free(port):  # noqa: ASYNC110  of a server, which sets no event
            await asyncio.sleep(0.01)
        opened = [await asyncio.open_connection(HOST, port) for _ in range(60)]
        for _, writer in opened[::2]:
            writer.write(b"GET / HTTP/1.1\r\nHost: 127")
            await writer.drain()
        left = [await asyncio.wait_for(reader.read(), 60) for reader, _ in opened]
        for _, writer in opened:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://{HOST}:{port}/")).text == "a page"
        over.set()
        await serving
        return left

    assert set(asyncio.run(run())) <= {b""}
