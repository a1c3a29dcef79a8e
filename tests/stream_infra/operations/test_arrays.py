"""What arrays of Arrow say is what the rows say, read one by one: ticks, bit for bit, and rejections."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings

from producers import recorded_lines
from producers.recordings import RejectedTick, read_blocks, read_columns
from stream_infra.operations.offline.arrays import ArrayReader, TickBlock
from tests.producers.test_recorded_rows import files

pytest.importorskip("pyarrow")
T = 1_763_996_400_000


def rows_of(blocks: Iterable[TickBlock]) -> list[str]:
    """Return texts that differ where a ticker or a bit does."""
    names: list[str] = []
    found = []
    for block in blocks:
        names += block.new
        columns = (column.tolist() for column in block.ticks[1:])
        found += [
            repr((names[slot], *values))
            for slot, *values in zip(block.ticks.slot.tolist(), *columns, strict=True)
        ]
    return found


def by_arrow(path: Path) -> tuple[list[str], list[RejectedTick], int]:
    rejected: list[RejectedTick] = []
    reader, arrays = ArrayReader(), 0
    blocks = []
    for block in read_blocks(path, rejected.append, reader.of_arrow):
        arrays += isinstance(block, TickBlock)
        blocks.append(block if isinstance(block, TickBlock) else reader.of_columns(block))
    return rows_of(blocks), rejected, arrays


def by_columns(path: Path) -> tuple[list[str], list[RejectedTick]]:
    rejected: list[RejectedTick] = []
    reader = ArrayReader()
    return rows_of(map(reader.of_columns, read_columns(path, rejected.append))), rejected


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files())
@example(
    (
        "ts,symbol,price,day_volume,volume\n1763996400000,AAPL,189.12,5,-1\n1763996400001,AAPL,189.12,5,5\n",
        1,
    )
)
def test_arrays_are_the_rows(tmp_path: Path, file: tuple[str, int]) -> None:
    text, at_once = file
    path = tmp_path / "ticks.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with mock.patch.object(recorded_lines, "BYTES_AT_ONCE", at_once):
        found, rejected, _ = by_arrow(path)
        assert (found, rejected) == by_columns(path)


def test_plain_rows_are_read_by_arrow_and_what_is_not_in_order_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "ticks.csv"
    rows = [f"{T + n // 2},{' a' if n % 2 else 'B'},{n + 0.5},,nan,{7 * n}\n" for n in range(12)]
    rows[9] = f"{T},A,1.5,,,\n"  # before the others of A, which are in lines 3, 5, 7 and 9
    path.write_text("ts,symbol,price,bid,ask,day_volume\n" + "".join(rows))
    with mock.patch.object(recorded_lines, "BYTES_AT_ONCE", 110):
        found, rejected, arrays = by_arrow(path)
        assert (found, rejected) == by_columns(path)
    assert (len(found), arrays) == (11, 3)
    assert [row.line for row in rejected] == [11]
    assert f"before ts {T + 3} of A in line 9" in rejected[0].reason


TIMES = {"s": 0.001, "ms": 1, "us": 1000, "ns": 1_000_000}


@pytest.mark.parametrize("kind", ["int64", *TIMES])
@pytest.mark.parametrize("numbers", ["64", "32"])
@pytest.mark.parametrize("volume", ["day_volume", "volume"])
def test_parquet_of_any_width_is_read_by_arrow(tmp_path: Path, kind: str, numbers: str, volume: str) -> None:
    import pyarrow
    from pyarrow import parquet

    start = T + (999_999 if kind == "ns" else 0) / 1_000_000  # what is less than a microsecond is left out
    times: Any = pyarrow.array([int(TIMES.get(kind, 1) * (start + 1000 * n)) for n in range(6)], "int64")
    columns = {
        "ts": times if kind == "int64" else times.cast(pyarrow.timestamp(kind, "UTC")),
        "symbol": pyarrow.array(["A", "B"] * 3, "large_string" if numbers == "32" else "string"),
        "price": pyarrow.array([1.5, 2.0, 0.0, 3.25, 4.0, 5.0], f"float{numbers}"),
        "bid": [1.0, None, float("nan"), 2.0, None, 1.0],
        volume: pyarrow.array([1, 2, 3, 4, 5, 6], f"int{numbers}"),
    }
    path = tmp_path / "ticks.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    found, rejected, arrays = by_arrow(path)
    assert (len(found), rejected, arrays) == (6, [], 1)
    assert (found, rejected) == by_columns(path)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_no_recording_needs_pandas(tmp_path: Path, kind: str) -> None:
    """Where it was installed, half a second went by in which Ctrl-C was swallowed."""
    import pyarrow
    from pyarrow import csv, parquet

    table = pyarrow.table({"ts": [T, T + 1], "symbol": ["A", "A"], "price": [1.5, 2.5], "volume": [1, None]})
    path = tmp_path / f"ticks.{kind}"
    csv.write_csv(table, path) if kind == "csv" else parquet.write_table(table, path)
    program = (
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(name, *_):\n"
        "        if name == 'pandas': print('asked')\n"
        "sys.meta_path.insert(0, Finder)\n"
        "from pathlib import Path\n"
        "from stream_infra.operations.offline.arrays import ArrayReader\n"
        "from producers.recordings import read_blocks, read_columns\n"
        "path = Path(sys.argv[1])\n"
        "print(len([*read_blocks(path, print, ArrayReader().of_arrow), *read_columns(path, print)]))"
    )
    run = [sys.executable, "-c", program, str(path)]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "2\n"


@pytest.mark.parametrize(
    "row",
    ['{ts},"A",1.5,7', '"{ts}","A","1.5","7"', '"{iso}",A,1.5,7', "{iso},A,1.5,0.1"],
    ids=["quoted texts", "all quoted", "quoted times", "times in ISO 8601"],
)
def test_quoted_values_and_shares_of_each_tick_are_read_by_arrow(tmp_path: Path, row: str) -> None:
    moments = (T, T + 5, T + 86_400_000, T + 86_400_009)
    lines = [row.format(ts=ts, iso=datetime.fromtimestamp(ts / 1000, UTC).isoformat()) for ts in moments]
    path = tmp_path / "ticks.csv"
    path.write_text("\n".join(['"ts","symbol","price","volume"', *lines]))
    with mock.patch.object(recorded_lines, "BYTES_AT_ONCE", 110):
        found, rejected, arrays = by_arrow(path)
        assert (found, rejected) == by_columns(path)
    assert (len(found), rejected, arrays) == (4, [], 2)
