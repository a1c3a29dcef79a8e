"""Blocks and attempts in stock-windows, anomalies in stock-anomalies, charts in stock-charts."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from consumers.contracts.anomaly import from_item, iso_ms, to_item
from consumers.detector.ports import BlockExistsError, IOFailedError
from consumers.stores.calls import BACKOFF_SECONDS, code_of, io
from consumers.stores.charts import KEPT_SECONDS as CHARTS_KEPT_SECONDS
from consumers.stores.charts import bar_attribute, bar_to_attribute, bars_pk, live_pk
from consumers.stores.ledger import BLOCK_PREFIX, Counts, block_sk, partition_pk
from consumers.stream.rows import Position
from consumers.windows.state import Block
from producers.origin import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mypy_boto3_dynamodb.client import DynamoDBClient

    from consumers.contracts.anomaly import Anomaly
    from consumers.stores.charts import Bar

# The dead-letter queue keeps a message for 14 days, and its redrive needs the blocks of that time.
BLOCKS_KEPT_SECONDS = 15 * 86_400
ATTEMPTS_KEPT_SECONDS = 86_400
_BATCH_WRITE_ITEMS = 25
_BARS_PER_UPDATE = 100
LATE_PREFIX = "late#"
_CONDITION_FAILED = "ConditionalCheckFailedException"


class BlockTable:
    """The blocks: pk `partition#<n>`, sk `block#<number>`."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def last(self, partition: int) -> Block | None:
        """The newest block; strongly consistent."""
        with io(f"read the newest block of partition {partition}"):
            answer = self._client.query(**self._query(partition, 0), ScanIndexForward=False, Limit=1)
        return next((block_from_item(item) for item in answer["Items"]), None)

    def get(self, partition: int, number: int) -> Block | None:
        """The block of that number, None if there is none; strongly consistent."""
        with io(f"read block {number} of partition {partition}"):
            answer = self._client.get_item(
                TableName=self._table,
                Key={"pk": {"S": partition_pk(partition)}, "sk": {"S": block_sk(number)}},
                ConsistentRead=True,
            )
        return block_from_item(answer["Item"]) if "Item" in answer else None

    def after(self, partition: int, number: int) -> Iterator[Block]:
        """The blocks after block `number`, in order; strongly consistent."""
        query = self._query(partition, number)
        # Each invocation asks, mostly for nothing: a paginator would cost as much as the call.
        while query.get("ExclusiveStartKey", True):
            with io(f"read the blocks of partition {partition} after {number}"):
                page = self._client.query(**query)
            yield from map(block_from_item, page["Items"])
            query["ExclusiveStartKey"] = page.get("LastEvaluatedKey")

    def put(self, block: Block) -> None:
        """Commit a block; raises `BlockExistsError` if another one of its number is there."""
        _commit(self._client, self._table, block_to_item(block))

    def _query(self, partition: int, after: int) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :low AND :high",
            "ExpressionAttributeValues": {
                ":pk": {"S": partition_pk(partition)},
                ":low": {"S": block_sk(after + 1)},
                ":high": {"S": BLOCK_PREFIX + "9" * 12},
            },
            "ConsistentRead": True,
        }


class LateBlockTable:
    """Late blocks: pk `partition#<n>`, sk `late#<number of the block they go on from>#<number>`."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def after(self, partition: int, number: int) -> Iterator[Block]:
        """The late blocks that go on from block `number`, in order; strongly consistent."""
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :sk)",
            "ExpressionAttributeValues": {
                ":pk": {"S": partition_pk(partition)},
                ":sk": {"S": f"{LATE_PREFIX}{number:012d}#"},
            },
            "ConsistentRead": True,
        }
        with io(f"read the late blocks of partition {partition} after {number}"):
            for page in self._client.get_paginator("query").paginate(**query):
                yield from map(block_from_item, page["Items"])

    def put(self, number: int, block: Block) -> None:
        """Commit a late block that goes on from block `number`; raises `BlockExistsError` if there is one."""
        item = block_to_item(block)
        item["sk"] = {"S": f"{LATE_PREFIX}{number:012d}#{block.number:012d}"}
        _commit(self._client, self._table, item)


def _commit(client: DynamoDBClient, table: str, item: dict[str, Any]) -> None:
    with io(f"commit {item['pk']['S']} {item['sk']['S']}"):
        try:
            client.put_item(
                TableName=table,
                Item=item,
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if code_of(error) != _CONDITION_FAILED:
                raise
            # The answer to an earlier attempt may have been lost: then what is there is this block.
            if error.response.get("Item") != item:
                raise BlockExistsError(f"{item['pk']['S']} {item['sk']['S']}") from error


def block_to_item(block: Block) -> dict[str, Any]:
    """A block as an item of stock-windows."""
    first, last = block.positions
    return {
        "pk": {"S": partition_pk(block.partition)},
        "sk": {"S": block_sk(block.number)},
        "arrival_ms": {"N": str(block.arrival_ms)},
        "shard": {"S": block.shard},
        "first": {"S": f"{first.sequence}:{first.offset}"},
        "last": {"S": f"{last.sequence}:{last.offset}"},
        "digests": {"S": " ".join(block.digests)},
        "threshold": {"S": block.threshold},
        "detector_version": {"N": str(block.detector_version)},
        "sources": {"S": _counts_to_json(block.sources)},
        "totals": {"S": _counts_to_json(block.totals)},
        "snapshot": {"N": str(block.snapshot)},
        "columns": {"B": block.packed},
        "expires_at": {"N": str(block.arrival_ms // 1000 + BLOCKS_KEPT_SECONDS)},
    }


def block_from_item(item: Any) -> Block:
    """The block that `block_to_item` wrote."""
    return Block(
        partition=int(item["pk"]["S"].partition("#")[2]),
        number=int(item["sk"]["S"].rpartition("#")[2]),
        arrival_ms=int(item["arrival_ms"]["N"]),
        shard=item["shard"]["S"],
        positions=(_position(item["first"]["S"]), _position(item["last"]["S"])),
        digests=tuple(item["digests"]["S"].split()),
        threshold=item["threshold"]["S"],
        detector_version=int(item["detector_version"]["N"]),
        sources=_counts_from_json(item["sources"]["S"]),
        totals=_counts_from_json(item["totals"]["S"]),
        snapshot=int(item["snapshot"]["N"]),
        packed=bytes(item["columns"]["B"]),
    )


def _position(text: str) -> Position:
    sequence, _, offset = text.rpartition(":")
    return Position(sequence, int(offset))


def _counts_to_json(counts: Any) -> str:
    return json.dumps({source: of.as_dict() for source, of in counts.items()}, separators=(",", ":"))


def _counts_from_json(text: str) -> dict[str, Counts]:
    return {source: Counts(**counts) for source, counts in json.loads(text).items()}


class AttemptTable:
    """Attempts on single records: pk `attempts#<shard>`, sk `<sequence number>`."""

    def __init__(self, client: DynamoDBClient, table: str, now_ms: Callable[[], int]) -> None:
        self._client = client
        self._table = table
        self._now_ms = now_ms

    def begin(self, shard: str, sequence: str) -> int:
        """Count an attempt; answers how many are begun and not ended, this one included."""
        with io(f"count the attempts on {shard} {sequence}"):
            answer = self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": f"attempts#{shard}"}, "sk": {"S": sequence}},
                UpdateExpression="ADD begun :one SET expires_at = :expires_at",
                ExpressionAttributeValues={
                    ":one": {"N": "1"},
                    ":expires_at": {"N": str(self._now_ms() // 1000 + ATTEMPTS_KEPT_SECONDS)},
                },
                ReturnValues="UPDATED_NEW",
            )
        return int(answer["Attributes"]["begun"]["N"])

    def end(self, shard: str, sequence: str) -> None:
        """All attempts on the record so far are over, this one in good order."""
        with io(f"end the attempts on {shard} {sequence}"):
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": f"attempts#{shard}"}, "sk": {"S": sequence}},
                UpdateExpression="SET begun = :none",
                ExpressionAttributeValues={":none": {"N": "0"}},
            )


class AnomalyTable:
    """The anomalies."""

    def __init__(
        self, client: DynamoDBClient, table: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._table = table
        self._sleep = sleep

    def put(self, anomalies: Sequence[Anomaly]) -> None:
        """Write anomalies; writing one again changes nothing, nor does one of a recording change a live one."""
        live: dict[tuple[str, str], Anomaly] = {}
        for anomaly in anomalies:
            if origin_of(anomaly.source) == "replay":
                self._put_if_absent(anomaly)
            else:
                live.setdefault((anomaly.ticker, anomaly.timestamp), anomaly)
        requests = [{"PutRequest": {"Item": to_item(anomaly)}} for anomaly in live.values()]
        for start in range(0, len(requests), _BATCH_WRITE_ITEMS):
            self._write(requests[start : start + _BATCH_WRITE_ITEMS])

    def put_late(self, anomalies: Sequence[Anomaly]) -> list[Anomaly]:
        """Write anomalies where there are none; answers those that are there as late ones now."""
        return [anomaly for anomaly in anomalies if self._put_if_absent(anomaly) or self._is_late(anomaly)]

    def _is_late(self, anomaly: Anomaly) -> bool:
        with io(f"read anomaly {anomaly.id}"):
            answer = self._client.get_item(
                TableName=self._table,
                Key={"ticker": {"S": anomaly.ticker}, "timestamp": {"S": anomaly.timestamp}},
                ConsistentRead=True,
            )
        return "Item" in answer and from_item(answer["Item"]).late

    def _put_if_absent(self, anomaly: Anomaly) -> bool:
        """Whether it was written: not if one is there."""
        with io(f"write anomaly {anomaly.id}"):
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item=to_item(anomaly),
                    ConditionExpression="attribute_not_exists(ticker)",
                )
            except ClientError as error:
                if code_of(error) != _CONDITION_FAILED:
                    raise
                return False
            return True

    def _write(self, requests: Any) -> None:
        for wait in (*BACKOFF_SECONDS, None):
            with io(f"write {len(requests)} anomalies"):
                answer = self._client.batch_write_item(RequestItems={self._table: requests})
            requests = answer.get("UnprocessedItems", {}).get(self._table, [])
            if not requests:
                return
            if wait is not None:
                self._sleep(wait)
        raise IOFailedError(f"{len(requests)} anomalies stayed unprocessed by {self._table}: throttled")


class ChartTable:
    """Bars and last quotes, in the form that `consumers.stores.charts` describes and reads."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def put_bars(self, bars: Sequence[tuple[str, str, Bar]], arrival_ms: int) -> None:
        """Set closed bars in the items of their minute and group."""
        items: dict[tuple[str, int], dict[str, Bar]] = defaultdict(dict)
        for class_, symbol, bar in bars:
            items[bars_pk(class_, symbol), bar.minute_ms][symbol] = bar
        for (pk, minute_ms), of_symbols in items.items():
            sk, pairs = iso_ms(minute_ms), sorted(of_symbols.items())
            for start in range(0, len(pairs), _BARS_PER_UPDATE):
                self._set_bars(pk, sk, pairs[start : start + _BARS_PER_UPDATE], arrival_ms)

    def _set_bars(self, pk: str, sk: str, bars: Sequence[tuple[str, Bar]], arrival_ms: int) -> None:
        names = {f"#b{i}": bar_attribute(symbol) for i, (symbol, _) in enumerate(bars)}
        values: dict[str, Any] = {f":b{i}": bar_to_attribute(bar) for i, (_, bar) in enumerate(bars)}
        values[":expires_at"] = {"N": str(arrival_ms // 1000 + CHARTS_KEPT_SECONDS)}
        sets = [f"#b{i} = :b{i}" for i in range(len(bars))]
        with io(f"set {len(bars)} bars in {pk} {sk}"):
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": pk}, "sk": {"S": sk}},
                UpdateExpression=f"SET expires_at = :expires_at, {', '.join(sets)}",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )

    def put_quotes(self, origin: str, block: Block, as_of_ms: int, packed: bytes) -> None:
        """Write last quotes as of a block, unless newer ones are there."""
        with io(f"write the last quotes of partition {block.partition}"):
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item={
                        "pk": {"S": live_pk(origin)},
                        "sk": {"S": str(block.partition)},
                        "columns": {"B": packed},
                        "as_of": {"N": str(as_of_ms)},
                        "block": {"N": str(block.number)},
                        "expires_at": {"N": str(block.arrival_ms // 1000 + CHARTS_KEPT_SECONDS)},
                    },
                    # Blocks begin at 1 again where a partition was quiet for so long that all of them went.
                    ConditionExpression="attribute_not_exists(pk) OR #block <= :block OR as_of < :as_of",
                    ExpressionAttributeNames={"#block": "block"},
                    ExpressionAttributeValues={
                        ":block": {"N": str(block.number)},
                        ":as_of": {"N": str(as_of_ms)},
                    },
                )
            except ClientError as error:
                if code_of(error) != _CONDITION_FAILED:
                    raise
