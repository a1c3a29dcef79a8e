# ruff: noqa: T201 - it prints a report
"""10,000 events in a minute, each at its time, while one channel takes connections and never answers.

The functions are processes of their own, and whichever is free gets what is in the queue, ten at most, as Lambda does
it; so is the table (in memory). Two runs say what the dead channel costs the other: one without it, one with it. It
asserts the balance only: no event is lost, the channel that works gets each message once, and each message is pending
in the one that is dead.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import boto3

from consumers.alerts.message_store import StoredMessage
from consumers.alerts.model import Incident
from consumers.alerts.store import AlertStore
from consumers.alerts.table import DynamoTable
from stream_infra.names import NOTIFIER_CONCURRENCY
from tests.consumers.alerts import pump
from tests.json_types import Json

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "tests" / "consumers" / "alerts"
SOON_MS = 5_000
"""Until then the queue is made."""


class Queue:
    """A queue into which events come at their times; several functions take from it.

    Attributes
    ----------
    waits_ms
        From the time of each event until its batch was taken in.
    """

    def __init__(self, messages: list[tuple[int, str]]) -> None:
        self._due = deque((at_ms, f"m{n}", body, 1) for n, (at_ms, body) in enumerate(messages))
        self._lock = threading.Lock()
        self._at_work = 0
        self.taken = self.dead = self.again = 0
        self.waits_ms: list[int] = []

    def serve(self, function: subprocess.Popen[str]) -> None:
        """Give batches to a function until there are no more."""
        assert function.stdin is not None
        assert function.stdout is not None
        while (batch := self._next()) is not None:
            if not batch:
                time.sleep(0.005)
                continue
            function.stdin.write(
                json.dumps([(id_, body, receives) for _, id_, body, receives in batch]) + "\n"
            )
            function.stdin.flush()
            self._answered(batch, json.loads(function.stdout.readline()))
        function.stdin.close()

    def _next(self) -> list[tuple[int, str, str, int]] | None:
        now_ms = time.time() * 1000
        with self._lock:
            if not self._due and not self._at_work:
                return None
            batch: list[tuple[int, str, str, int]] = []
            while self._due and len(batch) < pump.BATCH and self._due[0][0] <= now_ms:
                batch.append(self._due.popleft())
            self._at_work += bool(batch)
            return batch

    def _answered(self, batch: list[tuple[int, str, str, int]], answer: Json) -> None:
        failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
        now_ms = round(time.time() * 1000)
        with self._lock:
            self._at_work -= 1
            for at_ms, id_, body, receives in batch:
                if id_ not in failed:
                    self.taken += 1
                    self.waits_ms.append(now_ms - at_ms)
                elif receives < pump.RECEIVES:
                    self.again += 1
                    self._due.appendleft((at_ms, id_, body, receives + 1))
                else:
                    self.dead += 1


@dataclass(frozen=True)
class Flood:
    """What a minute led to: what the functions said, what is in the table, what the topic got.

    Attributes
    ----------
    waits_ms
        From the event that each message sent at once tells of until the topic had it.
    """

    functions: list[Json]
    queue: Queue
    incidents: list[Incident]
    messages: list[StoredMessage]
    published: list[Json]
    waits_ms: list[int]

    def row(self) -> dict[str, str]:
        """Its figures."""
        waits = sorted(self.waits_ms)
        desk = [one for stored in self.messages for one in stored.deliveries if one.channel == "desk"]
        growth = [(one["peak_kb"] - one["peak_kb_after_1000"]) / 1024 for one in self.functions]
        return {
            "incidents": f"{len(self.incidents):,}",
            "messages": f"{len(self.messages):,}",
            "wait median": f"{waits[len(waits) // 2] / 1000:.2f} s",
            "p99": f"{waits[len(waits) * 99 // 100] / 1000:.2f} s",
            "longest": f"{waits[-1] / 1000:.2f} s",
            "within 3 s": f"{sum(wait <= 3000 for wait in waits)} of {len(waits)}",
            "event taken in, median": f"{sorted(self.queue.waits_ms)[len(self.queue.waits_ms) // 2] / 1000:.2f} s",
            "event taken in, longest": f"{max(self.queue.waits_ms) / 1000:.2f} s",
            "events that came again": f"{self.queue.again:,}",
            "processor time": f"{sum(one['cpu_seconds'] for one in self.functions):.1f} s",
            "tries of the dead channel": f"{sum(one.attempts for one in desk):,}",
            "longest invocation": f"{max(one['longest_invocation_seconds'] for one in self.functions):.2f} s",
            "memory grew": f"{max(growth):.1f} MB",
        }


@contextmanager
def dead_server() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(listening.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        for one in held:
            one.close()


@contextmanager
def aws(settings: Json) -> Iterator[str]:
    """The address of an AWS in memory with these settings of alerts."""
    command = [sys.executable, str(ALERTS / "store_server.py"), "--settings", json.dumps(settings)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.terminate()


def flood(endpoint: str, folder: Path, asked: argparse.Namespace) -> Flood:
    """A minute of events through functions at work at once."""
    environment = {**pump.ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint}
    running = []
    for n in range(asked.workers):
        command = [sys.executable, str(ALERTS / "pump.py"), str(folder / f"{n}.json"), "--served"]
        with (folder / f"{n}.log").open("w") as log:
            pipe = subprocess.PIPE
            running.append(
                subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=log, text=True)
            )
    for function in running:
        assert function.stdout is not None
        assert function.stdout.readline() == "ready\n"
    start_ms = round(time.time() * 1000) + SOON_MS
    share = argparse.Namespace(**{**vars(asked), "worker": 0, "workers": 1, "start_ms": start_ms})
    times: dict[str, list[int]] = defaultdict(list)
    messages = []
    for event in pump.twice(pump.events(share)):
        times[event.correlation_id].append(event.at_ms)
        messages.append((event.at_ms, pump.body_of(event)))
    queue = Queue(messages)
    with ThreadPoolExecutor(asked.workers) as pool:
        list(pool.map(queue.serve, running))
    for n, process in enumerate(running):
        assert process.wait(timeout=60) == 0, (folder / f"{n}.log").read_text()[-2000:]
    functions = [json.loads((folder / f"{n}.json").read_text()) for n in range(asked.workers)]
    dynamodb = boto3.client(
        "dynamodb", "us-east-1", endpoint_url=endpoint, aws_access_key_id="t", aws_secret_access_key="t"
    )
    store, now_ms = AlertStore(DynamoTable(dynamodb, "stock-alerts")), round(time.time() * 1000)
    with urlopen(endpoint) as answer:
        published = json.load(answer)["published"]
    waits = [
        one["published_ms"] - max(at_ms for at_ms in times[one["anomaly"]] if at_ms <= one["published_ms"])
        for one in published
        if one["kind"] in {"opened", "escalated"}
    ]
    made = list(store.messages(start_ms - SOON_MS, now_ms))
    return Flood(functions, queue, list(store.incidents(start_ms, now_ms)), made, published, waits)


def check(found: Flood, asked: argparse.Namespace, *, is_dead: bool) -> None:
    """Check the balance.

    Raises
    ------
    AssertionError
        An event or a message is lost, or came twice.
    """
    assert found.queue.dead == 0
    assert found.queue.taken == asked.events * 51 // 50
    opened = sum(n % 10 < 8 for n in range(asked.events))
    assert sum(one.anomalies for one in found.incidents) == opened
    by_channel = defaultdict(list)
    for stored in found.messages:
        for one in stored.deliveries:
            by_channel[one.channel].append((stored.message.id, one.status))
    assert {status for _, status in by_channel["sns"]} == {"sent"}
    assert sorted(id_ for id_, _ in by_channel["sns"]) == sorted(one["id"] for one in found.published)
    if is_dead:
        assert [id_ for id_, _ in by_channel["desk"]] == [id_ for id_, _ in by_channel["sns"]]
        assert {status for _, status in by_channel["desk"]} == {"pending"}


def main() -> int:
    asked = pump.asked(__doc__, NOTIFIER_CONCURRENCY)
    rows: dict[str, dict[str, str]] = {}
    with dead_server() as url:
        desk = {"desk": {"type": "webhook", "settings": {"url": url}}}
        for name, channels in (("all well", {}), ("one dead", desk)):
            settings = {"channels": channels, **({"market_wide": None} if asked.apart else {})}
            with aws(settings) as endpoint, tempfile.TemporaryDirectory() as folder:
                found = flood(endpoint, Path(folder), asked)
            check(found, asked, is_dead=bool(channels))
            rows[name] = found.row()
    print(
        f"{asked.events:,} events, one in {asked.step_ms} ms, of {asked.tickers} tickers, {asked.workers} functions"
    )
    pump.print_columns(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
