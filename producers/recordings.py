"""Reads files of recorded ticks: CSV (or TSV), JSON Lines (both also gzipped) and Parquet.

Columns: `ts` (epoch milliseconds, or ISO 8601 with an offset), `symbol`, `price`, and where known
`bid`, `ask`, `quote_ts`, and either `day_volume` (cumulative) or `volume` (shares of this tick, summed
up per symbol and UTC day). The file's own times are kept; ticks of a symbol at the same millisecond are
put one millisecond apart, as the contract wants growing times. A row that cannot be used is rejected
with file, line and reason, and the rest goes on.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from producers.errors import first_repeated
from producers.recorded_blocks import Row, RowBlock
from producers.recorded_csv import csv_blocks
from producers.recorded_lines import Lines, RecordingError, lines_of
from producers.recorded_parquet import parquet_blocks
from producers.recorded_rows import RecordedTick, RowReader, TickColumns
from producers.recorded_values import BadRowError

_FORMATS = ".csv, .tsv, .jsonl, .ndjson (each also .gz) and .parquet"
_SIGNATURES = {
    b"\x1f\x8b": "is gzip, so its name must end in .gz",
    b"PAR1": "is Parquet, so its name must end in .parquet",
    b"PK\x03\x04": "is a ZIP archive",
    b"BZh": "is bzip2",
    b"\xfd7zXZ\0": "is xz",
    b"\x28\xb5\x2f\xfd": "is Zstandard",
    b"\xff\xfe": "is UTF-16 or UTF-32",
    b"\xfe\xff": "is UTF-16 or UTF-32",
}
"""How files of other forms begin."""
_JSON_TYPES = {
    list: "a JSON array", str: "a JSON string", bool: "true or false", int: "a number", float: "a number",
    type(None): "null",
}  # fmt: skip
T = TypeVar("T")


class RejectedTick(NamedTuple):
    """A row that was left out, and why; line 0 where its line is not known."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.reason}"


def read_ticks(
    path: Path, reject: Callable[[RejectedTick], None], reader: RowReader | None = None
) -> Iterator[RecordedTick]:
    """Return the file's ticks in its order; rows that cannot be used go to `reject`.

    Parameters
    ----------
    reader
        A new one, if not the usual.

    Raises
    ------
    RecordingError
        If there is no such file, its format is unknown, a required column is not there, or the file
        ends in the middle (then after all ticks before that place).
    """
    reader = reader or RowReader()
    for block in _blocks(path):
        values = block.columns and block.columns()
        if values and (columns := reader.columns(values, block.line)):
            yield from map(RecordedTick._make, zip(*columns, strict=True))
        else:
            yield from _one_by_one(path, block, reader, reject)


def read_columns(path: Path, reject: Callable[[RejectedTick], None]) -> Iterator[TickColumns]:
    """Return the same ticks by columns, thousands at once.

    Raises
    ------
    RecordingError
        As `read_ticks`.
    """
    return read_blocks(path, reject, lambda *_: None)


def read_blocks(
    path: Path, reject: Callable[[RejectedTick], None], read: Callable[[Any, int, RowReader], T | None]
) -> Iterator[T | TickColumns]:
    """Return the same, or what `read` makes of a block where it makes something of it.

    Parameters
    ----------
    read
        Takes a record batch of Arrow (where pyarrow is there, of CSV and Parquet), the line of its first row, and what
        was read before.

    Raises
    ------
    RecordingError
        As `read_ticks`.
    """
    reader = RowReader()
    for block in _blocks(path):
        batch = block.arrow and block.arrow()
        if batch is not None and (found := read(batch, block.line, reader)) is not None:
            yield found
            continue
        values = block.columns and block.columns()
        if values and (columns := reader.columns(values, block.line)):
            yield columns
        elif ticks := list(_one_by_one(path, block, reader, reject)):
            yield TickColumns(*map(list, zip(*ticks, strict=True)))


def _one_by_one(
    path: Path, block: RowBlock, reader: RowReader, reject: Callable[[RejectedTick], None]
) -> Iterator[RecordedTick]:
    for line, row in block.rows():
        try:
            if isinstance(row, BadRowError):
                raise row
            tick = reader.tick(row, line)
        except BadRowError as error:
            reject(RejectedTick(path.name, line, str(error)))
        else:
            yield tick


def _blocks(path: Path) -> Iterator[RowBlock]:
    if path.exists() and not (path.is_file() or path.is_dir()):  # it is read once, and waits for who writes
        raise RecordingError(f"{path}: is a pipe or a device; must be a file: {_FORMATS}")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    zipped = suffixes[-1:] == [".gz"]
    kind = (suffixes[:-1] if zipped else suffixes)[-1:]
    if kind == [".parquet"] and not zipped:
        yield from parquet_blocks(path)
        return
    readers = {".csv": csv_blocks, ".tsv": csv_blocks, ".jsonl": _json_blocks, ".ndjson": _json_blocks}
    if not kind or kind[0] not in readers:
        raise RecordingError(f"{path}: unknown format; must be {_FORMATS}")
    _check_is_text(path, zipped)
    yield from readers[kind[0]](path, lines_of(path, zipped))


def _check_is_text(path: Path, zipped: bool) -> None:
    """Reject what only has the name of a text by what it is, as its bytes would say nothing to anybody."""
    try:
        with gzip.open(path) if zipped else path.open("rb") as file:
            start = file.read(64)
    except (OSError, EOFError, zlib.error):
        return  # whoever reads the lines says why
    if found := other_form(start):
        found = f"unzipped it {found.partition(',')[0]}" if zipped else found
        raise RecordingError(f"{path}: {found}; must be {_FORMATS}, in UTF-8")


def other_form(start: bytes) -> str | None:
    """Return what data are that are no text in UTF-8, by their first bytes: a verb, a name, and perhaps what to do."""
    found = next((what for bytes_, what in _SIGNATURES.items() if start.startswith(bytes_)), None)
    if found is None and start.count(b"\0") * 3 > len(start):  # a stray one costs its row
        return "is no text" if any(start[::2]) and any(start[1::2]) else "is UTF-16 or UTF-32"
    return found


def _json_blocks(_path: Path, blocks: Iterator[Lines]) -> Iterator[RowBlock]:
    for block in blocks:
        yield RowBlock(block.number, partial(_json_rows, block))


def _json_rows(rows: Lines) -> Iterator[tuple[int, Row]]:
    for line, text in enumerate(rows.texts(), rows.number):
        if not text.strip():
            continue
        try:
            yield line, json_row(text)
        except BadRowError as error:
            yield line, error


def json_row(text: str | bytes) -> Mapping[str, Any]:
    """Return the row in a line of JSON.

    Raises
    ------
    BadRowError
        If it is no JSON object.
    """
    try:
        row = json.loads(text, object_pairs_hook=_with_each_name_once)
    except BadRowError:
        raise
    except (ValueError, RecursionError) as error:
        raise BadRowError(f"is not JSON ({error}); must be one object per line") from error
    if not isinstance(row, dict):
        raise BadRowError(f"is {_JSON_TYPES[type(row)]}; must be one JSON object per line")
    return row


def _with_each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = [(name.strip().lower(), value) for name, value in pairs]  # as in a header of CSV or Parquet
    if (twice := first_repeated(named)) is not None:
        raise BadRowError(f"has {twice[:60]!r} twice; must have each name once")
    return dict(named)
