"""Parquet, with numbers and times of any width."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from producers.recorded_blocks import OPTIONAL, REQUIRED, Row, RowBlock, check_columns
from producers.recorded_lines import RecordingError
from producers.recorded_values import BadRowError

ROWS_AT_ONCE = 65_536
_TIMES = {"ts", "quote_ts"}
_NO_VALUE = (ArithmeticError, LookupError, ValueError)
"""What Arrow raises of a time that Python cannot name: beyond the year 9999."""


def parquet_blocks(path: Path) -> Iterator[RowBlock]:
    """Yield the rows of a file.

    Raises
    ------
    RecordingError
        It cannot be read as Parquet, pyarrow is not installed, or a required column is not there.
    """
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise RecordingError(f"{path}: Parquet needs the package pyarrow: pip install pyarrow") from error
    try:
        schema = parquet.read_schema(path)
        own = schema.names
        columns = [name.strip().lower() for name in own]
        check_columns(path, columns)
        names = {its: name for its, name in zip(own, columns, strict=True) if name in {*REQUIRED, *OPTIONAL}}
        for its, name in names.items():
            _check_type(path, name, schema.field(its).type)
        with parquet.ParquetFile(path, read_dictionary=[own[columns.index("symbol")]]) as file:
            number = 1
            for read in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=list(names)):
                group = _with_common_types(read.rename_columns([names[name] for name in read.schema.names]))
                rows = partial(_parquet_rows, group, number)
                yield RowBlock(number, rows, partial(_parquet_columns, group), partial(_itself, group))
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
        if of.is_float32(kind):  # 189.12 was meant, not the 189.1199951171875 that is nearest to it
            column = column.cast(pyarrow.string())
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


def _check_type(path: Path, name: str, kind: Any) -> None:
    """Check that a column's type can hold what its name says, before Arrow makes something else of it.

    Raises
    ------
    RecordingError
        It cannot.
    """
    from pyarrow import types as of  # noqa: PLC0415 - an optional extra

    allowed = "texts" if name == "symbol" else "numbers"
    if name in _TIMES:
        allowed = "whole numbers of 64 bits, timestamps or texts"
    rounds = name in _TIMES and (of.is_float16(kind) or of.is_float32(kind))  # to minutes, or to days
    if rounds or of.is_nested(kind) or (of.is_temporal(kind) and name not in _TIMES):
        raise RecordingError(f"{path}: column {name} is of type {kind}; must be {allowed}")


def _itself(group: Any) -> Any:
    return group


def _parquet_rows(group: Any, number: int) -> Iterator[tuple[int, Row]]:
    try:
        rows = group.to_pylist()
    except _NO_VALUE:
        yield from _each_parquet_row(group, number)
    else:
        yield from enumerate(rows, number)


def _each_parquet_row(group: Any, number: int) -> Iterator[tuple[int, Row]]:
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
    from numpy import from_dlpack  # noqa: PLC0415 - pyarrow's `to_numpy` imports pandas, and swallows Ctrl-C meanwhile

    kind = str(column.type)
    if column.null_count == 0 and kind in {"int64", "double"}:
        return from_dlpack(column).tolist()  # type: ignore[no-any-return] # pyarrow has no types
    if column.null_count == 0 and kind.startswith("timestamp[us"):
        return (from_dlpack(column.cast("int64")) // 1000).tolist()  # type: ignore[no-any-return]
    return column.to_pylist()  # type: ignore[no-any-return]
