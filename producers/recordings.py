"""Reads files of recorded ticks: CSV, JSON Lines (both also gzipped) and Parquet.

Columns: `ts` (epoch milliseconds, or ISO 8601 with an offset), `symbol`, `price`, and where known
`bid`, `ask`, `quote_ts`, and either `day_volume` (cumulative) or `volume` (shares of this tick, summed
up per symbol and UTC day). The file's own times are kept; ticks of a symbol at the same millisecond are
put one millisecond apart, as the contract wants growing times. A row that cannot be used is rejected
with file, line and reason, and the rest goes on.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, NamedTuple

from producers.errors import MonitorError
from producers.quote_batch import (
    MAX_PRICE,
    MAX_TS_MS,
    MAX_VOLUME,
    SYMBOL_RULE,
    is_symbol,
)

_FORMATS = ".csv, .jsonl, .ndjson (each also .gz) and .parquet"
_REQUIRED = ("ts", "symbol", "price")
_DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_NOT_MS = 100_000_000_000  # as milliseconds this is March 1973
_WHOLE = re.compile(r"-?[0-9]{1,19}(?:\.0*)?")  # JSON Schema's integer: 5 and 5.0 are the same number


class RecordingError(MonitorError):
    """The file as a whole cannot be read, or not any further; says which, why and what is allowed."""


class RejectedTick(NamedTuple):
    """A row that was left out, and why."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


class Tick(NamedTuple):
    """One recorded tick, ready to be published."""

    symbol: str
    ts: int
    price: float
    bid: float | None
    ask: float | None
    day_volume: float | None
    quote_ts: int | None


class BadRowError(MonitorError, ValueError):
    """A row cannot be used; the message says why and what is allowed."""


def read_ticks(path: Path, reject: Callable[[RejectedTick], None]) -> Iterator[Tick]:
    """Return the file's ticks in its order; rows that cannot be used go to `reject`.

    Raises
    ------
    RecordingError
        If there is no such file, its format is unknown, a required column is not there, or the file
        ends in the middle (then after all ticks before that place).
    """
    sequencer = RowReader()
    for line, row in _rows(path):
        try:
            if isinstance(row, BadRowError):
                raise row
            tick = sequencer.tick(row, line)
        except BadRowError as error:
            reject(RejectedTick(path.name, line, str(error)))
        else:
            yield tick


class RowReader:
    """Gives each symbol growing times and a cumulative volume."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[int, int]] = {}  # the file's own ts of the row before, and its line
        self._given: dict[str, int] = {}
        self._volume: dict[str, tuple[int, float]] = {}  # UTC day, shares so far

    def tick(self, row: Mapping[str, Any], line: int) -> Tick:
        """Return the tick of a row; `line` is its number, for errors.

        Raises
        ------
        BadRowError
            If the row cannot be used.
        """
        symbol = _symbol(row.get("symbol"))
        own_ts = time_ms("ts", row.get("ts"))
        price = _number("price", row.get("price"), -MAX_PRICE, MAX_PRICE)
        if price is None:
            raise BadRowError("price is empty; must be a number")
        bid = _optional("bid", row.get("bid"), -MAX_PRICE, MAX_PRICE)
        ask = _optional("ask", row.get("ask"), -MAX_PRICE, MAX_PRICE)
        day_volume = _optional("day_volume", row.get("day_volume"), 0, MAX_VOLUME)
        volume = _optional("volume", row.get("volume"), 0, MAX_VOLUME)
        quote_ts = None if _is_unknown(row.get("quote_ts")) else time_ms("quote_ts", row["quote_ts"])
        ts = self._growing(symbol, own_ts, line)
        if day_volume is None and volume is not None:
            day_volume = self._summed(symbol, own_ts // _DAY_MS, volume)
        return Tick(symbol, ts, price, bid, ask, day_volume, quote_ts)

    def _growing(self, symbol: str, own_ts: int, line: int) -> int:
        before, its_line = self._read.get(symbol, (-1, 0))
        if own_ts < before:
            raise BadRowError(
                f"ts {own_ts} is before ts {before} of {symbol} in line {its_line}:"
                " rows must be in the order of time for each symbol"
            )
        self._read[symbol] = own_ts, line
        ts = max(own_ts, self._given.get(symbol, -1) + 1)
        self._given[symbol] = ts
        return ts

    def _summed(self, symbol: str, day: int, volume: float) -> float:
        its_day, so_far = self._volume.get(symbol, (day, 0.0))
        total = volume if its_day != day else so_far + volume
        self._volume[symbol] = day, total
        return total


_UNKNOWN = {"", "nan", "null", "none", "na", "n/a", "<na>", "nat"}


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _is_unknown(value: Any) -> bool:
    """Return whether an optional value is left empty, as pandas, NumPy, JSON and R write that."""
    return _is_empty(value) or (isinstance(value, str) and value.strip().lower() in _UNKNOWN)


def _optional(name: str, value: Any, low: float, high: float) -> float | None:
    return None if _is_unknown(value) else _number(name, value, low, high)


def _symbol(value: Any) -> str:
    symbol = value.strip().upper() if isinstance(value, str) else value
    if not isinstance(symbol, str) or not is_symbol(symbol):
        raise BadRowError(f"symbol is {_shown(value)}; must be {SYMBOL_RULE}")
    return symbol


def _number(name: str, value: Any, low: float, high: float) -> float | None:
    """Return the number, or None when there is none."""
    if _is_empty(value):
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high:
        raise BadRowError(f"{name} is {_shown(value)}; must be a number from {low:g} to {high:g}")
    return number


def time_ms(name: str, value: Any) -> int:
    """Return the time that a value of column `name` says, in epoch milliseconds.

    Raises
    ------
    BadRowError
        If it is none.
    """
    ms = _whole_ms(value)
    if ms is None or not 0 <= ms <= MAX_TS_MS:
        raise BadRowError(
            f"{name} is {_shown(value)}; must be a whole number of milliseconds since 1970,"
            " or a time such as 2025-11-24T14:30:00.123Z"
        )
    if 0 < ms < _SECONDS_NOT_MS and _is_number(value):
        raise BadRowError(f"{name} is {_shown(value)}, which looks like seconds; must be milliseconds")
    return ms


def _is_number(value: Any) -> bool:
    """Return whether a value is a bare number, whose unit can be mistaken; a date of 1971 is one like any other."""
    return isinstance(value, int | float) or (
        isinstance(value, str) and bool(_WHOLE.fullmatch(value.strip()))
    )


def _whole_ms(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, datetime):  # from Parquet, where no offset means UTC
        return _epoch_ms(value if value.tzinfo else value.replace(tzinfo=UTC))
    return _parsed_ms(value.strip()) if isinstance(value, str) else None


def _parsed_ms(text: str) -> int | None:
    if _WHOLE.fullmatch(text):
        return int(text.partition(".")[0])
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _epoch_ms(at) if at.tzinfo else None


def _epoch_ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


_Row = Mapping[str, Any] | BadRowError


def _rows(path: Path) -> Iterator[tuple[int, _Row]]:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    zipped = suffixes[-1:] == [".gz"]
    kind = (suffixes[:-1] if zipped else suffixes)[-1:]
    if kind == [".parquet"] and not zipped:
        yield from _parquet_rows(path)
        return
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows}
    if not kind or kind[0] not in readers:
        raise RecordingError(f"{path}: unknown format; must be {_FORMATS}")
    yield from readers[kind[0]](path, _lines(path, zipped))


def _lines(path: Path, zipped: bool) -> Iterator[tuple[int, str]]:
    line = 0
    try:
        with _opened(path, zipped) as file:
            for line, text in enumerate(file, 1):
                yield line, text.rstrip("\r\n")
    except FileNotFoundError as error:
        raise RecordingError(f"{path}: there is no such file") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RecordingError(
            f"{path}: cannot be unzipped after line {line} ({error}); it may be cut off"
        ) from error
    except OSError as error:
        raise RecordingError(
            f"{path}: cannot be read after line {line} ({error.strerror or error})"
        ) from error


def _opened(path: Path, zipped: bool) -> IO[str]:
    # What is not UTF-8 becomes lone surrogates, which no value allows: its row is rejected, not the file.
    if zipped:
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="\n")
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n")


def _csv_rows(path: Path, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, _Row]]:
    header: list[str] | None = None
    for line, text in lines:
        if not text.strip():
            continue
        values = _csv_values(text)
        if header is None:
            if isinstance(values, BadRowError):
                raise RecordingError(f"{path}:{line}: the header is not CSV: {values}")
            header = [name.strip().lower() for name in values]
            _check_columns(path, header)
        elif isinstance(values, BadRowError):
            yield line, values
        elif len(values) != len(header):
            yield (
                line,
                BadRowError(f"has {len(values)} values; must be {len(header)}, as in the header"),
            )
        else:
            yield line, dict(zip(header, values, strict=True))
    if header is None:
        raise RecordingError(f"{path}: is empty; must be a header with at least {', '.join(_REQUIRED)}")


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
            f"{path}: column {', '.join(absent)} is not there (found: {', '.join(columns)[:200]}):"
            f" required are {', '.join(_REQUIRED)}; bid, ask, volume, day_volume and quote_ts may be"
        )


def _json_rows(_path: Path, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, _Row]]:
    for line, text in lines:
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
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRowError(f"is not JSON ({error}); must be one object per line") from error
    if not isinstance(row, dict):
        raise BadRowError(f"is a JSON {type(row).__name__}; must be one object per line")
    return row


def _parquet_rows(path: Path) -> Iterator[tuple[int, _Row]]:
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise RecordingError(f"{path}: Parquet needs the package pyarrow: pip install pyarrow") from error
    try:
        with parquet.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names)
            number = 0
            for group in file.iter_batches(batch_size=8192):
                for row in group.to_pylist():
                    number += 1
                    yield number, row
    except FileNotFoundError as error:
        raise RecordingError(f"{path}: there is no such file") from error
    except (ArrowException, OSError) as error:
        raise RecordingError(f"{path}: cannot be read as Parquet ({error})") from error
