"""Reads one shard, and carries out what its processor decides."""

import functools
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from localstack.event_source_mapping.checkpoints import Offset
from localstack.event_source_mapping.records import EventSource, ShardRecord, make_record
from localstack.event_source_mapping.sender import Sender
from localstack.event_source_mapping.settings import MappingSettings
from localstack.event_source_mapping.shard import Action, Invoke, ShardProcessor
from localstack.event_source_mapping.workers import DaemonPool

if TYPE_CHECKING:
    from mypy_boto3_kinesis.client import KinesisClient
    from mypy_boto3_kinesis.type_defs import GetRecordsOutputTypeDef

logger = logging.getLogger(__name__)

_GET_RECORDS_LIMIT = 10_000
_TROUBLE_SECONDS = 1.0
_ITERATOR_SECONDS = 1.0


class ShardWorker:
    """One shard of one mapping, on a thread of its own.

    `on_offset` receives every new checkpoint. `finished` is set when a closed shard is read and processed to
    its end, `gone` when the shard vanished or cannot be read any more.
    """

    def __init__(
        self,
        settings: MappingSettings,
        *,
        source: EventSource,
        start: Offset,
        kinesis: "KinesisClient",
        sender: Sender,
        pool: DaemonPool,
        on_offset: Callable[[str, Offset], None],
        poll_interval: Callable[[float], float],
    ) -> None:
        self.shard_id = source.shard_id
        self.gone = False
        self.finished = threading.Event()
        self.reading = threading.Event()
        self._source = source
        self._resume = start
        self._kinesis = kinesis
        self._sender = sender
        self._pool = pool
        self._on_offset = on_offset
        self._poll_interval = poll_interval
        self._processor = ShardProcessor(settings)
        self._changed = threading.Condition()
        self._stopping = False
        self._in_flight = 0
        self._closed = False
        self._takes_records = True
        self._iterator: str | None = None
        self._iterator_until = 0.0
        self._next_poll = 0.0
        self._woken = False
        self._last_record = 0.0
        self._in_trouble = False
        self._thread = threading.Thread(target=self._run, name=f"shard-{source.shard_id}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def reconfigure(self, settings: MappingSettings) -> None:
        """Use other settings from the next decision on."""
        with self._changed:
            self._processor.reconfigure(settings)
            self._changed.notify()

    def wake(self) -> None:
        """Poll at once: records came."""
        with self._changed:
            self._woken, self._next_poll = True, 0.0
            self._changed.notify()

    def mark_closed(self) -> None:
        """Record that the shard takes no more records: it was split, merged or scaled away."""
        self._takes_records = False

    def stop(self) -> None:
        """Start nothing more. What is in flight may still finish; see `join`."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def join(self, timeout: float) -> None:
        """Wait until nothing is in flight, at most `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._changed:
            self._changed.wait_for(lambda: self._in_flight == 0, max(0.0, deadline - time.monotonic()))
        self._thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopping or self._over():
                    return
                for action in self._processor.due(time.time()):
                    self._in_flight += 1
                    self._pool.submit(functools.partial(self._carry_out, action))
                may_poll = not self._closed and self._processor.room > 0
                if not (may_poll and time.time() >= self._next_poll):
                    self._changed.wait(self._pause(may_poll=may_poll))
                    continue
                self._woken = False
            self._poll()

    def _over(self) -> bool:
        if not (self._closed and self._processor.drained):
            return False
        self._on_offset(self.shard_id, Offset("ended"))
        self.finished.set()
        return True

    def _pause(self, *, may_poll: bool) -> float | None:
        wake = self._processor.wake_time()
        times = [time_ for time_ in (wake, self._next_poll if may_poll else None) if time_ is not None]
        return max(0.0, min(times) - time.time()) if times else None

    def _carry_out(self, action: Action) -> None:
        settings = self._processor.settings
        outcome = None
        if isinstance(action, Invoke):
            outcome = self._sender.invoke(action.batch, settings)
        else:
            self._sender.discard(action.discarded, settings, self.shard_id)
        with self._changed:
            self._processor.completed(action, outcome)
            self._in_flight -= 1
            self._report_offset()
            self._changed.notify_all()

    def _report_offset(self) -> None:
        checkpoint = self._processor.checkpoint
        if checkpoint is not None:
            self._on_offset(self.shard_id, Offset("after", sequence_number=checkpoint))

    def _poll(self) -> None:
        try:
            may_get_more = self._takes_records
            answer = self._read(only_look=may_get_more)
        except ClientError as error:
            self._rejected(error)
        except BotoCoreError as error:
            self._trouble("endpoint_unavailable", error)
        else:
            self._in_trouble = False
            self._handle(answer, may_get_more=may_get_more)

    def _read(self, *, only_look: bool) -> "GetRecordsOutputTypeDef":
        """Read on. Records are taken from an iterator opened just now at the last known sequence number.

        An emulator's iterator may be a mere index, which skips records when old ones expire in front of it.
        So a used one only tells, for a second at most, whether there is something to read.
        """
        now = time.monotonic()
        if only_look and self._iterator and now < self._iterator_until:
            answer = self._get_records(self._iterator)
            if not answer["Records"]:
                return answer
        answer = self._get_records(self._open_iterator())
        self._iterator_until = 0.0 if answer["Records"] else now + _ITERATOR_SECONDS
        return answer

    def _get_records(self, iterator: str) -> "GetRecordsOutputTypeDef":
        limit = max(1, min(_GET_RECORDS_LIMIT, self._processor.room))
        # With the stream's name: what a role may read is judged by it, and MiniStack does not see it in the iterator.
        return self._kinesis.get_records(
            ShardIterator=iterator, StreamARN=self._source.stream_arn, Limit=limit
        )

    def _open_iterator(self) -> str:
        opened = time.time()
        arguments: dict[str, Any] = {"StreamARN": self._source.stream_arn, "ShardId": self.shard_id}
        match self._resume.kind:
            case "after":
                arguments["ShardIteratorType"] = "AFTER_SEQUENCE_NUMBER"
                arguments["StartingSequenceNumber"] = self._resume.sequence_number
            case "at":
                arguments["ShardIteratorType"] = "AT_TIMESTAMP"
                arguments["Timestamp"] = self._resume.timestamp
            case "latest":
                arguments["ShardIteratorType"] = "LATEST"
            case _:
                arguments["ShardIteratorType"] = "TRIM_HORIZON"
        iterator = self._kinesis.get_shard_iterator(**arguments)["ShardIterator"]
        if self._resume.kind == "latest":
            # Should this iterator get lost, "latest" would skip what came in the meantime.
            self._resume = Offset("at", timestamp=opened)
            self._on_offset(self.shard_id, self._resume)
        return iterator

    def _handle(self, answer: "GetRecordsOutputTypeDef", *, may_get_more: bool) -> None:
        now = time.time()
        records = [self._record(raw) for raw in answer["Records"]]
        self._iterator = answer.get("NextShardIterator")
        behind = answer.get("MillisBehindLatest", 0) > 0
        # AWS ends a closed shard with a null iterator; some emulators hand out iterators for ever.
        at_end = not self._iterator or not (may_get_more or records or behind)
        with self._changed:
            if records:
                self._last_record = now
                self._resume = Offset("after", sequence_number=records[-1].sequence_number)
                self._processor.offer(records, now)
                self._report_offset()
            self._closed = at_end
            at_once = self._woken or (records and behind)
            self._next_poll = now if at_once else now + self._poll_interval(now - self._last_record)
        self.reading.set()

    def _record(self, raw: Any) -> ShardRecord:
        data, key, number = raw["Data"], raw["PartitionKey"], raw["SequenceNumber"]
        arrival = raw["ApproximateArrivalTimestamp"].timestamp()
        return make_record(self._source, number, key, data, arrival)

    def _rejected(self, error: ClientError) -> None:
        code = error.response["Error"]["Code"]
        if code == "ExpiredIteratorException":
            self._iterator = None
        elif code == "ResourceNotFoundException":
            logger.warning("shard_gone shard=%s stream=%s", self.shard_id, self._source.stream_arn)
            with self._changed:
                self.gone = self._closed = True
        elif code == "InvalidArgumentException" and self._resume.kind == "after":
            logger.warning("checkpoint_rejected shard=%s reading from the start: %s", self.shard_id, error)
            self._iterator, self._resume = None, Offset("start")
        else:
            self._trouble(code, error)

    def _trouble(self, what: str, error: Exception) -> None:
        if not self._in_trouble:
            logger.warning("%s shard=%s error=%s", what, self.shard_id, error)
        self._in_trouble = True
        self._iterator = None
        self._next_poll = time.time() + _TROUBLE_SECONDS
