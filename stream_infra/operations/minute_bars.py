"""Writes a vendor's minute bars to a CSV file that `backtest` and `replay` read; what is there already stays."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from producers.source import History, MinuteBar
from stream_infra.operations.errors import InputError

COLUMNS = ("ts", "symbol", "price", "volume", "open", "high", "low")
_MINUTE_MS = 60_000


class Written(NamedTuple):
    """How many bars were written of a ticker, and how many were there already."""

    ticker: str
    new: int
    kept: int


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
            new = 0
            for bar in history.minute_bars(ticker, begin_ms, until_ms):
                rows.writerow(_row(ticker, bar))
                new += 1
                if new % 500 == 0:
                    opened.flush()
                    show(f"{ticker}: {new:,} minutes")
            yield Written(ticker, new, counts.get(ticker, 0))


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
        raise InputError(
            f"{file} is there and holds something else",
            allowed=f"a file with the columns {', '.join(COLUMNS)}",
        )
    for row in csv.reader(lines[1:]):
        ticker, at = row[1], int(row[0])
        counts[ticker] = counts.get(ticker, 0) + 1
        newest[ticker] = max(at, newest.get(ticker, at))
    return counts, newest
