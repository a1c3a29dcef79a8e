"""Exports a table to a file that is there only when it is whole; an interrupted export goes on where it was.

Rows are collected in ``FILE.part``, one JSON object a line. ``FILE.part.json`` says which part of the table was
written last and how long the file was then; what was written after that is cut off, and comes again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

import msgspec

from stream_infra.operations.errors import FailedError, InputError
from stream_infra.operations.export.formats import writer_of
from stream_infra.operations.export.tables import COLUMNS, ExportSpan, Part, TableName

ROWS_BETWEEN_CHECKPOINTS = 20_000
_encode = msgspec.json.Encoder().encode


class ExportRequest(msgspec.Struct, frozen=True):
    """What was typed: the same command again goes on with the same export."""

    table: TableName
    since: str
    until: str | None
    tickers: tuple[str, ...]


class Checkpoint(msgspec.Struct, frozen=True):
    """How far an export is.

    Attributes
    ----------
    since_ms, until_ms
        What the request meant when it began, epoch ms UTC.
    done
        Name of the last part that is in the file whole; "" for none.
    size, rows
        Of the file of rows up to there.
    """

    request: ExportRequest
    since_ms: int
    until_ms: int
    done: str = ""
    size: int = 0
    rows: int = 0

    @property
    def span(self) -> ExportSpan:
        """What is exported."""
        return ExportSpan(self.since_ms, self.until_ms, self.request.tickers)


class Exported(NamedTuple):
    """How many rows the file has, and how many of them were there from an interrupted export."""

    rows: int
    kept: int


def begin(file: Path, request: ExportRequest, span: ExportSpan) -> Checkpoint:
    """Return where to begin: at the checkpoint of an interrupted export of the same request, or with `span`.

    Raises
    ------
    InputError
        There is such a file, or an interrupted export of something else into it.
    """
    writer_of(file)
    if file.exists():
        raise InputError("the file exists", where=f"-o {file}", allowed="a new file")
    state = _state_of(file)
    if not state.exists():
        return Checkpoint(request, span.since_ms, span.until_ms)
    try:
        found = msgspec.json.decode(state.read_bytes(), type=Checkpoint)
    except msgspec.DecodeError as error:
        raise InputError(f"{state} is damaged ({error}): delete it and {_rows_of(file)}") from error
    if not _rows_of(file).exists() or _rows_of(file).stat().st_size < found.size:
        raise InputError(f"{_rows_of(file)} is shorter than {state} says: delete both")
    if found.request != request:
        allowed = f"the command of the interrupted export, or without {state} and {_rows_of(file)}"
        raise InputError(f"-o {file} is of another export that was interrupted", allowed=allowed)
    return found


def export(file: Path, start: Checkpoint, parts: Iterable[Part], show: Callable[[str], None]) -> Exported:
    """Write the parts after a checkpoint, then the file as its name says; `show` is given the progress.

    Raises
    ------
    FailedError
        The file cannot be written. What was read by then stays for another try.
    """
    at = _collect(file, start, parts, show)
    show(f"writing {file.name}")
    whole = file.with_name(f"{file.name}.whole")
    with _writing(file):
        writer_of(file)(_rows_of(file), whole, COLUMNS[at.request.table])
        whole.replace(file)
        _rows_of(file).unlink()
        _state_of(file).unlink()
    return Exported(at.rows, start.rows)


def _collect(file: Path, start: Checkpoint, parts: Iterable[Part], show: Callable[[str], None]) -> Checkpoint:
    at = saved = start
    with _writing(file):
        opened = _rows_of(file).open("ab")
    with opened:
        opened.seek(at.size)
        opened.truncate()
        try:
            for part in parts:
                if part.name <= start.done:
                    continue
                count = _write(file, opened, part)
                at = msgspec.structs.replace(at, done=part.name, size=opened.tell(), rows=at.rows + count)
                show(f"{at.rows:,} rows, up to {part.name.partition(' ')[0]}")
                if at.rows - saved.rows >= ROWS_BETWEEN_CHECKPOINTS:
                    _save(file, opened, at)
                    saved = at
        finally:
            _save(file, opened, at)
    return at


def _write(file: Path, opened: IO[bytes], part: Part) -> int:
    count = 0
    for row in part.rows():
        line = _encode(row) + b"\n"
        with _writing(file):
            opened.write(line)
        count += 1
    return count


def _save(file: Path, opened: IO[bytes], at: Checkpoint) -> None:
    new = _state_of(file).with_suffix(".new")
    with _writing(file):
        opened.flush()
        os.fsync(opened.fileno())
        new.write_bytes(_encode(at))
        new.replace(_state_of(file))


class _writing:  # noqa: N801  used like a function; one of contextlib would cost as much as the row it writes
    """Say which file cannot be written."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise FailedError(
                f"cannot be written: {error.strerror or error}", where=str(self._file)
            ) from error


def _rows_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.part")


def _state_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.part.json")
