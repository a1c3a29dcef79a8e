"""Writes a vendor's minute bars to a CSV or Parquet file that `backtest` and `replay` read; what is there stays."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from producers.quote_values import MAX_PRICE
from producers.source import History, MinuteBar
from stream_infra.operations.errors import InputError

COLUMNS = ("ts", "symbol", "price", "volume", "open", "high", "low")
FORMATS = (".csv", ".parquet")
_MINUTE_MS = 60_000


class Written(NamedTuple):
    """How many bars were written of a ticker, were there already, and have no price and were left out."""

    ticker: str
    new: int
    kept: int
    unpriced: int = 0


def save(
    file: Path,
    history: History,
    tickers: Sequence[str],
    span: tuple[int, int],
    show: Callable[[str], None],
) -> list[Written]:
    """Write the bars that begin within `span` (from, to; epoch ms UTC) to a file named .csv or .parquet.

    A Parquet file cannot be continued in place: the rows are collected in a CSV file beside it, which stays if the
    vendor fails meanwhile, for the next call to go on from.

    Raises
    ------
    InputError
        If the file is named otherwise, cannot be written, holds something else, or has none of the tickers' minutes
        in the end.
    SourceError
        If the vendor does not answer; what was written by then stays.
    """
    if file.suffix.lower() not in FORMATS:
        raise InputError(f"-o {file}", allowed=f"a file named {' or '.join(FORMATS)}")
    try:
        if file.suffix.lower() == ".csv":
            done = list(write(file, history, tickers, span, show))
            _sort(file)
        else:
            pyarrow = _pyarrow()
            rows = file.with_name(f"{file.name}.part.csv")
            if file.exists() and not rows.exists():
                _unpack(pyarrow, file, rows)
            done = list(write(rows, history, tickers, span, show))
            _sort(rows)
            _pack(pyarrow, rows, file)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", where=f"-o {file}") from error
    if empty := [one.ticker for one in done if not one.new + one.kept]:
        raise InputError(f"there are no minutes of {', '.join(empty)} in that time")
    return done


def _sort(file: Path) -> None:
    """Put the rows in the order of time over all tickers, as they were traded: what the market did is read off them."""
    with file.open(encoding="utf-8") as opened:
        header, *rows = opened
    in_order = sorted(rows, key=lambda row: int(row.partition(",")[0]))
    if in_order != rows:
        unfinished = file.with_name(f"{file.name}.part")
        unfinished.write_text("".join((header, *in_order)), encoding="utf-8")
        unfinished.replace(file)


def _pyarrow() -> Any:
    try:
        return import_module("pyarrow")
    except ImportError as error:
        raise InputError(
            "Parquet needs the package pyarrow: pip install 'stock-market-anomaly-monitor[parquet]'"
        ) from error


def _pack(pyarrow: Any, rows: Path, file: Path) -> None:
    """Make a Parquet file of a CSV file, which goes then."""
    kinds = {"ts": pyarrow.int64(), "symbol": pyarrow.string()}
    types = {name: kinds.get(name, pyarrow.float64()) for name in COLUMNS}
    options = import_module("pyarrow.csv").ConvertOptions(column_types=types)
    table = import_module("pyarrow.csv").read_csv(rows, convert_options=options)
    unfinished = file.with_name(f"{file.name}.part")
    import_module("pyarrow.parquet").write_table(table, unfinished)
    unfinished.replace(file)
    rows.unlink()


def _unpack(pyarrow: Any, file: Path, rows: Path) -> None:
    """Make a CSV file of a Parquet file, to continue it."""
    try:
        table = import_module("pyarrow.parquet").read_table(file)
    except pyarrow.ArrowException as error:
        raise _another(file) from error
    if tuple(table.column_names) != COLUMNS:
        raise _another(file)
    options = import_module("pyarrow.csv").WriteOptions(quoting_style="needed")
    import_module("pyarrow.csv").write_csv(table, rows, options)
    text = rows.read_text(encoding="utf-8").replace('"', "", 2 * len(COLUMNS))
    rows.write_text(text, encoding="utf-8")  # pyarrow quotes the header


def _another(file: Path) -> InputError:
    return InputError(
        "the file exists and holds something else",
        where=f"-o {file}",
        allowed=f"a new file, or one with the columns {', '.join(COLUMNS)}",
    )


def write(
    file: Path,
    history: History,
    tickers: Sequence[str],
    span: tuple[int, int],
    show: Callable[[str], None],
) -> Iterator[Written]:
    """Append the bars that begin within `span` (from, to; epoch ms UTC), ticker by ticker.

    A tick's time is the last millisecond of its minute and its price the close, so that nothing is known too early.
    A file that is there is continued: after its newest row of each ticker, and without a row that was cut off.

    Raises
    ------
    InputError
        If the file is there and holds something else.
    SourceError
        If the vendor does not answer; what was written by then stays.
    """
    since_ms, until_ms = span
    counts, newest = _resume(file)
    with file.open("a", newline="", encoding="utf-8") as opened:
        rows = csv.writer(opened, lineterminator="\n")
        if not file.stat().st_size:
            rows.writerow(COLUMNS)
        for ticker in tickers:
            begin_ms = max(since_ms, newest.get(ticker, since_ms - 1) + 1)
            new = unpriced = 0
            for bar in history.minute_bars(ticker, begin_ms, until_ms):
                if not abs(bar.close) <= MAX_PRICE:  # NaN is in no range
                    unpriced += 1
                    continue
                rows.writerow(_row(ticker, bar))
                new += 1
                if new % 500 == 0:
                    opened.flush()
                    percent = 100 * (bar.ts - since_ms) // (until_ms - since_ms)
                    show(f"{ticker}: {new:,} minutes, {percent}%")
            yield Written(ticker, new, counts.get(ticker, 0), unpriced)


def _row(ticker: str, bar: MinuteBar) -> Iterable[object]:
    return (bar.ts + _MINUTE_MS - 1, ticker, bar.close, bar.volume, bar.open, bar.high, bar.low)


def _resume(file: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Cut off a row that is not whole; return the number of rows and the newest time of each ticker."""
    counts: dict[str, int] = {}
    newest: dict[str, int] = {}
    if not file.exists() or not file.stat().st_size:
        return counts, newest
    text = file.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        file.write_bytes(whole)
    lines = whole.decode("utf-8", errors="replace").splitlines()
    if lines and tuple(lines[0].split(",")) != COLUMNS:
        raise _another(file)
    for number, row in enumerate(csv.reader(lines[1:]), 2):
        if len(row) != len(COLUMNS) or not row[0].isdecimal():
            raise InputError(
                f"line {number} is damaged", where=f"-o {file}", allowed="deleted, or another file"
            )
        ticker, at = row[1], int(row[0])
        counts[ticker] = counts.get(ticker, 0) + 1
        newest[ticker] = max(at, newest.get(ticker, at))
    return counts, newest
