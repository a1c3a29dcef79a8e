"""Reads recordings for detection, by columns; large ones in a process of their own, so that two cores work."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from producers.errors import MonitorError
from producers.quote_values import MAX_TS_MS
from producers.recorded_parquet import ROWS_AT_ONCE
from producers.recorded_rows import DAY_MS, RecordedTick, RowReader, TickColumns
from producers.recordings import RejectedTick
from stream_infra.operations.errors import InputError
from stream_infra.operations.offline.arrays import ArrayReader, TickBlock
from stream_infra.operations.recordings import columns_of, ticks_of

WORTH_A_PROCESS = 24_000_000
"""Bytes of CSV from which on a second process saves more than its start costs: half a million rows."""
_DENSITY = {".parquet": 10, ".gz": 4}
"""How many times smaller such a file is than the same rows as CSV."""
Reject = Callable[[RejectedTick], None]


def blocks(files: Sequence[Path], reject: Reject) -> Iterator[TickBlock]:
    """Yield the ticks of recordings in the order of their times; rows that cannot be used go to `reject`.

    Raises
    ------
    InputError
        There is no tick in a file that can be used.
    producers.recorded_lines.RecordingError
        A file cannot be read, or not any further.
    """
    sizes = (file.stat().st_size * _DENSITY.get(file.suffix.lower(), 1) for file in files if file.is_file())
    if sum(sizes) < WORTH_A_PROCESS:
        return _read(files, reject)
    return _read_beside(files, reject)


def _read(files: Sequence[Path], reject: Reject) -> Iterator[TickBlock]:
    reader = ArrayReader()
    if len(files) > 1:
        yield from map(reader.of_columns, _merged(files, reject))
        return
    for block in columns_of(files[0], reject, reader.of_arrow):
        yield block if isinstance(block, TickBlock) else reader.of_columns(block)


class _TickVolume(float):
    """The volume of one tick, which is not summed up yet."""


class _UnsummedReader(RowReader):
    """Leaves volumes of ticks as they are: what was traded on a day is known when all files are merged."""

    def summed(self, symbol: str, day: int, volume: float) -> float:
        """Return the volume of the one tick."""
        del symbol, day
        return _TickVolume(volume)


def _merged(files: Sequence[Path], reject: Reject) -> Iterator[TickColumns]:
    """Yield the ticks of several files, merged by their times; a ticker's ticks must not overlap.

    Different ticks of one millisecond are put apart, as within a file; the same tick in two files counts once.
    """
    volumes = RowReader()
    last: dict[str, tuple[RecordedTick, int]] = {}  # as its file has it, and the time that was given

    def newer(items: Iterable[tuple[Path, RecordedTick]]) -> Iterator[RecordedTick]:
        for file, tick in items:
            before, given = last.get(tick.symbol, (None, -1))
            if before is None or (tick.ts >= before.ts and tick != before and given < MAX_TS_MS):
                given = max(tick.ts, given + 1)
                last[tick.symbol] = tick, given
                traded = tick.day_volume
                if isinstance(traded, _TickVolume):
                    traded = volumes.summed(tick.symbol, tick.ts // DAY_MS, traded)
                yield tick._replace(ts=given, day_volume=traded)
                continue
            why = f"the tick of {tick.symbol} at ts {tick.ts} is in another file, too"
            reject(RejectedTick(file.name, 0, why))

    merged = newer(heapq.merge(*(_named(file, reject) for file in files), key=lambda item: item[1].ts))
    while chunk := list(islice(merged, ROWS_AT_ONCE)):
        yield TickColumns(*map(list, zip(*chunk, strict=True)))


def _named(file: Path, reject: Reject) -> Iterator[tuple[Path, RecordedTick]]:
    for tick in ticks_of(file, reject, _UnsummedReader()):
        yield file, tick


class _Failed(NamedTuple):
    """What ended the reading, as it crosses to the other process."""

    kind: type[MonitorError]
    text: str


def _read_beside(files: Sequence[Path], reject: Reject) -> Iterator[TickBlock]:
    """Do as `_read` in a process of its own, which is at most a pipe's content ahead."""
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(list(files), theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        while True:
            try:
                item = ours.recv()
            except EOFError as error:
                raise InputError("the process that reads the files ended before it was done") from error
            if item is None:
                return
            if isinstance(item, _Failed):
                raise item.kind(item.text)
            if isinstance(item, RejectedTick):
                reject(item)
            else:
                yield item
    finally:
        ours.close()
        process.kill()  # it waits to send, if anything
        process.join()


def _send(files: Sequence[Path], to: Connection) -> None:
    last: _Failed | None = None
    with suppress(BrokenPipeError):  # whoever reads has enough
        try:
            for block in _read(files, to.send):
                to.send(block)
        except MonitorError as error:
            last = _Failed(type(error), str(error))
        to.send(last)
