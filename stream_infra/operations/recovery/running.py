"""Stopping the monitor and starting it again, with the proof that no tick that the stream still holds was lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from consumers.contracts.counts import TickCounts
from consumers.stores.charts import ChartTable
from consumers.stores.windows import Ledger
from producers.origin import Origin, origin_of, windows_of
from producers.partitions import partition_of
from stream_infra import names
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import FailedError
from stream_infra.operations.tail import TickCursor

Progress = Callable[[int, int], None]
"""Called with how many ticks are accounted for, and how many waited."""
_LIVE = ("live", "simulated")
_LIMIT_SECONDS = 900.0
_POLL_SECONDS = 1.0
_READ_SECONDS = 0.2
"""Kinesis allows five reads a second and shard."""
_RETENTION = timedelta(hours=24)
"""How long the stream keeps records, as the stack sets it."""
_MARGIN_MS = 10_000
"""A record arrives after its ticks were seen: by so much at most, or it would be a wrong clock."""


@dataclass(frozen=True)
class Proof:
    """What waited in the stream when the monitor was started, and what became of it.

    Attributes
    ----------
    waiting
        Ticks in the stream that were newer than the last one of their ticker in the windows.
    accounted
        Ticks that the detector took since: in windows, duplicate, out of order or quarantined.
    behind
        Tickers whose newest waiting tick did not reach the windows in time.
    """

    waiting: int
    accounted: int
    behind: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing that waited is missing."""
        return not self.behind and self.accounted >= self.waiting

    def as_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return {**asdict(self), "complete": self.complete}


def stop(endpoints: Endpoints, *, everything: bool) -> list[str]:
    """Stop the scans, and the detector and the notifier if `everything`; return what was stopped."""
    endpoints.client("events").disable_rule(Name=names.SCHEDULE_RULE)
    stopped = [f"the schedule {names.SCHEDULE_RULE}"]
    if everything:
        _enable(endpoints, enabled=False)
        stopped += [f"what feeds {names.DETECTOR}", f"what feeds {names.NOTIFIER}"]
    return stopped


def start(endpoints: Endpoints, on_progress: Progress) -> Proof:
    """Start everything, and wait until what waited in the stream is in the windows, a quarter of an hour at most.

    Raises
    ------
    FailedError
        The counts of the windows do not add up, which must not be.
    """
    partitions = _partitions(endpoints)
    ledger = Ledger(endpoints.client("dynamodb"), names.WINDOWS_TABLE, partitions)
    heads = ledger.heads()
    waiting = _waiting(endpoints, partitions)
    _enable(endpoints, enabled=True)
    endpoints.client("events").enable_rule(Name=names.SCHEDULE_RULE)
    waited = 0.0
    while True:
        taken = sum(
            (ledger.counts_since(heads, source) for source in {tick.source for tick in waiting}), TickCounts()
        )
        if not taken.balance():
            raise FailedError(f"ticks are not accounted for: {taken.as_dict()}: see the runbook")
        on_progress(min(taken.ticks_in, len(waiting)), len(waiting))
        proof = Proof(len(waiting), taken.ticks_in, _behind(endpoints, waiting))
        if proof.complete or waited >= _LIMIT_SECONDS:
            return proof
        time.sleep(_POLL_SECONDS)
        waited += _POLL_SECONDS


class _Tick(NamedTuple):
    source: str
    symbol: str
    ts: int

    @property
    def origin(self) -> Origin:
        """Of the windows that it moves."""
        return origin_of(windows_of(self.source))


def _partitions(endpoints: Endpoints) -> int:
    found = endpoints.client("lambda").get_function_configuration(FunctionName=names.DETECTOR)
    return int(found.get("Environment", {}).get("Variables", {}).get("PARTITIONS", "4"))


def _known(endpoints: Endpoints) -> dict[tuple[str, str], int]:
    """Time of the last tick in the windows, by origin and symbol."""
    store = ChartTable(endpoints.client("dynamodb"), names.CHARTS_TABLE)
    return {(class_, symbol): ts for class_ in _LIVE for symbol, ts in store.last_quotes(class_).ts.items()}


def _waiting(endpoints: Endpoints, partitions: int) -> list[_Tick]:
    """Ticks in the stream that are newer than what the windows have of their symbol."""
    known = _known(endpoints)
    newest: dict[tuple[str, int], int] = {}
    for (class_, symbol), ts in known.items():
        lane = (class_, partition_of(symbol, partitions))
        newest[lane] = max(ts, newest.get(lane, 0))
    oldest = int((datetime.now(UTC) - _RETENTION).timestamp() * 1000)
    since = max(oldest, min(newest.values(), default=oldest) - _MARGIN_MS)
    cursor, found, complete = (
        TickCursor(endpoints.client("kinesis"), names.STREAM, since),
        list[_Tick](),
        False,
    )
    while not complete:
        items, complete = cursor.poll()
        if not complete:
            time.sleep(_READ_SECONDS)
        found += [_Tick(item["source"], item["ticker"], item["ts"]) for item in items if "error" not in item]
    return [
        tick for tick in found if tick.origin in _LIVE and tick.ts > known.get((tick.origin, tick.symbol), 0)
    ]


def _behind(endpoints: Endpoints, waiting: Iterable[_Tick]) -> tuple[str, ...]:
    known = _known(endpoints)
    late = {tick.symbol for tick in waiting if tick.ts > known.get((tick.origin, tick.symbol), 0)}
    return tuple(sorted(late))


def _enable(endpoints: Endpoints, *, enabled: bool) -> None:
    client, account = endpoints.client("lambda"), endpoints.account()
    region = client.meta.region_name
    sources = [f"arn:aws:sqs:{region}:{account}:{names.NOTIFIER_QUEUE}"]
    if endpoints.directory is None:
        sources.append(f"arn:aws:kinesis:{region}:{account}:stream/{names.STREAM}")
    else:  # locally a program polls the stream, over a mapping that stays disabled
        _run_poller(endpoints, enabled=enabled)
    for source in sources:
        for mapping in client.list_event_source_mappings(EventSourceArn=source)["EventSourceMappings"]:
            client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)


def _run_poller(endpoints: Endpoints, *, enabled: bool) -> None:
    variables = {
        "STOCK_MONITOR_DIR": str(endpoints.directory),
        "STOCK_MONITOR_AWS_PORT": str(urlsplit(endpoints.aws or "").port),
        "STOCK_MONITOR_PORT": str(urlsplit(endpoints.dashboard or "").port),
    }
    action = "start" if enabled else "stop"
    # A program of its own: this room is used without the local AWS, and so does not import it.
    done = subprocess.run(
        [sys.executable, "-m", "localstack.poller", action],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise FailedError(f"{action} of what feeds {names.DETECTOR} failed: {done.stderr.strip()}")
