"""Restoring a table into a new one, comparing the two, and bringing back what one of them lacks."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from stream_infra.operations.errors import FailedError, InputError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = Mapping[str, Any]
Sleep = Callable[[float], None]
_BATCH = 25
_POLL_SECONDS = 2.0
_LIMIT_SECONDS = 3 * 3600.0
"""A restore takes minutes, for large tables up to hours (DynamoDB guide, "Restoring a table")."""


@dataclass(frozen=True)
class Fingerprint:
    """What a table holds: how many items, and a checksum that does not depend on their order."""

    count: int
    checksum: str


@dataclass(frozen=True)
class Comparison:
    """Two tables, `source` and `target`, side by side.

    Attributes
    ----------
    missing
        Items of the source that the target lacks.
    different
        Items that both have, with other content.
    extra
        Items that only the target has.
    """

    source: Fingerprint
    target: Fingerprint
    missing: int
    different: int
    extra: int

    @property
    def equal(self) -> bool:
        """Whether both hold the same items."""
        return self.source == self.target

    def as_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return {**asdict(self), "equal": self.equal}


def fingerprint(items: Iterable[Item]) -> Fingerprint:
    """Count, and the sum of the items' SHA-256 modulo 2**256."""
    count = total = 0
    for item in items:
        count += 1
        total = (total + int(_digest(item), 16)) % (1 << 256)
    return Fingerprint(count, f"{total:064x}")


def _digest(item: Item) -> str:
    text = json.dumps(item, sort_keys=True, separators=(",", ":"), default=lambda value: bytes(value).hex())
    return hashlib.sha256(text.encode()).hexdigest()


def items_of(dynamodb: DynamoDBClient, table: str) -> Iterator[Item]:
    """Every item of a table, strongly consistent."""
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        yield from page["Items"]


def compare(dynamodb: DynamoDBClient, source: str, target: str) -> Comparison:
    """Return what two tables with the same keys hold, and where they differ."""
    keys = _keys(dynamodb, source)
    ours = {_key(item, keys): _digest(item) for item in items_of(dynamodb, source)}
    theirs = {_key(item, keys): _digest(item) for item in items_of(dynamodb, target)}
    both = ours.keys() & theirs.keys()
    return Comparison(
        _of_digests(ours.values()),
        _of_digests(theirs.values()),
        missing=len(ours.keys() - theirs.keys()),
        different=sum(ours[key] != theirs[key] for key in both),
        extra=len(theirs.keys() - ours.keys()),
    )


def _of_digests(digests: Iterable[str]) -> Fingerprint:
    values = [int(digest, 16) for digest in digests]
    return Fingerprint(len(values), f"{sum(values) % (1 << 256):064x}")


def _keys(dynamodb: DynamoDBClient, table: str) -> tuple[str, ...]:
    schema = dynamodb.describe_table(TableName=table)["Table"]["KeySchema"]
    return tuple(key["AttributeName"] for key in schema)


def _key(item: Item, keys: tuple[str, ...]) -> str:
    return json.dumps([item[name] for name in keys], sort_keys=True)


def back_up(dynamodb: DynamoDBClient, table: str, name: str, sleep: Sleep = time.sleep) -> str:
    """Make an on-demand backup; return its ARN once it is available."""
    arn = dynamodb.create_backup(TableName=table, BackupName=name)["BackupDetails"]["BackupArn"]

    def status() -> str:
        found = dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]
        return found["BackupDetails"]["BackupStatus"]

    _until(status, "AVAILABLE", f"the backup {name}", sleep)
    return arn


def restore(
    dynamodb: DynamoDBClient,
    source: str,
    target: str,
    *,
    backup: str | None = None,
    at: datetime | None = None,
    sleep: Sleep = time.sleep,
) -> None:
    """Restore `source` into the new table `target`: from a backup, or as of `at`, or as of now.

    AWS restores no setting of point-in-time recovery, which is set here, nor one of expiry: nothing of it expires.

    Raises
    ------
    InputError
        The target exists already, or both `backup` and `at` are given.
    FailedError
        It did not become active.
    """
    if backup and at:
        raise InputError("both --backup and --at are given", allowed="one of them")
    try:
        if backup:
            dynamodb.restore_table_from_backup(TargetTableName=target, BackupArn=backup)
        elif at:
            dynamodb.restore_table_to_point_in_time(
                SourceTableName=source, TargetTableName=target, RestoreDateTime=at
            )
        else:
            dynamodb.restore_table_to_point_in_time(
                SourceTableName=source, TargetTableName=target, UseLatestRestorableTime=True
            )
    except dynamodb.exceptions.TableAlreadyExistsException as error:
        raise InputError(f"the table {target} exists already: choose another name") from error
    _until(lambda: _status(dynamodb, target), "ACTIVE", f"the table {target}", sleep)
    _until(lambda: _kept(dynamodb, target), "kept", f"the point-in-time recovery of {target}", sleep)


def _kept(dynamodb: DynamoDBClient, table: str) -> str:
    """Let a table be restored to any moment; soon after a table is made, DynamoDB rejects that for a while.

    API reference, UpdateContinuousBackups: ContinuousBackupsUnavailableException, "Backups have not yet been enabled".
    """
    try:
        dynamodb.update_continuous_backups(
            TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
    except dynamodb.exceptions.ContinuousBackupsUnavailableException:
        return "not there yet"
    return "kept"


def _status(dynamodb: DynamoDBClient, table: str) -> str:
    return dynamodb.describe_table(TableName=table)["Table"]["TableStatus"]


def _until(look: Callable[[], str], wanted: str, what: str, sleep: Sleep) -> None:
    waited = 0.0
    while (status := look()) != wanted:
        if waited >= _LIMIT_SECONDS:
            raise FailedError(f"{what} is {status} after {waited / 3600:.0f} h: see the console")
        sleep(_POLL_SECONDS)
        waited += _POLL_SECONDS


def merge(dynamodb: DynamoDBClient, source: str, target: str, *, overwrite: bool) -> int:
    """Write to `target` what `source` has and it lacks, with `overwrite` also what it has otherwise.

    Nothing that only the target has is touched: what was written since the restore stays.

    Returns
    -------
    int
        How many items were written.
    """
    keys = _keys(dynamodb, source)
    there = {_key(item, keys): _digest(item) for item in items_of(dynamodb, target)}

    def is_wanted(item: Item) -> bool:
        known = there.get(_key(item, keys))
        return known is None or (overwrite and known != _digest(item))

    wanted = [item for item in items_of(dynamodb, source) if is_wanted(item)]
    for start in range(0, len(wanted), _BATCH):
        _write(dynamodb, target, wanted[start : start + _BATCH])
    return len(wanted)


def _write(dynamodb: DynamoDBClient, table: str, items: list[Item]) -> None:
    requests: Any = {table: [{"PutRequest": {"Item": item}} for item in items]}
    while requests:
        requests = dynamodb.batch_write_item(RequestItems=requests).get("UnprocessedItems", {})
