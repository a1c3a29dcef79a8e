"""Puts quote batches on the stream: KPL aggregates, one partition each, within the limits of PutRecords.

PutRecords keeps no order between the entries of a call, and an entry that failed comes late when it is
sent again. So a call holds one entry per partition at most, and a partition whose entry failed sends
nothing newer before that entry is through. What is sent again is sent byte for byte, so that whoever
reads the stream recognises a record that arrived although its answer was lost.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aws_kinesis_agg.aggregator import RecordAggregator
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

from producers.errors import ArgumentError, MonitorError
from producers.partitions import explicit_hash_key, partition_key, partition_of
from producers.quote_batch import QuoteBatch, encode, select

if TYPE_CHECKING:
    from mypy_boto3_kinesis.client import KinesisClient

# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html: 500 entries a call, and
# 10 MiB since 2025; 5 MiB is what every region, endpoint and emulator takes. A stream takes records of
# 1 MiB unless it was created for larger ones, and a shard 1 MiB a second, of which one record should
# not be all.
MAX_ENTRIES_PER_CALL = 500
MAX_BYTES_PER_CALL = 5 * 1024 * 1024
MAX_AGGREGATE_BYTES = 256 * 1024
_KEY_BYTES = 128  # room for partition key, explicit hash key and the framing of a user record
MAX_USER_RECORD_BYTES = MAX_AGGREGATE_BYTES - 2 * _KEY_BYTES
_MAX_QUEUED_BYTES = 4 * 1024 * 1024
_LEAST_SECONDS = 1.0

_FIRST_BACKOFF_SECONDS = 0.1
_MAX_BACKOFF_SECONDS = 5.0
_TRANSIENT_ERRORS = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "InternalError",
        "KMSThrottlingException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


class PublishError(MonitorError):
    """The stream rejects records for a reason that does not pass: it does not exist, or access is denied."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One Kinesis record: KPL-aggregated quote batches of one partition.

    `stored_as` is the key under which it lies in S3, when it could not be sent in time.
    """

    partition: int
    data: bytes
    ticks: int
    stored_as: str | None = None


@dataclass(slots=True)
class PublishReport:
    """How many ticks went where: `ticks` by partition, and how many still wait in the publisher."""

    ticks: Counter[int] = field(default_factory=Counter)
    aggregates: int = 0
    user_bytes: int = 0
    resent: int = 0
    waiting: int = 0


class _Packer:
    """Packs the user records of one partition into aggregates."""

    def __init__(self, partition: int, partitions: int) -> None:
        self._partition = partition
        self._key = partition_key(partition)
        self._hash_key = explicit_hash_key(partition, partitions)
        self._aggregator = RecordAggregator(MAX_AGGREGATE_BYTES)
        self._ticks = 0

    def add(self, payload: bytes, ticks: int) -> Aggregate | None:
        """Return the aggregate that is full now, if the payload did not fit any more."""
        full = self._aggregator.add_user_record(self._key, payload, self._hash_key)
        done = None if full is None else self._finished(full)
        self._ticks += ticks
        return done

    def flush(self) -> Aggregate | None:
        rest = self._aggregator.clear_and_get()
        return None if rest is None else self._finished(rest)

    def _finished(self, record: Any) -> Aggregate:
        ticks, self._ticks = self._ticks, 0
        return Aggregate(self._partition, record.get_contents()[2], ticks)


class Publisher:
    """Publishes quote batches in order; what it could not send yet waits in it and goes first.

    Parameters
    ----------
    client
        A boto3 Kinesis client.
    stream_name, partitions
        Where to, and over how many partitions the symbols are spread.
    clock, sleep, rng
        Seconds that only grow, waiting, and the jitter of the backoff.
    """

    def __init__(
        self,
        client: KinesisClient,
        stream_name: str,
        partitions: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        rng: random.Random | None = None,
    ) -> None:
        if partitions < 1:
            raise ArgumentError(f"partitions is {partitions}; must be 1 or more")
        self._client = client
        self._stream_name = stream_name
        self._partitions = partitions
        self._clock = clock
        self._sleep = sleep
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._queues: dict[int, deque[Aggregate]] = {}
        self._failures: Counter[int] = Counter()
        self._not_before: dict[int, float] = {}

    @property
    def waiting(self) -> list[Aggregate]:
        """Aggregates that are accepted and not sent, per partition in the order in which it must be sent."""
        return [aggregate for queue in self._queues.values() for aggregate in queue]

    def drain(self) -> list[Aggregate]:
        """Hand `waiting` over to the caller, who stores it for `enqueue` by a later publisher."""
        waiting = self.waiting
        self._queues.clear()
        return waiting

    def enqueue(self, aggregates: Iterable[Aggregate]) -> None:
        """Queue what an earlier publisher could not send; the next `publish` sends it."""
        for aggregate in aggregates:
            self._queues.setdefault(aggregate.partition, deque()).append(aggregate)

    def publish(self, batches: Iterable[QuoteBatch], budget_seconds: float = math.inf) -> PublishReport:
        """Send what waits and then the batches, trying again until all is through or time is up.

        Each partition gets the symbols that belong to it; per symbol the order of the batches is kept.
        `batches` is read to its end and tried even when time is up: what is not sent then waits in the publisher.

        Raises
        ------
        PublishError
            If the stream rejects for a reason that does not pass. All batches read so far wait.
        QuoteBatchError
            If a batch cannot be written as the contract demands. The batches before it wait.
        """
        deadline = self._clock() + budget_seconds
        report = PublishReport()
        packers: dict[int, _Packer] = {}
        try:
            for batch in batches:
                self._pack(batch, packers, report)
                if self._queued_bytes() >= _MAX_QUEUED_BYTES:
                    self._drain(_MAX_QUEUED_BYTES // 2, deadline, report)
        finally:
            for packer in packers.values():
                rest = packer.flush()
                if rest is not None:
                    self.enqueue([rest])
        # What waits untried would have to be stored, and sent by a later poll, which is late as well.
        if packers:
            deadline = max(deadline, self._clock() + _LEAST_SECONDS)
        self._drain(0, deadline, report)
        report.waiting = sum(aggregate.ticks for aggregate in self.waiting)
        return report

    def _pack(self, batch: QuoteBatch, packers: dict[int, _Packer], report: PublishReport) -> None:
        # All is encoded before any of it is packed, so that a bad batch is rejected as a whole.
        payloads = [
            (partition, payload, ticks)
            for partition, part in split_by_partition(batch, self._partitions)
            for payload, ticks in encode_within(part, MAX_USER_RECORD_BYTES)
        ]
        for partition, payload, ticks in payloads:
            if partition not in packers:
                packers[partition] = _Packer(partition, self._partitions)
            report.user_bytes += len(payload)
            full = packers[partition].add(payload, ticks)
            if full is not None:
                self.enqueue([full])

    def _queued_bytes(self) -> int:
        return sum(len(aggregate.data) for queue in self._queues.values() for aggregate in queue)

    def _drain(self, down_to_bytes: int, deadline: float, report: PublishReport) -> None:
        while self._queues and self._queued_bytes() > down_to_bytes:
            now = self._clock()
            if now >= deadline:
                return
            ready = [partition for partition in self._queues if self._not_before.get(partition, 0.0) <= now]
            if not ready:
                wake = min(self._not_before[partition] for partition in self._queues)
                self._sleep(min(wake, deadline) - now)
                continue
            self._send(self._one_call(ready), report)

    def _one_call(self, ready: list[int]) -> list[Aggregate]:
        # Those that failed most often come first: with more partitions than fit a call none starves.
        heads: list[Aggregate] = []
        size = 0
        for partition in sorted(ready, key=lambda p: -self._failures[p]):
            head = self._queues[partition][0]
            size += len(head.data) + _KEY_BYTES
            if heads and (size > MAX_BYTES_PER_CALL or len(heads) == MAX_ENTRIES_PER_CALL):
                break
            heads.append(head)
        return heads

    def _send(self, heads: list[Aggregate], report: PublishReport) -> None:
        failed = self._put(heads)
        report.resent += sum(self._failures[head.partition] > 0 for head in heads)
        for head, has_failed in zip(heads, failed, strict=True):
            partition = head.partition
            if has_failed:
                self._failures[partition] += 1
                self._not_before[partition] = self._clock() + self._backoff(self._failures[partition])
                continue
            del self._failures[partition]
            self._not_before.pop(partition, None)
            queue = self._queues[partition]
            queue.popleft()
            if not queue:
                del self._queues[partition]
            report.ticks[partition] += head.ticks
            report.aggregates += 1

    def _put(self, heads: list[Aggregate]) -> list[bool]:
        """Return which of the entries failed with a transient error."""
        try:
            answer = self._client.put_records(
                StreamName=self._stream_name,
                Records=[
                    {
                        "Data": head.data,
                        "PartitionKey": partition_key(head.partition),
                        "ExplicitHashKey": explicit_hash_key(head.partition, self._partitions),
                    }
                    for head in heads
                ],
            )
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if code in _TRANSIENT_ERRORS or status >= 500:
                return [True] * len(heads)
            raise PublishError(f"stream {self._stream_name} rejects records: {error}") from error
        except (BotoConnectionError, HTTPClientError):
            return [True] * len(heads)
        return ["ErrorCode" in entry for entry in answer["Records"]]

    def _backoff(self, failures: int) -> float:
        longest = min(_MAX_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2.0 ** min(failures, 16))
        return self._rng.uniform(longest / 4, longest)


def split_by_partition(batch: QuoteBatch, partitions: int) -> list[tuple[int, QuoteBatch]]:
    """Return the batch cut into one batch per partition that it touches, rows in their order."""
    rows: dict[int, list[int]] = {}
    missing: dict[int, list[str]] = {}
    for row, symbol in enumerate(batch.symbol):
        rows.setdefault(partition_of(symbol, partitions), []).append(row)
    for symbol in batch.missing:
        missing.setdefault(partition_of(symbol, partitions), []).append(symbol)
    return [
        (partition, select(batch, rows.get(partition, []), missing.get(partition, [])))
        for partition in sorted(rows.keys() | missing.keys())
    ]


def encode_within(batch: QuoteBatch, max_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Return the batch as payloads of at most `max_bytes`, each with its number of ticks, rows in order."""
    payload = encode(batch)
    if len(payload) <= max_bytes:
        yield payload, len(batch)
        return
    middle, half_missing = len(batch) // 2, (len(batch.missing) + 1) // 2
    if len(batch) + len(batch.missing) < 2:
        raise ArgumentError(f"one quote takes {len(payload)} bytes; must be at most {max_bytes}")
    yield from encode_within(select(batch, range(middle), batch.missing[:half_missing]), max_bytes)
    yield from encode_within(
        select(batch, range(middle, len(batch)), batch.missing[half_missing:]), max_bytes
    )
