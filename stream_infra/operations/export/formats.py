"""Turns rows, one JSON object a line, into the format that a file's name says; in memory that does not grow with it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from stream_infra.operations.errors import FailedError, InputError
from stream_infra.operations.export.tables import Type

ROWS_AT_ONCE = 20_000
Write = Callable[[Path, Path, Mapping[str, Type]], None]
"""Writes rows (the first path) to a file (the second) of these columns."""


def writer_of(file: Path) -> Write:
    """Return what writes files of this name's format.

    Raises
    ------
    InputError
        The name says no format that there is.
    FailedError
        The format needs a package that is not installed.
    """
    try:
        write = _WRITERS[file.suffix.lower()]
    except KeyError as error:
        raise InputError(f"-o {file}", allowed=f"a file named {', '.join(_WRITERS)}") from error
    if write is _parquet:
        try:
            import pyarrow  # noqa: F401, PLC0415  an optional extra
        except ModuleNotFoundError as error:
            raise FailedError(f"{file}: Parquet needs the package pyarrow: pip install pyarrow") from error
    return write


def _jsonl(rows: Path, file: Path, _columns: Mapping[str, Type]) -> None:
    shutil.copyfile(rows, file)


def _csv(rows: Path, file: Path, columns: Mapping[str, Type]) -> None:
    with file.open("w", newline="", encoding="utf-8") as opened:
        written = csv.writer(opened, lineterminator="\n")
        written.writerow(columns)
        for row in _read(rows):
            written.writerow(_text(row.get(name), of) for name, of in columns.items())


def _text(value: Any, of: Type) -> Any:
    if value is not None and of in {"json", "boolean"}:
        return json.dumps(value, separators=(",", ":"))
    return value


def _parquet(rows: Path, file: Path, columns: Mapping[str, Type]) -> None:
    import pyarrow as pa  # noqa: PLC0415  an optional extra
    from pyarrow import parquet  # noqa: PLC0415

    types = {
        "string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_(), "json": pa.string()
    }  # fmt: skip
    schema = pa.schema([(name, types[of]) for name, of in columns.items()])
    lines = _read(rows)
    with parquet.ParquetWriter(file, schema, compression="zstd") as written:
        while chunk := list(islice(lines, ROWS_AT_ONCE)):
            of_columns = {name: [_cell(row.get(name), of) for row in chunk] for name, of in columns.items()}
            written.write_table(pa.table(of_columns, schema=schema))


def _cell(value: Any, of: Type) -> Any:
    if value is None:
        return None
    return (
        json.dumps(value, separators=(",", ":"))
        if of == "json"
        else float(value)
        if of == "number"
        else value
    )


def _read(rows: Path) -> Iterator[dict[str, Any]]:
    with rows.open("rb") as lines:
        for line in lines:
            yield json.loads(line)


_WRITERS: dict[str, Write] = {".csv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl, ".parquet": _parquet}
