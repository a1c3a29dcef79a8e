"""`stock-anomalies` and `stock-charts` in memory, at any size: they answer requests as DynamoDB does."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left, insort
from typing import TYPE_CHECKING, TypedDict, Unpack, cast

from api.anomalies import AnomalyStore
from consumers.contracts.anomaly import KINDS, SEVERITIES, Anomaly, iso_ms, ms_of_iso, to_item
from consumers.contracts.charts import Bar, LastQuote
from consumers.stores.charts import ChartTable, bar_attribute, bar_to_attribute
from tests.api.client import NOW_MS, JsonObject, make_anomaly
from tests.last_quotes import pack_quotes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

COUNT = int(os.environ.get("ANOMALIES", "20000"))
EVERY_MS = 1000 * (86_400 * 300) // COUNT  # over 300 days
TICKERS = [f"T{n:03d}" for n in range(500)]

ROUTES: list[tuple[str, dict[str, str], int]] = [
    # path, query, requests of the stores at most
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
        return make_anomaly(self.ticker(n), self.ts(n), kind, severity=self.severity(n))

    def query(self, **request: Unpack[StoreRequest]) -> JsonObject:
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
        answer: JsonObject = {"Items": items, "Count": len(items)}
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
    def _passes(item: JsonObject, request: StoreRequest) -> bool:
        values = request["ExpressionAttributeValues"]
        kinds = [value for name, value in values.items() if name.startswith(":kind")]
        return not kinds or item["kind"] in kinds

    def get_item(self, **request: Unpack[StoreRequest]) -> JsonObject:
        self.queries += 1
        number = self._number(request["Key"]["timestamp"]["S"])
        return {"Item": to_item(self.anomaly(number))}


class StoreRequest(TypedDict, total=False):
    """What the API's stores request of DynamoDB, as far as an answer depends on it."""

    Key: dict[str, dict[str, str]]
    ExpressionAttributeNames: dict[str, str]
    ExpressionAttributeValues: dict[str, dict[str, str]]
    ExclusiveStartKey: dict[str, dict[str, str]]
    ScanIndexForward: bool
    Select: str
    Limit: int


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

    def paginate(self, **request: Unpack[StoreRequest]) -> list[JsonObject]:
        self.queries += 1
        if request["ExpressionAttributeValues"][":pk"]["S"].startswith("live#"):
            return [{"Items": self._live}]
        name = request["ExpressionAttributeNames"]["#bar"]
        assert name == bar_attribute("T007")
        return [{"Items": [{"sk": {"S": minute}, name: bar} for minute, bar in self._bars]}]


def anomaly_store(memory: Memory) -> AnomalyStore:
    """Return the API's store on that table."""
    return AnomalyStore(cast("DynamoDBClient", memory), "stock-anomalies")


def chart_store(charts: Charts) -> ChartTable:
    """Return the API's store on those bars."""
    return ChartTable(cast("DynamoDBClient", charts), "stock-charts")
