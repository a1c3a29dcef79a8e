"""The table stock-anomalies: keys ticker and timestamp (see `contracts.anomaly.sort_key`)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from consumers.contracts.anomaly import from_item, to_item
from consumers.stores.calls import CONDITION_FAILED, code_of, io, put_items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mypy_boto3_dynamodb.client import DynamoDBClient

    from consumers.contracts.anomaly import Anomaly


class AnomalyTable:
    """The anomalies."""

    def __init__(
        self, client: DynamoDBClient, table: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._table = table
        self._sleep = sleep

    def put(self, anomalies: Sequence[Anomaly]) -> None:
        """Write anomalies; writing one again changes nothing."""
        # A batch with the same key twice is rejected.
        by_key = {(anomaly.ticker, anomaly.timestamp): anomaly for anomaly in reversed(anomalies)}
        items = [to_item(anomaly) for anomaly in reversed(by_key.values())]
        put_items(self._client, self._table, items, "anomalies", self._sleep)

    def put_late(self, anomalies: Sequence[Anomaly]) -> list[Anomaly]:
        """Write anomalies where there are none; return those that are there as late ones now."""
        return [anomaly for anomaly in anomalies if self._put_if_absent(anomaly) or self._is_late(anomaly)]

    def found_on(self, day: str) -> Iterator[Anomaly]:
        """Yield the anomalies of a UTC day, by their times."""
        with io(f"read the anomalies of {day}"):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                IndexName="DateIndex",
                KeyConditionExpression="#date = :day",
                ExpressionAttributeNames={"#date": "date"},
                ExpressionAttributeValues={":day": {"S": day}},
            )
            for page in pages:
                yield from map(from_item, page["Items"])

    def _is_late(self, anomaly: Anomaly) -> bool:
        with io(f"read anomaly {anomaly.id}"):
            response = self._client.get_item(
                TableName=self._table,
                Key={"ticker": {"S": anomaly.ticker}, "timestamp": {"S": anomaly.timestamp}},
                ConsistentRead=True,
            )
        return "Item" in response and from_item(response["Item"]).late

    def _put_if_absent(self, anomaly: Anomaly) -> bool:
        """Return whether it was written: not if one is there."""
        with io(f"write anomaly {anomaly.id}"):
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item=to_item(anomaly),
                    ConditionExpression="attribute_not_exists(ticker)",
                )
            except ClientError as error:
                if code_of(error) != CONDITION_FAILED:
                    raise
                return False
            return True
