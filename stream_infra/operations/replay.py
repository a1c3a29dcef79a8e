"""Sends a recording through the whole monitor and waits until every tick of it is accounted for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consumers.contracts.anomaly import iso_ms
from consumers.contracts.counts import TickCounts
from consumers.stores.windows import Ledger
from producers.errors import MonitorError
from producers.publisher import Publisher
from producers.recorded_rows import RecordedTick
from producers.sources.replay import batches, paced
from stream_infra import names
from stream_infra.operations.recordings import RejectedRows, ticks_of

if TYPE_CHECKING:
    from stream_infra.operations.endpoints import Endpoints

STALLED_AFTER_SECONDS = 120.0
_LOOK_EVERY_SECONDS = 0.5


class ReplayStalledError(MonitorError):
    """Ticks that were sent are not accounted for, and nothing has moved for a while."""


@dataclass(slots=True)
class Replay:
    """A replay's course: `ticks` sent under `source`, rows `rejected`, and what became of the ticks.

    `symbols` gives the first and the last ts (epoch ms) of each symbol.
    """

    path: Path
    source: str
    ticks: int = 0
    rejected: RejectedRows = field(default_factory=RejectedRows)
    symbols: dict[str, tuple[int, int]] = field(default_factory=dict)
    balance: TickCounts = field(default_factory=TickCounts)
    anomalies: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return what a program gets."""
        return {
            "file": str(self.path),
            "source": self.source,
            "ticks": self.ticks,
            "rejected": [row._asdict() for row in self.rejected.first],
            "rejected_rows": self.rejected.count,
            "seconds": round(self.seconds, 3),
            "balance": self.balance.as_dict(),
            "anomalies": self.anomalies,
        }


Progress = Callable[[Replay], None]


def run(course: Replay, speed: float | None, endpoints: Endpoints, progress: Progress) -> None:
    """Send the file at `speed` times its pace (None: as fast as possible) and wait for its ticks.

    Raises
    ------
    InputError
        The file cannot be read, or holds no tick.
    ReplayStalledError
        Ticks stay unaccounted for.
    """
    began = time.monotonic()
    partitions = _partitions(endpoints)
    dynamodb = endpoints.client("dynamodb")
    ledger = Ledger(dynamodb, names.WINDOWS_TABLE, partitions)
    heads = ledger.heads()
    _send(course, speed, Publisher(endpoints.client("kinesis"), names.STREAM, partitions), progress)
    wait(course, lambda: ledger.counts_since(heads, course.source), progress)
    course.anomalies = sum(
        _found(dynamodb, symbol, first, last) for symbol, (first, last) in course.symbols.items()
    )
    course.seconds = time.monotonic() - began


def wait(
    course: Replay,
    look: Callable[[], TickCounts],
    progress: Progress,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Look until every tick sent is accounted for.

    Raises
    ------
    ReplayStalledError
        The counts have not moved for `STALLED_AFTER_SECONDS`.
    """
    moved = clock()
    while True:
        counts = look()
        if counts != course.balance:
            moved, course.balance = clock(), counts
            progress(course)
        # A record that is sent or delivered again counts as duplicate, on top of the ticks that were sent.
        missing = course.ticks - (counts.ticks_in - counts.duplicate)
        if missing <= 0:
            return
        if clock() - moved > STALLED_AFTER_SECONDS:
            raise ReplayStalledError(
                f"{missing:,} of {course.ticks:,} ticks of {course.source} are not accounted for, and none came "
                f"in for {STALLED_AFTER_SECONDS:.0f} s: see `stock-monitor status`, then `stock-monitor dlq list`"
            )
        sleep(_LOOK_EVERY_SECONDS)


def _send(course: Replay, speed: float | None, publisher: Publisher, progress: Progress) -> None:
    ticks = _counted(ticks_of(course.path, course.rejected.add), course, progress)
    if speed is None:
        publisher.publish(batches(ticks, course.source))
    else:
        for batch in paced(ticks, course.source, speed):
            publisher.publish([batch])


def _counted(ticks: Iterable[RecordedTick], course: Replay, progress: Progress) -> Iterator[RecordedTick]:
    for tick in ticks:
        first, _ = course.symbols.get(tick.symbol, (tick.ts, tick.ts))
        course.symbols[tick.symbol] = (first, tick.ts)
        course.ticks += 1
        if course.ticks % 1000 == 0:
            progress(course)
        yield tick


def _partitions(endpoints: Endpoints) -> int:
    scanner = endpoints.client("lambda").get_function_configuration(FunctionName=names.SCANNER)
    return int(scanner["Environment"]["Variables"]["PARTITIONS"])


def _found(dynamodb: Any, symbol: str, first_ms: int, last_ms: int) -> int:
    """How many anomalies of recordings there are of a symbol in the time of this one."""
    pages = dynamodb.get_paginator("query").paginate(
        TableName=names.ANOMALIES_TABLE,
        KeyConditionExpression="ticker = :ticker AND #t BETWEEN :first AND :last",
        FilterExpression="begins_with(#s, :replay)",
        ExpressionAttributeNames={"#t": "timestamp", "#s": "source"},
        ExpressionAttributeValues={
            ":ticker": {"S": symbol},
            ":first": {"S": iso_ms(first_ms)},
            ":last": {"S": iso_ms(last_ms + 1)},
            ":replay": {"S": "replay"},
        },
        Select="COUNT",
    )
    return sum(page["Count"] for page in pages)
