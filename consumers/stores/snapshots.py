"""Snapshots of partitions' states in the data bucket: `snapshots/<partition>/<block>`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from consumers.stores.calls import code_of, io

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


class SnapshotBucket:
    """Snapshots: `snapshots/<partition>/<block>`."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def get(self, partition: int, number: int) -> bytes | None:
        """Return the snapshot, None if there is none."""
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
