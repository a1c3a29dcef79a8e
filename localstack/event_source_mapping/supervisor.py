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

from localstack.event_source_mapping.checkpoints import Checkpoints, write_atomically
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

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 2.0
_TICK_SECONDS = 0.5
_SHORTEST_POLL_SECONDS = 0.1
_POLLS_PER_SECOND = 16
_DRAIN_SECONDS = 3.0


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
        on_tick: Callable[[float], None],
    ) -> None:
        self._options = options
        self._clients = clients
        self._checkpoints = checkpoints
        self._sender = sender
        self._on_tick = on_tick
        self._pool = DaemonPool("invoke")
        self._runners: dict[str, MappingRunner] = {}
        self._stop = threading.Event()
        self._reachable = True
        self._announced: list[str] | None = None
        self._rejected: set[str] = set()

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
            self._checkpoints.save()
            self._announce()
            self._on_tick(time.time())
            self._stop.wait(_TICK_SECONDS)
        self._wind_up()

    def poll_interval(self) -> float:
        """Seconds between two polls of a shard that has nothing new: all shards share one budget."""
        shards = sum(runner.shard_count for runner in self._runners.values())
        return max(_SHORTEST_POLL_SECONDS, shards / _POLLS_PER_SECOND)

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
        for settings in wanted.values():
            self._apply(settings)

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
            logger.warning("shards_unknown mapping=%s error=%s", settings.uuid, error)

    def _announce(self) -> None:
        if self._options.ready_file is None or not self._reachable:
            return
        polling = sorted(uuid for uuid, runner in self._runners.items() if runner.polling)
        if polling == self._announced or (self._announced is None and len(polling) < len(self._runners)):
            return
        write_atomically(
            self._options.ready_file, json.dumps({"pid": os.getpid(), "mappings": polling}) + "\n"
        )
        self._announced = polling

    def _wind_up(self) -> None:
        for runner in self._runners.values():
            runner.stop()
        deadline = time.monotonic() + _DRAIN_SECONDS
        for runner in self._runners.values():
            runner.join(max(0.0, deadline - time.monotonic()))
        self._checkpoints.save()
        if self._options.ready_file is not None:
            self._options.ready_file.unlink(missing_ok=True)
