"""What lies in the dead-letter queue: batches that the detector's mapping discarded, and scans that failed. Pure.

Anybody with access can put a message into the queue: whatever it holds is read within its limits, or is `Unknown`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import msgspec

from consumers.contracts.anomaly import ms_of_iso
from consumers.stream.records import records_of
from producers.errors import MonitorError

if TYPE_CHECKING:
    from consumers.stream.records import KinesisRecord

T = TypeVar("T")
_REASON_CHARACTERS = 500


class LetterError(MonitorError, ValueError):
    """A message is not the invocation record of a failed batch."""


class BatchInS3(NamedTuple):
    """A failed batch whose invocation record and payload are an object in S3."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class FailedBatch:
    """A batch that was discarded, as its invocation record says.

    `first_ms` and `last_ms` are when its first and last record arrived, `at_ms` when it was discarded.
    `records` is None if they must be read from the stream.
    """

    shard: str
    start: str
    end: str
    size: int
    stream: str
    first_ms: int
    last_ms: int
    at_ms: int
    reason: str
    records: tuple[KinesisRecord, ...] | None


@dataclass(frozen=True, slots=True)
class FailedScan:
    """An invocation of stock-scanner that failed: there is nothing in it to bring back."""

    request_id: str
    at_ms: int
    reason: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message of somebody else, and why it is taken for one."""

    reason: str


Letter = BatchInS3 | FailedBatch | FailedScan | Unknown

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class _Bucket(msgspec.Struct):
    name: _Name


class _Object(msgspec.Struct):
    key: _Name


class _S3(msgspec.Struct):
    bucket: _Bucket
    object: _Object


class _S3Record(msgspec.Struct):
    s3: _S3


class _S3Event(msgspec.Struct):
    records: Annotated[list[_S3Record], msgspec.Meta(min_length=1, max_length=1)] = msgspec.field(
        name="Records"
    )


class _Context(msgspec.Struct, rename="camel"):
    condition: str
    request_id: str = ""
    approximate_invoke_count: int | None = None


class _Response(msgspec.Struct, rename="camel"):
    function_error: str | None = None


class _Info(msgspec.Struct, rename="camel"):
    shard_id: _Name
    start_sequence_number: _Name
    end_sequence_number: _Name
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    stream_arn: _Name
    approximate_arrival_of_first_record: str
    approximate_arrival_of_last_record: str


class _BatchRecord(msgspec.Struct, rename="camel"):
    timestamp: str
    request_context: _Context
    batch: _Info = msgspec.field(name="KinesisBatchInfo")
    response_context: _Response | None = None
    payload: Any = None


class _ScanRecord(msgspec.Struct, rename="camel"):
    timestamp: str
    request_context: _Context
    request_payload: Any
    response_context: _Response | None = None
    response_payload: Any = None


def letter(body: str) -> Letter:
    """Return what a message of the queue is, by its body."""
    try:
        return failed_batch(body)
    except LetterError as error:
        damaged = str(error)
    for read in (_failed_scan, _batch_in_s3):
        try:
            return read(body)
        except (LetterError, ValueError):
            continue
    if '"KinesisBatchInfo"' in body:
        return Unknown(damaged)
    return Unknown("neither an event of S3, nor an invocation record")


def failed_batch(text: str | bytes) -> FailedBatch:
    """Return the failed batch of which `text` is the invocation record.

    Its fields are those of the Lambda guide, "Retain discarded batches", example invocation record.

    Raises
    ------
    LetterError
        If it is none.
    """
    record = _decoded(text, _BatchRecord)
    info = record.batch
    return FailedBatch(
        shard=info.shard_id,
        start=info.start_sequence_number,
        end=info.end_sequence_number,
        size=info.batch_size,
        stream=info.stream_arn.rpartition("/")[2],
        first_ms=_ms(info.approximate_arrival_of_first_record),
        last_ms=_ms(info.approximate_arrival_of_last_record),
        at_ms=_ms(record.timestamp),
        reason=_reason(record.request_context, record.response_context),
        records=_records(record.payload),
    )


def _decoded(text: str | bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=type_)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise LetterError(f"no invocation record of a failed batch: {error}") from error


def _ms(text: str) -> int:
    try:
        return ms_of_iso(text)
    except (ValueError, TypeError, OverflowError) as error:
        raise LetterError(f"{text[:40]!r} is no time", allowed="a time in ISO 8601 with its zone") from error


def _records(payload: Any) -> tuple[KinesisRecord, ...] | None:
    if payload is None:
        return None
    try:
        event = msgspec.json.decode(payload) if isinstance(payload, str) else payload
        return tuple(records_of(event))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise LetterError(f"its payload is no event of a Kinesis stream: {error}") from error


def _reason(context: _Context, response: _Response | None) -> str:
    condition = context.condition[:_REASON_CHARACTERS]
    if invokes := context.approximate_invoke_count:
        condition += f" after {invokes} invocations"
    if response is not None and response.function_error:
        condition += f": {response.function_error[:_REASON_CHARACTERS]}"
    return condition


def _failed_scan(body: str) -> FailedScan:
    record = _decoded(body, _ScanRecord)
    context, response = record.request_context, record.response_payload
    reason = _reason(context, record.response_context)
    if isinstance(response, dict) and "errorMessage" in response:
        error = f"{response.get('errorType', 'error')}: {response['errorMessage']}"
        reason += f": {error[:_REASON_CHARACTERS]}"
    return FailedScan(context.request_id, _ms(record.timestamp), reason, record.request_payload)


def _batch_in_s3(body: str) -> BatchInS3:
    (record,) = _decoded(body, _S3Event).records
    return BatchInS3(record.s3.bucket.name, record.s3.object.key)
