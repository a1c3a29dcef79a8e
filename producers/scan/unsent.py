"""Records that the stream did not take in time: kept in S3 byte for byte, and sent first by the next scan.

Keys: `unsent/<stored, epoch ms>-<number>-p<partition>of<partitions>-t<ticks>.kpl`; they sort in the order
in which they must be sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from producers.errors import MonitorError
from producers.publisher import Aggregate

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "unsent/"
_KEY = re.compile(rf"{PREFIX}\d+-\d+-p(\d+)of(\d+)-t(\d+)\.kpl")


class UnsentError(MonitorError):
    """What lies under `unsent/` cannot be sent as it is; says which object, why and what to do."""


class UnsentStore:
    """The records that wait in the bucket."""

    def __init__(self, client: S3Client, bucket: str, partitions: int) -> None:
        self._client = client
        self._bucket = bucket
        self._partitions = partitions

    def load(self) -> list[Aggregate]:
        """Return all records that wait, in the order in which they must be sent.

        Raises
        ------
        UnsentError
            If an object was stored for another number of partitions, or is no such record.
        """
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=PREFIX)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return [self._aggregate(key) for key in sorted(keys)]

    def store(self, aggregates: Iterable[Aggregate], now_ms: int) -> list[Aggregate]:
        """Store what is not in the bucket yet; return all of them, with the keys under which they are stored."""
        stored = []
        for number, aggregate in enumerate(aggregates):
            kept = aggregate
            if aggregate.stored_as is None:
                key = (
                    f"{PREFIX}{now_ms:013d}-{number:05d}"
                    f"-p{aggregate.partition}of{self._partitions}-t{aggregate.ticks}.kpl"
                )
                self._client.put_object(Bucket=self._bucket, Key=key, Body=aggregate.data)
                kept = replace(aggregate, stored_as=key)
            stored.append(kept)
        return stored

    def forget(self, sent: Iterable[Aggregate]) -> None:
        """Remove what has been sent."""
        for aggregate in sent:
            if aggregate.stored_as is not None:
                self._client.delete_object(Bucket=self._bucket, Key=aggregate.stored_as)

    def _aggregate(self, key: str) -> Aggregate:
        match = _KEY.fullmatch(key)
        if match is None:
            raise UnsentError(f"s3://{self._bucket}/{key} is no unsent record: move it out of {PREFIX}")
        partition, partitions, ticks = map(int, match.groups())
        if partitions != self._partitions:
            raise UnsentError(
                f"s3://{self._bucket}/{key} was stored for {partitions} partitions and there are"
                f" {self._partitions} now: the number of partitions changes only by a migration"
            )
        data = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return Aggregate(partition, data, ticks, stored_as=key)
