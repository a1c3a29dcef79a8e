"""CSV: by Arrow or by columns where all rows of a block are plain, and row by row with exact errors."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

from producers.recorded_blocks import OPTIONAL, REQUIRED, Row, RowBlock, check_columns
from producers.recorded_lines import Lines, RecordingError
from producers.recorded_values import BadRowError

_QUOTED = re.compile(rb'"(?:(?<=[,\n]")|(?<=\A"))[^",\n]*"(?=[,\n]|\Z)')
"""A value with quotation marks around it and none in it; it begins with one, for which searching is fast."""


def csv_blocks(path: Path, blocks: Iterator[Lines]) -> Iterator[RowBlock]:
    """Yield the rows below the header; `path` is for errors.

    Raises
    ------
    RecordingError
        There is no header, or not the required columns in it.
    """
    header: list[str] | None = None
    for block in blocks:
        rows = block
        while header is None and rows.data:
            header = _header(path, rows.number, rows.texts()[0])
            rows = rows.after_first()
        if header is not None and rows.data:
            yield RowBlock(
                rows.number,
                partial(_csv_rows, header, rows),
                partial(_csv_columns, header, rows),
                partial(_csv_arrow, header, rows),
            )
    if header is None:
        raise RecordingError(f"{path}: is empty; must be a header with at least {', '.join(REQUIRED)}")


def _header(path: Path, line: int, text: str) -> list[str] | None:
    """Return the names of the columns, or None for a line that is empty or tells a spreadsheet how to read the file."""
    values = _csv_values(text)
    if isinstance(values, BadRowError):
        raise RecordingError(f"{path}:{line}: the header is not CSV: {values}")
    if _is_empty(values) or values == ["sep=", ""]:
        return None
    # What is no UTF-8 is no column of ours, and none that Arrow could name.
    header = [name.encode("utf-8", "replace").decode().strip().lower() for name in values]
    if len(header) == 1 and (other := next((mark for mark in ";\t|" if mark in header[0]), None)):
        raise RecordingError(f"{path}:{line}: the columns are separated by {other!r}; must be by commas")
    check_columns(path, header)
    return header


def _csv_columns(header: list[str], rows: Lines) -> Mapping[str, Sequence[Any]] | None:
    """Return the lines by columns, or None where quotes enclose a comma, lines are empty or of other lengths."""
    plain = _without_quotes(rows)
    commas = len(header) - 1
    if plain is None or not commas or set(map(str.count, texts := plain.texts(), repeat(","))) != {commas}:
        return None
    values = ",".join(texts).split(",")
    return {name: values[at :: len(header)] for at, name in enumerate(header)}


def _without_quotes(rows: Lines) -> Lines | None:
    """Return lines without the quotation marks around values; None if one is elsewhere, or they enclose a comma."""
    marks = rows.data.count(b'"')
    if not marks:
        return rows
    if marks != 2 * len(_QUOTED.findall(rows.data)):
        return None
    return Lines(rows.number, rows.data.replace(b'"', b""))


def _csv_arrow(header: list[str], rows: Lines) -> Any | None:
    """Return the lines as a record batch, or None where one is not plain, or pyarrow is not there.

    Arrow takes fewer spellings of a number than `RowReader`, but for hexadecimal ones.
    """
    plain = _without_quotes(rows)
    if plain is None or b"0x" in plain.data or b"0X" in plain.data or len(set(header)) < len(header):
        return None
    try:
        import pyarrow  # noqa: PLC0415 - an optional extra
        from pyarrow import csv as arrow_csv  # noqa: PLC0415
    except ImportError:
        return None
    types = {name: pyarrow.float64() for name in (*REQUIRED, *OPTIONAL) if name in header}
    first = dict(zip(header, plain.data.partition(b"\n")[0].split(b","), strict=False))
    moment = pyarrow.timestamp("us", "UTC")
    types |= {
        name: pyarrow.int64() if first.get(name, b"").strip().isdigit() else moment
        for name in ("ts", "quote_ts")
        if name in types
    }
    types["symbol"] = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    try:
        table = arrow_csv.read_csv(
            pyarrow.BufferReader(plain.data),
            arrow_csv.ReadOptions(column_names=header, use_threads=False, block_size=len(plain.data) + 1),
            arrow_csv.ParseOptions(quote_char=False),
            arrow_csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[""]),
        )
    except pyarrow.ArrowException:
        return None
    batches = table.to_batches()
    return batches[0] if len(batches) == 1 and len(batches[0]) == len(rows) else None


def _csv_rows(header: list[str], rows: Lines) -> Iterator[tuple[int, Row]]:
    for line, text in enumerate(rows.texts(), rows.number):
        values = _csv_values(text)
        if isinstance(values, BadRowError):
            yield line, values
        elif _is_empty(values):
            continue
        elif len(values) != len(header):
            yield (
                line,
                BadRowError(f"has {len(values)} values; must be {len(header)}, as in the header"),
            )
        else:
            yield line, dict(zip(header, values, strict=True))


def _is_empty(values: list[str]) -> bool:
    """Return whether a line holds nothing, or commas alone, as spreadsheets write a row without values."""
    return not any(map(str.strip, values))


def _csv_values(text: str) -> list[str] | BadRowError:
    # Line by line, so that a stray quotation mark does not swallow the lines after it.
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        return BadRowError(f"is not CSV ({error})")
