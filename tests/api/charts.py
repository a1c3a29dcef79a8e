"""Last quotes and bars in the chart table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.contracts.anomaly import iso_ms
from consumers.contracts.charts import Bar, LastQuote
from consumers.stores.charts import bar_attribute, bar_to_attribute, bars_pk, live_pk
from tests.api.client import NOW_MS
from tests.last_quotes import pack_quotes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef


MINUTE_MS = NOW_MS // 60_000 * 60_000


def bar(minute_ms: int, close: float = 100.0) -> Bar:
    return Bar(minute_ms, 99.0, 101.0, 98.5, close, 1200.0, 12, 99.9, 100.1)


def last_quote(symbol: str, age_ms: int, previous_close: float | None = 100.0) -> LastQuote:
    minute = bar(MINUTE_MS, close=101.0)
    return LastQuote(symbol, NOW_MS - age_ms, 101.0, 100.9, 101.1, 5e6, 99.0, previous_close, minute)


def put_quotes(dynamodb: DynamoDBClient, origin: str, *quotes: LastQuote) -> None:
    item: dict[str, AttributeValueTypeDef] = {
        "pk": {"S": live_pk(origin)},
        "sk": {"S": "0"},
        "columns": {"B": pack_quotes(quotes)},
    }
    dynamodb.put_item(TableName="stock-charts", Item=item)


def put_bar(dynamodb: DynamoDBClient, origin: str, symbol: str, bar: Bar) -> None:
    dynamodb.put_item(
        TableName="stock-charts",
        Item={
            "pk": {"S": bars_pk(origin, symbol)},
            "sk": {"S": iso_ms(bar.minute_ms)},
            bar_attribute(symbol): bar_to_attribute(bar),
        },
    )
