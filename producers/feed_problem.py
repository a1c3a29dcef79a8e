"""Why a feed brings nothing, as the scanner recorded it with its last poll: the item `scan#feed` of stock-windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEY = {"pk": {"S": "scan#feed"}, "sk": {"S": "feed"}}


class FeedProblem:
    """Reads it; the item is as large as the watch list is long, so it is not read without need."""

    def __init__(self, dynamodb: DynamoDBClient, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def __call__(self, source: str) -> str:
        """Return why the last poll of a source failed; empty if it did not."""
        found = self._dynamodb.get_item(
            TableName=self._table,
            Key=KEY,
            ProjectionExpression="#source, failing",
            ExpressionAttributeNames={"#source": "source"},
        )
        item = {name: value.get("S", "") for name, value in found.get("Item", {}).items()}
        return item.get("failing", "") if item.get("source") == source else ""
