"""What a proof leaves in tables and buckets, found and deleted.

What stays is said in docs/runbook.md: the blocks that count every tick (15 days), the window (a day), and the events in
the archive of the bus (14 days).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from consumers.alerts.places import group_place, incident_place, message_place, record_place
from consumers.alerts.table import Delete, DynamoTable, Place
from consumers.stores.charts import bars_pks, live_pk
from stream_infra import names
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.verify.sent import TICKER, Sent

ORIGIN = "verify"


def find(endpoints: Endpoints, sent: Sent, test_ms: int | None, key: str) -> list[str]:
    """Return what is still there of a proof, for people."""
    return [what for what, _ in _all(endpoints, sent, test_ms, key)]


def delete(endpoints: Endpoints, sent: Sent, test_ms: int | None, key: str) -> None:
    """Delete all that a proof left.

    Parameters
    ----------
    test_ms
        When the test message was asked for; None if it was not.
    key
        Key of the failed batch in the data bucket.
    """
    for _, remove in _all(endpoints, sent, test_ms, key):
        remove()


def _all(endpoints: Endpoints, sent: Sent, test_ms: int | None, key: str) -> Iterator[tuple[str, Any]]:
    dynamodb = endpoints.client("dynamodb")
    found = _anomalies(dynamodb, sent)
    yield from _alerts(dynamodb, [sent.anomaly, *(item["id"]["S"] for item in found)], test_ms)
    for item in found:
        yield _item(dynamodb, names.ANOMALIES_TABLE, {name: item[name] for name in ("ticker", "timestamp")})
    yield from _charts(dynamodb)
    yield from _objects(endpoints, key)


def _anomalies(dynamodb: Any, sent: Sent) -> list[Any]:
    """Return all that were found in its ticks: a low threshold finds more than one."""
    pages = dynamodb.get_paginator("query").paginate(
        TableName=names.ANOMALIES_TABLE,
        KeyConditionExpression="ticker = :ticker",
        FilterExpression="#s = :source",
        ExpressionAttributeNames={"#s": "source", "#t": "timestamp", "#i": "id"},
        ExpressionAttributeValues={":ticker": {"S": TICKER}, ":source": {"S": sent.source}},
        ProjectionExpression="ticker, #t, #i",
        ConsistentRead=True,
    )
    return [item for page in pages for item in page["Items"]]


def _charts(dynamodb: Any) -> Iterator[tuple[str, Any]]:
    for pk in (live_pk(ORIGIN), *bars_pks(ORIGIN, TICKER)):
        pages = dynamodb.get_paginator("query").paginate(
            TableName=names.CHARTS_TABLE,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": pk}},
            ProjectionExpression="pk, sk",
            ConsistentRead=True,
        )
        for item in [item for page in pages for item in page["Items"]]:
            yield _item(dynamodb, names.CHARTS_TABLE, {"pk": item["pk"], "sk": item["sk"]})


def _alerts(dynamodb: Any, anomalies: list[str], test_ms: int | None) -> Iterator[tuple[str, Any]]:
    table = DynamoTable(dynamodb, names.ALERTS_TABLE)
    for place in dict.fromkeys(_alert_places(table, anomalies, test_ms)):
        if table.read([place]):
            yield " ".join((names.ALERTS_TABLE, *place)), _removal(table, place)


def _alert_places(table: DynamoTable, anomalies: list[str], test_ms: int | None) -> Iterator[Place]:
    records = [record_place(anomaly) for anomaly in anomalies]
    for found in table.read(records).values():
        incident = str(json.loads(found.body)["incident"])
        yield incident_place(incident)
        yield from (item.place for item in table.query("due") if item.place[1].endswith(f"#{incident}"))
    yield from records
    yield group_place(ORIGIN, TICKER)
    yield from (item.place for item in table.query(f"moves#{ORIGIN}"))
    if test_ms is not None:
        pk, sk = message_place(f"test-{test_ms}", test_ms)
        for of in (pk, "pending"):
            yield from (item.place for item in table.query(of, after=sk, until=f"{sk}~"))


def _objects(endpoints: Endpoints, key: str) -> Iterator[tuple[str, Any]]:
    s3, bucket = endpoints.client("s3"), names.data_bucket(endpoints.account())
    found = s3.list_object_versions(Bucket=bucket, Prefix=key)
    for version in [*found.get("Versions", []), *found.get("DeleteMarkers", [])]:
        yield f"s3://{bucket}/{key}", _version(s3, bucket, key, version["VersionId"])


def _version(s3: Any, bucket: str, key: str, version: str) -> Any:
    return lambda: s3.delete_object(Bucket=bucket, Key=key, VersionId=version)


def _item(dynamodb: Any, table: str, key: dict[str, Any]) -> tuple[str, Any]:
    what = " ".join((table, *(next(iter(value.values())) for value in key.values())))
    return what, lambda: dynamodb.delete_item(TableName=table, Key=key)


def _removal(table: DynamoTable, place: Place) -> Any:
    return lambda: table.write([Delete(place)])
