"""What of a quarantined record can be used by now: after a repair of the decoder, say. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from consumers.stream.decode import decode_in_time, reason_of, usable_rows
from consumers.stream.records import KinesisRecord, Quarantined
from producers.quote_batch import QuoteBatchError, encode, select

if TYPE_CHECKING:
    from collections.abc import Sequence


class Requeued(NamedTuple):
    """The record to redrive, None if nothing of it can be used, and the entry that stays, None if none does."""

    record: KinesisRecord | None
    stays: Quarantined | None


def requeue(entry: Quarantined) -> Requeued:
    """Return what can be used of an entry now.

    A record that was unreadable as a whole, or that crashed the detector, is read again, whatever it is.
    """
    if not entry.rows:
        return Requeued(_record(entry, entry.payload), None)
    try:
        batch, rejected = decode_in_time(entry.payload, entry.arrival_ms)
    except QuoteBatchError as error:
        return Requeued(None, replace(entry, reason=str(error)))
    waiting = {row.row for row in entry.rows}
    usable = [i for i, row in enumerate(usable_rows(batch, rejected)) if row in waiting]
    record = _record(entry, encode(select(batch, usable, batch.missing))) if usable else None
    rows = tuple(row for row in rejected if row.row in waiting)
    return Requeued(record, replace(entry, rows=rows, reason=reason_of(rows)) if rows else None)


def remaining(entry: Quarantined, rejected: Sequence[Quarantined]) -> Quarantined | None:
    """Return what stays of a whole record that was read again, of which `rejected` was rejected again."""
    if not rejected:
        return None
    if len(rejected) == 1 and rejected[0].payload == entry.payload:
        return replace(entry, reason=rejected[0].reason, rows=rejected[0].rows)
    return replace(entry, reason=f"{len(rejected)} of its user records: {rejected[0].reason}")


def entry_id(entry: Quarantined) -> str:
    """Return a short name of an entry, always the same for the same entry."""
    name = f"{entry.shard}/{entry.sequence}/{entry.partition}/{entry.index}"
    return hashlib.blake2b(name.encode(), digest_size=6).hexdigest()


def _record(entry: Quarantined, data: bytes) -> KinesisRecord:
    return KinesisRecord(entry.shard, entry.sequence, str(entry.partition), entry.arrival_ms, data)
