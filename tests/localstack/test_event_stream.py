"""Events are followed over cut connections: each once, in order; what is not kept any more is said."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from hypercorn.asyncio import serve
from starlette.applications import Starlette
from starlette.routing import Route

from consumers.contracts import events
from consumers.contracts.events import Event
from localstack import event_stream, front_door
from localstack.event_log import EventLog
from localstack.event_stream import EventStream
from localstack.settings import HOST, port_is_free
from tests.api.client import make_anomaly
from tests.json_types import Json
from tests.ports import free_port

T = 1_795_530_600_000
TICKERS = ("AAPL", "MSFT", "NVDA", "BRK.B")


def of_the_bus(event: Event) -> Json:
    """As EventBridge puts it on a queue."""
    return {"source": "stock-monitor", "detail-type": event.detail_type, "detail": event.detail}


def anomalies(count: int) -> Iterator[Json]:
    for n in range(count):
        yield of_the_bus(events.detected(make_anomaly(TICKERS[n % len(TICKERS)], T + n)))


def filled(path: Path, count: int, kept: int = 10_000) -> EventLog:
    log = EventLog(path, kept)
    for event in anomalies(count):
        log.add("delivery", event)
    return log


@asynccontextmanager
async def following(log: EventLog) -> AsyncIterator[httpx.AsyncClient]:
    """Serve a log as the front door does; yield a client of its address."""
    port, over = free_port(), asyncio.Event()
    app = Starlette(routes=[Route("/events", EventStream(log).respond)])
    serving = asyncio.create_task(serve(app, front_door.server(port), shutdown_trigger=over.wait))  # type: ignore[arg-type]
    while port_is_free(port):  # noqa: ASYNC110  of a server, which sets no event
        await asyncio.sleep(0.01)
    async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", trust_env=False, timeout=30) as client:
        yield client
    over.set()
    await serving


async def read(client: httpx.AsyncClient, count: int, id_: str | None = None, **query: str) -> list[Json]:
    """Read so many events, then cut the connection; each as its fields."""
    found: list[Json] = []
    headers = {"last-event-id": id_} if id_ else {}
    async with client.stream("GET", "/events", params=query, headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        event: Json = {}
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            if name:
                event[name] = value
            elif "data" in event:
                found.append({**event, "data": json.loads(event["data"])})
                if len(found) == count:
                    break
            if not name:
                event = {}
    return found


def test_a_thousand_anomalies_over_fifty_cuts_come_once_and_in_order(tmp_path: Path) -> None:
    log, sent, draw = EventLog(tmp_path / "events.jsonl"), list(anomalies(1000)), random.Random(7)

    async def send() -> None:
        for n, event in enumerate(sent):
            log.add(f"delivery-{n}", event)
            if draw.random() < 0.2:  # the bus delivers at least once
                log.add("again", draw.choice(sent[: n + 1]))
            if n % 10 == 9:
                await asyncio.sleep(0)

    async def run() -> tuple[list[Json], int]:
        got, connections = list[Json](), 0
        async with following(log) as client:
            sending = asyncio.create_task(send())
            first = log.name + "-0"
            while len(got) < len(sent):
                most = 19 if connections < 51 else len(sent)
                wanted = min(draw.randint(1, most), len(sent) - len(got))
                got += await read(client, wanted, got[-1]["id"] if got else first)
                connections += 1
            await sending
        return got, connections - 1

    got, cuts = asyncio.run(run())
    assert cuts >= 50
    assert [one["data"] for one in got] == [event["detail"] for event in sent]
    for ticker in TICKERS:
        times = [one["data"]["data"]["timestamp"] for one in got if one["data"]["data"]["ticker"] == ticker]
        assert times == sorted(times)
        assert len(times) == 250


def test_a_restart_keeps_the_ids(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = filled(path, 5)
    whole = path.read_text()
    path.write_text(whole + '[6, "cut o')  # a crash amid a line
    again = EventLog(path)
    assert (again.name, again.after(0)) == (log.name, log.after(0))
    for event in anomalies(6):
        again.add("delivery", event)
    assert [event.n for event in again.after(4)] == [5, 6]


def test_what_is_not_kept_any_more_is_said(tmp_path: Path) -> None:
    log = filled(tmp_path / "events.jsonl", 25, kept=10)
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) <= 21
    assert [event.n for event in EventLog(tmp_path / "events.jsonl", 10).after(0)] == list(range(16, 26))
    kept = [f"{log.name}-{n}" for n in range(16, 26)]

    async def run() -> None:
        async with following(log) as client:
            for lost in (f"{log.name}-14", "0badcafe-20", f"{log.name}-99", "nonsense", f"{log.name}-²"):
                gap, *rest = await read(client, 11, after=lost)
                assert (gap["event"], gap["data"]["after"]) == ("Gap", lost)
                assert [one["id"] for one in rest] == kept
            on = await read(client, 10, f"{log.name}-15")
            assert [one["id"] for one in on] == kept
            of_one = await read(client, 2, kept[0], ticker="msft")
            assert {one["data"]["data"]["ticker"] for one in of_one} == {"MSFT"}

    asyncio.run(run())


def test_without_an_id_only_news_comes(tmp_path: Path) -> None:
    log = filled(tmp_path / "events.jsonl", 3)

    async def run() -> list[Json]:
        async with following(log) as client:
            reading = asyncio.create_task(read(client, 1))
            while not reading.done():
                log.add(
                    "delivery", of_the_bus(events.ended(make_anomaly("AAPL", T + log.newest), T + 99_000))
                )
                await asyncio.sleep(0.02)
            return reading.result()

    (got,) = asyncio.run(run())
    assert got["event"] == "AnomalyEnded"
    assert int(got["id"].rsplit("-", 1)[1]) > 3


@pytest.mark.parametrize(
    ("query", "said"),
    [({"since": "1"}, "must be one of after, ticker"), ({"ticker": "a b"}, "must be a ticker")],
)
def test_bad_parameters_are_named(tmp_path: Path, query: dict[str, str], said: str) -> None:
    async def run() -> httpx.Response:
        async with following(EventLog(tmp_path / "events.jsonl")) as client:
            return await client.get("/events", params=query)

    response = asyncio.run(run())
    assert (response.status_code, said in response.json()["detail"]) == (400, True)


def test_followers_are_bounded_and_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "MOST_FOLLOWERS", 1)
    log = filled(tmp_path / "events.jsonl", 3)

    async def run() -> None:
        async with following(log) as client:
            async with client.stream("GET", "/events") as one:
                await anext(one.aiter_lines())
                other = await client.get("/events")
                assert (other.status_code, other.headers["retry-after"]) == (503, "5")
            async with asyncio.timeout(30):
                while True:
                    async with client.stream("GET", "/events") as again:
                        if again.status_code == 200:
                            return

    asyncio.run(run())
