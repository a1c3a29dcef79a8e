"""Odd files and arguments on the command line: done, or one sentence that says what is wrong and what is allowed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from consumers.alerts.settings import parse as parse_alerts
from consumers.stream.rules import parse as parse_rules
from consumers.stream.thresholds import Threshold
from producers.watch_list import parse as watch_list_of
from stream_infra.cli.main import app
from stream_infra.cli.text import table_text
from stream_infra.monitor_toml import load
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import InputError
from stream_infra.operations.files import read_text
from stream_infra.operations.recordings import ticks_of
from stream_infra.operations.replay import Replay
from stream_infra.operations.watching import of_export

START_MS = 1_763_996_400_000
HEADER = "ts,symbol,price\n"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_ticks_of_one_millisecond_in_two_files_are_put_apart_as_within_one(nowhere: Path) -> None:
    rows = [f"{START_MS + 1000 * n},BRK.B,{500 + n}\n" for n in range(4)]
    other = f"{START_MS + 3000},BRK.B,507\n"
    (nowhere / "a.csv").write_text(HEADER + "".join(rows))
    (nowhere / "b.csv").write_text(HEADER + other + f"{START_MS + 4000},BRK.B,508\n")
    report = json.loads(run("backtest", "a.csv", "b.csv", "--json").stdout)
    assert (report["ticks"], report["rejected"]) == (6, [])


def test_the_same_tick_in_two_files_counts_once_and_is_named(nowhere: Path) -> None:
    rows = [f"{START_MS + 1000 * n},BRK.B,{500 + n}\n" for n in range(4)]
    (nowhere / "a.csv").write_text(HEADER + "".join(rows))
    (nowhere / "b.csv").write_text(HEADER + "".join(rows[3:]))
    report = json.loads(run("backtest", "a.csv", "b.csv", "--json").stdout)
    assert report["ticks"] == 4
    assert report["rejected"] == [f"b.csv: the tick of BRK.B at ts {START_MS + 3000} is in another file, too"]


def test_one_is_one_tick_of_one_symbol(nowhere: Path) -> None:
    (nowhere / "a.csv").write_text(f"{HEADER}{START_MS},^GSPC,6700.5\nx,^GSPC,1\n")
    done = run("backtest", "a.csv")
    assert "1 tick of 1 symbol, 1 symbol-day" in done.stdout
    assert "1 row left out:" in done.stderr


@pytest.mark.parametrize("command", ["backtest", "detect", "replay", "alerts dry-run"])
@pytest.mark.parametrize(("rows", "code"), [("", 0), ("x,^GSPC,1\n", 1)])
def test_the_exit_code_says_that_rows_were_left_out(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, command: str, rows: str, code: int
) -> None:
    def send(course: Replay, *_: object) -> None:
        course.ticks = len(list(ticks_of(course.path, course.rejected.add)))

    monkeypatch.setattr("stream_infra.operations.replay.run", send)
    monkeypatch.setattr("stream_infra.cli.commands.replay.resolve", lambda _aws: Endpoints("", "", "", None))
    (nowhere / "a.csv").write_text(f"{HEADER}{START_MS},^GSPC,6700.5\n{rows}")
    done = run(*command.split(), "a.csv", *([] if command == "detect" else ["--json"]))
    assert done.exit_code == code, done.output
    assert [json.loads(line) for line in done.stdout.splitlines()]
    assert ("1 row left out:" in done.stderr or "1 tick could not be used" in done.stderr) == code


def test_of_many_rows_that_are_left_out_the_first_are_kept_and_all_counted(nowhere: Path) -> None:
    rows = "".join(f"{START_MS - n},^GSPC,6700.5\n" for n in range(1500))  # the newest first
    (nowhere / "a.csv").write_text(HEADER + rows)
    report = json.loads(run("backtest", "a.csv", "--json").stdout)
    assert (report["ticks"], report["rejected_rows"], len(report["rejected"])) == (1, 1499, 1000)
    assert "1,499 rows left out:" in run("backtest", "a.csv").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("backtest", "BTC-USD", "--source", "coinbase", "--from", "soon"), "--from: 'soon'; must be an age"),
        (
            ("backtest", "a.csv", "--from", "1d"),
            "--from is given without --source: there is nothing to fetch",
        ),
        (("backtest", "a.csv", "--to", "1d"), "--to is given without --source: there is nothing to fetch"),
        (
            ("history", "BTC-USD", "--source", "coinbase", "-o", "x.csv", "--to", "soon"),
            "--to: 'soon'; must be",
        ),
        (
            ("history", "BTC-USD", "--source", "coinbase", "-o", "x.csv", "--from", "1d", "--to", "2d"),
            "--from: '1d'; must be before --to '2d'",
        ),
        (("export", "quotes", "-o", "x.csv", "--from", "2999-01-01"), "must be before now"),
        (
            ("alerts", "silence", "--for", "2h"),
            "no ticker and no kind is given; must be --ticker, --kind or both",
        ),
        (
            ("alerts", "silence", "--for", "2h", "--all", "--reason", "x" * 201),
            "reason of 201 characters; must be one",
        ),
        (
            ("alerts", "silence", "--for", "2h", "--all", "--reason", "a\nb"),
            "--reason: a reason of 3 characters; must",
        ),
        (("alerts", "silence", "--for", "-2h", "--all"), "--for: '-2h'; must be a duration such as 30m"),
        (("dlq", "redrive"), "no id is given; must be ids from `stock-monitor dlq list`, or --all"),
        (("dlq", "redrive", "--all", "x"), "both ids and --all are given"),
        (
            ("rules", "add", "x", "--above", "1", "--below", "2"),
            "--above and --below are given; must be one of",
        ),
        (
            ("rules", "add", "x", "--above", "5", "--ticker", "KO", "--repeat", "hourly"),
            "repeat is 'hourly'; must be one of once, daily, always",
        ),
        (("sql", "drop table ticks"), "the first word of the SQL is 'drop'; must be one of select, with"),
        (
            ("deploy", "prod", "--allow", "all"),
            "--allow: there is no change 'all'; must be one of close-access",
        ),
        (("tail", "anomalies", "--kind", "spike"), "there is no kind 'spike' (did you mean 'price_spike'?)"),
    ],
)
def test_a_wrong_argument_is_one_sentence(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_negative_score_is_a_score_that_is_not_allowed_not_an_option() -> None:
    assert "No such option" not in run("thresholds", "set", "-1").stderr


def test_a_cost_is_of_as_many_tickers_as_a_watch_list_may_have() -> None:
    assert run("cost", "--tickers", "50000").exit_code == 0
    assert run("cost", "--tickers", "50001").exit_code == 2


def test_a_text_file_may_begin_with_the_mark_of_windows(nowhere: Path) -> None:
    file = nowhere / "quiet.json"
    file.write_text('{"repeat_interval_hours": 2}', encoding="utf-8-sig")
    assert read_text(file) == '{"repeat_interval_hours": 2}'
    toml = nowhere / "monitor.toml"
    toml.write_text('[prod]\nsource = "coinbase"\n', encoding="utf-8-sig")
    assert load("prod", toml).source == "coinbase"


def test_a_parameter_may_begin_with_the_mark_of_windows() -> None:
    assert Threshold.parse("\ufeff3").default == 3
    assert parse_alerts('\ufeff{"repeat_interval_hours": 2}').repeat_interval_hours == 2
    assert parse_rules("\ufeff[]") == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("Société".encode("latin-1"), "is not UTF-8; must be a text file in UTF-8"),
        ("KO".encode("utf-16"), "is UTF-16 or UTF-32; must be a text file in UTF-8"),
        (gzip.compress(b"KO", mtime=0), "is gzip; must be a text file in UTF-8"),
        (None, "cannot be read: Is a directory"),
    ],
)
def test_what_is_no_text_file_is_named(nowhere: Path, content: bytes | None, said: str) -> None:
    file = nowhere / "tickers.txt"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(InputError, match=f"tickers.txt: {said}"):
        read_text(file)
    assert said in run("watch", "import", file).stderr


@pytest.mark.parametrize(
    ("table", "tickers"),
    [
        (
            '"Positions as of 05:00 PM ET, 2026/12/01"\n\n"Name, full","Symbol"\n"Vodafone","VOD.L"\n',
            ["VOD.L"],
        ),
        ("Account;U1\nTicker;Qtd\nPETR4.SA;100\nVALE3.SA;200\n", ["PETR4.SA", "VALE3.SA"]),
        ("AAPL,MSFT\n7203.T,VOD.L\n", ["AAPL", "MSFT", "7203.T", "VOD.L"]),
        ("aapl,msft\nvod.l,brk.b\n", ["AAPL", "MSFT", "VOD.L", "BRK.B"]),
    ],
)
def test_the_tickers_of_a_table_are_those_of_its_column(table: str, tickers: list[str]) -> None:
    assert watch_list_of(of_export(table, "t.csv"), "t.csv") == (tuple(tickers), ())


@pytest.mark.parametrize(
    "table",
    [
        "Instrument,Qty.,Avg. cost\nRELIANCE,10,2945.1\n",
        "EPIC,Name\nVOD,Vodafone\n",
        "Código;Nome\nPETR4;Petrobras\n",
    ],
)
def test_a_table_without_a_column_of_tickers_names_none(table: str) -> None:
    with pytest.raises(InputError, match=r"t.csv: is a table without a column symbol or ticker .found: "):
        of_export(table, "t.csv")


def test_settings_are_shown_within_the_width() -> None:
    shown = run("config").stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert "tickers and threshold are the first ones: stock-monitor watch list and" in shown


def test_the_local_settings_are_shown_as_make_up_uses_them() -> None:
    shown = json.loads(run("config", "local", "--json").stdout)
    assert (shown["source"], shown["poll_interval_seconds"], shown["concurrency_limit"]) == (
        "simulated",
        2,
        0,
    )
    real = load("local", None, {}, {"source": "coinbase"})
    assert (real.poll_interval_seconds, real.local) == (5, True)


@pytest.mark.parametrize("columns", ["0", "10"])
def test_nothing_of_a_table_is_left_out_in_a_terminal_of_hardly_any_width(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert table_text([("event-source-mapping", "FAILED", "does not run")]).split() == [
        "event-source-mapping", "FAILED", "does", "not", "run",
    ]  # fmt: skip
