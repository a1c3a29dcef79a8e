"""Reads files of recorded ticks: CSV, JSON Lines (both also gzipped) and Parquet.

Columns: `ts` (epoch milliseconds, or ISO 8601 with an offset), `symbol`, `price`, and where known
`bid`, `ask`, `quote_ts`, and either `day_volume` (cumulative) or `volume` (shares of this tick, summed
up per symbol and UTC day). The file's own times are kept; ticks of a symbol at the same millisecond are
put one millisecond apart, as the contract wants growing times. A row that cannot be used is rejected
with file, line and reason, and the rest goes on.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from producers.errors import first_repeated
from producers.recorded_lines import Lines, RecordingError, lines_of
from producers.recorded_rows import BadRowError, RecordedTick, RowReader, TickColumns

_FORMATS = ".csv, .jsonl, .ndjson (each also .gz) and .parquet"
_REQUIRED = ("ts", "symbol", "price")
_OPTIONAL = ("bid", "ask", "day_volume", "volume", "quote_ts")
ROWS_AT_ONCE = 65_536
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
_NO_VALUE = (ArithmeticError, LookupError, ValueError)
"""What Arrow raises of a time that Python cannot name: beyond the year 9999."""
T = TypeVar("T")


class RejectedTick(NamedTuple):
    """A row that was left out, and why; line 0 where its line is not known."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.reason}"


def read_ticks(path: Path, reject: Callable[[RejectedTick], None]) -> Iterator[RecordedTick]:
    """Return the file's ticks in its order; rows that cannot be used go to `reject`.

    Raises
    ------
    RecordingError
        If there is no such file, its format is unknown, a required column is not there, or the file
        ends in the middle (then after all ticks before that place).
    """
    reader = RowReader()
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
    path: Path, block: _Block, reader: RowReader, reject: Callable[[RejectedTick], None]
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


_Row = Mapping[str, Any] | BadRowError


class _Block(NamedTuple):
    """Rows that follow one another from line `line` on, one by one and, where that can be, by columns or by Arrow."""

    line: int
    rows: Callable[[], Iterator[tuple[int, _Row]]]
    columns: Callable[[], Mapping[str, Sequence[Any]] | None] | None = None
    arrow: Callable[[], Any] | None = None


def _blocks(path: Path) -> Iterator[_Block]:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    zipped = suffixes[-1:] == [".gz"]
    kind = (suffixes[:-1] if zipped else suffixes)[-1:]
    if kind == [".parquet"] and not zipped:
        yield from _parquet_blocks(path)
        return
    readers = {".csv": _csv_blocks, ".jsonl": _json_blocks, ".ndjson": _json_blocks}
    if not kind or kind[0] not in readers:
        raise RecordingError(f"{path}: unknown format; must be {_FORMATS}")
    if not zipped:
        _check_is_text(path)
    yield from readers[kind[0]](path, lines_of(path, zipped))


def _check_is_text(path: Path) -> None:
    """Reject what only has the name of a text by what it is, as its bytes would say nothing to anybody."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError:
        return  # whoever reads the lines says why
    found = next((what for bytes_, what in _SIGNATURES.items() if start.startswith(bytes_)), None)
    if found is None and start.count(b"\0") * 3 > len(start):  # a stray one costs its row
        found = "is UTF-16 or UTF-32"
    if found:
        raise RecordingError(f"{path}: {found}; must be {_FORMATS}, in UTF-8")


def _csv_blocks(path: Path, blocks: Iterator[Lines]) -> Iterator[_Block]:
    header: list[str] | None = None
    for block in blocks:
        rows = block
        while header is None and rows.data:
            header = _header(path, rows.number, rows.texts()[0])
            rows = rows.after_first()
        if header is not None and rows.data:
            yield _Block(
                rows.number,
                partial(_csv_rows, header, rows),
                partial(_csv_columns, header, rows),
                partial(_csv_arrow, header, rows),
            )
    if header is None:
        raise RecordingError(f"{path}: is empty; must be a header with at least {', '.join(_REQUIRED)}")


def _header(path: Path, line: int, text: str) -> list[str] | None:
    """Return the names of the columns, or None for a line that is empty."""
    if not text.strip():
        return None
    values = _csv_values(text)
    if isinstance(values, BadRowError):
        raise RecordingError(f"{path}:{line}: the header is not CSV: {values}")
    header = [name.strip().lower() for name in values]
    if len(header) == 1 and (other := next((mark for mark in ";\t|" if mark in header[0]), None)):
        raise RecordingError(f"{path}:{line}: the columns are separated by {other!r}; must be by commas")
    _check_columns(path, header)
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
    if b'"' not in rows.data:
        return rows
    parts = (b"\n%b\n" % rows.data).split(b'"')
    beside = {part[-1:] for part in parts[:-1:2]} | {part[:1] for part in parts[2::2]}
    inside = b"".join(parts[1::2])
    if len(parts) % 2 == 0 or not beside <= {b",", b"\n"} or b"," in inside or b"\n" in inside:
        return None
    return Lines(rows.number, b"".join(parts)[1:-1])


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
    types = {name: pyarrow.float64() for name in (*_REQUIRED, *_OPTIONAL) if name in header}
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


def _csv_rows(header: list[str], rows: Lines) -> Iterator[tuple[int, _Row]]:
    for line, text in enumerate(rows.texts(), rows.number):
        if not text.strip():
            continue
        values = _csv_values(text)
        if isinstance(values, BadRowError):
            yield line, values
        elif len(values) != len(header):
            yield (
                line,
                BadRowError(f"has {len(values)} values; must be {len(header)}, as in the header"),
            )
        else:
            yield line, dict(zip(header, values, strict=True))


def _csv_values(text: str) -> list[str] | BadRowError:
    # Line by line, so that a stray quotation mark does not swallow the lines after it.
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        return BadRowError(f"is not CSV ({error})")


def _check_columns(path: Path, columns: list[str]) -> None:
    absent = [name for name in _REQUIRED if name not in columns]
    if absent:
        raise RecordingError(
            f"{path}: there is no column {', '.join(absent)} (found: {', '.join(columns)[:200]}); must be a header with"
            f" {', '.join(_REQUIRED)}, and if known bid, ask, volume, day_volume, quote_ts"
        )
    twice = [name for name in (*_REQUIRED, *_OPTIONAL) if columns.count(name) > 1]
    if twice:
        raise RecordingError(
            f"{path}: column {', '.join(twice)} stands twice; must be a column that is there once"
        )


def _json_blocks(_path: Path, blocks: Iterator[Lines]) -> Iterator[_Block]:
    for block in blocks:
        yield _Block(block.number, partial(_json_rows, block))


def _json_rows(rows: Lines) -> Iterator[tuple[int, _Row]]:
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
    if twice := first_repeated(pairs):
        raise BadRowError(f"has {twice[:60]!r} twice; must have each name once")
    return dict(pairs)


def _parquet_blocks(path: Path) -> Iterator[_Block]:
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise RecordingError(f"{path}: Parquet needs the package pyarrow: pip install pyarrow") from error
    try:
        own = parquet.read_schema(path).names
        columns = [name.strip().lower() for name in own]
        _check_columns(path, columns)
        names = {
            its: name for its, name in zip(own, columns, strict=True) if name in {*_REQUIRED, *_OPTIONAL}
        }
        with parquet.ParquetFile(path, read_dictionary=[own[columns.index("symbol")]]) as file:
            number = 1
            for read in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=list(names)):
                group = _with_common_types(read.rename_columns([names[name] for name in read.schema.names]))
                rows = partial(_parquet_rows, group, number)
                yield _Block(number, rows, partial(_parquet_columns, group), partial(_itself, group))
                number += len(group)
    except FileNotFoundError as error:
        raise RecordingError(f"{path}: there is no such file") from error
    except (ArrowException, OSError) as error:
        raise RecordingError(f"{path}: cannot be read as Parquet ({error})") from error


def _with_common_types(group: Any) -> Any:
    """Return a record batch with numbers of 64 bits, times in microseconds and short texts, whatever it came with."""
    columns = [_with_common_type(column) for column in group.columns]
    return type(group).from_arrays(columns, names=group.schema.names)


def _with_common_type(column: Any) -> Any:
    import pyarrow  # noqa: PLC0415 - an optional extra

    of, kind = pyarrow.types, column.type
    if of.is_timestamp(kind):
        common = pyarrow.timestamp("us", kind.tz and "UTC")  # the zone says how to show it, not when it is
    elif of.is_integer(kind):
        common = pyarrow.int64()
    elif of.is_floating(kind):
        common = pyarrow.float64()
    elif of.is_dictionary(kind) and of.is_large_string(kind.value_type):
        common = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    else:
        return column
    try:
        return column.cast(
            common, safe=str(kind).partition(",")[0] != "timestamp[ns"
        )  # less than 1 µs is left out
    except pyarrow.ArrowInvalid:  # too large: its rows say so
        return column


def _itself(group: Any) -> Any:
    return group


def _parquet_rows(group: Any, number: int) -> Iterator[tuple[int, _Row]]:
    try:
        rows = group.to_pylist()
    except _NO_VALUE:
        yield from _each_parquet_row(group, number)
    else:
        yield from enumerate(rows, number)


def _each_parquet_row(group: Any, number: int) -> Iterator[tuple[int, _Row]]:
    for line in range(len(group)):
        try:
            (row,) = group.slice(line, 1).to_pylist()
        except _NO_VALUE as error:
            yield number + line, BadRowError(f"a value cannot be read ({type(error).__name__}: {error})")
        else:
            yield number + line, row


def _parquet_columns(group: Any) -> Mapping[str, Sequence[Any]] | None:
    """Return the columns; those that NumPy knows cost a fifth of others. None where a value is unreadable."""
    try:
        return {name: _values(column) for name, column in zip(group.schema.names, group.columns, strict=True)}
    except _NO_VALUE:
        return None


def _values(column: Any) -> Sequence[Any]:
    kind = str(column.type)
    if column.null_count == 0 and kind in {"int64", "double"}:
        return column.to_numpy().tolist()  # type: ignore[no-any-return] # pyarrow has no types
    if column.null_count == 0 and kind.startswith("timestamp[us"):
        return (column.cast("int64").to_numpy() // 1000).tolist()  # type: ignore[no-any-return]
    return column.to_pylist()  # type: ignore[no-any-return]
