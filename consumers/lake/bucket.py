"""The lake in the data bucket: one object a table and day (ticks: hour), and how far the blocks were taken in.

An object is replaced whole, on the condition that it is the one that was read: a reader sees each row once at any
moment, and of two writers the slower one fails and is run again.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from botocore.exceptions import ClientError

from consumers.lake.tables import PREFIX
from consumers.stores.calls import code_of, io

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_s3.client import S3Client

STATE_KEY = f"{PREFIX}state.json"
_DIGEST = "rows"


class LakeState(msgspec.Struct):
    """How far the lake is.

    Attributes
    ----------
    blocks
        By partition: the last block whose ticks are in the lake.
    late
        Backfill blocks whose ticks are in the lake, of those that are still there.
    days
        By UTC day of ticks: the day (by our time) on which ticks of it came last.
    swept
        The day on which all `days` were read anew.
    """

    blocks: dict[int, int] = {}
    late: list[str] = []
    days: dict[str, str] = {}
    swept: str = ""


class FoundObject(NamedTuple):
    """An object: its ETag, and the digest of the rows with which it was put, empty where a day is merged."""

    etag: str
    digest: str


class LakeBucket:
    """Reads and writes the objects of the lake."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def state(self) -> LakeState:
        """Return how far the lake is; a new one before its first run."""
        with io(f"read {STATE_KEY}"):
            try:
                body = self._client.get_object(Bucket=self._bucket, Key=STATE_KEY)["Body"].read()
            except ClientError as error:
                if code_of(error) != "NoSuchKey":
                    raise
                return LakeState()
        return msgspec.json.decode(body, type=LakeState)

    def save(self, state: LakeState) -> None:
        """Remember how far the lake is."""
        with io(f"write {STATE_KEY}"):
            self._client.put_object(Bucket=self._bucket, Key=STATE_KEY, Body=msgspec.json.encode(state))

    def head(self, key: str) -> FoundObject | None:
        """Return what is known of an object, None if it is not there."""
        with io(f"head {key}"):
            try:
                found = self._client.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if code_of(error) not in {"NoSuchKey", "404"}:
                    raise
                return None
        return FoundObject(found["ETag"], found["Metadata"].get(_DIGEST, ""))

    def fetch(self, key: str, file: Path) -> str | None:
        """Write an object into a file; return its ETag, None if it is not there."""
        with io(f"read {key}"):
            try:
                found = self._client.get_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if code_of(error) != "NoSuchKey":
                    raise
                return None
            with file.open("wb") as opened:
                shutil.copyfileobj(found["Body"], opened)
            return found["ETag"]

    def put(self, key: str, file: Path, *, instead_of: str | None, digest: str) -> None:
        """Put an object in place of the one with that ETag; None: there was none.

        S3 guide, "Conditional writes": with If-Match a write succeeds only while the ETag is the same, with
        If-None-Match only while there is no object; else it is 412, or 409 where another write is under way.

        Raises
        ------
        IOFailedError
            Somebody else put it meanwhile.
        """
        with io(f"write {key}"), file.open("rb") as body:
            if instead_of is None:
                self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*", Metadata={_DIGEST: digest}
                )
            else:
                self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=body, IfMatch=instead_of, Metadata={_DIGEST: digest}
                )
