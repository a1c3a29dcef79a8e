"""Keeps the set of running mappings equal to the deployed ones, and writes checkpoints and the ready file."""

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from localstack.event_source_mapping.arrivals import ArrivalWatch
from localstack.event_source_mapping.checkpoints import Checkpoints
from localstack.event_source_mapping.clients import Clients
from localstack.event_source_mapping.mapping import MappingRunner
from localstack.event_source_mapping.sender import Sender
from localstack.event_source_mapping.settings import (
    InvalidMappingError,
    MappingSettings,
    is_kinesis,
    parse_mapping,
)
from localstack.event_source_mapping.workers import DaemonPool
from localstack.files import write_atomically

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 2.0
_TICK_SECONDS = 0.5
_DRAIN_SECONDS = 3.0
_QUIET_AFTER_SECONDS = 15.0
_ANNOUNCED_SECONDS = 2.0
"""Between polls of a shard whose records are announced: no announcement is missed for longer."""


@dataclass(frozen=True)
class Options:
    """What to run. `functions` empty means every function."""

    include_disabled: bool
    functions: frozenset[str]
    ready_file: Path | None


class Supervisor:
    """The main loop."""

    def __init__(
        self,
        options: Options,
        clients: Clients,
        checkpoints: Checkpoints,
        sender: Sender,
    ) -> None:
        self._options = options
        self._clients = clients
        self._checkpoints = checkpoints
        self._sender = sender
        self._pool = DaemonPool("invoke")
        self._runners: dict[str, MappingRunner] = {}
        self._stop = threading.Event()
        self._reachable = True
        self._writable = True
        self._announced: list[str] | None = None
        self._rejected: set[str] = set()
        self._without_stream: set[str] = set()
        self._driven: frozenset[str] = frozenset()
        self._shards = 0
        self._arrivals: ArrivalWatch | None = None

    def stop(self) -> None:
        """Ask `run` to come to an end; safe to call from a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Run mappings until `stop`. Then finish quickly: what is still in flight is delivered again."""
        next_refresh = 0.0
        while not self._stop.is_set():
            now = time.monotonic()
            if now >= next_refresh or any(runner.has_finished_shards for runner in self._runners.values()):
                self._refresh()
                next_refresh = now + REFRESH_SECONDS
            self._write(self._checkpoints.save, self._announce)
            self._stop.wait(_TICK_SECONDS)
        self._wind_up()

    def watch(self, endpoint: str) -> None:
        """Let the local AWS at `endpoint` say when records come."""
        self._arrivals = ArrivalWatch(endpoint, self._wake)
        self._arrivals.start()

    def _wake(self) -> None:
        for runner in list(self._runners.values()):
            runner.wake()

    def driven_functions(self) -> frozenset[str]:
        """Return the functions that the runner invokes; for other threads."""
        return self._driven

    def poll_interval(self, quiet_seconds: float) -> float:
        """Seconds until the next poll of a shard that had its last record `quiet_seconds` ago."""
        if self._arrivals is not None and self._arrivals.is_announced:
            return _ANNOUNCED_SECONDS
        return poll_interval(self._shards, quiet_seconds)

    def _refresh(self) -> None:
        try:
            wanted = {settings.uuid: settings for settings in self._list_mappings()}
        except (BotoCoreError, ClientError) as error:
            if self._reachable:
                logger.warning("endpoint_unavailable error=%s", error)
            self._reachable = False
            return
        if not self._reachable:
            logger.info("endpoint_available")
        self._reachable = True
        self._remove(set(self._runners) - set(wanted))
        self._driven = frozenset(settings.function_name for settings in wanted.values())
        for settings in wanted.values():
            self._apply(settings)
        self._shards = sum(runner.shard_count for runner in self._runners.values())

    def _list_mappings(self) -> list[MappingSettings]:
        listed = [
            mapping
            for page in self._clients.functions.get_paginator("list_event_source_mappings").paginate()
            for mapping in page["EventSourceMappings"]
            if is_kinesis(mapping)
        ]
        for uuid in self._checkpoints.mappings() - {mapping["UUID"] for mapping in listed}:
            logger.info("mapping_deleted mapping=%s", uuid)
            self._remove({uuid} & set(self._runners))
            self._checkpoints.forget_mapping(uuid)
        parsed = [self._parse(mapping) for mapping in listed]
        return [settings for settings in parsed if settings is not None and self._adopts(settings)]

    def _parse(self, mapping: object) -> MappingSettings | None:
        try:
            return parse_mapping(mapping)  # type: ignore[arg-type]
        except InvalidMappingError as error:
            if str(error) not in self._rejected:
                logger.error("mapping_rejected %s", error)
                self._rejected.add(str(error))
            return None

    def _adopts(self, settings: MappingSettings) -> bool:
        chosen = not self._options.functions or settings.function_name in self._options.functions
        return chosen and (settings.enabled or self._options.include_disabled)

    def _remove(self, uuids: set[str]) -> None:
        for uuid in uuids:
            logger.info("mapping_stopped mapping=%s", uuid)
            runner = self._runners.pop(uuid)
            runner.stop()
            runner.join(_DRAIN_SECONDS)

    def _apply(self, settings: MappingSettings) -> None:
        runner = self._runners.get(settings.uuid)
        if runner is None:
            logger.info("mapping_adopted mapping=%s settings=%s", settings.uuid, settings)
            runner = MappingRunner(
                settings,
                clients=self._clients,
                checkpoints=self._checkpoints,
                sender=self._sender,
                pool=self._pool,
                poll_interval=self.poll_interval,
            )
            self._runners[settings.uuid] = runner
        runner.reconfigure(settings)
        try:
            runner.refresh_shards()
        except (BotoCoreError, ClientError) as error:
            is_gone = (
                isinstance(error, ClientError)
                and error.response["Error"]["Code"] == "ResourceNotFoundException"
            )
            if not is_gone or settings.uuid not in self._without_stream:
                logger.warning("shards_unknown mapping=%s error=%s", settings.uuid, error)
            if is_gone:
                self._without_stream.add(settings.uuid)
        else:
            self._without_stream.discard(settings.uuid)

    def _write(self, *files: Callable[[], None]) -> None:
        """Write files; while they cannot be written, on a full disk, deliveries go on, and it is tried again."""
        try:
            for write in files:
                write()
        except OSError as error:
            if self._writable:
                logger.error("files_not_written error=%s", error)
            self._writable = False
        else:
            if not self._writable:
                logger.info("files_written")
            self._writable = True

    def _announce(self) -> None:
        if self._options.ready_file is None or not self._reachable:
            return
        polling = sorted(uuid for uuid, runner in self._runners.items() if runner.polling)
        waiting = self._runners.keys() - polling - self._without_stream
        if polling == self._announced or (self._announced is None and waiting):
            return
        write_atomically(
            self._options.ready_file, json.dumps({"pid": os.getpid(), "mappings": polling}) + "\n"
        )
        self._announced = polling

    def _wind_up(self) -> None:
        if self._arrivals is not None:
            self._arrivals.stop()
        for runner in self._runners.values():
            runner.stop()
        deadline = time.monotonic() + _DRAIN_SECONDS
        for runner in self._runners.values():
            runner.join(max(0.0, deadline - time.monotonic()))
        self._write(self._checkpoints.save)
        if self._options.ready_file is not None:
            self._options.ready_file.unlink(missing_ok=True)


def poll_interval(shards: int, quiet_seconds: float) -> float:
    """Seconds between two polls of one of `shards` shards that has nothing new.

    A GetRecords call costs 1-2 ms of CPU, so all shards share a budget: 25 calls a second while records
    come, 12 when they have not for a while.
    """
    if quiet_seconds < _QUIET_AFTER_SECONDS:
        return max(0.08, shards / 25)
    return max(0.2, shards / 12)
