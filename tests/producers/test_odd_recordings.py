"""Recordings as vendors and spreadsheets write them: read, or rejected by a reason that says what is wrong."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from producers.recorded_lines import RecordingError
from producers.recordings import RejectedTick, read_blocks, read_columns, read_ticks

START_MS = 1_763_996_400_000
HEADER = "ts,symbol,price,bid,ask,volume\n"


def _both(path: Path) -> tuple[list[int], list[str]]:
    """The times that both ways of reading give, and the reasons of rejected rows."""
    rejected: list[RejectedTick] = []
    ticks = list(read_ticks(path, rejected.append))
    again: list[RejectedTick] = []
    columns = [ts for block in read_columns(path, again.append) for ts in block.ts]
    assert columns == [tick.ts for tick in ticks]
    assert again == rejected
    return columns, [str(row) for row in rejected]


def _none(row: RejectedTick) -> None:
    raise AssertionError(f"rejected: {row}")


def _csv(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "odd.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl.gz", "a.parquet"])
def test_a_pipe_is_rejected_instead_of_being_waited_for(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    with pytest.raises(RecordingError, match=r"is a pipe or a device; must be a file: \.csv"):
        list(read_ticks(path, _none))


@pytest.mark.parametrize("form", ["%Y%m%d", "%Y%m%d%H%M", "%Y%m%d%H%M%S", "%Y%m%d%H%M%S000"])
def test_a_date_in_digits_alone_is_no_time_in_milliseconds(tmp_path: Path, form: str) -> None:
    """As milliseconds 202511241500 would be in 1976, and 20251124150000 in the year 2611."""
    written = datetime.fromtimestamp(START_MS / 1000, UTC).strftime(form)
    times, rejected = _both(_csv(tmp_path, f"{written},AAPL,189.1,,,", f"{START_MS},AAPL,189.1,,,"))
    assert times == [START_MS]
    assert (
        f"ts is '{written}', which looks like a date written as YYYYMMDDhhmmss; must be milli" in rejected[0]
    )


def test_such_a_date_is_none_in_json_and_parquet_either(tmp_path: Path) -> None:
    rows = [{"ts": 20251124150000 + n, "symbol": "AAPL", "price": 189.1} for n in range(3)]
    lines = tmp_path / "odd.jsonl"
    lines.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert _both(lines)[0] == []
    pyarrow = pytest.importorskip("pyarrow")
    file = tmp_path / "odd.parquet"
    __import__("pyarrow.parquet").parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    times, rejected = _both(file)
    assert times == []
    assert "which looks like a date" in rejected[0]


def test_milliseconds_of_1976_and_of_far_years_are_times(tmp_path: Path) -> None:
    plain = [202_599_999_999, 4_102_444_800_000, 253_402_300_799_999]
    assert _both(_csv(tmp_path, *(f"{ts},AAPL,1,,," for ts in plain))) == (plain, [])


@pytest.mark.parametrize(
    "ts", ["2025-11-24T15:00:00z", "2025-11-24t15:00:00Z", "20251124T150000Z", "2025-11-25T00:00:00+09:00"]
)
def test_iso_8601_is_read_as_it_may_be_written(tmp_path: Path, ts: str) -> None:
    assert _both(_csv(tmp_path, f"{ts},7203.T,2801.5,,,"))[0] == [START_MS]


def test_a_time_without_an_offset_is_named_as_such(tmp_path: Path) -> None:
    _, rejected = _both(_csv(tmp_path, "2025-11-24 15:00:00,AAPL,189.1,,,"))
    assert "has no time zone; must end in Z or an offset" in rejected[0]


@pytest.mark.parametrize(
    "unknown", ["#N/A", "#N/A N/A", "-", "--", ".", "NULL", "\\N", "-nan", "1.#QNAN", " "]
)
def test_an_optional_value_that_is_left_empty_costs_no_row(tmp_path: Path, unknown: str) -> None:
    """Spreadsheets write #N/A, terminals a dash, FRED a point, PostgreSQL \\N, C of Windows 1.#QNAN."""
    path = _csv(tmp_path, f"{START_MS},AAPL,189.1,{unknown},{unknown},{unknown}")
    (tick,) = read_ticks(path, _none)
    assert (tick.bid, tick.ask, tick.day_volume) == (None, None, None)


@pytest.mark.parametrize(
    "unset", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00", "0001-01-01 00:00:00 +0000 UTC"]
)
def test_a_time_of_the_exchange_that_is_not_set_costs_no_row(tmp_path: Path, unset: str) -> None:
    """As Go and .NET write it."""
    lines = tmp_path / "odd.jsonl"
    lines.write_text(json.dumps({"ts": START_MS, "symbol": "VOD.L", "price": 71.2, "quote_ts": unset}))
    parquet = _parquet(tmp_path / "odd.parquet", quote_ts=[datetime(1, 1, 1, tzinfo=UTC)] * 2)
    for file in (lines, parquet):
        assert {tick.quote_ts for tick in read_ticks(file, _none)} == {None}
        assert _both(file)[1] == []


def test_what_is_missing_is_said_to_be(tmp_path: Path) -> None:
    lines = tmp_path / "odd.jsonl"
    lines.write_text(f'{{"ticker":"A"}}\n{{"symbol":"A"}}\nnull\n[{START_MS}]\n')
    reasons = _both(lines)[1]
    for reason, part in zip(
        reasons, ("symbol is missing", "ts is missing", "is null", "is a JSON array"), strict=True
    ):
        assert part in reason


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("plain.csv.gz", HEADER.encode(), "is not gzip, although its name ends in .gz"),
        (
            "other.csv",
            b"time,ticker,last\n",
            "there is no column ts, symbol, price (found: time, ticker, last)",
        ),
        ("twice.csv", b"ts,symbol,price,price\n", "column price stands twice"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordingError) as caught:
        list(read_ticks(tmp_path / name, _none))
    assert why in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(RecordingError, match=r"folder\.csv: cannot be read \(Is a directory\)"):
        list(read_ticks(tmp_path / "folder.csv", _none))


def _parquet(file: Path, **columns: Any) -> Path:
    pyarrow: Any = pytest.importorskip("pyarrow")
    names = {"ts": [START_MS, START_MS + 1000], "symbol": ["AAPL", "AAPL"], "price": [1.5, 2.5]} | columns
    __import__("pyarrow.parquet").parquet.write_table(pyarrow.table(names), file)
    return file


def _with_time(file: Path, unit: str, zone: str | None, value: int) -> Path:
    pyarrow: Any = pytest.importorskip("pyarrow")
    kind = pyarrow.timestamp(unit, tz=zone)
    table = pyarrow.table({"ts": pyarrow.array([value], kind), "symbol": ["AAPL"], "price": [1.0]})
    __import__("pyarrow.parquet").parquet.write_table(table, file)
    return file


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Mars/Phobos", None])
def test_the_zone_of_a_time_of_parquet_does_not_move_it(tmp_path: Path, zone: str | None) -> None:
    times, rejected = _both(_with_time(tmp_path / "odd.parquet", "ns", zone, START_MS * 10**6))
    assert (times, rejected) == ([START_MS], [])


def test_a_time_of_parquet_that_cannot_be_named_costs_its_row(tmp_path: Path) -> None:
    times, rejected = _both(_with_time(tmp_path / "odd.parquet", "us", None, 2**62))
    assert times == []
    assert "a value cannot be read" in rejected[0]


def test_a_name_that_stands_twice_in_a_row_of_json_costs_the_row(tmp_path: Path) -> None:
    file = tmp_path / "twice.jsonl"
    good = f'{{"ts": {START_MS}, "symbol": "AAPL", "price": 1.5}}'
    file.write_text(f'{good}\n{good[:-1]}, "price": 2.5}}\n')
    times, rejected = _both(file)
    assert times == [START_MS]
    assert rejected == ["twice.jsonl:2: has 'price' twice; must have each name once"]


def test_names_in_json_are_read_as_those_of_a_header_are(tmp_path: Path) -> None:
    file = tmp_path / "odd.jsonl"
    file.write_text(
        f'{{"TS": {START_MS}, " Symbol ": "0700.HK", "Price": 612.5}}\n{{"price": 1, "Price": 2}}\n'
    )
    rejected: list[RejectedTick] = []
    ticks = list(read_ticks(file, rejected.append))
    assert [(tick.ts, tick.symbol, tick.price) for tick in ticks] == [(START_MS, "0700.HK", 612.5)]
    assert [one.reason for one in rejected] == ["has 'price' twice; must have each name once"]


def test_times_of_parquet_may_be_decimals(tmp_path: Path) -> None:
    times = [Decimal(START_MS), START_MS + Decimal("0.5")]
    file = _parquet(tmp_path / "odd.parquet", ts=times, quote_ts=times[:1] * 2)
    assert _both(file) == (
        [START_MS],
        [
            "odd.parquet:2: ts is 1763996400000.5; must be a whole number of milliseconds since 1970,"
            " or a time such as 2025-11-24T14:30:00.123Z"
        ],
    )


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("name", ["ts", "quote_ts"])
def test_numbers_that_cannot_hold_a_time_are_none(tmp_path: Path, bits: int, name: str) -> None:
    """32 bits took any time for one within two minutes of it, without a word."""
    numpy = pytest.importorskip("numpy")
    few = numpy.array([1, 2], f"float{bits}")
    file = _parquet(tmp_path / "odd.parquet", **{name: few})
    with pytest.raises(
        RecordingError, match=f"column {name} is of type (half)?float; must be whole numbers of 64"
    ):
        list(read_ticks(file, _none))


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("symbol", [["AAPL"], ["KO"]], "list<.*>; must be texts"),
        ("symbol", [{"code": "AAPL"}, {"code": "KO"}], "struct<.*>; must be texts"),
        ("price", [datetime(2025, 11, 24, tzinfo=UTC)] * 2, "timestamp.*; must be numbers"),
        ("bid", [date(2025, 11, 24)] * 2, "date32.*; must be numbers"),
        ("ts", [[START_MS], [START_MS]], "list<.*>; must be whole numbers"),
    ],
)
def test_a_column_of_another_type_is_named(tmp_path: Path, name: str, values: list[Any], kind: str) -> None:
    """A nested symbol ended in a traceback, and a time became a price of 1,763,942,400,000."""
    file = _parquet(tmp_path / "odd.parquet", **{name: values})
    with pytest.raises(RecordingError, match=f"column {name} is of type {kind}"):
        list(read_ticks(file, _none))


def test_prices_of_parquet_in_32_bits_have_the_digits_that_were_written(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    prices, bids = [189.12, 1.23e-7], [float("nan"), 600_000.0]
    file = _parquet(
        tmp_path / "odd.parquet", price=numpy.array(prices, "float32"), bid=numpy.array(bids, "float32")
    )
    ticks = list(read_ticks(file, _none))
    assert [(tick.price, tick.bid) for tick in ticks] == [(189.12, None), (1.23e-7, 600_000.0)]


@pytest.mark.parametrize("kind", ["binary", "large_binary", 8])
def test_symbols_of_parquet_may_be_bytes(tmp_path: Path, kind: Any) -> None:
    """As Impala and old writers leave them, or filled up to one length."""
    pyarrow: Any = pytest.importorskip("pyarrow")
    texts = [b"0700.HK\0", b"\xffAAPL\0\0\0"]
    symbols = pyarrow.array(texts, pyarrow.binary(kind) if isinstance(kind, int) else kind)
    file = _parquet(tmp_path / "odd.parquet", symbol=symbols)
    rejected: list[RejectedTick] = []
    assert [tick.symbol for tick in read_ticks(file, rejected.append)] == ["0700.HK"]
    assert _both(file)[1][0].startswith("odd.parquet:2: symbol is '\\udcffAAPL' (not UTF-8); must be")


def test_a_symbol_that_is_a_number_is_said_to_be_one(tmp_path: Path) -> None:
    """It may have had zeros before it: 0700, 000001."""
    file = _parquet(tmp_path / "odd.parquet", symbol=[700, 600_519])
    assert _both(file)[1][0] == "odd.parquet:1: symbol is the number 700; must be a text"


def test_a_date_is_said_to_have_no_time_of_day(tmp_path: Path) -> None:
    day = date(2025, 11, 24)
    for file in (_parquet(tmp_path / "odd.parquet", ts=[day, day]), _csv(tmp_path, f"{day},AAPL,1,,,")):
        assert "which has no time of day; must end in Z or an offset" in _both(file)[1][0]


@pytest.mark.parametrize("name", ["ts", "quote_ts"])
def test_a_number_of_any_size_is_no_time(tmp_path: Path, name: str) -> None:
    """One that was too large for a float ended the whole."""
    lines = tmp_path / "odd.jsonl"
    row = {"ts": START_MS, "symbol": "AAPL", "price": 1.5}
    lines.write_text(f"{json.dumps(row | {name: 10**400})}\n{json.dumps(row)}\n")
    times, rejected = _both(lines)
    assert times == [START_MS]
    assert f"{name} is 1000" in rejected[0]


@pytest.mark.parametrize(
    ("content", "is_what"),
    [(gzip.compress(b"ts"), "gzip"), (HEADER.encode("utf-16"), "UTF-16"), (b"PAR1\x15\x04", "Parquet")],
    ids=["gzip", "UTF-16", "Parquet"],  # gzip's bytes hold the time
)
def test_what_is_zipped_is_named_as_what_it_is(tmp_path: Path, content: bytes, is_what: str) -> None:
    file = tmp_path / "odd.csv.gz"
    file.write_bytes(gzip.compress(content))
    with pytest.raises(RecordingError, match=f"unzipped it is {is_what}"):
        list(read_ticks(file, _none))


def test_texts_that_are_no_utf_8_cost_nothing_where_nobody_reads_them(tmp_path: Path) -> None:
    """A spreadsheet's Latin-1: a column's name in it ended `backtest` by a traceback."""
    file = tmp_path / "odd.csv"
    rows = f"ts,symbol,price,Währung\n{START_MS},AAPL,1.5,€\n{START_MS + 1},MÜV2.DE,1.5,€\n"
    file.write_bytes(rows.encode("cp1252"))
    rejected: list[RejectedTick] = []
    assert [block.ts for block in read_blocks(file, rejected.append, lambda *_: None)] == [[START_MS]]
    assert _both(file)[1][0].startswith("odd.csv:3: symbol is 'M\\udcdcV2.DE' (not UTF-8); must be")


@pytest.mark.parametrize("first", ["sep=,\r\n", ",,,,,\n\n", '"","",\n'])
def test_what_a_spreadsheet_leaves_around_its_rows_is_no_row(tmp_path: Path, first: str) -> None:
    """The line that says how columns are separated, and commas alone where a row holds nothing."""
    path = tmp_path / "odd.csv"
    path.write_text(f'{first}{HEADER}{START_MS},THYAO.IS,289.5,,,\n,,,,,\n"",,,,,\n ,\n', newline="")
    assert _both(path) == ([START_MS], [])


def test_rows_without_anything_are_nothing_read(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text(",,\n,,\n")
    with pytest.raises(RecordingError, match=r"odd\.csv: is empty; must be a header"):
        list(read_ticks(tmp_path / "odd.csv", _none))


@pytest.mark.parametrize("serial", ["45985", "45985.625"])
def test_a_day_of_a_spreadsheet_is_named_as_one(tmp_path: Path, serial: str) -> None:
    times, rejected = _both(_csv(tmp_path, f"{serial},AAPL,1,,,", f"{START_MS},AAPL,1,,,"))
    assert times == [START_MS]
    assert "which looks like days, as spreadsheets count them; must be milliseconds" in rejected[0]


def test_an_option_is_one_symbol_with_the_blanks_that_fill_it_up(tmp_path: Path) -> None:
    """Its root has six characters by the OCC: https://www.theocc.com, Options Symbology Initiative."""
    path = _csv(
        tmp_path, f"{START_MS},AAPL  261218C00250000,12.5,,,", f"{START_MS},SPXW  261218P05800000,9,,,"
    )
    assert [tick.symbol for tick in read_ticks(path, _none)] == ["AAPL261218C00250000", "SPXW261218P05800000"]


@pytest.mark.parametrize(("mark", "name"), [(";", "odd.csv"), ("\t", "odd.tsv"), ("|", "odd.csv")])
@pytest.mark.parametrize("quote", ["", '"'])
def test_columns_between_other_marks_may_hold_decimal_commas(
    tmp_path: Path, mark: str, name: str, quote: str
) -> None:
    """As spreadsheets of most of Europe and South America export them."""
    rows = [
        ("TS", "Symbol", "Price", "Volume"),
        (START_MS, "SAP.DE", "231,5", 10),
        (START_MS + 1, "SAP.DE", "231", "0,5"),
    ]
    text = "\r\n".join(mark.join(f"{quote}{value}{quote}" for value in row) for row in rows)
    (tmp_path / name).write_text(f"sep={mark}\n{text}\n{mark * 3}\n", newline="")
    assert _both(tmp_path / name) == ([START_MS, START_MS + 1], [])
    assert [(tick.price, tick.day_volume) for tick in read_ticks(tmp_path / name, _none)] == [
        (231.5, 10),
        (231, 10.5),
    ]


def test_a_comma_or_point_that_may_be_of_thousands_costs_its_row(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    rows = ["1.000", "1.231,50", "1,234,567", "0,5", "1,234"]
    text = "".join(f"{START_MS + n};SAP.DE;{price};.\n" for n, price in enumerate(rows))
    path.write_text(f"ts;symbol;price;bid\n{text}")
    times, rejected = _both(path)
    assert times == [START_MS + 3, START_MS + 4]
    assert rejected == [
        "odd.csv:2: price is '1.000', where numbers have decimal commas; must be a number without a point",
        "odd.csv:3: price is '1.231,50', where numbers have decimal commas; must be a number without a point",
        "odd.csv:4: price is '1,234,567'; must be a number from -1e+15 to 1e+15, written as 1234.5",
    ]
    path.write_text(f"ts;symbol;price\n{START_MS};USDJPY=X;149,123\n{START_MS};USDJPY=X;149.123\n")
    assert _both(path)[1] == [
        "odd.csv:2: price is '149,123'; must be a number from -1e+15 to 1e+15, written as 1234.5"
    ]


@pytest.mark.parametrize("infinite", ["inf", "-Infinity", "#DIV/0!"])
def test_what_is_divided_by_zero_is_unknown_but_no_price(tmp_path: Path, infinite: str) -> None:
    path = _csv(
        tmp_path, f"{START_MS},AAPL,189.1,{infinite},{infinite},{infinite}", f"{START_MS},AAPL,{infinite},,,"
    )
    rejected: list[RejectedTick] = []
    (tick,) = read_ticks(path, rejected.append)
    assert (tick.bid, tick.ask, tick.day_volume) == (None, None, None)
    assert f"price is '{infinite}'; must be a number" in str(rejected[0])


def test_infinity_of_json_and_parquet_is_unknown_too(tmp_path: Path) -> None:
    lines = tmp_path / "odd.jsonl"
    row = {"ts": START_MS, "symbol": "AAPL", "price": 1.5, "bid": float("inf"), "volume": float("-inf")}
    lines.write_text(json.dumps(row))
    file = _parquet(tmp_path / "odd.parquet", bid=[float("inf"), 1.5], volume=[1.0, float("inf")])
    for path in (lines, file):
        assert _both(path)[1] == []
        assert next(iter(read_ticks(path, _none))).bid is None


@pytest.mark.parametrize(
    "ts", ["2025-11-24 15:00:00 UTC", "2025-11-24 10:00:00.000 -0500", "2025-11-24 15:00:00Z"]
)
def test_a_blank_may_stand_before_the_zone(tmp_path: Path, ts: str) -> None:
    """As BigQuery exports a TIMESTAMP, and Ruby prints a time."""
    assert _both(_csv(tmp_path, f"{ts},AAPL,189.1,,,")) == ([START_MS], [])


def test_the_end_of_time_stands_once(tmp_path: Path) -> None:
    """Databases write it for "not yet": a millisecond later ended `backtest --html` by a traceback."""
    last = "9999-12-31T23:59:59.999Z"
    times, rejected = _both(_csv(tmp_path, f"{last},AAPL,1,,,", f"{last},AAPL,2,,,", f"{last},KO,2,,,"))
    assert times == [253_402_300_799_999] * 2
    assert rejected == [
        "odd.csv:3: ts 253402300799999 of AAPL stands twice, and is the last that can be named"
    ]
