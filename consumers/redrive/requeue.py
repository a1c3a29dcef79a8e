"""What of a quarantined record can be used by now: after a repair of the decoder, say. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from consumers.stream.decode import MAX_AHEAD_MS, KinesisRecord, Quarantined
from producers.quote_batch import QuoteBatchError, RefusedRow, decode, encode, select

if TYPE_CHECKING:
    from collections.abc import Sequence


class Release(NamedTuple):
    """The record to bring back, None if nothing of it can be used, and the entry that stays, None if none does."""

    record: KinesisRecord | None
    stays: Quarantined | None


def release(entry: Quarantined) -> Release:
    """What can be used of an entry now.

    A record that crashed the detector is read again, whatever it is.
    """
    if not entry.rows:
        return Release(_record(entry, entry.payload), None)
    try:
        batch, refused = decode(entry.payload)
    except (QuoteBatchError, UnicodeDecodeError) as error:
        return Release(None, replace(entry, reason=str(error)))
    reasons = {row.row: row for row in refused}
    usable = [row for row in range(len(batch) + len(refused)) if row not in reasons]
    wanted = {row.row for row in entry.rows}
    latest_ms = entry.arrival_ms + MAX_AHEAD_MS
    back = [i for i, row in enumerate(usable) if row in wanted and batch.ts[i] <= latest_ms]
    done = {usable[i] for i in back}
    rows = tuple(reasons.get(row.row, row) for row in entry.rows if row.row not in done)
    record = _record(entry, encode(select(batch, back, batch.missing))) if back else None
    return Release(record, replace(entry, rows=rows, reason=_reason(rows)) if rows else None)


def remaining(entry: Quarantined, refused: Sequence[Quarantined]) -> Quarantined | None:
    """What stays of a whole record that was read again, of which `refused` was refused again."""
    if not refused:
        return None
    if len(refused) == 1 and refused[0].payload == entry.payload:
        return replace(entry, reason=refused[0].reason, rows=refused[0].rows)
    return replace(entry, reason=f"{len(refused)} of its user records: {refused[0].reason}")


def entry_id(entry: Quarantined) -> str:
    """A short name of an entry, the same whenever it is asked for."""
    name = f"{entry.shard}/{entry.sequence}/{entry.partition}/{entry.index}"
    return hashlib.blake2b(name.encode(), digest_size=6).hexdigest()


def _record(entry: Quarantined, data: bytes) -> KinesisRecord:
    return KinesisRecord(entry.shard, entry.sequence, str(entry.partition), entry.arrival_ms, data)


def _reason(rows: Sequence[RefusedRow]) -> str:
    first = rows[0].reason
    return first if len(rows) == 1 else f"{first} ({len(rows)} rows are refused)"
