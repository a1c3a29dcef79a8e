"""The local AWS says at once that records came, and the runner polls at once, however seldom it polls otherwise."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from localstack import arrivals
from localstack.arrivals import PATH, Arrivals
from localstack.event_source_mapping.arrivals import ArrivalWatch
from tests.http_server import Handler, serving


async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def ask(app: Any, path: str, query: str = "", target: str = "", *, gone: bool = False) -> Any:
    sent: list[Message] = []

    async def receive() -> Message:
        if not gone:
            await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"x-amz-target", target.encode())] if target else []
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": query.encode(),
        "headers": headers,
    }
    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return json.loads(body) if body else None


@pytest.mark.parametrize(
    ("call", "counts"),
    [
        ("Kinesis_20131202.PutRecords", True),
        ("Kinesis_20131202.PutRecord", True),
        ("Kinesis_20131202.GetRecords", False),
        ("DynamoDB_20120810.PutItem", False),
    ],
)
def test_who_waits_is_announced_of_the_next_put_and_of_nothing_else(
    call: str, *, counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> list[int]:
        app = Arrivals(application)
        assert await ask(app, PATH, "after=-1") == 0
        assert await ask(app, PATH, "after=nonsense") == 0
        waiting = [asyncio.create_task(ask(app, PATH, "after=0")) for _ in range(2)]
        await asyncio.sleep(0)
        if not counts:
            monkeypatch.setattr(arrivals, "WAIT_SECONDS", 0.01)
        await ask(app, "/", target=call)
        return [await task for task in waiting] if counts else [await ask(app, PATH, "after=0")]

    assert set(asyncio.run(run())) == {1 if counts else 0}


def test_who_left_is_not_waited_for() -> None:
    async def run() -> None:
        await asyncio.wait_for(ask(Arrivals(application), PATH, "after=0", gone=True), 4)

    asyncio.run(run())


class Local:
    """A local AWS that answers `answers` in turn, each once it is let."""

    def __init__(self, *answers: int) -> None:
        self.asked: list[str] = []
        self.let = threading.Semaphore(0)
        local, left = self, list(answers)

        class LocalHandler(Handler):
            def do_GET(self) -> None:
                local.asked.append(self.path)
                local.let.acquire(timeout=20)
                if left:
                    self.answer(200, str(left.pop(0)).encode())
                else:
                    self.answer(404)

        self.handler = LocalHandler
        self.url = ""


@pytest.fixture
def local() -> Iterator[Local]:
    server = Local(7, 8, 8)
    with serving(server.handler) as server.url:
        yield server


def test_each_arrival_is_acted_on_once_and_an_aws_that_cannot_say_is_polled(local: Local) -> None:
    came = threading.Semaphore(0)
    watch = ArrivalWatch(f"{local.url}/", came.release)
    watch.start()
    for _ in range(2):  # 7, 8
        local.let.release()
        assert came.acquire(timeout=20)
    assert watch.is_announced
    for _ in range(2):  # 8 again, then an error
        local.let.release()
    watch._thread.join(20)
    assert not watch._thread.is_alive()
    assert not watch.is_announced
    assert not came.acquire(blocking=False)
    assert local.asked == [f"{PATH}?after={count}" for count in (-1, 7, 8, 8)]
    watch.stop()
