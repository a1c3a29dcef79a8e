"""A block of rows read by columns gives the ticks that its rows give one by one, and the same rejections."""

from __future__ import annotations

import gzip
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers import recorded_lines, recorded_parquet
from producers.recorded_lines import RecordingError
from producers.recorded_rows import RecordedTick, RowReader
from producers.recordings import RejectedTick, read_columns, read_ticks

T = 1_763_996_400_000
PLAIN = {
    "ts": [f"{T + n}" for n in (0, 0, 1, 5, 1000, 86_400_000)],
    "symbol": ["AAPL", "KO", "ko", " KO "],
    "price": ["189.12", "1e2", "0", "-3.5", "007", "-0", ".5"],
    "bid": ["189.1", "", "1_0", "0"],
    "ask": ["189.3", ""],
    "day_volume": ["5", "", "100"],
    "volume": ["5", "", "0.1", "7.25"],
    "quote_ts": [f"{T}", "", "2025-11-24T15:00:00.123456Z"],
    "comment": ["", "x"],
}
ODD = {
    "ts": [
        f"{T}.0",
        " 5 ",
        "",
        "2025-11-24T15:00:00Z",
        "2025-11-24t15:00:00.1234567+00:00",
        "2025-11-24 15:00Z",
        "20251124T150000Z",
        "2025-11-24",
        "2025-11-24T15:00:00",
        "2571-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999Z",
        "1763996400",
        "٣",
        "-1",
        f"{T}0000",
    ],
    "symbol": [
        "",
        "A$",
        '"KO"',
        '"K',
        'K"',
        '"K"O',
        'K"O"',
        '"K""O"',
        '""',
        ' "KO"',
        '"KO" ',
        '"K,O"',
        "K\udc80",
    ],
    "price": ["", "nan", "inf", "1e16", "x", "True", "0x1p3"],
    "bid": ["NaN", "null", " ", "-inf", "1e300"],
    "ask": ["N/A", "x", "1e16"],
    "day_volume": ["-1", "nan", "1e19"],
    "volume": ["-1", "NA"],
    "quote_ts": ["5", "nan", "yesterday"],
    "comment": ["a,b", '"a,b"', "\r"],
}
NAMES = tuple(PLAIN)


@st.composite
def files(draw: st.DrawFn) -> tuple[str, int]:
    """A file of CSV, most of whose values are plain, and how many of its bytes are read at once."""
    names = ("ts", "symbol", "price", *draw(st.lists(st.sampled_from(NAMES[3:]), unique=True)))
    odd = draw(st.sampled_from([0, 0, 1, 3]))
    lines = []
    for _ in range(draw(st.integers(0, 24))):
        values = {name: draw(st.sampled_from(PLAIN[name])) for name in names}
        lines.append(values)
    iso, quoted = draw(st.booleans()), draw(st.sampled_from([(), ("symbol",), names]))
    for values in lines:
        if iso:
            at = datetime.fromtimestamp(int(values["ts"]) / 1000, UTC)
            values["ts"] = at.isoformat(timespec="milliseconds").replace(
                "+00:00", draw(st.sampled_from(["Z", "+00:00"]))
            )
        values |= {name: f'"{values[name]}"' for name in quoted}
    for _ in range(odd if lines else 0):
        name = draw(st.sampled_from(names))
        lines[draw(st.integers(0, len(lines) - 1))][name] = draw(st.sampled_from(ODD[name]))
    texts = [",".join(line.values()) for line in lines]
    if draw(st.booleans()) and texts:
        texts.insert(draw(st.integers(0, len(texts))), draw(st.sampled_from(["", "  ", ",", "1,2,3,4"])))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    text = end.join([",".join(names), *texts]) + draw(st.sampled_from(["", end]))
    return text, draw(st.sampled_from([1, 50, 120, 10_000]))


def one_by_one(path: Path) -> tuple[list[RecordedTick], list[RejectedTick]]:
    rejected: list[RejectedTick] = []
    with mock.patch.object(RowReader, "columns", return_value=None):
        return list(read_ticks(path, rejected.append)), rejected


def by_columns(path: Path) -> tuple[list[RecordedTick], list[RejectedTick]]:
    rejected: list[RejectedTick] = []
    blocks = list(read_columns(path, rejected.append))
    return [RecordedTick(*row) for block in blocks for row in zip(*block, strict=True)], rejected


def as_both(path: Path) -> tuple[list[RecordedTick], list[RejectedTick]]:
    rejected: list[RejectedTick] = []
    return list(read_ticks(path, rejected.append)), rejected


def exact(ticks: list[RecordedTick]) -> list[str]:
    """Return texts that differ where a bit or a type does."""
    return [repr(tuple(tick)) for tick in ticks]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files())
def test_columns_are_the_rows(tmp_path: Path, file: tuple[str, int]) -> None:
    text, at_once = file
    path = tmp_path / "ticks.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with mock.patch.object(recorded_lines, "BYTES_AT_ONCE", at_once):
        ticks, rejected = one_by_one(path)
        for read in (by_columns, as_both):
            found, left_out = read(path)
            assert exact(found) == exact(ticks)
            assert left_out == rejected


@given(st.lists(st.floats(0, 1e15) | st.integers(0, 10**18).map(float), min_size=1, max_size=40), st.data())
def test_numbers_are_those_of_float(values: list[float], data: st.DataObject) -> None:
    formats = st.sampled_from(["{!r}", "{:.2f}", "{:.17g}", "{:.25f}", " {!r} ", "{:e}", "{:.0f}"])
    texts = [data.draw(formats).format(value) for value in values]
    rows = {"ts": [str(T + n) for n in range(len(texts))], "symbol": ["A"] * len(texts), "price": texts}
    block = RowReader().columns(rows, 1)
    expected = [float(text) for text in texts]
    if max(expected) <= 1e15:
        assert block is not None
        assert list(map(repr, block.price)) == list(map(repr, expected))
    else:
        assert block is None


def test_plain_rows_are_read_by_columns(tmp_path: Path) -> None:
    path = tmp_path / "ticks.csv"
    rows = "".join(f"{T + n // 2},{'AB'[n % 2]},1.5,,{n},7\n" for n in range(40))
    path.write_text(f"ts,symbol,price,bid,ask,volume\n{rows}")
    with mock.patch.object(RowReader, "tick", side_effect=AssertionError("one by one")):
        (block,) = read_columns(path, lambda row: pytest.fail(str(row)))
    assert block.day_volume[-1] == 140.0


def test_columns_of_parquet_are_its_rows(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet: Any = pytest.importorskip("pyarrow.parquet")
    columns = {
        "ts": pyarrow.array([T, T, T + 1, T + 2], pyarrow.timestamp("ms", "UTC")),
        "symbol": ["A", "B", "A", "A"],
        "price": [1.5, 2.0, float("nan"), 0.0],
        "bid": [1.0, None, float("nan"), 2.0],
        "volume": [3, None, 4, 5],
        "comment": [[1], [2], None, []],
    }
    path = tmp_path / "ticks.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    for at_once in (1, 4):
        with mock.patch.object(recorded_parquet, "ROWS_AT_ONCE", at_once):
            ticks, rejected = one_by_one(path)
            found, left_out = by_columns(path)
        assert (exact(found), left_out) == (exact(ticks), rejected)
        assert [row.line for row in rejected] == [3]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 300),
    st.floats(0.05, 0.99),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([1, 99, 10**6]),
)
def test_what_comes_before_the_end_of_a_cut_file_is_read(
    tmp_path: Path, rows: int, part: float, end: str, at_once: int
) -> None:
    text = end.join(["ts,symbol,price", *(f"{T + n},A,{n % 7}.5" for n in range(rows)), ""])
    packed = gzip.compress(text.encode(), 1)
    packed = packed[: 12 + int(part * (len(packed) - 20))]
    there = zlib.decompressobj(31).decompress(packed).decode()
    whole = there.count(end) - (end == "\r" and there.endswith(end))  # it may be half of CR LF
    path, found = tmp_path / "cut.csv.gz", list[RecordedTick]()
    path.write_bytes(packed)
    after = f" after line {whole}" if whole else ""
    with (
        mock.patch.object(recorded_lines, "BYTES_AT_ONCE", at_once),
        pytest.raises(RecordingError, match=rf"cannot be unzipped{after} \(.*may be cut off"),
    ):
        found.extend(read_ticks(path, lambda row: pytest.fail(str(row))))
    assert [tick.ts for tick in found] == list(range(T, T + whole - 1))
