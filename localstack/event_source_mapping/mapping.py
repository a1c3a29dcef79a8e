"""Runs one mapping: keeps a worker on every shard that may be read."""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from localstack.event_source_mapping.checkpoints import Checkpoints, Offset
from localstack.event_source_mapping.clients import Clients
from localstack.event_source_mapping.lineage import Shard, forgettable, startable
from localstack.event_source_mapping.poller import ShardWorker
from localstack.event_source_mapping.records import EventSource
from localstack.event_source_mapping.sender import Sender
from localstack.event_source_mapping.settings import MappingSettings
from localstack.event_source_mapping.workers import DaemonPool

if TYPE_CHECKING:
    from mypy_boto3_kinesis.client import KinesisClient

logger = logging.getLogger(__name__)


class MappingRunner:
    """One mapping's workers. Its methods are called by the supervisor's thread only."""

    def __init__(
        self,
        settings: MappingSettings,
        *,
        clients: Clients,
        checkpoints: Checkpoints,
        sender: Sender,
        pool: DaemonPool,
        poll_interval: Callable[[float], float],
    ) -> None:
        self.settings = settings
        self._clients = clients
        self._checkpoints = checkpoints
        self._sender = sender
        self._pool = pool
        self._poll_interval = poll_interval
        self._workers: dict[str, ShardWorker] = {}
        self._role_arn: str | None = None

    @property
    def shard_count(self) -> int:
        """Shards being read."""
        return len(self._workers)

    @property
    def polling(self) -> bool:
        """Return whether every shard that may be read has been asked for records at least once."""
        return bool(self._workers) and all(worker.reading.is_set() for worker in self._workers.values())

    @property
    def has_finished_shards(self) -> bool:
        """Return whether children may wait for a shard that ended just now."""
        return any(worker.finished.is_set() for worker in self._workers.values())

    def reconfigure(self, settings: MappingSettings) -> None:
        """Take over changed settings."""
        if settings == self.settings:
            return
        logger.info("mapping_changed mapping=%s settings=%s", settings.uuid, settings)
        self.settings = settings
        for worker in self._workers.values():
            worker.reconfigure(settings)

    def wake(self) -> None:
        """Poll every shard at once: records came."""
        for worker in list(self._workers.values()):
            worker.wake()

    def refresh_shards(self) -> None:
        """Look at the stream's shards, retire finished workers and start what may be read now.

        Raises
        ------
        ClientError, BotoCoreError
            when the stream or the function cannot be described; the next call tries again.
        """
        shards = list_shards(self._of_role().kinesis, self.settings.stream_arn)
        self._retire()
        for shard in shards:
            if shard.closed and shard.shard_id in self._workers:
                self._workers[shard.shard_id].mark_closed()
        known = self._checkpoints.known(self.settings.uuid)
        if not known:
            self._start_from_configured_offset(shards)
        offsets = self._checkpoints.shards(self.settings.uuid)
        ended = {shard_id for shard_id, offset in offsets.items() if offset.kind == "ended"}
        for shard in startable(shards, ended, self._workers):
            self._start(shard, offsets.get(shard.shard_id, Offset("start")))
        self._checkpoints.forget_shards(self.settings.uuid, forgettable(shards, ended) - set(self._workers))

    def _retire(self) -> None:
        for shard_id, worker in list(self._workers.items()):
            if worker.finished.is_set():
                logger.info("shard_ended mapping=%s shard=%s", self.settings.uuid, shard_id)
                del self._workers[shard_id]

    def _start_from_configured_offset(self, shards: list[Shard]) -> None:
        for shard in shards:
            self._checkpoints.put(self.settings.uuid, shard.shard_id, first_offset(self.settings, shard))

    def _start(self, shard: Shard, offset: Offset) -> None:
        logger.info("shard_started mapping=%s shard=%s offset=%s", self.settings.uuid, shard.shard_id, offset)
        self._checkpoints.put(self.settings.uuid, shard.shard_id, offset)
        worker = ShardWorker(
            settings=self.settings,
            source=self._event_source(shard.shard_id),
            start=offset,
            kinesis=self._of_role().kinesis,
            sender=self._sender,
            pool=self._pool,
            on_offset=lambda shard_id, at: self._checkpoints.put(self.settings.uuid, shard_id, at),
            poll_interval=self._poll_interval,
        )
        self._workers[shard.shard_id] = worker
        worker.start()

    def _of_role(self) -> Clients:
        return self._clients.of_role(self._role())

    def _role(self) -> str:
        if self._role_arn is None:
            self._role_arn = self._clients.role_of(self.settings.function_arn)
        return self._role_arn

    def _event_source(self, shard_id: str) -> EventSource:
        region = self.settings.stream_arn.split(":")[3]
        return EventSource(self.settings.stream_arn, shard_id, region, self._role())

    def stop(self) -> None:
        """Start nothing more; see `join`."""
        for worker in self._workers.values():
            worker.stop()

    def join(self, timeout: float) -> None:
        """Wait for what is in flight, at most `timeout` seconds."""
        deadline = time.monotonic() + timeout
        for worker in self._workers.values():
            worker.join(max(0.0, deadline - time.monotonic()))


def first_offset(settings: MappingSettings, shard: Shard) -> Offset:
    """Where a new mapping begins to read a shard that exists when the mapping is first seen."""
    if settings.starting_position == "LATEST":
        return Offset("ended") if shard.closed else Offset("latest")
    if settings.starting_position == "AT_TIMESTAMP":
        if settings.starting_timestamp is not None:
            return Offset("at", timestamp=settings.starting_timestamp)
        logger.warning(
            "no_timestamp mapping=%s starts AT_TIMESTAMP, but the endpoint does not return the timestamp: "
            "reading from the oldest record",
            settings.uuid,
        )
    return Offset("start")


def list_shards(kinesis: "KinesisClient", stream_arn: str) -> list[Shard]:
    """All shards of a stream."""
    answer = kinesis.list_shards(StreamARN=stream_arn)
    raw = list(answer["Shards"])
    while token := answer.get("NextToken"):
        answer = kinesis.list_shards(NextToken=token)
        raw += answer["Shards"]
    return [
        Shard(
            shard_id=shard["ShardId"],
            parents=tuple(
                parent
                for parent in (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
                if parent is not None
            ),
            closed="EndingSequenceNumber" in shard["SequenceNumberRange"],
        )
        for shard in raw
    ]
