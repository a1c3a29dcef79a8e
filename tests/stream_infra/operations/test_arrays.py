"""What arrays of Arrow say is what the rows say, read one by one: ticks, bit for bit, and rejections."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings

from producers import recordings
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
    with mock.patch.object(recordings, "ROWS_AT_ONCE", at_once):
        found, rejected, _ = by_arrow(path)
        assert (found, rejected) == by_columns(path)


def test_plain_rows_are_read_by_arrow_and_what_is_not_in_order_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "ticks.csv"
    rows = [f"{T + n // 2},{' a' if n % 2 else 'B'},{n + 0.5},,nan,{7 * n}\n" for n in range(12)]
    rows[9] = f"{T},A,1.5,,,\n"  # before the others of A, which are in lines 3, 5, 7 and 9
    path.write_text("ts,symbol,price,bid,ask,day_volume\n" + "".join(rows))
    with mock.patch.object(recordings, "ROWS_AT_ONCE", 4):
        found, rejected, arrays = by_arrow(path)
        assert (found, rejected) == by_columns(path)
    assert (len(found), arrays) == (11, 3)
    assert [row.line for row in rejected] == [11]
    assert f"before ts {T + 3} of A in line 9" in rejected[0].reason


@pytest.mark.parametrize("kind", ["int64", "ms", "us"])
def test_times_of_parquet(tmp_path: Path, kind: str) -> None:
    import pyarrow
    from pyarrow import parquet

    scale = 1000 if kind == "us" else 1
    times: Any = pyarrow.array([scale * (T + n) for n in range(6)], "int64")
    columns = {
        "ts": times if kind == "int64" else times.cast(pyarrow.timestamp(kind, "UTC")),
        "symbol": ["A", "B"] * 3,
        "price": [1.5, 2.0, 0.0, 3.25, 4.0, 5.0],
        "bid": [1.0, None, float("nan"), 2.0, None, 1.0],
        "day_volume": [1, 2, 3, 4, 5, 6],
    }
    path = tmp_path / "ticks.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    found, rejected, arrays = by_arrow(path)
    assert arrays == 1
    assert (found, rejected) == by_columns(path)
