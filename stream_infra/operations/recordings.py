"""Recordings as offline commands read them: a file of which nothing can be used is an error, never a quiet market."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from consumers.contracts.wording import counted
from producers.recorded_rows import RecordedTick, RowReader, TickColumns
from producers.recordings import RejectedTick, read_blocks, read_ticks
from stream_infra.operations.errors import InputError

T = TypeVar("T")
Reject = Callable[[RejectedTick], None]
_ROWS_KEPT = 1000


@dataclass(slots=True)
class RejectedRows:
    """How many rows were left out, and the first 1,000 of them: all of a large file would fill the memory."""

    count: int = 0
    first: list[RejectedTick] = field(default_factory=list)

    def add(self, row: RejectedTick) -> None:
        """Count a row."""
        self.count += 1
        if self.count <= _ROWS_KEPT:
            self.first.append(row)


def ticks_of(path: Path, reject: Reject, reader: RowReader | None = None) -> Iterator[RecordedTick]:
    """Yield the ticks of a file in its order (`read_ticks`); rows that cannot be used go to `reject`.

    Raises
    ------
    InputError
        There is no tick in the file that can be used.
    producers.recorded_lines.RecordingError
        The file cannot be read, or not any further.
    """
    return _used(path, partial(read_ticks, reader=reader), reject)


def columns_of(
    path: Path, reject: Reject, read: Callable[[Any, int, RowReader], T | None]
) -> Iterator[T | TickColumns]:
    """Yield the same by columns, thousands of ticks at once, or as `read` makes it (`read_blocks`); raises the same."""
    return _used(path, partial(read_blocks, read=read), reject)


def _used(path: Path, read: Callable[[Path, Reject], Iterator[T]], reject: Reject) -> Iterator[T]:
    first: list[RejectedTick] = []
    rejected = 0

    def count(row: RejectedTick) -> None:
        nonlocal rejected
        rejected += 1
        if not first:
            first.append(row)
        reject(row)

    used = False
    for item in read(path, count):
        used = True
        yield item
    if not used:
        why = f"it has {counted(rejected, 'row')}, the first one: {first[0]}" if first else "it has no rows"
        raise InputError(f"no tick in it can be used: {why}", where=str(path))
