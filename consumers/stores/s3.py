"""Snapshots and quarantined records in the data bucket."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from consumers.stores.calls import code_of, io

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_s3.client import S3Client

    from consumers.decode import Quarantined

QUARANTINE_PREFIX = "quarantine/"


class SnapshotBucket:
    """Snapshots: `snapshots/<partition>/<block>`."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def get(self, partition: int, number: int) -> bytes | None:
        """The snapshot, None if there is none."""
        key = _snapshot_key(partition, number)
        with io(f"read {key}"):
            try:
                return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            except ClientError as error:
                if code_of(error) != "NoSuchKey":
                    raise
                return None

    def put(self, partition: int, number: int, data: bytes) -> None:
        """Keep a snapshot."""
        key = _snapshot_key(partition, number)
        with io(f"write {key}"):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=data)


def _snapshot_key(partition: int, number: int) -> str:
    return f"snapshots/{partition}/{number:012d}"


class QuarantineBucket:
    """Quarantined user records, one object per record of the stream and partition.

    `quarantine/<shard>/<sequence number>/<partition>.json` holds a list of objects with `shard`, `sequence`,
    `index`, `partition`, `arrival_ms`, `reason`, `rows` (the refused ones, none if it is the whole record)
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


def quarantine_key(shard: str, sequence: str, partition: int) -> str:
    """Where the quarantined user records of a record of the stream lie."""
    return f"{QUARANTINE_PREFIX}{shard}/{sequence}/{partition}.json"


def _to_json(entry: Quarantined) -> dict[str, Any]:
    return {
        "shard": entry.shard,
        "sequence": entry.sequence,
        "index": entry.index,
        "partition": entry.partition,
        "arrival_ms": entry.arrival_ms,
        "reason": entry.reason,
        "rows": [row._asdict() for row in entry.rows],
        "payload": base64.b64encode(entry.payload).decode(),
    }
