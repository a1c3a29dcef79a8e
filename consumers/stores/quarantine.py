"""Quarantined records in the data bucket."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from consumers.stores.calls import code_of, io
from consumers.stream.records import Quarantined
from producers.quote_batch import RejectedRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypy_boto3_s3.client import S3Client

QUARANTINE_PREFIX = "quarantine/"


class QuarantineBucket:
    """Quarantined user records, one object per record of the stream and partition.

    `quarantine/<shard>/<sequence number>/<partition>.json` holds a list of objects with `shard`, `sequence`,
    `index`, `partition`, `arrival_ms`, `reason`, `rows` (the rejected ones, none if it is the whole record)
    and `payload` (base64).
    """

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, entries: Sequence[Quarantined]) -> None:
        """Keep entries; keeping one again changes nothing."""
        objects: dict[str, list[Quarantined]] = defaultdict(list)
        for entry in entries:
            objects[quarantine_key(entry.shard, entry.sequence, entry.partition)].append(entry)
        for key, of_record in objects.items():
            body = json.dumps([_to_json(entry) for entry in of_record]).encode()
            with io(f"write {key}"):
                self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=body, ContentType="application/json"
                )

    def entries(self) -> Iterator[Quarantined]:
        """Yield all entries, by shard, sequence number and partition."""
        for page in self._pages():
            for item in page.get("Contents", []):
                yield from self._read(item["Key"])

    def replace(self, entry: Quarantined, by: Quarantined | None) -> None:
        """Keep `by` in place of an entry, or take it out."""
        key = quarantine_key(entry.shard, entry.sequence, entry.partition)
        others = [of for of in self._read(key) if of.index != entry.index]
        kept = sorted([*others, *([by] if by else [])], key=lambda of: of.index)
        if kept:
            self.put(kept)
            return
        with io(f"delete {key}"):
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def _pages(self) -> Iterator[Any]:
        with io(f"list {QUARANTINE_PREFIX}"):
            yield from self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=QUARANTINE_PREFIX
            )

    def _read(self, key: str) -> list[Quarantined]:
        with io(f"read {key}"):
            try:
                body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            except ClientError as error:
                if code_of(error) != "NoSuchKey":
                    raise
                return []
        return [_from_json(entry) for entry in json.loads(body)]


def quarantine_key(shard: str, sequence: str, partition: int) -> str:
    """Return where the quarantined user records of a record of the stream lie."""
    return f"{QUARANTINE_PREFIX}{shard}/{sequence}/{partition}.json"


def _from_json(entry: Any) -> Quarantined:
    rows = tuple(RejectedRow(**row) for row in entry["rows"])
    return Quarantined(**{**entry, "rows": rows, "payload": base64.b64decode(entry["payload"])})


def _to_json(entry: Quarantined) -> dict[str, Any]:
    rows = [row._asdict() for row in entry.rows]
    return {**asdict(entry), "rows": rows, "payload": base64.b64encode(entry.payload).decode()}
