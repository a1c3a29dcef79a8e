"""`stock-monitor detect`: a line for each line, at once, the same however lines are batched."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from consumers.stream.thresholds import Threshold
from stream_infra.cli.main import app
from stream_infra.operations.offline.lines import LineDetector

START_MS = 1_763_996_400_000


def line(after_ms: int, price: float = 100.0, symbol: str = "AAPL", **others: object) -> bytes:
    return json.dumps({"ts": START_MS + after_ms, "symbol": symbol, "price": price, **others}).encode()


def some_lines(ticks: int = 240) -> list[bytes]:
    """Two symbols in turns; one of them jumps, one line is none."""
    lines = []
    for row in range(ticks):
        price = round(100.0 + 0.01 * (row * 7 % 5) + (5.0 if row > 180 else 0.0), 2)
        quotes = {"bid": price - 0.01, "ask": price + 0.01} if row % 3 else {"bid": None}
        lines.append(line(1000 * row, price, "AAPL" if row % 2 else "KO", volume=100 + row % 7, **quotes))
    lines.insert(50, b"no tick")
    return lines


def judged(lines: list[bytes], threshold: str = "2.5") -> list[dict[str, Any]]:
    return [json.loads(answer) for answer in LineDetector(Threshold.parse(threshold)).judge(lines)]


@settings(max_examples=20)
@given(cuts=st.lists(st.integers(0, 241), max_size=6))
def test_answers_do_not_depend_on_batches(cuts: list[int]) -> None:
    lines = some_lines()
    detector = LineDetector(Threshold.parse("2.5"))
    edges = [0, *sorted(cuts), len(lines)]
    answers = [
        json.loads(answer) for start, stop in pairwise(edges) for answer in detector.judge(lines[start:stop])
    ]
    assert answers == judged(lines)
    assert len(answers) == len(lines)


def test_an_anomaly_is_flagged_once_with_its_kind_and_a_sentence() -> None:
    lines = [*(line(1000 * row) for row in range(5)), line(5000, 0.0), line(6000, 0.0), line(7000)]
    answers = judged(lines)
    assert [answer["flag"] for answer in answers] == [False] * 5 + [True, False, False]
    assert answers[5]["kind"] == "bad_tick"
    assert answers[5]["score"] == 25.0
    assert answers[5]["explanation"].startswith("AAPL came at 0.00: moves of prices of zero")
    assert answers[6]["score"] == 25.0


def test_a_higher_threshold_flags_less_and_scores_the_same() -> None:
    low, high = (judged(some_lines(), threshold) for threshold in ("1", "1000"))
    assert [answer["score"] for answer in low] == [answer["score"] for answer in high]
    assert sum(answer["flag"] for answer in low) > sum(answer["flag"] for answer in high)


@pytest.mark.parametrize("ticker", ["aapl", "AAPL", " aapl "])
def test_a_threshold_of_a_ticker_holds_however_it_is_written(ticker: str) -> None:
    """A parameter that is accepted must have its effect; what names no ticker is rejected."""
    strict = json.dumps({"tickers": {ticker: 1000}})
    flagged = [answer["explanation"] for answer in judged(some_lines(), strict) if answer["flag"]]
    assert flagged
    assert not any("AAPL" in explanation for explanation in flagged)
    assert Threshold.parse(strict).tickers == {"AAPL": 1000.0}


@pytest.mark.parametrize("tickers", [{"NOT A TICKER": 4}, {"": 4}, {"aapl": 3, "AAPL": 4}])
def test_a_threshold_of_what_is_no_ticker_is_rejected(tickers: dict[str, float]) -> None:
    result = CliRunner().invoke(app, ["detect", "--threshold", json.dumps({"tickers": tickers})])
    assert result.exit_code == 1
    assert "tickers names" in result.stderr


def test_the_volume_of_a_tick_and_that_of_the_day_come_to_the_same() -> None:
    volumes = [10 + row % 13 for row in range(200)] + [900, 1000, 1100]
    single = [line(1000 * row, volume=volume) for row, volume in enumerate(volumes)]
    total = [line(1000 * row, day_volume=sum(volumes[: row + 1])) for row in range(len(volumes))]
    assert judged(single) == judged(total)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"[]", "is a JSON array; must be one JSON object per line"),
        (b"[" * 50_000, "is not JSON"),
        (b'{"ts":1763996400000,"symbol":"AAPL"}', "price is empty; must be a number"),
        (line(1, symbol="not a ticker"), "symbol is 'not a ticker'; must be"),
        (b'{"ts":-1,"symbol":"AAPL","price":1}', "ts is -1; must be"),
        (
            b'{"ts":1763996400,"symbol":"AAPL","price":1}',
            "ts is 1763996400, which looks like seconds; must be milli",
        ),
        (b'{"ts":1763996400000000,"symbol":"AAPL","price":1}', "must be"),
        (line(1, volume=-1), "volume is -1; must be a number from 0"),
    ],
)
def test_a_line_that_cannot_be_used_is_answered_with_its_number_and_reason(bad: bytes, reason: str) -> None:
    answers = judged([line(1), bad, line(2)])
    assert answers[1]["error"].startswith("line 2: ")
    assert reason in answers[1]["error"]
    assert "error" not in answers[2]


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    program = "from stream_infra.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "detect", *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=60,
    )


def test_a_file_gives_what_its_lines_give_on_standard_input(tmp_path: Path) -> None:
    file = tmp_path / "ticks.jsonl"
    file.write_bytes(b"\n".join(lines := some_lines()))
    by_file = run(str(file))
    by_line = run(stdin=file.read_bytes())
    assert by_file.returncode == by_line.returncode == 1  # one line is none
    answers = [[json.loads(answer) for answer in done.stdout.splitlines()] for done in (by_file, by_line)]
    assert len(answers[0]) == len(lines)
    for ours, theirs in zip(*answers, strict=True):
        assert ("error" in ours) == ("error" in theirs)
        assert "error" in ours or ours == theirs


def test_three_trades_of_one_millisecond_are_three_ticks_every_way_in(tmp_path: Path) -> None:
    """A trade file holds several trades of a millisecond; what is the same time is in order."""
    lines, csv = tmp_path / "t.jsonl", tmp_path / "t.csv"
    lines.write_bytes(b"\n".join(line(0, price) for price in (189.10, 189.11, 189.12)))
    csv.write_text("ts,symbol,price\n" + "".join(f"{START_MS},AAPL,{p}\n" for p in (189.10, 189.11, 189.12)))
    answers = [run(str(lines)), run(str(csv)), run(stdin=lines.read_bytes())]
    assert [done.returncode for done in answers] == [0, 0, 0]
    assert len({done.stdout for done in answers}) == 1
    assert len(answers[0].stdout.splitlines()) == 3


@pytest.mark.parametrize("content", ["ts,symbol,price\n", "ts,symbol,price\n1763996400.5,AAPL,189.1\n", ""])
@pytest.mark.parametrize("command", ["detect", "backtest"])
def test_nothing_read_is_an_error_and_not_nothing_found(command: str, content: str, tmp_path: Path) -> None:
    file = tmp_path / "ticks.csv"
    file.write_text(content)
    result = CliRunner().invoke(app, [command, str(file)])
    assert result.exit_code == 1
    assert str(file) in result.stderr
    assert "anomalies" not in result.stdout


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_end_as_any_system_ends_them(ending: str, tmp_path: Path) -> None:
    file = tmp_path / "ticks.csv"
    rows = [f"{START_MS + i * 1000},AAPL,{189 + i / 100}" for i in range(3)]
    file.write_bytes(ending.join(["ts,symbol,price", *rows, ""]).encode())
    done = run(str(file))
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3)
    assert "3 ticks" in CliRunner().invoke(app, ["backtest", str(file)]).output
    lines = b"".join(line(n).strip() + ending.encode() for n in range(3))
    done = run(stdin=lines)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3)


def test_an_empty_standard_input_is_an_error() -> None:
    done = run(stdin=b"\n\n")
    assert done.returncode == 1
    assert b"standard input held no tick" in done.stderr


@pytest.mark.parametrize(
    ("piped", "named"),
    [
        (b"symbol,ts,price\nAAPL,1763996400000,189.1\n", b"CSV"),
        (gzip.compress(line(0), mtime=0), b"gzip"),
        (b"PAR1\x15\x04\x15", b"Parquet"),
        (b"ts;symbol;price\n1763996400000;SAP.DE;231,5\n", b"CSV"),
        (b"ts,symbol,price\r1763996400000,{SAP},231.5\r", b"CSV"),
        (line(0).decode().encode("utf-16"), b"UTF-16"),
        (b"PK\x03\x04\x14\0\0\0ts,symbol,price.csv", b"a ZIP archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + b">\0\x03", b"no text"),  # a workbook of old
    ],
    ids=["csv", "gzip", "parquet", "semicolons", "cr", "utf-16", "zip", "xls"],
)
def test_a_file_of_another_format_is_named_once_where_it_is_piped(piped: bytes, named: bytes) -> None:
    done = run(stdin=piped)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"standard input is " + named in done.stderr


def test_a_number_may_have_a_point_wherever_it_comes_in(tmp_path: Path) -> None:
    assert "error" not in judged([b'{"ts":1763996400000.0,"symbol":"AAPL","price":1}'])[0]
    file = tmp_path / "t.csv"
    file.write_text("ts,symbol,price,bid\n1763996400000,AAPL,1,NaN\n1763996401000,AAPL,1,\n")
    assert len(run(str(file)).stdout.splitlines()) == 2


def test_a_tick_from_the_past_is_rejected_and_one_of_the_same_millisecond_is_not() -> None:
    answers = judged([line(5), line(5), line(4), line(4, symbol="KO")])
    assert ["error" in answer for answer in answers] == [False, False, True, False]


def test_it_goes_in_lock_step_and_its_exit_code_says_that_lines_were_rejected() -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", "from stream_infra.cli.main import main; main()", "detect"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    for tick in (line(1), line(2, 0.0), b"no tick"):
        program.stdin.write(tick + b"\n")
        program.stdin.flush()
        answer = json.loads(program.stdout.readline())
        assert answer["flag"] == (tick == line(2, 0.0))
    _, errors = program.communicate(line(3), timeout=30)
    assert program.returncode == 1
    assert b"1 tick could not be used" in errors
