"""What `stock-monitor dlq` does with the queue, the failed batches in S3, the stream and the tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from botocore.exceptions import ClientError

from consumers.contracts.errors import IOFailedError
from consumers.detector.settings import Settings
from consumers.redrive.dead_letters import (
    BatchInS3,
    FailedBatch,
    FailedScan,
    Letter,
    LetterError,
    failed_batch,
    letter,
)
from consumers.redrive.ports import RedrivePorts
from consumers.redrive.redrive import Redrive, Redriven
from consumers.stores.anomalies import AnomalyTable
from consumers.stores.bus import Bus
from consumers.stores.parameters import ThresholdParameter
from consumers.stores.quarantine import QuarantineBucket
from consumers.stores.snapshots import SnapshotBucket
from consumers.stores.windows import BackfillBlockTable, BlockTable
from consumers.stream.kpl import user_records
from consumers.stream.records import KinesisRecord
from consumers.windows.restore import GoneError
from producers.errors import MonitorError
from producers.quote_batch import QuoteBatchError, decode
from stream_infra import names
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import InputError, NotDeployedError

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_sqs import SQSClient

# Long enough for the largest batch; who is killed before giving messages back waits this long to see them again.
HELD_SECONDS = 300
_PER_CALL = 10
_WAIT_SECONDS = 1


class UnusableError(MonitorError):
    """A message cannot be redriven; the message says why and what to do."""


@dataclass(frozen=True)
class Message:
    """A message of the dead-letter queue.

    Attributes:
        batch: the failed batch, with its records if it lies in S3; None if it is none or cannot be read.
        problem: why there is no batch although there should be one.
    """

    id: str
    receipt: str
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
    """The queue, held by one who looks at it or works on it."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._sqs: SQSClient = endpoints.client("sqs")
        self._s3 = endpoints.client("s3")
        self._url = self._sqs.get_queue_url(QueueName=names.DEAD_LETTER_QUEUE)["QueueUrl"]
        self._held: dict[str, str] = {}

    def depth(self) -> int:
        """About how many messages there are."""
        wanted: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=wanted)
        return sum(int(value) for value in answer["Attributes"].values())

    @contextmanager
    def messages(self, limit: int | None = None) -> Iterator[list[Message]]:
        """The messages, the oldest first; given back at the end unless deleted."""
        try:
            yield sorted(self._receive(limit), key=lambda message: message.sent_ms)
        finally:
            self._give_back()

    def delete(self, message: Message) -> None:
        """Delete a message for good."""
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=self._held[message.id])
        del self._held[message.id]

    def hold_on(self, messages: Sequence[Message]) -> None:
        """Keep messages from others for `HELD_SECONDS` from now."""
        self._set_visibility(
            [self._held[message.id] for message in messages if message.id in self._held], HELD_SECONDS
        )

    def _receive(self, limit: int | None) -> list[Message]:
        found: dict[str, Message] = {}
        while limit is None or len(found) < limit:
            wanted = _PER_CALL if limit is None else min(_PER_CALL, limit - len(found))
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=wanted,
                VisibilityTimeout=HELD_SECONDS,
                WaitTimeSeconds=_WAIT_SECONDS,  # asks all of the queue's servers
                MessageSystemAttributeNames=["SentTimestamp"],
            )
            for raw in answer.get("Messages", []):
                self._held[raw["MessageId"]] = raw["ReceiptHandle"]
                found[raw["MessageId"]] = self._read(raw)
            if not answer.get("Messages"):
                break
        return list(found.values())

    def _read(self, raw: Any) -> Message:
        body = raw["Body"]
        of = letter(body)
        batch, problem = (of, "") if isinstance(of, FailedBatch) else (None, "")
        if isinstance(of, BatchInS3):
            batch, problem = self._from_s3(of)
        sent_ms = int(raw["Attributes"]["SentTimestamp"])
        return Message(raw["MessageId"], raw["ReceiptHandle"], sent_ms, body, of, batch, problem)

    def _from_s3(self, of: BatchInS3) -> tuple[FailedBatch | None, str]:
        where = f"s3://{of.bucket}/{of.key}"
        try:
            return failed_batch(self._s3.get_object(Bucket=of.bucket, Key=of.key)["Body"].read()), ""
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in {"NoSuchKey", "NoSuchBucket"}:
                raise
            return None, f"{where} is gone"
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
            self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)


def chosen(messages: Sequence[Message], ids: Sequence[str]) -> list[Message]:
    """The messages whose ids begin with `ids`; all of them if there are none.

    Raises:
        InputError: an id is nobody's, or that of several.
    """
    found = []
    for wanted in ids:
        fitting = [message for message in messages if message.id.startswith(wanted)]
        if len(fitting) != 1:
            what = "no message" if not fitting else f"{len(fitting)} messages"
            raise InputError(
                f"{wanted}: {what} of {names.DEAD_LETTER_QUEUE}; allowed are ids as `list` shows them"
            )
        found += fitting
    return found if ids else list(messages)


def in_order(messages: Sequence[Message]) -> list[Message]:
    """Messages in the order in which their records lie in the stream: later ones build on earlier ones."""

    def place(message: Message) -> tuple[str, int, str]:
        batch = message.batch
        if batch is None:
            return ("", 0, "")
        return (batch.shard, int(batch.start) if batch.start.isdecimal() else 0, batch.start)

    return sorted(messages, key=place)


def records_of(batch: FailedBatch, kinesis: KinesisClient) -> Sequence[KinesisRecord]:
    """The records of a batch: its payload, else what the stream still holds of it.

    Raises:
        UnusableError: the stream does not hold them any more.
    """
    if batch.records is not None:
        return batch.records
    gone = UnusableError(
        f"the message has no payload, and {batch.stream} does not hold {batch.shard} {batch.start} any more:"
        " its records are lost to the windows; what was scanned is in the bucket's raw-data/"
    )
    try:
        iterator: str | None = kinesis.get_shard_iterator(
            StreamName=batch.stream,
            ShardId=batch.shard,
            ShardIteratorType="AT_SEQUENCE_NUMBER",
            StartingSequenceNumber=batch.start,
        )["ShardIterator"]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in {
            "InvalidArgumentException",
            "ResourceNotFoundException",
        }:
            raise
        raise gone from error
    records: list[KinesisRecord] = []
    while iterator and len(records) < batch.size:
        answer = kinesis.get_records(ShardIterator=iterator, Limit=min(10_000, batch.size - len(records)))
        records += [_record(batch.shard, raw) for raw in answer["Records"]]
        if not answer["Records"] and not answer.get("MillisBehindLatest"):
            break
        iterator = answer.get("NextShardIterator")
    if not records or (records[0].sequence, records[-1].sequence) != (batch.start, batch.end):
        raise gone
    return records


def _record(shard: str, raw: Any) -> KinesisRecord:
    arrival_ms = round(raw["ApproximateArrivalTimestamp"].timestamp() * 1000)
    return KinesisRecord(shard, raw["SequenceNumber"], raw["PartitionKey"], arrival_ms, raw["Data"])


def shown(records: Sequence[KinesisRecord]) -> Iterator[ShownRecord]:
    """What is in records, for people."""
    for record in records:
        payloads, problem = user_records(record.data or b"")
        for index, payload in enumerate(payloads):
            yield _shown(record, index, payload, problem or "")


def _shown(record: KinesisRecord, index: int, payload: bytes, problem: str) -> ShownRecord:
    place = (record.sequence, index, record.arrival_ms)
    try:
        batch, refused = decode(payload)
    except (QuoteBatchError, UnicodeDecodeError) as error:
        return ShownRecord(*place, "", [], "; ".join(filter(None, (problem, str(error)))))
    columns = ("symbol", "ts", "price", "bid", "ask", "day_volume")
    quotes = [
        dict(zip(columns, row, strict=True))
        for row in zip(*(getattr(batch, name) for name in columns), strict=True)
    ]
    reasons = "; ".join(f"row {row.row} ({row.symbol}): {row.reason}" for row in refused)
    return ShownRecord(*place, batch.source, quotes, reasons)


def redrive_of(endpoints: Endpoints, on_rows: Callable[[int], None] = lambda _: None) -> Redrive:
    """A redrive with the detector's own settings.

    Raises:
        NotDeployedError: there is no detector.
    """
    settings = detector_settings(endpoints)
    dynamodb, s3 = endpoints.client("dynamodb"), endpoints.client("s3")
    outside = RedrivePorts(
        blocks=BlockTable(dynamodb, settings.windows_table),
        backfill_blocks=BackfillBlockTable(dynamodb, settings.windows_table),
        snapshots=SnapshotBucket(s3, settings.data_bucket),
        anomalies=AnomalyTable(dynamodb, settings.anomalies_table),
        bus=Bus(endpoints.client("events"), settings.bus_name),
        quarantine=QuarantineBucket(s3, settings.data_bucket),
        thresholds=ThresholdParameter(
            endpoints.client("ssm"), settings.threshold_parameter, now_ms, lambda _version, _reason: None
        ),
    )
    return Redrive(settings.partitions, outside, on_rows)


def detector_settings(endpoints: Endpoints) -> Settings:
    """What the deployed detector is told by its environment."""
    try:
        found = endpoints.client("lambda").get_function_configuration(FunctionName=names.DETECTOR)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
            raise
        raise NotDeployedError(
            f"{names.DETECTOR} is not deployed: run `make up`, or `cdk deploy --all`"
        ) from error
    return Settings.from_environment(found["Environment"]["Variables"])


def redrive(message: Message, redriving: Redrive, kinesis: KinesisClient) -> Redriven:
    """Bring back the records of a message.

    Raises:
        UnusableError: there is nothing in it that can be brought back; the message says what to do.
    """
    if message.batch is None:
        raise UnusableError(_why_not(message))
    try:
        return redriving.batch(records_of(message.batch, kinesis))
    except (IOFailedError, GoneError) as error:
        raise UnusableError(f"{error}: the message stays") from error


def _why_not(message: Message) -> str:
    if message.kind == "scan":
        return (
            "a failed scan has no quotes to bring back, the next scan replaced it: `stock-monitor dlq purge`"
        )
    return f"{message.reason}: nothing to redrive; delete it with `stock-monitor dlq purge`"


def now_ms() -> int:
    """Epoch milliseconds by this machine's clock."""
    return time.time_ns() // 1_000_000


def clock(ms: int) -> str:
    """A time for people, in UTC."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
