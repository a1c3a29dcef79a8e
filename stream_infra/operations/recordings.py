"""Recordings as offline commands read them: a file of which nothing can be used is an error, never a quiet market."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from producers.recordings import RejectedTick, Tick, read_ticks
from stream_infra.operations.errors import InputError


def ticks_of(path: Path, reject: Callable[[RejectedTick], None]) -> Iterator[Tick]:
    """Yield the ticks of a file in its order; rows that cannot be used go to `reject`.

    Raises
    ------
    InputError
        There is no tick in the file that can be used.
    producers.recordings.RecordingError
        The file cannot be read, or not any further.
    """
    first: list[RejectedTick] = []
    rejected = 0

    def count(row: RejectedTick) -> None:
        nonlocal rejected
        rejected += 1
        if not first:
            first.append(row)
        reject(row)

    used = False
    for tick in read_ticks(path, count):
        used = True
        yield tick
    if not used:
        why = f"all {rejected:,} rows were rejected, the first one: {first[0]}" if first else "it has no rows"
        raise InputError(f"no tick in it can be used: {why}", where=str(path))
