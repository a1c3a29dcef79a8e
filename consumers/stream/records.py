"""Records of the stream: where they lie, what they hold, and what of them goes to quarantine. Free of numpy."""

from __future__ import annotations

import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from producers.quote_batch import RejectedRow


_LONGEST_KEY = 16


class StreamOffset(NamedTuple):
    """Where a row lies in its shard: sequence number, and its number among the record's rows of the partition.

    `arrival_ms` is when its record arrived (epoch ms), 0 where that is not known.
    """

    sequence: str
    row: int
    arrival_ms: int = 0

    def is_at_or_before(self, other: StreamOffset) -> bool:
        """Return whether this is `other`, or lies before it in the same shard.

        Kinesis numbers the records of a shard in growing decimal numbers, and so do the KCL and the consumers of
        KPL aggregates compare them. A sequence number that is no decimal number is only ever equal to itself. It
        decides under which name a row that is too old is counted, never whether a row is applied.

        Examples
        --------
        >>> StreamOffset("9", 3).is_at_or_before(StreamOffset("10", 0))
        True
        """
        if self.sequence == other.sequence:
            return self.row <= other.row
        if not (self.sequence.isdecimal() and other.sequence.isdecimal()):
            return False
        return int(self.sequence) < int(other.sequence)


class OffsetSpan(NamedTuple):
    """The offsets of the first and the last row of a lane that something holds."""

    first: StreamOffset
    last: StreamOffset


def lane_of(shard: str, partition_key: str) -> str:
    """Return the name of the run of records in which Kinesis and Lambda keep the order.

    A mapping with a parallelization factor above 1 delivers the partition keys of a shard independently of one
    another: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html

    Examples
    --------
    >>> lane_of("shardId-000000000000", "3")
    'shardId-000000000000/3'
    """
    is_short = partition_key.isascii() and partition_key.isprintable() and len(partition_key) <= _LONGEST_KEY
    if is_short:
        return f"{shard}/{partition_key}"
    return (
        f"{shard}/{hashlib.blake2b(partition_key.encode(errors='surrogatepass'), digest_size=8).hexdigest()}"
    )


class KinesisRecord(NamedTuple):
    """A record as it lies on the stream; `data` is None if the event's base64 is broken."""

    shard: str
    sequence: str
    partition_key: str
    arrival_ms: int
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A user record, or some rows of one, that could not be used: kept in full, to be read and requeued.

    `index` is the user record's place in its aggregate (0 if there is none); `rows` names the rejected rows,
    none if the whole record is unreadable.
    """

    shard: str
    sequence: str
    index: int
    partition: int
    arrival_ms: int
    reason: str
    payload: bytes
    rows: tuple[RejectedRow, ...] = ()


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


def records_of(event: Any) -> list[KinesisRecord]:
    """Return the records in the event with which Lambda calls a function for a Kinesis stream.

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
    """Return what base64 stands for, None if it is none; msgspec is fast and strict, binascii lenient."""
    try:
        return msgspec.convert(text, bytes)
    except msgspec.ValidationError:
        pass
    try:
        return binascii.a2b_base64(text)
    except (binascii.Error, ValueError):
        return None
