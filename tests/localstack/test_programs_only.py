"""What a web page can send never reaches the local AWS, and never changes anything through the front door."""

from __future__ import annotations

import asyncio
from typing import Never

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from localstack.programs_only import OwnPagesOnly, ProgramsOnly, foreign_page, sent_by_a_page
from tests.json_types import Json

OWN = ["http://127.0.0.1:8080", "http://localhost:8080"]
PROGRAM = {"host": "127.0.0.1:4566", "user-agent": "Boto3/1.43"}


def call(guard: ASGIApp, kind: str, method: str, headers: dict[str, str]) -> list[Json]:
    """What the guard sends for a request; an application behind it would answer 200."""
    sent: list[Json] = []
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "method": method, "path": "/", "query_string": b"", "headers": pairs}

    async def receive() -> Json:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(dict(message))

    async def run() -> None:
        await guard(scope, receive, send)

    asyncio.run(run())
    return sent


async def application(_scope: object, _receive: object, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},  # a sandboxed frame, a file
        {"origin": "http://127.0.0.1:8080"},  # the dashboard has no business there either
        {"sec-fetch-site": "cross-site"},  # an image, a script, a form's GET
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "same-origin"},
        {"host": "evil.example"},  # DNS rebinding
        {"host": "evil.example:4566"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "localhost.evil.example:4566"},
        {"host": ""},
    ],
)
def test_a_page_does_not_reach_the_local_aws(headers: dict[str, str]) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
        start = call(ProgramsOnly(application), "http", method, PROGRAM | headers)[0]
        assert start["status"] == 403
        assert not [name for name, _ in start["headers"] if name.startswith(b"access-control")]
    assert (
        call(ProgramsOnly(application), "websocket", "GET", PROGRAM | headers)[0]["type"] == "websocket.close"
    )


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:4566",
        "localhost:4566",
        "localhost",
        "[::1]:4566",
        "stock-scan-data-000000000000.s3.localhost:4566",
    ],
)
def test_programs_reach_it_by_every_name_of_this_machine(host: str) -> None:
    assert call(ProgramsOnly(application), "http", "POST", PROGRAM | {"host": host})[0]["status"] == 200


def test_an_address_that_a_person_types_is_answered() -> None:
    assert not sent_by_a_page(PROGRAM | {"sec-fetch-site": "none"})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}]
)
def test_a_foreign_page_changes_nothing_through_the_front_door(method: str, headers: dict[str, str]) -> None:
    assert call(OwnPagesOnly(application, OWN), "http", method, headers)[0]["status"] == 403


def test_our_own_page_and_programs_write_through_the_front_door() -> None:
    for headers in ({"origin": OWN[1], "sec-fetch-site": "same-origin"}, {}):
        assert call(OwnPagesOnly(application, OWN), "http", "PUT", headers)[0]["status"] == 200
    assert (
        call(OwnPagesOnly(application, OWN), "http", "GET", {"origin": "https://a.example"})[0]["status"]
        == 200
    )


@given(st.text(st.characters(codec="ascii", exclude_characters="\r\n"), max_size=40))
def test_any_origin_but_our_own_is_foreign(origin: str) -> None:
    assert sent_by_a_page(PROGRAM | {"origin": origin})
    assert bool(foreign_page({"origin": origin}, OWN)) is (origin not in OWN)


def test_the_start_of_the_server_is_passed_on() -> None:
    """What receives the outbox's messages starts with it; a lifespan has no headers."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del receive, send
        seen.append(scope["type"])

    async def nothing(*_: object) -> Never:
        raise AssertionError("nothing is sent or received here")

    for guard in (OwnPagesOnly(app, ["http://127.0.0.1:8080"]), ProgramsOnly(app)):
        asyncio.run(guard({"type": "lifespan"}, nothing, nothing))
    assert seen == ["lifespan", "lifespan"]
