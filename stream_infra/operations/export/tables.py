"""What can be exported: for each table its columns, and its rows in parts that an interrupted export goes on after."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from api.alerts import incident_row
from consumers.alerts.places import days_between
from consumers.alerts.store import AlertStore
from consumers.contracts.anomaly import from_item, iso_ms, to_json
from producers.archive import ALL, folder_of
from producers.origin import origin_of
from stream_infra.operations.errors import FailedError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

TableName = Literal["anomalies", "quotes", "incidents"]
Type = Literal["string", "integer", "number", "boolean", "json"]
Row = dict[str, Any]
_LONGEST_SCAN_MS = 600_000
"""An object of the archive is named by the start of its scan; ticks of it are at most so much later."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that are written together; parts of a table are sorted by `name`."""

    name: str
    rows: Callable[[], Iterator[Row]]


@dataclass(frozen=True, slots=True)
class ExportSpan:
    """From when (inclusive) to when (exclusive), epoch ms UTC, and which tickers; none named: all."""

    since_ms: int
    until_ms: int
    tickers: tuple[str, ...] = ()

    def has(self, ts_ms: int, ticker: str) -> bool:
        """Return whether something of a ticker at a time is in it."""
        return self.since_ms <= ts_ms < self.until_ms and (not self.tickers or ticker in self.tickers)


COLUMNS: dict[TableName, dict[str, Type]] = {
    "anomalies": {
        "id": "string", "source": "string", "origin": "string", "ticker": "string", "timestamp": "string",
        "date": "string", "kind": "string", "severity": "string", "score": "number", "threshold": "number",
        "value": "number", "expected": "number", "tolerance": "number", "direction": "string", "late": "boolean",
        "explanation": "string", "window": "json",
    },
    "quotes": {
        "ts": "integer", "symbol": "string", "price": "number", "bid": "number", "ask": "number",
        "day_volume": "number", "quote_ts": "integer",
    },
    "incidents": {
        "id": "string", "origin": "string", "subject": "string", "state": "string", "severity": "string",
        "opened_at": "string", "last_at": "string", "resolved_at": "string", "acknowledged_by": "string",
        "acknowledged_until": "string", "late": "boolean", "anomaly_count": "integer", "open_count": "integer",
        "anomalies": "json", "tickers": "json", "context": "json", "messages": "json", "unsent": "string",
    },
}  # fmt: skip
"""Columns of each table, and what they hold; null where something is unknown."""


def anomalies(client: DynamoDBClient, table: str, span: ExportSpan) -> Iterator[Part]:
    """Yield the anomalies of a span, a part a UTC day, by their times."""
    for day in _days(span):
        yield Part(day, partial(_anomalies_of, client, table, span, day))


def _anomalies_of(client: DynamoDBClient, table: str, span: ExportSpan, day: str) -> Iterator[Row]:
    pages = client.get_paginator("query").paginate(
        TableName=table,
        IndexName="DateIndex",
        KeyConditionExpression="#date = :day AND #timestamp BETWEEN :low AND :high",
        ExpressionAttributeNames={"#date": "date", "#timestamp": "timestamp"},
        ExpressionAttributeValues={
            ":day": {"S": day},
            # The sort key is `<ISO ms>#<kind>`: a bare instant sorts before every key of that instant.
            ":low": {"S": iso_ms(span.since_ms)},
            ":high": {"S": iso_ms(span.until_ms)},
        },
    )
    for page in pages:
        for item in page["Items"]:
            anomaly = from_item(item)
            if not span.tickers or anomaly.ticker in span.tickers:
                row = {**to_json(anomaly), "origin": origin_of(anomaly.source)}
                yield {name: row[name] for name in COLUMNS["anomalies"]}


def incidents(store: AlertStore, span: ExportSpan, now_ms: int) -> Iterator[Part]:
    """Yield the incidents that began in a span, a part a UTC day, as they are at `now_ms`."""
    for day in _days(span):
        yield Part(day, partial(_incidents_of, store, span, day, now_ms))


def _incidents_of(store: AlertStore, span: ExportSpan, day: str, now_ms: int) -> Iterator[Row]:
    midnight_ms = _midnight_ms(day)
    first_ms, last_ms = max(span.since_ms, midnight_ms), min(span.until_ms, midnight_ms + 86_400_000) - 1
    for incident in store.incidents(first_ms, last_ms):
        if not span.tickers or incident.subject in span.tickers:
            yield incident_row(incident, now_ms)


def quotes(client: S3Client, bucket: str, span: ExportSpan) -> Iterator[Part]:
    """Yield the ticks of the raw archive, a part an object: by day, then ticker, then scan."""
    folders = [*map(folder_of, span.tickers), ALL] if span.tickers else _folders(client, bucket)
    for day in _days(ExportSpan(span.since_ms - _LONGEST_SCAN_MS, span.until_ms)):
        for folder in sorted(f"{folder}/" for folder in folders):  # in the order of their keys
            prefix = f"raw-data/{folder}{day.replace('-', '/')}/"
            for key in _keys(client, bucket, prefix):
                yield Part(f"{day} {key}", partial(_ticks_of, client, bucket, key, span))


def _folders(client: S3Client, bucket: str) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="raw-data/", Delimiter="/")
    found = [one["Prefix"] for page in pages for one in page.get("CommonPrefixes", [])]
    return [prefix.removeprefix("raw-data/").rstrip("/") for prefix in found]


def _keys(client: S3Client, bucket: str, prefix: str) -> Iterator[str]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for one in page.get("Contents", []):
            yield one["Key"]


def _ticks_of(client: S3Client, bucket: str, key: str, span: ExportSpan) -> Iterator[Row]:
    body = client.get_object(Bucket=bucket, Key=key)["Body"]
    try:
        with gzip.open(body) as lines:
            for line in lines:
                tick = json.loads(line)
                if span.has(tick["ts"], tick["symbol"]):
                    yield tick
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        said = f"s3://{bucket}/{key} cannot be read: {type(error).__name__}: {error}"
        raise FailedError(f"{said}; the same command goes on before it") from error


def _days(span: ExportSpan) -> Sequence[str]:
    return days_between(max(0, span.since_ms), max(0, span.until_ms - 1))


def _midnight_ms(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000
