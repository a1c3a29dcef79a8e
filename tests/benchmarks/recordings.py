# ruff: noqa: T201 - it prints a report
"""Rows a second of `stock-monitor backtest` on files of 500 tickers, and memory: `python recordings.py 10000000`.

Each form of the same rows is read by the command itself: its start and both of its processes count.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow
from pyarrow import csv, parquet

TICKERS = 500
POLLS_AT_ONCE = 2_000
START_MS = 1_760_000_000_000
BARS = {"plain.csv": 600_000, "quoted.csv": 600_000, "ticks.parquet": 1_500_000}
SCHEMA = pyarrow.schema(
    {
        "ts": "int64",
        "symbol": "string",
        "price": "double",
        "bid": "double",
        "ask": "double",
        "volume": "int64",
    }
)


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    with TemporaryDirectory() as folder:
        write(Path(folder), rows // TICKERS)
        for name, bar in BARS.items():
            seconds, peak_mb = measure(Path(folder, name))
            speed = rows / seconds
            verdict = f", asked for {bar:,}: {'reached' if speed >= bar else 'MISSED'}"
            print(
                f"{name:<14} {speed:>10,.0f} rows/s ({seconds:.1f} s), at most {peak_mb:.0f} MB{verdict}",
                flush=True,
            )


def write(folder: Path, polls: int) -> None:
    """Write prices that walk, with quotes around them and the shares of each tick."""
    rng = np.random.default_rng(7)
    walk = np.log(rng.uniform(20, 400, TICKERS))
    names = np.array([f"T{n:03d}" for n in range(TICKERS)])
    plain, quoted = (csv.WriteOptions(quoting_style=style) for style in ("none", "needed"))
    with (
        parquet.ParquetWriter(folder / "ticks.parquet", SCHEMA) as columns,
        csv.CSVWriter(folder / "plain.csv", SCHEMA, write_options=plain) as texts,
        csv.CSVWriter(folder / "quoted.csv", SCHEMA, write_options=quoted) as quotes,
    ):
        for first in range(0, polls, POLLS_AT_ONCE):
            count = min(POLLS_AT_ONCE, polls - first)
            moves = walk + np.cumsum(rng.normal(0, 2e-4, (count, TICKERS)), axis=0)
            walk = moves[-1]
            price = np.round(np.exp(moves), 2)
            half = np.round(rng.uniform(0.01, 0.04, price.shape), 2)
            part = [
                np.repeat(START_MS + 1000 * np.arange(first, first + count), TICKERS),
                np.tile(names, count),
                price,
                np.round(price - half, 2),
                np.round(price + half, 2),
                rng.integers(1, 400, price.shape),
            ]
            table = pyarrow.table([np.ravel(column) for column in part], schema=SCHEMA)
            for writer in (columns, texts, quotes):
                writer.write_table(table)


def measure(file: Path) -> tuple[float, float]:
    """Return seconds until the command is done, and the megabytes of the largest of its processes."""
    command = Path(sys.executable).with_name("stock-monitor")
    start = time.monotonic()
    running = subprocess.Popen([command, "backtest", file, "--json"], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(running.pid, 0)
    seconds = time.monotonic() - start
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, command)
    return seconds, used.ru_maxrss / 1024


if __name__ == "__main__":
    main()
