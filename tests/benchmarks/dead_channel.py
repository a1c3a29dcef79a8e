# ruff: noqa: T201 - it prints a report
"""10,000 events in a minute, each at its time, while one channel takes connections and never answers.

The functions and the minute rule are processes of their own; so is the table (in memory). Two runs side by side say
what the dead channel costs the other: one without it, one with it. It asserts the balance only: no event is lost,
the channel that works gets each message once, and each message is pending in the one that is dead.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import boto3

from consumers.alerts.message_store import StoredMessage
from consumers.alerts.model import Incident
from consumers.alerts.store import AlertStore
from consumers.alerts.table import DynamoTable
from tests.consumers.alerts import pump
from tests.json_types import Json

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "tests" / "consumers" / "alerts"
SOON_MS = 8_000
"""Until then the functions have started."""
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "ALERTS_TABLE": "stock-alerts",
    "CHARTS_TABLE": "stock-charts",
    "TOPIC_ARN": "arn:aws:sns:us-east-1:000000000000:stock-tracker-alerts",
    "TICKER_PARAMETER": "/stock-tracker/ticker",
    "CHANNEL_SECRETS": "stock-tracker/channels/",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/stock-notifier-dlq",
}


@dataclass(frozen=True)
class Flood:
    """What a minute led to: what the functions said, what is in the table, what the topic got."""

    functions: list[Json]
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
    start_ms = round(time.time() * 1000) + SOON_MS
    shares = [
        f"--events={asked.events}", f"--tickers={asked.tickers}", f"--workers={asked.workers}", f"--start-ms={start_ms}"
    ]  # fmt: skip
    environment = {**os.environ, **ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint}
    running = []
    for n in range(asked.workers):
        command = [
            sys.executable,
            str(ALERTS / "pump.py"),
            str(folder / f"{n}.json"),
            *shares,
            f"--worker={n}",
            "--in-time",
        ]
        with (folder / f"{n}.log").open("w") as log:
            running.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
    for n, process in enumerate(running):
        assert process.wait(timeout=600) == 0, (folder / f"{n}.log").read_text()[-2000:]
    functions = [json.loads((folder / f"{n}.json").read_text()) for n in range(asked.workers)]
    dynamodb = boto3.client(
        "dynamodb", "us-east-1", endpoint_url=endpoint, aws_access_key_id="t", aws_secret_access_key="t"
    )
    store, now_ms = AlertStore(DynamoTable(dynamodb, "stock-alerts")), round(time.time() * 1000)
    with urlopen(endpoint) as answer:
        published = json.load(answer)["published"]
    times: dict[str, list[int]] = defaultdict(list)
    for n in range(asked.workers):
        share = argparse.Namespace(**{**vars(asked), "worker": n, "start_ms": start_ms})
        for event in pump.events(share):
            times[event.correlation_id].append(event.at_ms)
    waits = [
        one["published_ms"] - max(at_ms for at_ms in times[one["anomaly"]] if at_ms <= one["published_ms"])
        for one in published
        if one["kind"] in {"opened", "escalated"}
    ]
    messages = list(store.messages(start_ms - SOON_MS, now_ms))
    return Flood(functions, list(store.incidents(start_ms, now_ms)), messages, published, waits)


def check(found: Flood, asked: argparse.Namespace, *, is_dead: bool) -> None:
    """Check the balance.

    Raises
    ------
    AssertionError
        An event or a message is lost, or came twice.
    """
    assert sum(one["dead"] for one in found.functions) == 0
    assert sum(one["taken"] for one in found.functions) == asked.events * 51 // 50
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000, help="one in 6 ms: 10,000 are a minute")
    parser.add_argument("--tickers", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2, help="functions at work at once")
    parser.add_argument(
        "--apart", action="store_true", help="no market-wide incidents: each ticker has its own"
    )
    asked = parser.parse_args()
    rows: dict[str, dict[str, str]] = {}
    with dead_server() as url:
        desk = {"desk": {"type": "webhook", "settings": {"url": url}}}
        for name, channels in (("all well", {}), ("one dead", desk)):
            settings = {"channels": channels, **({"market_wide": None} if asked.apart else {})}
            with aws(settings) as endpoint, tempfile.TemporaryDirectory() as folder:
                found = flood(endpoint, Path(folder), asked)
            check(found, asked, is_dead=bool(channels))
            rows[name] = found.row()
    width = max(map(len, rows["all well"]))
    print(f"{asked.events:,} events, one in 6 ms, of {asked.tickers} tickers, {asked.workers} functions")
    print(f"{'':{width}}  {'  '.join(f'{name:>12}' for name in rows)}")
    for what in rows["all well"]:
        print(f"{what:{width}}  {'  '.join(f'{row[what]:>12}' for row in rows.values())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
