# ruff: noqa: T201 - it prints a report
"""What the API's responses cost: requests of the stores, the handler's own processor time, bytes (`make bench`).

ANOMALIES says how many are stored: docs/api.md has the figures of 1,000,000. The stores are in memory, so that what is
timed is the handler; their own time is taken out.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import ParamSpec, TypeVar

import boto3
from moto import mock_aws

from tests.api.client import Api, create_services
from tests.api.memory import ROUTES, TICKERS, Charts, Memory, anomaly_store, chart_store

P = ParamSpec("P")
R = TypeVar("R")
REPEATS = 60
MOST_MS = 50.0


class StoreClock:
    """Processor time spent in the stores, in seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, call: Callable[P, R]) -> Callable[P, R]:
        """Return the call, with its time counted."""

        @wraps(call)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            start = time.process_time()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds += time.process_time() - start

        return timed


def main() -> int:
    """Print a row a request; 1 if a p95 is above the bar."""
    os.environ |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test")
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    clock, memory, charts = StoreClock(), Memory(), Charts()
    memory.query = clock.around(memory.query)  # type: ignore[method-assign]
    charts.paginate = clock.around(charts.paginate)  # type: ignore[method-assign]
    with mock_aws():
        services = create_services(boto3.client("dynamodb"))
    api = Api(
        replace(
            services,
            anomalies=anomaly_store(memory),
            charts=chart_store(charts),
            watch_list=lambda: TICKERS,
        )
    )
    slowest = 0.0
    for path, query, _ in ROUTES:
        own_ms = []
        for _ in range(REPEATS):
            memory.queries = charts.queries = 0
            clock.seconds, start = 0.0, time.process_time()
            reply = api.get(path, **query)
            own_ms.append(1000 * (time.process_time() - start - clock.seconds))
        p95 = sorted(own_ms)[int(0.95 * REPEATS)]
        slowest = max(slowest, p95)
        requests = memory.queries + charts.queries
        print(f"{path} {query}: {requests} requests, p95 {p95:.1f} ms, {len(reply.text):,} bytes")
    print(f"slowest p95 {slowest:.1f} ms; must be at most {MOST_MS:.0f} ms")
    return int(slowest > MOST_MS)


if __name__ == "__main__":
    sys.exit(main())
