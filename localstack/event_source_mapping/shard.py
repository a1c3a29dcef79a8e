"""One shard's processing as a pure state machine: records in, actions out, outcomes in, checkpoint out.

Time is an argument (epoch seconds) everywhere. A shard has `parallelization_factor` lanes; a record's lane
follows from its partition key, and a lane does one thing at a time, so the records of a key stay in order.
"""

import zlib
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from localstack.event_source_mapping.batch import Batch, Discarded, InvocationOutcome, settle, split_expired
from localstack.event_source_mapping.records import ShardRecord, fitting
from localstack.event_source_mapping.settings import MappingSettings

_BUFFER_RECORDS = 1_000
_BUFFER_BYTES = 24 * 1024 * 1024


class Invoke(NamedTuple):
    """Invoke the function with this batch."""

    lane: int
    batch: Batch
    started: float


class Discard(NamedTuple):
    """Send these records to the on-failure destination, if there is one."""

    lane: int
    discarded: Discarded


Action = Invoke | Discard


class _Waiting(NamedTuple):
    record: ShardRecord
    since: float


class _Lane:
    """Records waiting for a batch, and the batches waiting for an invocation."""

    def __init__(self) -> None:
        self.waiting: deque[_Waiting] = deque()
        self.batches: deque[Batch] = deque()
        self.discarded: Discarded | None = None
        self.busy = False

    @property
    def empty(self) -> bool:
        return not (self.busy or self.waiting or self.batches or self.discarded)

    def pending_records(self) -> Iterable[ShardRecord]:
        if self.discarded:
            yield from self.discarded.records
        for batch in self.batches:
            yield from batch.records
        yield from (entry.record for entry in self.waiting)

    def next_action(self, lane: int, settings: MappingSettings, now: float) -> Action | None:
        if self.busy:
            return None
        if not self.batches and not self.discarded:
            self._form_batch(settings, now)
        if self.batches and not self.discarded:
            self._expire(settings, now)
        return self._next_batch(lane, now)

    def _next_batch(self, lane: int, now: float) -> Action | None:
        if self.discarded:
            self.busy, discarded, self.discarded = True, self.discarded, None
            return Discard(lane, discarded)
        if self.batches and self.batches[0].not_before <= now:
            self.busy = True
            return Invoke(lane, self.batches.popleft(), now)
        return None

    def _form_batch(self, settings: MappingSettings, now: float) -> None:
        if not self.waiting:
            return
        head = [entry.record for entry in islice(self.waiting, settings.batch_size + 1)]
        count = fitting(head, settings.batch_size)
        full = count >= settings.batch_size or count < len(head)
        if full or now >= self.waiting[0].since + settings.batching_window:
            self.batches.append(Batch(tuple(head[:count])))
            for _ in range(count):
                self.waiting.popleft()

    def _expire(self, settings: MappingSettings, now: float) -> None:
        self.discarded, rest = split_expired(self.batches.popleft(), settings, now)
        if rest:
            self.batches.appendleft(rest)

    def wake_time(self, settings: MappingSettings) -> float | None:
        """When this lane has something to do without any outside event; None: never."""
        if self.busy:
            return None
        if self.discarded:
            return 0.0
        if self.batches:
            batch = self.batches[0]
            if settings.maximum_record_age < 0:
                return batch.not_before
            return min(batch.not_before, batch.records[0].arrival + settings.maximum_record_age)
        return self.waiting[0].since + settings.batching_window if self.waiting else None


class _Progress:
    """Which of the records read are finished; the checkpoint never passes an unfinished one."""

    def __init__(self) -> None:
        self._order: deque[str] = deque()
        self._finished: set[str] = set()
        self.checkpoint: str | None = None

    def add(self, sequence_number: str) -> None:
        self._order.append(sequence_number)

    def finish(self, sequence_numbers: Iterable[str]) -> None:
        self._finished.update(sequence_numbers)
        while self._order and self._order[0] in self._finished:
            self.checkpoint = self._order.popleft()
            self._finished.discard(self.checkpoint)

    @property
    def unfinished(self) -> bool:
        return bool(self._order)


class ShardProcessor:
    """Decides what to do with the records of one shard."""

    def __init__(self, settings: MappingSettings) -> None:
        self._settings = settings
        self._lanes = [_Lane() for _ in range(settings.parallelization_factor)]
        self._progress = _Progress()
        self._buffered_records = 0
        self._buffered_bytes = 0

    @property
    def settings(self) -> MappingSettings:
        """The mapping's settings in force."""
        return self._settings

    @property
    def checkpoint(self) -> str | None:
        """Return the sequence number up to which every record read is finished; None before the first."""
        return self._progress.checkpoint

    @property
    def drained(self) -> bool:
        """Return whether every record offered is finished."""
        return not self._progress.unfinished

    @property
    def room(self) -> int:
        """How many more records to read now; 0 while enough are waiting."""
        if self._buffered_bytes >= _BUFFER_BYTES:
            return 0
        wanted = max(_BUFFER_RECORDS, 2 * self._settings.batch_size * len(self._lanes))
        return max(0, wanted - self._buffered_records)

    def reconfigure(self, settings: MappingSettings) -> None:
        """Use other settings from the next decision on; another factor from when nothing is in flight."""
        self._settings = settings

    def offer(self, records: Sequence[ShardRecord], now: float) -> None:
        """Take records, in shard order."""
        for record in records:
            self._progress.add(record.sequence_number)
            self._enqueue(record, now)

    def _enqueue(self, record: ShardRecord, now: float) -> None:
        self._lanes[_lane_of(record, len(self._lanes))].waiting.append(_Waiting(record, now))
        self._buffered_records += 1
        self._buffered_bytes += len(record.event_json)

    def due(self, now: float) -> list[Action]:
        """Return the actions to start now. Each must be reported to `completed` when it is over."""
        self._relane(now)
        if len(self._lanes) != self._settings.parallelization_factor:
            return []
        actions = (lane.next_action(index, self._settings, now) for index, lane in enumerate(self._lanes))
        return [action for action in actions if action is not None]

    def _relane(self, now: float) -> None:
        factor = self._settings.parallelization_factor
        if len(self._lanes) == factor or any(lane.busy for lane in self._lanes):
            return
        pending = [record for lane in self._lanes for record in lane.pending_records()]
        self._lanes = [_Lane() for _ in range(factor)]
        for record in pending:
            self._lanes[_lane_of(record, factor)].waiting.append(_Waiting(record, now))

    def completed(self, action: Action, outcome: InvocationOutcome | None = None) -> None:
        """Report an action as over; an `Invoke` with its outcome."""
        lane = self._lanes[action.lane]
        lane.busy = False
        if isinstance(action, Discard):
            self._finish(action.discarded.records)
            return
        if outcome is None:
            raise ValueError("an Invoke is completed with its outcome")
        settled = settle(action.batch, outcome, self._settings, action.started)
        self._finish(settled.done)
        lane.batches.extendleft(reversed(settled.next_batches))
        lane.discarded = settled.discarded

    def _finish(self, records: Sequence[ShardRecord]) -> None:
        self._progress.finish(record.sequence_number for record in records)
        self._buffered_records -= len(records)
        self._buffered_bytes -= sum(len(record.event_json) for record in records)

    def wake_time(self) -> float | None:
        """When `due` has something new without any outside event; None: only after one."""
        if len(self._lanes) != self._settings.parallelization_factor:
            return None
        times = [lane.wake_time(self._settings) for lane in self._lanes]
        return min((time for time in times if time is not None), default=None)


def _lane_of(record: ShardRecord, lanes: int) -> int:
    return zlib.crc32(record.partition_key.encode()) % lanes
