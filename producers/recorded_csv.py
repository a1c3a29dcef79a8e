"""CSV: by Arrow or by columns where all rows of a block are plain, and row by row with exact errors.

Columns may be separated by semicolons, tabs or bars too, as spreadsheets write them where a comma is the decimal mark.
"""

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
from producers.recorded_values import BadRowError, is_unknown

_QUOTED = re.compile(rb'"(?:(?<=[,\n]")|(?<=\A"))[^",\n]*"(?=[,\n]|\Z)')
"""A value with quotation marks around it and none in it; it begins with one, for which searching is fast."""

_NUMBERS = ("price", "bid", "ask", "day_volume", "volume")
_WITH_COMMA = re.compile(r"\s*[-+]?[0-9]*,[0-9]+(?:[Ee][-+]?[0-9]+)?\s*")
_MAY_BE_THOUSANDS = re.compile(r"\s*[-+]?[1-9][0-9]{0,2},[0-9]{3}\s*")


def csv_blocks(path: Path, blocks: Iterator[Lines]) -> Iterator[RowBlock]:
    """Yield the rows below the header; `path` is for errors.

    Raises
    ------
    RecordingError
        There is no header, or not the required columns in it.
    """
    header: list[str] | None = None
    mark, has_commas = ",", False
    for block in blocks:
        rows = block
        while header is None and rows.data:
            first = rows.texts()[0]
            mark = separator_of(first)
            header = _header(path, rows.number, first, mark)
            rows = rows.after_first()
        if header is None or not rows.data:
            continue
        if mark == ",":
            yield RowBlock(
                rows.number,
                partial(_csv_rows, header, rows),
                partial(_csv_columns, header, rows),
                partial(_csv_arrow, header, rows),
            )
            continue
        has_commas = has_commas or _has_decimal_commas(header, rows, mark)
        yield RowBlock(rows.number, partial(_csv_rows, header, rows, mark, has_commas))
    if header is None:
        raise RecordingError(f"{path}: is empty; must be a header with at least {', '.join(REQUIRED)}")


def separator_of(header: str) -> str:
    """Return what stands between the columns of a header, or in a line that tells a spreadsheet.

    >>> separator_of("ts;symbol;price"), separator_of("price")
    (';', ',')
    """
    return max(",;\t|", key=header.count)


def _header(path: Path, line: int, text: str, mark: str) -> list[str] | None:
    """Return the names of the columns, or None for a line that is empty or tells a spreadsheet how to read the file."""
    values = _csv_values(text, mark)
    if isinstance(values, BadRowError):
        raise RecordingError(f"{path}:{line}: the header is not CSV: {values}")
    if _is_empty(values) or values == ["sep=", ""]:
        return None
    # What is no UTF-8 is no column of ours, and none that Arrow could name.
    header = [name.encode("utf-8", "replace").decode().strip().lower() for name in values]
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


def _csv_rows(
    header: list[str], rows: Lines, mark: str = ",", has_commas: bool = False
) -> Iterator[tuple[int, Row]]:
    for line, text in enumerate(rows.texts(), rows.number):
        values = _csv_values(text, mark)
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
            row = dict(zip(header, values, strict=True))
            yield line, _with_points(row) if has_commas else row


def _has_decimal_commas(header: list[str], rows: Lines, mark: str) -> bool:
    """Return whether a comma stands before decimals: one of the numbers has one that separates no thousands."""
    return b"," in rows.data and any(
        _WITH_COMMA.fullmatch(value) and not _MAY_BE_THOUSANDS.fullmatch(value)
        for _, row in _csv_rows(header, rows, mark)
        if not isinstance(row, BadRowError)
        for value in map(row.get, _NUMBERS)
        if value is not None
    )


def _with_points(row: dict[str, str]) -> Row:
    """Return a row with points before decimals in place of commas; a point may separate thousands."""
    for name in _NUMBERS:
        value = row.get(name, "")
        if _WITH_COMMA.fullmatch(value):
            row[name] = value.replace(",", ".")
        elif "." in value and not is_unknown(value):
            return BadRowError(
                f"{name} is {value[:60]!r}, where numbers have decimal commas; must be a number without a point"
            )
    return row


def _is_empty(values: list[str]) -> bool:
    """Return whether a line holds nothing, or commas alone, as spreadsheets write a row without values."""
    return not any(map(str.strip, values))


def _csv_values(text: str, mark: str) -> list[str] | BadRowError:
    # Line by line, so that a stray quotation mark does not swallow the lines after it.
    if '"' not in text:
        return text.split(mark)
    try:
        return next(csv.reader([text], delimiter=mark, strict=True))
    except csv.Error as error:
        return BadRowError(f"is not CSV ({error})")
