"""Calls of the emulator whose cost does not grow with what it holds: a monitor runs on a laptop for weeks.

MiniStack walks all shard iterators and all records at every call of Kinesis, and all items of a partition at every
Query, and all points of all metrics at every call of CloudWatch. The answers stay its own: it gets less to walk.
"""

from __future__ import annotations

import re
import time
from types import FunctionType
from typing import Any

from ministack.services import cloudwatch, dynamodb, kinesis

_Bucket = dict[str, dict[str, Any]]
_BETWEEN = re.compile(r"pk = (:\w+) AND sk BETWEEN (:\w+) AND (:\w+)")
"""The form of the queries that are made for every batch and every page."""


def keep_calls_small() -> None:
    """Let Kinesis drop what is old from the front, and a Query see only the items in its range."""
    kinesis._expire_iterators = _expire_iterators
    kinesis._expire_records = _expire_records
    cloudwatch._evict_old_metrics = lambda: None  # `localstack.retention` does it once an hour
    in_order = _InOrder()
    dynamodb._set_item = in_order.watch(dynamodb._set_item)
    dynamodb._query = _narrowed(dynamodb._query, in_order)


def _expire_iterators() -> None:
    held = kinesis._shard_iterators._data  # in the order in which they were made
    oldest = time.time() - kinesis.ITERATOR_EXPIRY_SECONDS
    while held:
        key = next(iter(held))
        if held[key]["created_at"] >= oldest:
            return
        held.pop(key, None)


def _expire_records(stream: dict[str, Any]) -> None:
    oldest = time.time() - stream["RetentionPeriodHours"] * 3600
    for shard_id, shard in stream["shards"].items():
        records = shard["records"]  # in the order in which they arrived
        if not records or records[0]["ApproximateArrivalTimestamp"] >= oldest:
            continue
        old = next(
            (at for at, of in enumerate(records) if of["ApproximateArrivalTimestamp"] >= oldest), len(records)
        )
        shard["records"] = records[old:]
        for iterator in list(kinesis._shard_iterators._data.values()):
            # A place is an index: without this an iterator would skip as many records as went.
            if iterator["stream"] == stream["StreamName"] and iterator["shard_id"] == shard_id:
                iterator["position"] = max(0, iterator["position"] - old)


class _InOrder:
    """Which partitions of tables hold their items in the order of their sort keys, as blocks and bars come."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[_Bucket, bool]] = {}

    def watch(self, set_item: Any) -> Any:
        """Return `set_item` that notices a new item before others."""

        def watched(table: dict[str, Any], pk: str, sk: str, item: dict[str, Any]) -> Any:
            place = (table["TableName"], pk)
            bucket = table["items"].get(pk)
            if bucket and place in self._known and sk not in bucket and sk < next(reversed(bucket)):
                self._known[place] = bucket, False
            return set_item(table, pk, sk, item)

        return watched

    def __call__(self, table: dict[str, Any], pk: str) -> bool:
        bucket = table["items"].get(pk, {})
        place = (table["TableName"], pk)
        known = self._known.get(place)
        if known is None or known[0] is not bucket:
            keys = list(bucket)
            known = self._known[place] = bucket, keys == sorted(keys)
        return known[1]


def _narrowed(query: FunctionType, in_order: _InOrder) -> Any:
    """Return `query` that looks through the items between both ends only, where they are in order."""

    def narrowed(data: dict[str, Any]) -> Any:
        table = dynamodb._tables.get(data.get("TableName"))
        ends = _BETWEEN.fullmatch(str(data.get("KeyConditionExpression")))
        if not table or not ends or data.get("IndexName"):
            return query(data)
        pk, low, high = (
            data.get("ExpressionAttributeValues", {}).get(name, {}).get("S") for name in ends.groups()
        )
        if pk is None or low is None or high is None or not in_order(table, pk):
            return query(data)
        few = {**table, "items": {pk: _between(table["items"].get(pk, {}), low, high, _at_most(data))}}
        return FunctionType(query.__code__, {**vars(dynamodb), "_tables": {table["TableName"]: few}})(data)

    return narrowed


def _at_most(data: dict[str, Any]) -> int | None:
    """Return how many of the last items are enough: one more than asked for, so that it is known that there are."""
    backwards = data.get("ScanIndexForward") is False
    is_whole = not backwards or data.get("FilterExpression") or data.get("ExclusiveStartKey")
    return None if is_whole or not data.get("Limit") else int(data["Limit"]) + 1


def _between(bucket: _Bucket, low: str, high: str, at_most: int | None) -> _Bucket:
    found = []
    for sk in reversed(bucket):
        if sk < low:
            break
        if sk <= high:
            found.append(sk)
            if len(found) == at_most:
                break
    return {sk: bucket[sk] for sk in reversed(found)}
