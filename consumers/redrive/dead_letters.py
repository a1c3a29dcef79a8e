"""What lies in the dead-letter queue: batches that the detector's mapping gave up, and scans that failed. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from consumers.contracts.anomaly import ms_of_iso
from consumers.stream.records import KinesisRecord, records_of


class LetterError(ValueError):
    """This is no invocation record of a failed batch; the message says why."""


class BatchInS3(NamedTuple):
    """A failed batch whose invocation record and payload are an object in S3."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class FailedBatch:
    """A batch that was given up, as its invocation record tells.

    `first_ms` and `last_ms` are when its first and last record arrived, `at_ms` when it was given up.
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


def letter(body: str) -> Letter:
    """What a message of the queue is, by its body."""
    try:
        message = json.loads(body)
        if "KinesisBatchInfo" in message:
            return failed_batch(body)
        if "requestPayload" in message:
            return _failed_scan(message)
        (record,) = message["Records"]
        return BatchInS3(record["s3"]["bucket"]["name"], record["s3"]["object"]["key"])
    except LetterError as error:
        return Unknown(str(error))
    except (ValueError, KeyError, TypeError):
        return Unknown("neither an event of S3, nor an invocation record")


def failed_batch(text: str | bytes) -> FailedBatch:
    """The failed batch of which `text` is the invocation record (Lambda guide, "Example invocation record").

    Raises
    ------
    LetterError
        If it is none.
    """
    try:
        message = json.loads(text)
        info, context = message["KinesisBatchInfo"], message["requestContext"]
        times = ("approximateArrivalOfFirstRecord", "approximateArrivalOfLastRecord")
        first_ms, last_ms = (ms_of_iso(info[name]) for name in times)
        return FailedBatch(
            shard=info["shardId"],
            start=info["startSequenceNumber"],
            end=info["endSequenceNumber"],
            size=int(info["batchSize"]),
            stream=info["streamArn"].rpartition("/")[2],
            first_ms=first_ms,
            last_ms=last_ms,
            at_ms=ms_of_iso(message["timestamp"]),
            reason=_reason(context, message.get("responseContext")),
            records=_records(message.get("payload")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LetterError(f"no invocation record of a failed batch: {error!r}") from error


def _records(payload: Any) -> tuple[KinesisRecord, ...] | None:
    if payload is None:
        return None
    try:
        return tuple(records_of(json.loads(payload) if isinstance(payload, str) else payload))
    except msgspec.ValidationError as error:
        raise LetterError(f"its payload is no event of a Kinesis stream: {error}") from error


def _reason(context: dict[str, Any], response: dict[str, Any] | None) -> str:
    condition = str(context["condition"])
    if invokes := context.get("approximateInvokeCount"):
        condition += f" after {invokes} invocations"
    error = (response or {}).get("functionError")
    return f"{condition}: {error}" if error else condition


def _failed_scan(message: dict[str, Any]) -> FailedScan:
    context, answer = message["requestContext"], message.get("responsePayload") or {}
    reason = _reason(context, message.get("responseContext"))
    if isinstance(answer, dict) and "errorMessage" in answer:
        reason += f": {answer.get('errorType', 'error')}: {answer['errorMessage']}"
    return FailedScan(
        str(context["requestId"]), ms_of_iso(message["timestamp"]), reason, message["requestPayload"]
    )
