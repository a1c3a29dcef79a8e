"""From Kinesis records to rows per partition and to what has to go to quarantine.

Data never fails a batch: whatever cannot be read is a `Quarantined` entry with its reason and its payload,
counts as one bad row (or one per rejected row), and the rest goes on.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from consumers.stream.columns import Columns, Symbols, columns_of, read
from consumers.stream.kpl import is_whole_aggregate, record_digest, user_records
from consumers.stream.records import KinesisRecord, Quarantined, lane_of
from consumers.stream.rows import Floats, Ints, Rows, StreamRecord
from producers.partitions import partition_of
from producers.quote_batch import QuoteBatch, QuoteBatchError, RejectedRow, decode, select

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_AHEAD_MS = 5_000
# Bounds of the work and memory that one Kinesis record (1 MiB, or up to 10 if the stream allows) may cost.
MAX_RECORD_ROWS = 50_000
MAX_ENTRIES = 100
"""More bad rows of a user record, or bad user records of a record, are quarantined as one whole."""
UNKNOWN_SOURCE = "unknown"
_YEAR_MS = 366 * 86_400_000
_SURELY_MS = 100_000_000_000
"""Seconds of our time lie below it: only in March 1973 do milliseconds reach it."""


class _Part(NamedTuple):
    """Rows of one record and source that follow one another in a partition; `values` is None if all are bad."""

    record: int
    source: int
    rows: int
    keys: tuple[str, ...]
    values: Floats | None


_BAD_KEYS = ("",)


@dataclass(frozen=True, slots=True)
class Decoded:
    """All rows of an invocation by partition, what goes to quarantine, and the records they came in."""

    records: list[StreamRecord]
    rows: dict[int, Rows]
    quarantined: list[Quarantined]


class Decoder:
    """Collects the rows of one invocation, record by record.

    Parameters
    ----------
    partitions
        Over how many partitions the symbols are spread.
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._partition_of = lru_cache(maxsize=65_536)(lambda symbol: partition_of(symbol, partitions))
        # Polls bring the same symbols again and again.
        self._spread = lru_cache(maxsize=64)(self._by_partition)
        self._reset()

    def _reset(self) -> None:
        self._records: list[StreamRecord] = []
        self._sources: dict[str, int] = {}
        self._parts: dict[int, list[_Part]] = defaultdict(list)
        self._quarantined: list[Quarantined] = []

    def decode(self, records: Iterable[KinesisRecord], crashed: str | None = None) -> Decoded:
        """Return rows and quarantine entries of `records`, in their order.

        `crashed`, if given, says why all of them must go to quarantine unread.
        """
        self._reset()
        for record in records:
            self._add(record, crashed)
        rows = {partition: self._rows(parts) for partition, parts in sorted(self._parts.items())}
        return Decoded(self._records, rows, self._quarantined)

    def _add(self, record: KinesisRecord, crashed: str | None) -> None:
        data = record.data or b""
        is_whole = is_whole_aggregate(data)
        digest, ordinal = record_digest(data, is_whole), len(self._records)
        lane = lane_of(record.shard, record.partition_key)
        self._records.append(
            StreamRecord(record.shard, lane, record.sequence, record.arrival_ms, digest, ordinal)
        )
        if record.data is None:
            self._reject(record, 0, data, "the event's data is not base64")
        elif crashed is not None:
            self._reject(record, 0, data, crashed)
        else:
            self._add_user_records(record, *user_records(data, is_whole=is_whole))

    def _add_user_records(
        self, record: KinesisRecord, payloads: Sequence[bytes], problem: str | None
    ) -> None:
        before, rows = len(self._quarantined), 0
        for index, payload in enumerate(payloads):
            if rows > MAX_RECORD_ROWS:
                self._reject(
                    record,
                    index,
                    payload,
                    f"{rows} rows before it in the record; must be at most {MAX_RECORD_ROWS}",
                )
            else:
                rows += self._add_user_record(record, index, payload, problem)
        if len(self._quarantined) - before > MAX_ENTRIES:
            self._collapse(record, before)

    def _add_user_record(self, record: KinesisRecord, index: int, payload: bytes, problem: str | None) -> int:
        """Add the rows of a user record; return how many there were."""
        columns = read(payload, _SURELY_MS, record.arrival_ms + MAX_AHEAD_MS)
        if columns is not None:
            self._add_rows(columns)
            return len(columns)
        try:
            batch, rejected = decode_in_time(payload, record.arrival_ms)
        except QuoteBatchError as error:
            self._reject(record, index, payload, f"{problem}; {error}" if problem else str(error))
            return 1
        if rejected:
            self._reject(record, index, payload, reason_of(rejected), source=batch.source, rows=rejected)
        if batch.symbol:
            self._add_rows(columns_of(batch))
        return len(batch) + len(rejected)

    def _collapse(self, record: KinesisRecord, before: int) -> None:
        """Keep one entry, with the whole record, in place of too many of its user records."""
        entries = self._quarantined[before:]
        reason = f"{len(entries)} of its user records, the first: {entries[0].reason}"
        self._quarantined[before:] = [
            replace(entries[0], index=0, payload=record.data or b"", reason=reason, rows=())
        ]

    def _add_rows(self, columns: Columns) -> None:
        source, values = columns.symbols.source, columns.values
        for partition, keys, rows in self._spread(columns.symbols):
            part = values if len(keys) == values.shape[1] else values[:, rows]
            self._add_part(partition, source, len(keys), keys, part)

    def _by_partition(self, symbols: Symbols) -> list[tuple[int, tuple[str, ...], Ints]]:
        """Return the partitions of symbols, each with the keys of its windows and its rows."""
        rows_of: dict[int, list[int]] = defaultdict(list)
        for row, partition in enumerate(map(self._partition_of, symbols.symbol)):
            rows_of[partition].append(row)
        return [
            (partition, tuple(symbols.keys[row] for row in rows), np.array(rows, np.int64))
            for partition, rows in rows_of.items()
        ]

    def _add_part(
        self, partition: int, source: str, rows: int, keys: tuple[str, ...], values: Floats | None
    ) -> None:
        number = self._sources.setdefault(source, len(self._sources))
        self._parts[partition].append(_Part(len(self._records) - 1, number, rows, keys, values))

    def _reject(
        self,
        record: KinesisRecord,
        index: int,
        payload: bytes,
        reason: str,
        *,
        source: str = UNKNOWN_SOURCE,
        rows: Sequence[RejectedRow] = (),
    ) -> None:
        """Quarantine a whole user record, or `rows` of it."""
        partition = self._home(record)
        self._quarantined.append(
            Quarantined(
                shard=record.shard,
                sequence=record.sequence,
                index=index,
                partition=partition,
                arrival_ms=record.arrival_ms,
                reason=reason,
                payload=payload,
                rows=tuple(rows) if len(rows) <= MAX_ENTRIES else (),
            )
        )
        self._add_part(partition, source, len(rows) or 1, _BAD_KEYS, None)

    def _home(self, record: KinesisRecord) -> int:
        # Who put the record meant this partition; any stable one will do to count what names no symbol.
        key = record.partition_key
        if key.isascii() and key.isdigit() and len(key) < 10 and int(key) < self._partitions:
            return int(key)
        return self._partition_of(key)

    def _rows(self, parts: Sequence[_Part]) -> Rows:
        begins: dict[int, int] = {}  # in `keys`, by the identity of the keys of parts
        keys: list[str] = []
        for part in parts:
            if id(part.keys) not in begins:
                begins[id(part.keys)] = len(keys)
                keys += part.keys
        counts, records, sources, first = np.array(
            [(part.rows, part.record, part.source, begins[id(part.keys)]) for part in parts], np.int64
        ).T
        bad = np.repeat([part.values is None for part in parts], counts)
        values = np.concatenate(
            [np.zeros((5, part.rows)) if part.values is None else part.values for part in parts], axis=1
        )
        record = np.repeat(records, counts)
        key = np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(len(record))
        if bad.any():
            key[bad] = np.repeat(first, counts)[bad]
        lengths = np.bincount(record)
        return Rows(
            records=self._records,
            sources=list(self._sources),
            keys=keys,
            record=record,
            row=np.arange(len(record)) - np.repeat(np.cumsum(lengths) - lengths, lengths),
            source=np.repeat(sources, counts),
            key=key,
            ts=values[0].view(np.int64),
            price=values[1],
            bid=values[2],
            ask=values[3],
            day_volume=values[4],
            bad=bad,
        )


def decode_in_time(payload: bytes, arrival_ms: int) -> tuple[QuoteBatch, list[RejectedRow]]:
    """Return the quotes in a payload that arrived at `arrival_ms`, and the rows that cannot be used.

    Raises
    ------
    QuoteBatchError
        If the payload as a whole is unusable.
    """
    batch, rejected = decode(payload)
    if not batch.ts or (max(batch.ts) <= arrival_ms + MAX_AHEAD_MS and min(batch.ts) >= _SURELY_MS):
        return batch, rejected
    numbers = usable_rows(batch, rejected)
    reasons = [_untimely(ts, arrival_ms) for ts in batch.ts]
    kept = [i for i, reason in enumerate(reasons) if not reason]
    untimely = [
        RejectedRow(numbers[i], batch.symbol[i], reason) for i, reason in enumerate(reasons) if reason
    ]
    return select(batch, kept, batch.missing), [*rejected, *untimely]


def _untimely(ts: int, arrival_ms: int) -> str:
    """Return why a time cannot be one of a record that arrived at `arrival_ms`; empty if it can."""
    if abs(ts * 1000 - arrival_ms) < _YEAR_MS:
        return f"ts is {ts}, which looks like seconds; must be milliseconds since 1970"
    if ts > arrival_ms + MAX_AHEAD_MS:
        return f"ts is {ts}; must be at most {MAX_AHEAD_MS} ms beyond the record's arrival at {arrival_ms}"
    return ""


def usable_rows(batch: QuoteBatch, rejected: Sequence[RejectedRow]) -> list[int]:
    """Return which rows of the payload the rows of its batch are, where `rejected` were left out.

    Examples
    --------
    >>> batch = QuoteBatch("a", ["A", "C"], [1, 1], [1.0, 1.0], [None] * 2, [None] * 2, [None] * 2, [None] * 2, [])
    >>> usable_rows(batch, [RejectedRow(1, "B", "price is null")])
    [0, 2]
    """
    left_out = {row.row for row in rejected}
    return [row for row in range(len(batch) + len(left_out)) if row not in left_out]


def reason_of(rejected: Sequence[RejectedRow]) -> str:
    """Return why rows of a user record are in quarantine: the first in full, the number of all."""
    first = rejected[0]
    more = f" ({len(rejected)} rows are rejected)" if len(rejected) > 1 else ""
    return f"row {first.row} ({first.symbol}): {first.reason}{more}"
