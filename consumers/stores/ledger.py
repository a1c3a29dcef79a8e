"""What became of every tick, read from the blocks in stock-windows. Free of numpy.

Ticks in = in windows + duplicate + out of order + quarantined, for every block and so for every sum of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_dynamodb.client import DynamoDBClient

BLOCK_PREFIX = "block#"


@dataclass(frozen=True, slots=True)
class Counts:
    """Ticks (rows of quote batches) by what became of them; a record that cannot be read counts as one."""

    ticks_in: int = 0
    in_windows: int = 0
    duplicate: int = 0
    out_of_order: int = 0
    quarantined: int = 0

    def balance(self) -> bool:
        """Whether every tick that came in is accounted for."""
        accounted = self.in_windows + self.duplicate + self.out_of_order + self.quarantined
        return self.ticks_in == accounted

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def as_dict(self) -> dict[str, int]:
        """The counts by name, as the blocks hold them."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def partition_pk(partition: int) -> str:
    """Partition key, in stock-windows, of the blocks of a partition of the stream."""
    return f"partition#{partition}"


def block_sk(number: int) -> str:
    """Sort key of a block; sorts as the numbers do."""
    return f"{BLOCK_PREFIX}{number:012d}"


class Ledger:
    """Reads the counters of the blocks."""

    def __init__(self, client: DynamoDBClient, table: str, partitions: int) -> None:
        self._client = client
        self._table = table
        self._partitions = range(partitions)

    def heads(self) -> dict[int, int]:
        """The number of the last block of each partition, 0 if it has none; strongly consistent."""
        return {partition: self._head(partition) for partition in self._partitions}

    def counts_since(self, heads: Mapping[int, int], source: str) -> Counts:
        """What became of the ticks of `source` in the blocks after `heads`."""
        total = Counts()
        for partition in self._partitions:
            for counts in self._counts_after(partition, heads.get(partition, 0), source):
                total += counts
        return total

    def totals(self) -> dict[str, Counts]:
        """What became of all ticks so far, by source; runs of a replay are forgotten a day after they end."""
        sums: dict[str, Counts] = {}
        for partition in self._partitions:
            for item in self._query(partition, 0, newest_only=True, attribute="totals"):
                for source, counts in json.loads(item["totals"]["S"]).items():
                    sums[source] = sums.get(source, Counts()) + Counts(**counts)
        return sums

    def _head(self, partition: int) -> int:
        for item in self._query(partition, 0, newest_only=True, attribute="sk"):
            return int(item["sk"]["S"].removeprefix(BLOCK_PREFIX))
        return 0

    def _counts_after(self, partition: int, head: int, source: str) -> Iterator[Counts]:
        for item in self._query(partition, head, newest_only=False, attribute="sources"):
            counts = json.loads(item["sources"]["S"]).get(source)
            if counts is not None:
                yield Counts(**counts)

    def _query(self, partition: int, after: int, *, newest_only: bool, attribute: str) -> Iterator[Any]:
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :low AND :high",
            "ExpressionAttributeValues": {
                ":pk": {"S": partition_pk(partition)},
                ":low": {"S": block_sk(after + 1)},
                ":high": {"S": BLOCK_PREFIX + "9" * 12},
            },
            "ProjectionExpression": "#a",
            "ExpressionAttributeNames": {"#a": attribute},
            "ConsistentRead": True,
        }
        if newest_only:
            yield from self._client.query(**query, ScanIndexForward=False, Limit=1)["Items"]
            return
        for page in self._client.get_paginator("query").paginate(**query):
            yield from page["Items"]
