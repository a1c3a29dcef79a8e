"""Bringing back an earlier version of an object."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from stream_infra.operations.errors import FailedError, InputError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class ObjectVersion:
    """One version of an object; `size` in bytes, None for the mark of a deletion."""

    id: str
    at: datetime
    size: int | None
    latest: bool


def versions(s3: S3Client, bucket: str, key: str) -> list[ObjectVersion]:
    """All versions of an object, the newest first."""
    found: list[ObjectVersion] = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
        found += [
            ObjectVersion(item["VersionId"], item["LastModified"], item["Size"], item["IsLatest"])
            for item in page.get("Versions", [])
            if item["Key"] == key
        ]
        found += [
            ObjectVersion(item["VersionId"], item["LastModified"], None, item["IsLatest"])
            for item in page.get("DeleteMarkers", [])
            if item["Key"] == key
        ]
    return sorted(found, key=lambda version: (version.latest, version.at), reverse=True)


def restore(s3: S3Client, bucket: str, key: str, version: str | None) -> tuple[str, str]:
    """Make `version`, or the one before the newest, the newest; return its id and its SHA-256.

    Raises
    ------
    InputError
        There is no such object or version.
    FailedError
        What is there now is not what was to be restored.
    """
    known = versions(s3, bucket, key)
    older = [found for found in known if not found.latest and found.size is not None]
    chosen = [found for found in known if found.id == version] if version else older[:1]
    if not chosen or chosen[0].size is None:
        ids = ", ".join(found.id for found in older) or "none"
        raise InputError(f"s3://{bucket}/{key}: no earlier version {version or ''}; there are: {ids}")
    s3.copy_object(
        Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": key, "VersionId": chosen[0].id}
    )
    wanted = s3.get_object(Bucket=bucket, Key=key, VersionId=chosen[0].id)["Body"].read()
    there = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    if there != wanted:
        raise FailedError(f"s3://{bucket}/{key} is not what version {chosen[0].id} holds: try again")
    return chosen[0].id, hashlib.sha256(there).hexdigest()
