"""The dead-letter queue, the failed batches in S3 that its messages name, and the records of those batches.

Anybody with access to the queue can write a message, and the oldest of them may be of another version: what is odd
about one is said with that one, and never keeps the others from being read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from botocore.exceptions import ClientError, ParamValidationError

from consumers.redrive.dead_letters import (
    BatchInS3,
    FailedBatch,
    FailedScan,
    Letter,
    LetterError,
    failed_batch,
    letter,
)
from consumers.stream.kpl import user_records
from consumers.stream.records import KinesisRecord
from producers.errors import MonitorError
from producers.quote_batch import QuoteBatchError, decode
from stream_infra import names
from stream_infra.operations.endpoints import Endpoints

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_sqs import SQSClient

# Long enough for the largest batch; who is killed before giving messages back waits this long to see them again.
HELD_SECONDS = 300
MAX_BATCH_BYTES = 32 * 2**20
"""A failed batch is an event of Lambda, at most 6 MB (Lambda quotas), as JSON within JSON."""
_NOT_THERE = {"ResourceNotFoundException", "InvalidArgumentException", "ValidationException"}
"""No such stream or shard, and no such sequence number in it (Kinesis API reference, GetShardIterator)."""
_PER_CALL = 10
_WAIT_SECONDS = 1


class UnusableError(MonitorError):
    """There is nothing in a message that can be redriven; the text says why and what to do."""


@dataclass(frozen=True)
class DeadLetter:
    """A message of the dead-letter queue.

    Parameters
    ----------
    sent_ms
        When it came into the queue, epoch ms UTC.
    batch
        The failed batch, with its records if it lies in S3; None if it is none or cannot be read.
    problem
        Why there is no batch although there should be one.
    """

    id: str
    sent_ms: int
    body: str
    letter: Letter
    batch: FailedBatch | None
    problem: str = ""

    @property
    def kind(self) -> Literal["batch", "scan", "unknown"]:
        """What it is."""
        if self.batch is not None or isinstance(self.letter, BatchInS3):
            return "batch"
        return "scan" if isinstance(self.letter, FailedScan) else "unknown"

    @property
    def reason(self) -> str:
        """Why it is here."""
        if self.batch is not None:
            return self.batch.reason
        return self.problem or getattr(self.letter, "reason", "")


class ShownRecord(NamedTuple):
    """A user record: its place in the stream, its quotes, or why it cannot be read."""

    sequence: str
    user_record: int
    arrival_ms: int
    source: str
    quotes: list[dict[str, Any]]
    problem: str


class DeadLetterQueue:
    """The queue, whose messages nobody else receives while somebody reads or redrives them."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._sqs: SQSClient = endpoints.client("sqs")
        self._s3 = endpoints.client("s3")
        self._url = self._sqs.get_queue_url(QueueName=names.DEAD_LETTER_QUEUE)["QueueUrl"]
        self._held: dict[str, str] = {}

    def depth(self) -> int:
        """Return about how many messages there are."""
        wanted: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=wanted)
        return sum(int(value) for value in found["Attributes"].values())

    @contextmanager
    def messages(self, limit: int | None = None) -> Iterator[list[DeadLetter]]:
        """Hold the messages, the oldest first; they are given back at the end unless deleted."""
        try:
            yield sorted(self._receive(limit), key=lambda message: message.sent_ms)
        finally:
            self._give_back()

    def delete(self, message: DeadLetter) -> None:
        """Delete a message for good."""
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=self._held[message.id])
        del self._held[message.id]

    def extend_visibility(self, messages: Sequence[DeadLetter]) -> None:
        """Keep messages from others for `HELD_SECONDS` from now."""
        held = [self._held[message.id] for message in messages if message.id in self._held]
        self._set_visibility(held, HELD_SECONDS)

    def _receive(self, limit: int | None) -> list[DeadLetter]:
        found: dict[str, DeadLetter] = {}
        while limit is None or len(found) < limit:
            wanted = _PER_CALL if limit is None else min(_PER_CALL, limit - len(found))
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=wanted,
                VisibilityTimeout=HELD_SECONDS,
                WaitTimeSeconds=_WAIT_SECONDS,  # queries all of the queue's servers
                MessageSystemAttributeNames=["SentTimestamp"],
            )
            for raw in answer.get("Messages", []):
                self._held[raw["MessageId"]] = raw["ReceiptHandle"]
                found[raw["MessageId"]] = self._read(raw)
            if not answer.get("Messages"):
                break
        return list(found.values())

    def _read(self, raw: Any) -> DeadLetter:
        of = letter(raw["Body"])
        batch, problem = (of, "") if isinstance(of, FailedBatch) else (None, "")
        if isinstance(of, BatchInS3):
            batch, problem = self._from_s3(of)
        sent_ms = int(raw["Attributes"]["SentTimestamp"])
        return DeadLetter(raw["MessageId"], sent_ms, raw["Body"], of, batch, problem)

    def _from_s3(self, of: BatchInS3) -> tuple[FailedBatch | None, str]:
        where = f"s3://{of.bucket}/{of.key}"
        try:
            found = self._s3.get_object(Bucket=of.bucket, Key=of.key)
            if found["ContentLength"] > MAX_BATCH_BYTES:
                return (
                    None,
                    f"{where} has {found['ContentLength']:,} bytes, more than a failed batch can have",
                )
            return failed_batch(found["Body"].read()), ""
        except ClientError as error:
            gone = error.response.get("Error", {}).get("Code") in {"NoSuchKey", "NoSuchBucket"}
            return None, f"{where} is gone" if gone else f"{where} cannot be read: {error}"
        except ParamValidationError as error:
            return None, f"{where} is no object of S3: {error}"
        except LetterError as error:
            return None, f"{where}: {error}"

    def _give_back(self) -> None:
        self._set_visibility(list(self._held.values()), 0)
        self._held.clear()

    def _set_visibility(self, receipts: list[str], seconds: int) -> None:
        for start in range(0, len(receipts), _PER_CALL):
            entries: Any = [
                {"Id": str(i), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
                for i, receipt in enumerate(receipts[start : start + _PER_CALL])
            ]
            # One that fails comes back sooner: to redrive it once more changes nothing.
            self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)


def in_order(messages: Sequence[DeadLetter]) -> list[DeadLetter]:
    """Return messages in the order in which their records lie in the stream: later ones build on earlier ones."""

    def place(message: DeadLetter) -> tuple[str, int, str]:
        batch = message.batch
        if batch is None:
            return ("", 0, "")
        return (batch.shard, int(batch.start) if batch.start.isdecimal() else 0, batch.start)

    return sorted(messages, key=place)


def records_of(batch: FailedBatch, kinesis: KinesisClient) -> Sequence[KinesisRecord]:
    """Return the records of a batch: its payload, else what the stream still holds of it.

    Raises
    ------
    UnusableError
        The stream does not hold them.
    """
    if batch.records is not None:
        return batch.records
    records: list[KinesisRecord] = []
    try:
        iterator: str | None = kinesis.get_shard_iterator(
            StreamName=batch.stream,
            ShardId=batch.shard,
            ShardIteratorType="AT_SEQUENCE_NUMBER",
            StartingSequenceNumber=batch.start,
        )["ShardIterator"]
        while iterator and len(records) < batch.size:
            page = kinesis.get_records(ShardIterator=iterator, Limit=min(10_000, batch.size - len(records)))
            records += [_record(batch.shard, raw) for raw in page["Records"]]
            if not page["Records"] and not page.get("MillisBehindLatest"):
                break
            iterator = page.get("NextShardIterator")
    except ParamValidationError as error:
        raise _gone(batch, f" ({error})") from error
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in _NOT_THERE:
            raise  # throttled, or not allowed: the records may well be there
        raise _gone(batch, f" ({error})") from error
    if not records or (records[0].sequence, records[-1].sequence) != (batch.start, batch.end):
        raise _gone(batch)
    return records


def _gone(batch: FailedBatch, why: str = "") -> UnusableError:
    return UnusableError(
        f"the message has no payload, and {batch.stream} does not hold {batch.shard} {batch.start} any more{why}:"
        " its records are lost to the windows; what was scanned is in the bucket's raw-data/"
    )


def _record(shard: str, raw: Any) -> KinesisRecord:
    arrival_ms = round(raw["ApproximateArrivalTimestamp"].timestamp() * 1000)
    return KinesisRecord(shard, raw["SequenceNumber"], raw["PartitionKey"], arrival_ms, raw["Data"])


def shown(records: Sequence[KinesisRecord]) -> Iterator[ShownRecord]:
    """Yield what is in records, for people."""
    for record in records:
        payloads, problem = user_records(record.data or b"")
        for index, payload in enumerate(payloads):
            yield _shown(record, index, payload, problem or "")


def _shown(record: KinesisRecord, index: int, payload: bytes, problem: str) -> ShownRecord:
    place = (record.sequence, index, record.arrival_ms)
    try:
        batch, rejected = decode(payload)
    except (QuoteBatchError, UnicodeDecodeError, RecursionError) as error:
        return ShownRecord(*place, "", [], "; ".join(filter(None, (problem, str(error)))))
    columns = ("symbol", "ts", "price", "bid", "ask", "day_volume")
    quotes = [
        dict(zip(columns, row, strict=True))
        for row in zip(*(getattr(batch, name) for name in columns), strict=True)
    ]
    reasons = "; ".join(f"row {row.row} ({row.symbol}): {row.reason}" for row in rejected)
    return ShownRecord(*place, batch.source, quotes, reasons)
