"""What answers cost at 1,000,000 stored anomalies and 500 tickers: store requests, and the handler's own time.

The stores answer as DynamoDB does (keys, descending order, limits, ExclusiveStartKey) from memory, so that what
is timed is the handler. ANOMALIES sets how many there are; tests take fewer (docs/api.md has the figures of all).
"""

from __future__ import annotations

import json
import os
import sys
import time
from array import array
from bisect import bisect_left, insort
from dataclasses import replace
from typing import Any

import pytest

from api.anomalies import AnomalyStore
from api.app import create_app
from api.event import normalized
from api.services import Services
from consumers.contracts.anomaly import KINDS, SEVERITIES, Anomaly, iso_ms, ms_of_iso, to_item
from consumers.stores.charts import Bar, ChartTable, LastQuote, bar_attribute, bar_to_attribute, pack_quotes

COUNT = int(os.environ.get("ANOMALIES", "20000"))
NOW_MS = 1_795_530_600_123
EVERY_MS = 1000 * (86_400 * 300) // COUNT  # over 300 days
TICKERS = [f"T{n:03d}" for n in range(500)]
REPEATS = 60
MOST_MS = 50.0


class Memory:
    """`stock-anomalies` with its indexes: per partition the numbers of its anomalies, ascending in time."""

    def __init__(self) -> None:
        self._partitions: dict[tuple[str, str], array[int]] = {}
        self.queries = 0
        for n in range(COUNT):
            for partition in self._partitions_of(n):
                self._partitions.setdefault(partition, array("q")).append(n)

    def arrive(self, n: int) -> str:
        for partition in self._partitions_of(n):
            insort(self._partitions.setdefault(partition, array("q")), n)
        return self.anomaly(n).id

    @staticmethod
    def _partitions_of(n: int) -> list[tuple[str, str]]:
        date = iso_ms(Memory.ts(n))[:10]
        return [("ticker", Memory.ticker(n)), ("date", date), ("severity", Memory.severity(n))]

    @staticmethod
    def ts(n: int) -> int:
        return NOW_MS - (COUNT - n) * EVERY_MS

    @staticmethod
    def ticker(n: int) -> str:
        return TICKERS[n * 7 % 500]

    @staticmethod
    def severity(n: int) -> str:
        return SEVERITIES[min(3, (n * 2_654_435_761 >> 7) % 16 // 5)]

    def anomaly(self, n: int) -> Anomaly:
        kind = KINDS[n % len(KINDS)]
        return _make(self.ticker(n), self.ts(n), kind, severity=self.severity(n))

    def query(self, **request: Any) -> dict[str, Any]:
        self.queries += 1
        assert not request["ScanIndexForward"]
        attribute = request["ExpressionAttributeNames"]["#hash"]
        values = request["ExpressionAttributeValues"]
        numbers = self._partitions.get((attribute, values[":hash"]["S"]), array("q"))
        low = bisect_left(numbers, self._number(values[":low"]["S"]))
        high = bisect_left(numbers, self._number(values[":high"]["S"]))
        if start := request.get("ExclusiveStartKey"):
            high = min(high, bisect_left(numbers, self._number(start["timestamp"]["S"])))
        if request.get("Select") == "COUNT":
            return {"Count": high - low}
        first = max(low, high - request["Limit"])
        found = [to_item(self.anomaly(n)) for n in reversed(numbers[first:high])]
        items = [item for item in found if self._passes(item, request)]
        answer: dict[str, Any] = {"Items": items, "Count": len(items)}
        if first > low or high - first == request["Limit"]:
            answer["LastEvaluatedKey"] = {k: found[-1][k] for k in ("ticker", "timestamp", attribute)}
        return answer

    @staticmethod
    def _number(timestamp: str) -> int:
        """The first number at or after a key: every anomaly has an instant of its own."""
        if timestamp in {"0", "~"}:
            return 0 if timestamp == "0" else 2 * COUNT
        if len(timestamp) <= 11:  # a day, or the end of one
            timestamp = f"{timestamp[:10]}T{'23:59:59.999' if timestamp.endswith('~') else '00:00:00.000'}Z"
        return max(0, COUNT - (NOW_MS - ms_of_iso(timestamp.partition("#")[0])) // EVERY_MS)

    @staticmethod
    def _passes(item: dict[str, Any], request: dict[str, Any]) -> bool:
        values = request["ExpressionAttributeValues"]
        kinds = [value for name, value in values.items() if name.startswith(":kind")]
        return not kinds or item["kind"] in kinds

    def get_item(self, **request: Any) -> dict[str, Any]:
        self.queries += 1
        number = self._number(request["Key"]["timestamp"]["S"])
        return {"Item": to_item(self.anomaly(number))}


class Charts:
    """`stock-charts` with 500 tickers in four partitions, and 420 minutes of every one."""

    def __init__(self) -> None:
        self.queries = 0
        self._minute_ms = NOW_MS // 60_000 * 60_000
        quotes = [
            LastQuote(symbol, NOW_MS - 900, 101.25, 101.2, 101.3, 5e6, 99.0, 100.0, self._bar(0))
            for symbol in TICKERS
        ]
        self._live = [{"columns": {"B": pack_quotes(quotes[n::4])}} for n in range(4)]
        self._bars = [(iso_ms(self._bar(n).minute_ms), bar_to_attribute(self._bar(n))) for n in range(420)]

    def _bar(self, minutes_ago: int) -> Bar:
        return Bar(
            self._minute_ms - minutes_ago * 60_000, 100.5, 101.5, 100.25, 101.25, 4e4, 60, 101.2, 101.3
        )

    def get_paginator(self, _name: str) -> Charts:
        return self

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        self.queries += 1
        if request["ExpressionAttributeValues"][":pk"]["S"].startswith("live#"):
            return [{"Items": self._live}]
        name = request["ExpressionAttributeNames"]["#bar"]
        assert name == bar_attribute("T007")
        return [{"Items": [{"sk": {"S": minute}, name: bar} for minute, bar in self._bars]}]


class Timed:
    """A client whose own time is taken out of what is measured."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found

        def timed(*arguments: Any, **more: Any) -> Any:
            start = time.process_time()
            try:
                result = found(*arguments, **more)
                return self if result is self._client else result
            finally:
                self.seconds += time.process_time() - start

        return timed


@pytest.fixture(scope="module")
def memory() -> Memory:
    return Memory()


def _make(ticker: str, ts_ms: int, kind: str, severity: str) -> Anomaly:
    timestamp = f"{iso_ms(ts_ms)}#{kind}"
    return Anomaly(
        id=f"{ticker}-{ts_ms}-{kind}",
        source="simulated",
        ticker=ticker,
        timestamp=timestamp,
        date=timestamp[:10],
        kind=kind,
        severity=severity,
        score=3.25,
        threshold=2.5,
        value=0.012,
        expected=0.0,
        tolerance=0.001,
        direction="up",
        late=False,
        explanation=f"{ticker} rose 1.2% in one tick, 12 times its usual move of 0.1% over the last 240 ticks.",
        window={"ticks": 240, "unit": "return"},
    )


def _tell(figure: str) -> None:
    """Seen with `pytest -s`."""
    sys.stdout.write(f"{figure}\n")


ROUTES = [
    ("/anomalies", {"limit": "50"}, 4),
    ("/anomalies", {"limit": "200"}, 6),
    ("/anomalies", {"limit": "200", "date": iso_ms(NOW_MS - 86_400_000)[:10]}, 1),
    ("/anomalies", {"severity": "critical", "limit": "200"}, 1),
    ("/anomalies", {"kind": "gap", "limit": "50"}, 6),
    ("/anomalies/T007", {"limit": "200"}, 1),
    ("/anomalies/T007", {"since": iso_ms(NOW_MS - 30 * 86_400_000), "kind": "gap"}, 2),
    ("/stats", {}, 4),
    ("/tickers", {}, 1),
    ("/quotes/T007", {}, 2),
]


@pytest.mark.parametrize(("path", "query", "most_requests"), ROUTES, ids=str)
def test_an_answer_takes_few_requests_and_little_time(
    *,
    services: Services,
    memory: Memory,
    path: str,
    query: dict[str, str],
    most_requests: int,
) -> None:
    charts = Charts()
    stores = Timed(memory), Timed(charts)
    app = create_app(
        replace(
            services,
            anomalies=AnomalyStore(stores[0], "stock-anomalies"),  # type: ignore[arg-type]
            charts=ChartTable(stores[1], "stock-charts"),  # type: ignore[arg-type]
            watch_list=lambda: TICKERS,
        )
    )
    event = {"path": path, "queryStringParameters": query}
    own_ms, requests = [], 0
    for _ in range(REPEATS):
        before, memory.queries, charts.queries = sum(store.seconds for store in stores), 0, 0
        start = time.process_time()
        answer = app.resolve(normalized(event), None)  # type: ignore[arg-type]
        took = time.process_time() - start - (sum(store.seconds for store in stores) - before)
        assert answer["statusCode"] == 200
        own_ms.append(1000 * took)
        requests = max(requests, memory.queries + charts.queries)
    p95 = sorted(own_ms)[int(0.95 * REPEATS)]
    _tell(f"{path} {query}: {requests} requests, p95 {p95:.1f} ms, {len(answer['body']):,} bytes")
    assert requests <= most_requests
    assert p95 <= MOST_MS


def test_paging_through_all_visits_each_once_while_new_ones_arrive(
    services: Services, memory: Memory
) -> None:
    app = create_app(replace(services, anomalies=AnomalyStore(memory, "stock-anomalies")))  # type: ignore[arg-type]
    query = {"limit": "200"}
    visited: set[str] = set()
    pages, count, arrived, last = 0, 0, set(), "~"
    while True:
        event = {"path": "/anomalies", "queryStringParameters": query}
        page = json.loads(app.resolve(normalized(event), None)["body"])  # type: ignore[arg-type]
        stamps = [anomaly["timestamp"] for anomaly in page["anomalies"]]
        assert stamps == sorted(stamps, reverse=True)
        assert not stamps or stamps[0] < last
        last = stamps[-1] if stamps else last
        visited.update(anomaly["id"] for anomaly in page["anomalies"])
        count, pages = count + page["count"], pages + 1
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
        if len(arrived) < 200:
            arrived.add(memory.arrive(COUNT + len(arrived)))
    _tell(f"{count:,} anomalies on {pages:,} pages, {len(arrived)} arrived meanwhile")
    assert count == len(visited) == COUNT
    assert not visited & arrived
