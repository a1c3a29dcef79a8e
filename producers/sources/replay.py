"""Source `replay-<run>`: recorded ticks, published as fast as possible or at a multiple of their own pace."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator

from producers.errors import ArgumentError
from producers.quote_batch import (
    QuoteBatch,
)
from producers.recorded_rows import RecordedTick
from producers.source import ASSETS, SourceSpec

ROWS_PER_BATCH = 500
_PACE_SECONDS = 0.25


def batches(
    ticks: Iterable[RecordedTick], source: str, *, rows: int = ROWS_PER_BATCH, span_ms: float = math.inf
) -> Iterator[QuoteBatch]:
    """Return the ticks in batches of at most `rows` that span less than `span_ms` of the file's time."""
    pending: list[RecordedTick] = []
    for tick in ticks:
        if pending and (len(pending) >= rows or tick.ts - pending[0].ts >= span_ms):
            yield _batch(pending, source)
            pending = []
        pending.append(tick)
    if pending:
        yield _batch(pending, source)


def paced(
    ticks: Iterable[RecordedTick],
    source: str,
    speed: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[QuoteBatch]:
    """Return the ticks at `speed` times the pace at which they were recorded.

    Raises
    ------
    ValueError
        If `speed` is not above 0.
    """
    if not 0 < speed < math.inf:
        raise ArgumentError(f"speed is {speed:g}; must be a number above 0 (60 plays an hour in a minute)")
    start_seconds = clock()
    first_ms: int | None = None
    for batch in batches(ticks, source, span_ms=_PACE_SECONDS * 1000 * speed):
        first_ms = batch.ts[0] if first_ms is None else first_ms
        due = start_seconds + (batch.ts[0] - first_ms) / 1000 / speed
        sleep(max(0.0, due - clock()))
        yield batch


def _batch(ticks: list[RecordedTick], source: str) -> QuoteBatch:
    return QuoteBatch(
        source=source,
        symbol=[tick.symbol for tick in ticks],
        ts=[tick.ts for tick in ticks],
        price=[tick.price for tick in ticks],
        bid=[tick.bid for tick in ticks],
        ask=[tick.ask for tick in ticks],
        day_volume=[tick.day_volume for tick in ticks],
        quote_ts=[tick.quote_ts for tick in ticks],
        missing=[],
    )


SOURCE = SourceSpec(
    name="replay",
    summary="recorded ticks at their own times, by `stock-monitor replay FILE`",
    assets=ASSETS,
    market="24/7",
    columns=("bid", "ask", "day_volume", "quote_ts"),
    is_recorded=True,
    limits="The source of a run is `replay-<run>`; its windows are its own.",
)
