"""Pumps events through the handler of `stock-notifier`, in batches as Lambda delivers them; says what it needed.

One process is one execution environment of the function. Messages of the queue that fail are delivered again,
behind the others, five times at most, as the queue does. With --served the batches come by standard input, a line
each, and the answers go out the same way. With --sweep it is the minute rule instead: it lets two hours
pass.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from aws_lambda_powertools.utilities.typing import LambdaContext

from consumers.alerts import handler as notifier
from consumers.contracts.anomaly import Anomaly, anomaly_id, iso_ms, sort_key
from consumers.contracts.events import Event, detected, ended, escalated
from tests.json_types import Json

BATCH = 10  # of the event source mapping in stream_infra/cdk/stacks/functions.py
RECEIVES = 5
KINDS = ("price_spike", "level_shift", "gap")
SEVERITIES = ("low", "low", "medium", "low", "high", "medium", "critical")
MINUTE_MS = 60_000
STEP_MS = 6
"""From one event to the next: 10,000 are a minute."""
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
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
"""Of the function, but for the address of its AWS."""


def asked(doc: str | None, workers: int) -> argparse.Namespace:
    """What the command line of a benchmark of floods asks for."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--events", type=int, default=10_000, help="10,000 are a minute")
    parser.add_argument("--step-ms", type=int, default=STEP_MS, help="from one event to the next")
    parser.add_argument("--tickers", type=int, default=500)
    parser.add_argument("--workers", type=int, default=workers, help="functions at work at once")
    parser.add_argument(
        "--apart", action="store_true", help="no market-wide incidents: each ticker has its own"
    )
    return parser.parse_args()


def print_columns(rows: dict[str, dict[str, str]]) -> None:
    """Print the figures of each flood in a column."""
    first = next(iter(rows.values()))
    width = max(map(len, first))
    print(f"{'':{width}}  {'  '.join(f'{name:>12}' for name in rows)}")  # noqa: T201
    for what in first:
        print(f"{what:{width}}  {'  '.join(f'{row[what]:>12}' for row in rows.values())}")  # noqa: T201


def events(asked: argparse.Namespace) -> Iterator[Event]:
    """This worker's share of the events of a minute: openings, one in ten worse, one in ten over."""
    for n in range(asked.worker, asked.events, asked.workers):
        life, opened = n % 10, n - 2 if n % 10 in {8, 9} else n
        anomaly = _anomaly(opened, asked)
        at_ms = asked.start_ms + n * asked.step_ms
        if life == 8:
            yield escalated(_anomaly(opened, asked, "critical"), at_ms)
        elif life == 9:
            yield ended(anomaly, at_ms)
        else:
            yield detected(anomaly)


def _anomaly(n: int, asked: argparse.Namespace, severity: str = "") -> Anomaly:
    ts_ms, kind, ticker = asked.start_ms + n * asked.step_ms, KINDS[n % 3], f"T{n * 7 % asked.tickers}"
    return Anomaly(
        id=anomaly_id(ticker, ts_ms, kind, "alpaca"),
        source="alpaca",
        ticker=ticker,
        timestamp=sort_key(ts_ms, kind, "alpaca"),
        date=iso_ms(ts_ms)[:10],
        kind=kind,
        severity=severity or SEVERITIES[n % 7],
        score=4.25,
        threshold=2.5,
        value=189.12,
        expected=185.4,
        tolerance=0.352,
        direction="up",
        late=False,
        explanation=f"{ticker} jumped 2.0 % in 1 s, where 0.1 % is usual.",
        window={"count": 1800, "seconds": 1800, "unit": "price"},
    )


def twice(found: Iterator[Event]) -> Iterator[Event]:
    """One in fifty is delivered twice."""
    for n, event in enumerate(found):
        yield event
        if n % 50 == 0:
            yield event


def body_of(event: Event) -> str:
    """The event as the bus puts it into the queue."""
    about = {"version": "0", "detail-type": event.detail_type, "source": "stock-monitor"}
    return json.dumps({**about, "detail": json.loads(event.detail_json())})


class Queue:
    """Messages in batches; those of a failed delivery come again behind the others."""

    def __init__(self, bodies: Iterator[str]) -> None:
        self._bodies = enumerate(bodies)
        self._again: deque[tuple[str, str, int]] = deque()
        self.taken = self.deliveries = self.dead = 0

    def __iter__(self) -> Iterator[list[tuple[str, str, int]]]:
        while batch := self._next():
            yield batch

    def _next(self) -> list[tuple[str, str, int]]:
        new = ((f"m{n}", body, 1) for n, body in self._bodies)
        batch = [item for _, item in zip(range(BATCH), new, strict=False)]
        return batch or [self._again.popleft() for _ in range(min(BATCH, len(self._again)))]

    def answered(self, batch: list[tuple[str, str, int]], answer: Json) -> None:
        """Take the answer of the function to a batch."""
        failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
        self.deliveries += len(batch)
        for id_, body, receives in batch:
            if id_ not in failed:
                self.taken += 1
            elif receives < RECEIVES:
                self._again.append((id_, body, receives + 1))
            else:
                self.dead += 1


class Function:
    """The function in this process, after its cold start."""

    def __init__(self) -> None:
        notifier.handler({"Records": []}, LambdaContext())  # imports and clients
        notifier._notifier()
        self.began, self.began_cpu = time.monotonic(), time.process_time()
        self.taken = self.early_kb = 0
        self.longest_seconds = 0.0

    def take(self, batch: list[tuple[str, str, int]]) -> Json:
        """Invoke it with a batch of the queue."""
        records = [{"messageId": id_, "body": body} for id_, body, _ in batch]
        since = time.monotonic()
        answer = notifier.handler({"Records": records}, None)  # type: ignore[arg-type]
        self.longest_seconds = max(self.longest_seconds, time.monotonic() - since)
        self.taken += len(batch)
        if not self.early_kb and self.taken >= 1000:
            self.early_kb = peak_kb()
        return answer

    def figures(self) -> Json:
        """What it needed."""
        return {
            "seconds": round(time.monotonic() - self.began, 2),
            "cpu_seconds": round(time.process_time() - self.began_cpu, 2),
            "longest_invocation_seconds": round(self.longest_seconds, 3),
            "peak_kb_after_1000": self.early_kb or peak_kb(),
            "peak_kb": peak_kb(),
        }


def pump(asked: argparse.Namespace) -> Json:
    """Take all events in."""
    function = Function()
    queue = Queue(map(body_of, twice(events(asked))))
    for batch in queue:
        queue.answered(batch, function.take(batch))
    again = queue.deliveries - queue.taken
    return {"taken": queue.taken, "again": again, "dead": queue.dead, **function.figures()}


def serve() -> Json:
    """Take batches in as they come."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the function's log
    function = Function()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(function.take(json.loads(line))), file=answers, flush=True)
    return function.figures()


def peak_kb() -> int:
    """The most memory that this process ever had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def sweep(start_ms: int) -> Json:
    """The minute rule for two hours from the start on."""
    clock = [start_ms + MINUTE_MS]
    notifier._now_ms = lambda: clock[0]
    sent = []
    began, longest = time.monotonic(), 0.0
    for _ in range(120):
        since = time.monotonic()
        sent.append(notifier.handler({"digest": True}, None)["sent"])  # type: ignore[arg-type]
        longest = max(longest, time.monotonic() - since)
        clock[0] += MINUTE_MS
    return {
        "sent": sent,
        "seconds": round(time.monotonic() - began, 2),
        "longest_invocation_seconds": round(longest, 3),
        "peak_kb": peak_kb(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("answer", type=Path, help="file for what it needed, as JSON")
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--tickers", type=int, default=500)
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--step-ms", type=int, default=STEP_MS)
    parser.add_argument("--start-ms", type=int, default=0)
    parser.add_argument("--served", action="store_true")
    parser.add_argument("--sweep", action="store_true")
    asked = parser.parse_args()
    done = sweep(asked.start_ms) if asked.sweep else serve() if asked.served else pump(asked)
    asked.answer.write_text(json.dumps(done))


if __name__ == "__main__":
    main()
