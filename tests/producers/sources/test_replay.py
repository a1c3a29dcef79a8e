"""Recorded ticks are read as they are; what cannot be used is rejected by file, line and reason."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.quote_batch import decode, encode
from producers.recorded_lines import RecordingError
from producers.recorded_rows import RecordedTick, RowReader
from producers.recordings import RejectedTick, read_ticks
from producers.sources.replay import batches, paced

RECORDINGS = Path(__file__).parents[4] / "shared" / "exam" / "open"
HEADER = "ts,symbol,price,bid,ask,volume\n"
T = 1_763_996_400_000


def read(path: Path) -> tuple[list[RecordedTick], list[RejectedTick]]:
    rejected: list[RejectedTick] = []
    return list(read_ticks(path, rejected.append)), rejected


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


EXPECTED = [
    RecordedTick("AAPL", T, 189.12, 189.11, 189.13, 100.0, None),
    RecordedTick("MSFT", T, 411.5, None, None, None, None),
    RecordedTick("AAPL", T + 1000, 0.0, None, None, 150.0, None),
]
CSV = HEADER + f"{T},AAPL,189.12,189.11,189.13,100\n{T},MSFT,411.5,,,\n{T + 1000},AAPL,0,,,50\n"
JSON_LINES = (
    f'{{"ts":{T},"symbol":"AAPL","price":189.12,"bid":189.11,"ask":189.13,"volume":100}}\n'
    f'{{"ts":{T},"symbol":"MSFT","price":411.5,"bid":null}}\n\n'
    f'{{"ts":"2025-11-24T15:00:01Z","symbol":"AAPL","price":0,"volume":50}}\n'
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", CSV),
        ("a.CSV", CSV),
        ("a.csv.gz", CSV),
        ("a.b.csv.gz", CSV),
        ("bom.csv", "\ufeff" + CSV),
        ("windows.csv", CSV.replace("\n", "\r\n")),
        ("quoted.csv", CSV.replace("AAPL", '"AAPL"')),
        ("spaced.csv", CSV.replace("AAPL", " aapl ")),
        ("a.jsonl", JSON_LINES),
        ("a.ndjson.gz", JSON_LINES),
    ],
)
def test_every_format_gives_the_same_ticks(tmp_path: Path, name: str, text: str) -> None:
    assert read(write(tmp_path / name, text)) == (EXPECTED, [])


def test_parquet_gives_the_same_ticks(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet is an optional extra")
    from pyarrow import parquet

    table = pyarrow.table(
        {
            "ts": pyarrow.array([T, T, T + 1000], pyarrow.timestamp("ms")),
            "symbol": ["AAPL", "MSFT", "AAPL"],
            "price": [189.12, 411.5, 0.0],
            "bid": [189.11, float("nan"), None],
            "ask": [189.13, None, None],
            "volume": [100, None, 50],
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == (EXPECTED, [])


def test_parquets_columns_are_named_as_those_of_csv(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def written(columns: list[str]) -> Path:
        values = [[T], ["AAPL"], [1.5], [2.5]][: len(columns)]
        path = tmp_path / "a.parquet"
        parquet.write_table(
            pyarrow.Table.from_arrays([pyarrow.array(one) for one in values], names=columns), path
        )
        return path

    ticks, rejected = read(written(["TS", "Symbol", " Price "]))
    assert ([(tick.symbol, tick.ts, tick.price) for tick in ticks], rejected) == ([("AAPL", T, 1.5)], [])
    with pytest.raises(RecordingError, match="there is no column symbol"):
        read(written(["ts", "ticker", "price"]))
    with pytest.raises(RecordingError, match="column price stands twice"):
        read(written(["ts", "symbol", "price", "Price"]))


def test_parquet_without_its_extra_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RecordingError, match=r"pip install pyarrow"):
        read(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (gzip.compress(b"x", mtime=0), "is gzip, so its name must end in .gz"),
        (b"PAR1", "is Parquet, so its name must end in .parquet"),
        (b"PK\x03\x04", "is a ZIP archive"),
        (bz2.compress(b"x"), "is bzip2"),
        (lzma.compress(b"x"), "is xz"),
        (b"\x28\xb5\x2f\xfd", "is Zstandard"),
        (HEADER.encode("utf-16"), "is UTF-16 or UTF-32"),
        (HEADER.encode("utf-16-be"), "is UTF-16 or UTF-32"),
        (HEADER.encode("utf-32-le"), "is UTF-16 or UTF-32"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_file_that_only_has_the_name_of_a_text_is_called_what_it_is(
    tmp_path: Path, name: str, start: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(start)
    with pytest.raises(RecordingError, match=f"{said}; must be .csv"):
        list(read_ticks(path, lambda _: None))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f"{T},AAPL,abc,,,", "price is 'abc'; must be a number from -1e+15 to 1e+15"),
        (f"{T},AAPL,,,,", "price is empty; must be a number"),
        (f"{T},AAPL,nan,,,", "price is 'nan'"),
        (f"{T},AAPL,1_00.5,,,", "price is '1_00.5'"),
        (f"{T},AAPL,١٠٠,,,", "price is '١٠٠'"),
        (f"{T},AAPL,1e999,,,", "price is '1e999'"),
        (f"{T},AAPL,1,x,,", "bid is 'x'"),
        (f"{T},AAPL,1,,,-5", "volume is '-5'; must be a number from 0"),
        (f"{T},A APL,1,,,", "symbol is 'A APL'; must be 1 to 32 of A-Z"),
        (f"{T},,1,,,", "symbol is ''"),
        ("yesterday,AAPL,1,,,", "ts is 'yesterday'; must be a whole number of milliseconds"),
        ("2025-11-24T15:00:00,AAPL,1,,,", "ts is '2025-11-24T15:00:00'"),
        (f"{T // 1000},AAPL,1,,,", "looks like seconds; must be milliseconds"),
        (f"{T / 1000:.3f},AAPL,1,,,", "looks like seconds; must be milliseconds"),
        (f"{T}000,AAPL,1,,,", "looks like microseconds; must be milliseconds"),
        (f"{T}000000,AAPL,1,,,", "looks like nanoseconds; must be milliseconds"),
        (f"{T},A\0APL,1,,,", "symbol is 'A\\x00APL'"),
        (",AAPL,1,,,", "ts is ''"),
        (f"{T},AAPL,1,,", "has 5 values; must be 6, as in the header"),
        (f'{T},"AAPL,1,,,', "is not CSV"),
        (f"{T - 1},AAPL,1,,,", f"ts {T - 1} is before ts {T} of AAPL in line 2"),
        ("\x00\x01garbage", "has 1 values"),
    ],
)
def test_a_broken_row_is_rejected_with_its_place_and_the_flow_goes_on(
    tmp_path: Path, row: str, reason: str
) -> None:
    text = HEADER + f"{T},AAPL,1,,,10\n{row}\n{T + 1},AAPL,2,,,10\n"
    ticks, rejected = read(write(tmp_path / "broken.csv", text))
    assert [tick.price for tick in ticks] == [1, 2]
    assert [tick.day_volume for tick in ticks] == [10, 20]
    assert [(tick.file, tick.line) for tick in rejected] == [("broken.csv", 3)]
    assert reason in rejected[0].reason
    assert str(rejected[0]).startswith("broken.csv:3: ")


def test_bytes_that_are_no_text_reject_their_row_only(tmp_path: Path) -> None:
    data = HEADER.encode() + b"%d,\xff\xfe,1,,,\n%d,AAPL,2,,,\n" % (T, T)
    ticks, rejected = read(write(tmp_path / "a.csv", data))
    assert [tick.symbol for tick in ticks] == ["AAPL"]
    assert [tick.line for tick in rejected] == [2]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"ts":', "is not JSON"),
        ("[1,2]", "is a JSON array; must be one JSON object per line"),
        (json.dumps({"ts": T, "symbol": "AAPL", "price": True}), "price is True"),
        (json.dumps({"ts": T + 0.5, "symbol": "AAPL", "price": 1}), "ts is"),
        (json.dumps({"ts": True, "symbol": "AAPL", "price": 1}), "ts is True"),
        (json.dumps({"ts": T, "symbol": ["AAPL"], "price": 1}), "symbol is ['AAPL']"),
        (json.dumps({"ts": T, "symbol": "AAPL", "price": {}}), "price is {}"),
    ],
)
def test_a_broken_json_line_is_rejected(tmp_path: Path, line: str, reason: str) -> None:
    ticks, rejected = read(write(tmp_path / "a.jsonl", f"{line}\n" + JSON_LINES))
    assert ticks == EXPECTED
    assert [(tick.line, reason in tick.reason) for tick in rejected] == [(1, True)]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.csv", "", "is empty; must be a header with at least ts, symbol, price"),
        ("a.csv", "time,symbol,price\n", "there is no column ts"),
        (
            "a.csv",
            "ts,symbol,price,Price\n",
            "column price stands twice; must be a column that is there once",
        ),
        ("a.xlsx", "x", "unknown format; must be .csv"),
        ("a", "x", "unknown format"),
        ("a.parquet", "no parquet", "cannot be read as Parquet"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, name: str, text: str, reason: str) -> None:
    with pytest.raises(RecordingError) as caught:
        read(write(tmp_path / name, text))
    assert reason in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("name", ["none.csv", "none.csv.gz", "none.parquet"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordingError, match="there is no such file"):
        read(tmp_path / name)


def test_a_file_that_is_cut_off_gives_its_ticks_and_then_says_so(tmp_path: Path) -> None:
    rows = "".join(f"{T + i},AAPL,{i % 97}.{i % 89},,,\n" for i in range(5_000))
    whole = gzip.compress((HEADER + rows).encode())
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    ticks: list[RecordedTick] = []
    with pytest.raises(RecordingError, match="may be cut off"):
        ticks.extend(read_ticks(tmp_path / "cut.csv.gz", lambda _: None))


def test_plain_text_under_a_gz_name_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_text(CSV)
    with pytest.raises(RecordingError, match=r"is not gzip, although its name ends in \.gz"):
        read(tmp_path / "a.csv.gz")


def test_volume_starts_again_with_each_utc_day(tmp_path: Path) -> None:
    midnight = 1_764_028_800_000
    rows = [
        (midnight - 2, "A", 5),
        (midnight - 1, "A", 7),
        (midnight - 1, "B", 3),
        (midnight, "A", 2),
        (midnight + 1, "A", 4),
    ]
    text = HEADER + "".join(f"{ts},{symbol},1,,,{volume}\n" for ts, symbol, volume in rows)
    ticks, _ = read(write(tmp_path / "a.csv", text))
    assert [tick.day_volume for tick in ticks] == [5, 12, 3, 2, 6]


@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 4)), max_size=60))
def test_times_grow_strictly_and_stay_near_the_files_own(steps: list[tuple[str, int]]) -> None:
    sequencer = RowReader()
    own: dict[str, int] = defaultdict(lambda: T)
    given_before: dict[str, int] = defaultdict(int)
    for line, (symbol, step) in enumerate(steps):
        own[symbol] += step
        tick = sequencer.tick({"symbol": symbol, "ts": own[symbol], "price": 1.0}, line)
        assert tick.ts > given_before[symbol]
        assert tick.ts == max(own[symbol], given_before[symbol] + 1)
        given_before[symbol] = tick.ts


ticks_of_one = st.lists(st.integers(1, 50), max_size=80).map(
    lambda steps: [
        RecordedTick("A", T + sum(steps[:i]), 1.0, None, None, None, None) for i in range(len(steps))
    ]
)


@given(ticks_of_one, st.integers(1, 9), st.floats(1, 200))
def test_batches_hold_all_ticks_in_order_within_their_bounds(
    ticks: list[RecordedTick], rows: int, span_ms: float
) -> None:
    made = list(batches(ticks, "replay-x", rows=rows, span_ms=span_ms))
    assert [ts for batch in made for ts in batch.ts] == [tick.ts for tick in ticks]
    for batch in made:
        assert 1 <= len(batch) <= rows
        assert batch.ts[-1] - batch.ts[0] < span_ms
        assert decode(encode(batch)) == (batch, [])


def test_a_replay_keeps_its_pace() -> None:
    ticks = [RecordedTick("A", T + i * 1000, 1.0, None, None, None, None) for i in range(121)]
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    played = paced(ticks, "replay-x", 60, clock=lambda: now[0], sleep=sleep)
    seen = [(batch.ts[0], now[0] - 100.0) for batch in played]
    assert seen[-1][1] == pytest.approx((seen[-1][0] - T) / 60_000)
    assert 1.7 < now[0] - 100.0 <= 2.0


@pytest.mark.parametrize("speed", [0, -1, float("inf"), float("nan")])
def test_an_impossible_speed_is_rejected(speed: float) -> None:
    with pytest.raises(ValueError, match="must be a number above 0"):
        next(paced([], "replay-x", speed))


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings beside the repository are not there")
@pytest.mark.parametrize("name", ["inj_1s_SPY", "inj_1m_btcperp1m", "real_10_eq1m_AAPL"])
def test_real_recordings_are_read_whole(name: str) -> None:
    path = RECORDINGS / f"{name}.csv.gz"
    with gzip.open(path, "rt") as file:
        rows = sum(1 for _ in file) - 1
    ticks, rejected = read(path)
    assert rejected == []
    assert len(ticks) == rows
    made = list(batches(ticks, "replay-x"))
    assert sum(map(len, made)) == rows


@pytest.mark.parametrize("written", [f"{T}", f"{T}.0", f"{T}.", f" {T}.000 "])
def test_a_whole_number_is_one_with_or_without_a_point(tmp_path: Path, written: str) -> None:
    file = tmp_path / "ticks.csv"
    file.write_text(f"ts,symbol,price\n{written},AAPL,1\n")
    rejected: list[RejectedTick] = []
    assert [tick.ts for tick in read_ticks(file, rejected.append)] == [T]
    assert rejected == []


@pytest.mark.parametrize("unknown", ["NaN", "nan", "null", "NULL", "None", "NA", "n/a", " "])
@pytest.mark.parametrize("column", range(3))
def test_an_optional_value_that_is_not_known_costs_no_row(tmp_path: Path, unknown: str, column: int) -> None:
    values = ["", "", ""]
    values[column] = unknown
    path = tmp_path / "day.csv"
    path.write_text(f"ts,symbol,price,bid,ask,day_volume\n{T},AAPL,189.1,{','.join(values)}\n")
    rejected: list[RejectedTick] = []
    (tick,) = read_ticks(path, rejected.append)
    assert rejected == []
    assert (tick.price, tick.bid, tick.ask, tick.day_volume) == (189.1, None, None, None)


@pytest.mark.parametrize(
    ("text", "ts"), [("1971-01-04T21:00:00Z", 31_870_800_000), ("1970-01-21T10:00:00Z", 1_764_000_000)]
)
def test_an_old_date_is_a_time_like_any_other(tmp_path: Path, text: str, ts: int) -> None:
    path = tmp_path / "old.csv"
    path.write_text(f"ts,symbol,price\n{text},IBM,4.1\n")
    assert [tick.ts for tick in read_ticks(path, lambda row: pytest.fail(str(row)))] == [ts]
