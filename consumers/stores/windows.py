"""The table stock-windows: blocks, backfill blocks and attempts, their writes and their reads. Free of numpy.

Blocks have the keys pk `partition#<n>`, sk `block#<number>`; backfill blocks sk
`backfill#<number of the block they go on from>#<number>`; attempts pk `attempts#<shard>`, sk `<sequence number>`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from consumers.contracts.counts import TickCounts
from consumers.stores.calls import CONDITION_FAILED, code_of, io
from consumers.stream.records import OffsetSpan, StreamOffset
from consumers.windows.block import Block
from consumers.windows.ports import BlockExistsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Item = Mapping[str, AttributeValueTypeDef]

KEPT_DAYS = 15
"""How long blocks are kept: the dead-letter queue keeps a message for 14, and its redrive needs the blocks."""
ATTEMPTS_KEPT_SECONDS = 86_400
BLOCK_PREFIX = "block#"
BACKFILL_PREFIX = "backfill#"


def partition_pk(partition: int) -> str:
    """Return the partition key of the blocks of a partition of the stream."""
    return f"partition#{partition}"


def block_sk(number: int) -> str:
    """Return the sort key of a block; it sorts as the numbers do."""
    return f"{BLOCK_PREFIX}{number:012d}"


class BlockTable:
    """The run of blocks of every partition; implements `BlockStore`."""

    def __init__(self, client: DynamoDBClient, table: str, kept_days: int = KEPT_DAYS) -> None:
        self._client = client
        self._table = table
        self._kept_days = kept_days

    def last(self, partition: int) -> Block | None:
        """Return the newest block; strongly consistent."""
        with io(f"read the newest block of partition {partition}"):
            query = _blocks_after(self._table, partition, 0)
            response = self._client.query(**query, ScanIndexForward=False, Limit=1)
        return next((block_from_item(item) for item in response["Items"]), None)

    def get(self, partition: int, number: int) -> Block | None:
        """Return the block of that number, None if there is none; strongly consistent."""
        with io(f"read block {number} of partition {partition}"):
            response = self._client.get_item(
                TableName=self._table,
                Key={"pk": {"S": partition_pk(partition)}, "sk": {"S": block_sk(number)}},
                ConsistentRead=True,
            )
        return block_from_item(response["Item"]) if "Item" in response else None

    def after(self, partition: int, number: int) -> Iterator[Block]:
        """Yield the blocks after block `number`, in order; strongly consistent."""
        query = _blocks_after(self._table, partition, number)
        # Each invocation queries, mostly for nothing: a paginator would cost as much as the call.
        while True:
            with io(f"read the blocks of partition {partition} after {number}"):
                page = self._client.query(**query)
            yield from map(block_from_item, page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def put(self, block: Block) -> None:
        """Commit a block; raise `BlockExistsError` if another one of its number is there."""
        _commit(self._client, self._table, block_to_item(block, self._kept_days))


class BackfillBlockTable:
    """What redrives added beside the run of blocks; implements `BackfillBlockStore`."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def after(self, partition: int, number: int) -> Iterator[Block]:
        """Yield the backfill blocks that go on from block `number`, in order; strongly consistent."""
        with io(f"read the backfill blocks of partition {partition} after {number}"):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
                ExpressionAttributeValues={
                    ":pk": {"S": partition_pk(partition)},
                    ":sk": {"S": f"{BACKFILL_PREFIX}{number:012d}#"},
                },
                ConsistentRead=True,
            )
            for page in pages:
                yield from map(block_from_item, page["Items"])

    def listed(self, partition: int) -> dict[int, list[Block]]:
        """Return all backfill blocks of a partition, in order, by the block that they go on from."""
        found: dict[int, list[Block]] = {}
        with io(f"read the backfill blocks of partition {partition}"):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
                ExpressionAttributeValues={
                    ":pk": {"S": partition_pk(partition)},
                    ":sk": {"S": BACKFILL_PREFIX},
                },
                ConsistentRead=True,
            )
            for page in pages:
                for item in page["Items"]:
                    gap = int(item["sk"]["S"].split("#")[1])
                    found.setdefault(gap, []).append(block_from_item(item))
        return found

    def put(self, number: int, block: Block) -> None:
        """Commit a backfill block that goes on from block `number`; raise `BlockExistsError` if there is one."""
        sk = f"{BACKFILL_PREFIX}{number:012d}#{block.number:012d}"
        _commit(self._client, self._table, {**block_to_item(block), "sk": {"S": sk}})


class Ledger:
    """Reads what became of every tick from the blocks; errors of AWS pass through."""

    def __init__(self, client: DynamoDBClient, table: str, partitions: int) -> None:
        self._client = client
        self._table = table
        self._partitions = range(partitions)

    def heads(self) -> dict[int, int]:
        """Return the number of the last block of each partition, 0 if it has none; strongly consistent."""
        heads = dict.fromkeys(self._partitions, 0)
        for partition in self._partitions:
            for sk in self._newest(partition, "sk"):
                heads[partition] = int(sk.removeprefix(BLOCK_PREFIX))
        return heads

    def counts_since(self, heads: Mapping[int, int], source: str) -> TickCounts:
        """Return what became of the ticks of `source` in the blocks after `heads`."""
        total = TickCounts()
        for partition in self._partitions:
            query = _projected(_blocks_after(self._table, partition, heads.get(partition, 0)), "sources")
            for page in self._client.get_paginator("query").paginate(**query):
                for item in page["Items"]:
                    total += _counts_from_json(item["sources"]["S"]).get(source, TickCounts())
        return total

    def totals(self) -> dict[str, TickCounts]:
        """Return what became of all ticks so far, by source; a replay is forgotten a day after it ends."""
        sums: dict[str, TickCounts] = {}
        for partition in self._partitions:
            for totals in self._newest(partition, "totals"):
                for source, counts in _counts_from_json(totals).items():
                    sums[source] = sums.get(source, TickCounts()) + counts
        return sums

    def arrivals(self) -> dict[int, int]:
        """Return when the newest record of each partition's blocks had arrived (epoch ms UTC), where there is one."""
        return {
            partition: int(arrival_ms)
            for partition in self._partitions
            for arrival_ms in self._newest(partition, "arrival_ms")
        }

    def _newest(self, partition: int, attribute: str) -> Iterator[str]:
        query = _projected(_blocks_after(self._table, partition, 0), attribute)
        for item in self._client.query(**query, ScanIndexForward=False, Limit=1)["Items"]:
            (value,) = item[attribute].values()
            yield str(value)


class AttemptTable:
    """Attempts on single records; implements `AttemptCounter`."""

    def __init__(self, client: DynamoDBClient, table: str, now_ms: Callable[[], int]) -> None:
        self._client = client
        self._table = table
        self._now_ms = now_ms

    def begin(self, shard: str, sequence: str) -> int:
        """Count an attempt; return how many are begun and not ended, this one included."""
        with io(f"count the attempts on {shard} {sequence}"):
            response = self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": f"attempts#{shard}"}, "sk": {"S": sequence}},
                UpdateExpression="ADD begun :one SET expires_at = :expires_at",
                ExpressionAttributeValues={
                    ":one": {"N": "1"},
                    ":expires_at": {"N": str(self._now_ms() // 1000 + ATTEMPTS_KEPT_SECONDS)},
                },
                ReturnValues="UPDATED_NEW",
            )
        return int(response["Attributes"]["begun"]["N"])

    def end(self, shard: str, sequence: str) -> None:
        """Record that all attempts on the record so far are over, this one in good order."""
        with io(f"end the attempts on {shard} {sequence}"):
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": f"attempts#{shard}"}, "sk": {"S": sequence}},
                UpdateExpression="SET begun = :none",
                ExpressionAttributeValues={":none": {"N": "0"}},
            )


def _blocks_after(table: str, partition: int, number: int) -> dict[str, Any]:
    return {
        "TableName": table,
        "KeyConditionExpression": "pk = :pk AND sk BETWEEN :low AND :high",
        "ExpressionAttributeValues": {
            ":pk": {"S": partition_pk(partition)},
            ":low": {"S": block_sk(number + 1)},
            ":high": {"S": BLOCK_PREFIX + "9" * 12},
        },
        "ConsistentRead": True,
    }


def _projected(query: dict[str, Any], attribute: str) -> dict[str, Any]:
    return {**query, "ProjectionExpression": "#a", "ExpressionAttributeNames": {"#a": attribute}}


def _commit(client: DynamoDBClient, table: str, item: Item) -> None:
    name = f"{item['pk']['S']} {item['sk']['S']}"
    with io(f"commit {name}"):
        try:
            client.put_item(
                TableName=table,
                Item=item,
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if code_of(error) != CONDITION_FAILED:
                raise
            # The response to an earlier attempt may have been lost: then what is there is this block.
            if error.response.get("Item") != item:
                raise BlockExistsError(f"{name} exists") from error


def block_to_item(block: Block, kept_days: int = KEPT_DAYS) -> dict[str, AttributeValueTypeDef]:
    """Return a block as an item of stock-windows that expires after `kept_days`."""
    return {
        "pk": {"S": partition_pk(block.partition)},
        "sk": {"S": block_sk(block.number)},
        "arrival_ms": {"N": str(block.arrival_ms)},
        "spans": {"S": json.dumps(block.spans, separators=(",", ":"))},
        "digests": {"S": " ".join(block.digests)},
        "threshold": {"S": block.threshold},
        "detector_version": {"N": str(block.detector_version)},
        "sources": {"S": _counts_to_json(block.sources)},
        "totals": {"S": _counts_to_json(block.totals)},
        "snapshot": {"N": str(block.snapshot)},
        "columns": {"B": block.packed},
        "expires_at": {"N": str(block.arrival_ms // 1000 + kept_days * 86_400)},
    }


def block_from_item(item: Item) -> Block:
    """Return the block that `block_to_item` wrote."""
    return Block(
        partition=int(item["pk"]["S"].partition("#")[2]),
        number=int(item["sk"]["S"].rpartition("#")[2]),
        arrival_ms=int(item["arrival_ms"]["N"]),
        spans=_spans(item["spans"]["S"]),
        digests=tuple(item["digests"]["S"].split()),
        threshold=item["threshold"]["S"],
        detector_version=int(item["detector_version"]["N"]),
        sources=_counts_from_json(item["sources"]["S"]),
        totals=_counts_from_json(item["totals"]["S"]),
        snapshot=int(item["snapshot"]["N"]),
        packed=bytes(item["columns"]["B"]),
    )


def _spans(text: str) -> dict[str, OffsetSpan]:
    return {
        lane: OffsetSpan(StreamOffset(*first), StreamOffset(*last))
        for lane, (first, last) in json.loads(text).items()
    }


def _counts_to_json(counts: Mapping[str, TickCounts]) -> str:
    return json.dumps({source: of.as_dict() for source, of in counts.items()}, separators=(",", ":"))


def _counts_from_json(text: str) -> dict[str, TickCounts]:
    return {source: TickCounts(**counts) for source, counts in json.loads(text).items()}
