"""From a Lambda event of Kinesis records to rows per partition and to what has to go to quarantine.

Data never fails a batch: whatever cannot be read is a `Quarantined` entry with its reason and its payload,
counts as one bad row (or one per refused row), and the rest goes on.
"""

from __future__ import annotations

import binascii
import hashlib
import struct
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
import numpy as np
from aws_kinesis_agg import DIGEST_SIZE, MAGIC, deaggregator  # noqa: F401  messages_pb2 needs its path
from aws_kinesis_agg.messages_pb2 import AggregatedRecord
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from consumers.stream.rows import Floats, Rows, StreamRecord
from producers.origin import origin_of
from producers.partitions import partition_of
from producers.quote_batch import QuoteBatch, QuoteBatchError, RefusedRow, decode

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_AHEAD_MS = 5_000
UNKNOWN_SOURCE = "unknown"


class _Kinesis(msgspec.Struct, rename="camel"):
    sequence_number: str
    data: str
    approximate_arrival_timestamp: Annotated[float, msgspec.Meta(ge=0, le=1e11)]
    partition_key: str = ""


class _Record(msgspec.Struct, rename={"event_id": "eventID"}):
    event_id: str
    kinesis: _Kinesis


class _Event(msgspec.Struct):
    records: list[_Record] = msgspec.field(name="Records")


class KinesisRecord(NamedTuple):
    """A record as it lies on the stream; `data` is None if the event's base64 is broken."""

    shard: str
    sequence: str
    partition_key: str
    arrival_ms: int
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A user record, or some rows of one, that could not be used: kept in full, to be looked at and released.

    `index` is the user record's place in its aggregate (0 if there is none); `rows` names the refused rows,
    none if the whole record is unreadable.
    """

    shard: str
    sequence: str
    index: int
    partition: int
    arrival_ms: int
    reason: str
    payload: bytes
    rows: tuple[RefusedRow, ...] = ()


class _Run(NamedTuple):
    """So many rows in a row of one record and source, all of them bad or none."""

    rows: int
    record: int
    source: int
    bad: bool


@dataclass(slots=True)
class _Columns:
    runs: list[_Run] = field(default_factory=list)
    key: list[str] = field(default_factory=list)
    ts: list[int] = field(default_factory=list)
    price: list[float] = field(default_factory=list)
    bid: list[float | None] = field(default_factory=list)
    ask: list[float | None] = field(default_factory=list)
    day_volume: list[float | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Decoded:
    """All rows of an invocation by partition, what goes to quarantine, and the records they came in."""

    records: list[StreamRecord]
    rows: dict[int, Rows]
    quarantined: list[Quarantined]


def records_of(event: Any) -> list[KinesisRecord]:
    """The records in the event with which Lambda calls a function for a Kinesis stream.

    Raises
    ------
    msgspec.ValidationError
        If the event is not one of a Kinesis stream; the message says where it differs.
    """
    return [_record(record) for record in msgspec.convert(event, _Event).records]


def _record(record: _Record) -> KinesisRecord:
    kinesis = record.kinesis
    shard = record.event_id.partition(":")[0]
    arrival_ms = round(kinesis.approximate_arrival_timestamp * 1000)
    return KinesisRecord(
        shard, kinesis.sequence_number, kinesis.partition_key, arrival_ms, _binary(kinesis.data)
    )


def _binary(text: str) -> bytes | None:
    """What base64 stands for, None if it is none; msgspec is fast and strict, binascii lenient."""
    try:
        return msgspec.convert(text, bytes)
    except msgspec.ValidationError:
        pass
    try:
        return binascii.a2b_base64(text)
    except (binascii.Error, ValueError):
        return None


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
        self._only_partition = lru_cache(maxsize=64)(self._shared_partition)
        self._reset()

    def _reset(self) -> None:
        self._records: list[StreamRecord] = []
        self._sources: dict[str, int] = {}
        self._columns: dict[int, _Columns] = defaultdict(_Columns)
        self._quarantined: list[Quarantined] = []

    def decode(self, records: Iterable[KinesisRecord], crashed: str | None = None) -> Decoded:
        """Rows and quarantine entries of `records`, in their order.

        `crashed`, if given, says why all of them must go to quarantine unread.
        """
        self._reset()
        for record in records:
            self._add(record, crashed)
        rows = {partition: self._rows(columns) for partition, columns in sorted(self._columns.items())}
        return Decoded(self._records, rows, self._quarantined)

    def _add(self, record: KinesisRecord, crashed: str | None) -> None:
        data = record.data
        is_whole = _is_whole_aggregate(data or b"")
        digest = _digest(data or b"", is_whole)
        ordinal = len(self._records)
        self._records.append(StreamRecord(record.shard, record.sequence, record.arrival_ms, digest, ordinal))
        if data is None:
            self._refuse(record, 0, b"", "the event's data is not base64")
        elif crashed is not None:
            self._refuse(record, 0, data, crashed)
        else:
            payloads, problem = _user_records(data, is_whole)
            for index, payload in enumerate(payloads):
                self._add_user_record(record, index, payload, problem)

    def _add_user_record(
        self, record: KinesisRecord, index: int, payload: bytes, problem: str | None
    ) -> None:
        try:
            batch, refused = decode(payload)
        except (QuoteBatchError, UnicodeDecodeError) as error:
            self._refuse(record, index, payload, f"{problem}; {error}" if problem else str(error))
            return
        latest_ms = record.arrival_ms + MAX_AHEAD_MS
        if batch.ts and max(batch.ts) > latest_ms:
            batch, ahead = _without_future(batch, latest_ms, {row.row for row in refused})
            refused = [*refused, *ahead]
        if refused:
            self._refuse_rows(record, index, payload, batch.source, refused)
        if batch.symbol:
            self._add_rows(batch)

    def _add_rows(self, batch: QuoteBatch) -> None:
        only = self._only_partition(tuple(batch.symbol))
        if only is not None:
            self._extend(self._columns[only], batch)
            return
        rows_of: dict[int, list[int]] = defaultdict(list)
        for row, partition in enumerate(map(self._partition_of, batch.symbol)):
            rows_of[partition].append(row)
        for partition, rows in rows_of.items():
            self._extend(self._columns[partition], _rows_of(batch, rows))

    def _shared_partition(self, symbols: tuple[str, ...]) -> int | None:
        partitions = set(map(self._partition_of, symbols))
        return partitions.pop() if len(partitions) == 1 else None

    def _extend(self, columns: _Columns, batch: QuoteBatch) -> None:
        self._run(columns, len(batch.symbol), batch.source, bad=False)
        if origin_of(batch.source) == "live":
            columns.key += batch.symbol
        else:
            columns.key += [f"{batch.source}/{symbol}" for symbol in batch.symbol]
        columns.ts += batch.ts
        columns.price += batch.price
        columns.bid += batch.bid
        columns.ask += batch.ask
        columns.day_volume += batch.day_volume

    def _run(self, columns: _Columns, count: int, source: str, *, bad: bool) -> None:
        number = self._sources.setdefault(source, len(self._sources))
        columns.runs.append(_Run(count, len(self._records) - 1, number, bad))

    def _refuse(self, record: KinesisRecord, index: int, payload: bytes, reason: str) -> None:
        partition = self._home(record)
        self._quarantined.append(
            Quarantined(record.shard, record.sequence, index, partition, record.arrival_ms, reason, payload)
        )
        self._add_bad(partition, UNKNOWN_SOURCE, 1)

    def _refuse_rows(
        self, record: KinesisRecord, index: int, payload: bytes, source: str, refused: list[RefusedRow]
    ) -> None:
        partition = self._home(record)
        first = refused[0]
        reason = f"row {first.row} ({first.symbol}): {first.reason}"
        if len(refused) > 1:
            reason += f" ({len(refused)} rows are refused)"
        self._quarantined.append(
            Quarantined(
                shard=record.shard,
                sequence=record.sequence,
                index=index,
                partition=partition,
                arrival_ms=record.arrival_ms,
                reason=reason,
                payload=payload,
                rows=tuple(refused),
            )
        )
        self._add_bad(partition, source, len(refused))

    def _home(self, record: KinesisRecord) -> int:
        # Who put the record meant this partition; any stable one will do to count what names no symbol.
        key = record.partition_key
        if key.isascii() and key.isdigit() and len(key) < 10 and int(key) < self._partitions:
            return int(key)
        return self._partition_of(key)

    def _add_bad(self, partition: int, source: str, count: int) -> None:
        columns = self._columns[partition]
        self._run(columns, count, source, bad=True)
        columns.key += [""] * count
        columns.ts += [0] * count
        columns.price += [0.0] * count
        columns.bid += [None] * count
        columns.ask += [None] * count
        columns.day_volume += [None] * count

    def _rows(self, columns: _Columns) -> Rows:
        counts, *runs = np.array(columns.runs, np.int64).T
        record, source, bad = (np.repeat(values, counts) for values in runs)
        begins = np.flatnonzero(np.diff(record, prepend=-1))
        lengths = np.diff(begins, append=len(record))
        return Rows(
            records=self._records,
            sources=list(self._sources),
            record=record,
            offset=np.arange(len(record)) - np.repeat(begins, lengths),
            source=source,
            key=columns.key,
            ts=np.fromiter(columns.ts, np.int64, len(record)),
            price=_floats(columns.price),
            bid=_floats(columns.bid),
            ask=_floats(columns.ask),
            day_volume=_floats(columns.day_volume),
            bad=bad.astype(np.bool_),
        )


def _floats(column: list[Any]) -> Floats:
    """The column as an array; None becomes NaN, which only the slower `array` knows."""
    try:
        return np.frombuffer(struct.pack(f"{len(column)}d", *column))
    except struct.error:
        return np.array(column, np.float64)


def _is_whole_aggregate(data: bytes) -> bool:
    """Whether it is a KPL aggregate by the digest rule of aws-kinesis-agg: the magic number, and an MD5 that fits."""
    message, digest = data[len(MAGIC) : -DIGEST_SIZE], data[-DIGEST_SIZE:]
    is_aggregate = data.startswith(MAGIC) and len(message) > 0
    return is_aggregate and hashlib.md5(message, usedforsecurity=False).digest() == digest


def _digest(data: bytes, is_whole: bool) -> str:
    """What tells a record sent again from another one; a whole aggregate brings its own."""
    digest = data[-DIGEST_SIZE:] if is_whole else hashlib.blake2b(data, digest_size=8).digest()
    return digest[:8].hex()


def user_records(data: bytes) -> tuple[list[bytes], str | None]:
    """The payloads in a Kinesis record, and what is wrong with it as a KPL aggregate, if it looks like one.

    A record with the magic number whose MD5 does not fit, or that is no protobuf message, is a plain record.
    The iterator of aws-kinesis-agg is not used: it prints what goes wrong in the middle of an aggregate and
    drops the rest.
    """
    return _user_records(data, _is_whole_aggregate(data))


def _user_records(data: bytes, is_whole: bool) -> tuple[list[bytes], str | None]:
    if not is_whole:
        looks_like_one = data.startswith(MAGIC) and len(data) - len(MAGIC) > DIGEST_SIZE
        problem = "looks like a KPL aggregate, but its MD5 digest does not fit: cut short or changed"
        return [data], problem if looks_like_one else None
    try:
        aggregate = AggregatedRecord.FromString(data[len(MAGIC) : -DIGEST_SIZE])
    except DecodeError as error:
        return [data], f"looks like a KPL aggregate, but is no protobuf message of one ({error})"
    if not aggregate.records:
        return [data], "looks like a KPL aggregate, but holds no user record"
    return [user_record.data for user_record in aggregate.records], None


def _without_future(
    batch: QuoteBatch, latest_ms: int, refused: set[int]
) -> tuple[QuoteBatch, list[RefusedRow]]:
    numbers = [row for row in range(len(batch) + len(refused)) if row not in refused]
    kept = [row for row, ts in enumerate(batch.ts) if ts <= latest_ms]
    ahead = [
        RefusedRow(
            numbers[row],
            batch.symbol[row],
            f"ts is {ts}: allowed is at most {MAX_AHEAD_MS} ms beyond the record's arrival"
            f" at {latest_ms - MAX_AHEAD_MS}",
        )
        for row, ts in enumerate(batch.ts)
        if ts > latest_ms
    ]
    return _rows_of(batch, kept), ahead


def _rows_of(batch: QuoteBatch, rows: list[int]) -> QuoteBatch:
    return QuoteBatch(
        source=batch.source,
        symbol=[batch.symbol[row] for row in rows],
        ts=[batch.ts[row] for row in rows],
        price=[batch.price[row] for row in rows],
        bid=[batch.bid[row] for row in rows],
        ask=[batch.ask[row] for row in rows],
        day_volume=[batch.day_volume[row] for row in rows],
        quote_ts=[batch.quote_ts[row] for row in rows],
        missing=batch.missing,
    )
