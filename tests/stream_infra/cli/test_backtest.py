"""`stock-monitor backtest`: what would have fired, as a table, a picture and JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from stream_infra.cli.main import app

START_MS = 1_795_530_600_000


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A quiet hour of two tickers, in which one jumps and one sends a price of zero; and a broken row."""
    rng = np.random.default_rng(7)
    rows = ["ts,symbol,price,volume"]
    for symbol in ("AAPL", "KO"):
        prices = np.round(100.0 * np.cumprod(1.0 + 2e-4 * rng.standard_normal(600)), 2)
        if symbol == "AAPL":
            prices[400:] = np.round(prices[400:] * 1.006, 2)
        else:
            prices[300] = 0.0
        rows += [
            f"{START_MS + 1000 * row},{symbol},{price},{row % 50}"
            for row, price in enumerate(prices.tolist())
        ]
    rows.append(f"{START_MS},KO,nothing,1")
    file = tmp_path / "hour.csv"
    file.write_text("\n".join(rows) + "\n")
    return file


def test_one_threshold_shows_every_anomaly_with_its_sentence(recording: Path) -> None:
    result = CliRunner().invoke(app, ["backtest", str(recording)])
    assert result.exit_code == 1  # a row is left out
    shown = re.sub(r"\s+", " ", result.stdout)
    assert "price_spike" in shown
    assert "bad_tick" in shown
    assert "1,200 ticks of 2 symbols, 2 symbol-days" in shown
    assert "1 row left out" in result.stderr
    assert "hour.csv:1202" in result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_several_thresholds_show_the_trade_off_as_json(recording: Path) -> None:
    options = ["--threshold", "1.5", "--threshold", "2.5", "--threshold", "20", "--json"]
    result = CliRunner().invoke(app, ["backtest", str(recording), *options])
    report = json.loads(result.stdout)
    counts = [len(one["anomalies"]) for one in report["thresholds"]]
    assert counts[0] >= counts[1] > counts[2] == 1
    assert report["thresholds"][2]["by_kind"] == {"bad_tick": 1}
    assert report["thresholds"][2]["anomalies"][0]["ticker"] == "KO"
    assert report["thresholds"][2]["anomalies_per_symbol_day"] == 0.5
    assert report["ticks"] == 1200
    assert len(report["rejected"]) == 1


def test_the_picture_marks_anomalies_on_prices_and_stands_alone(recording: Path, tmp_path: Path) -> None:
    picture = tmp_path / "hour.html"
    result = CliRunner().invoke(app, ["backtest", str(recording), "--html", str(picture)])
    assert result.exit_code == 1  # a row is left out
    page = picture.read_text()
    assert page.count("<svg") == 2
    assert page.count("<circle") >= 3
    assert "AAPL rose" in page
    assert "http" not in page


def test_the_picture_of_negative_prices_has_their_scale(tmp_path: Path) -> None:
    """It was from -1 to 1, with all of them on its edge."""
    file, picture = tmp_path / "oil.csv", tmp_path / "oil.html"
    rows = [f"{START_MS + 1000 * row},CL=F,{price}" for row, price in enumerate([-37.5, -38.5, 0.0, -39.5])]
    file.write_text("\n".join(["ts,symbol,price", *rows]))
    CliRunner().invoke(app, ["backtest", str(file), "--html", str(picture)])
    page = picture.read_text()
    assert ">-37.40<" in page
    assert ">-39.60<" in page


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["backtest", str(tmp_path / "none.csv")])
    assert result.exit_code == 1
    assert "none.csv" in result.stderr


def test_a_threshold_that_is_none_is_rejected(recording: Path) -> None:
    result = CliRunner().invoke(app, ["backtest", str(recording), "--threshold", "0"])
    assert result.exit_code == 1
    assert "the threshold is 0" in result.stderr


def _labelled(recording: Path, *rows: str, header: str = "ticker,start,end,kind,accept") -> Path:
    file = recording.with_name("labels.csv")
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


def _at(row: int) -> str:
    return str(START_MS + 1000 * row)


def test_labels_say_how_well_each_kind_is_found(recording: Path) -> None:
    labels = _labelled(
        recording,
        f"aapl,{_at(400)},{_at(402)},level_shift,price_spike",
        f"KO,{_at(300)},{_at(300)},bad_tick,",
        f"KO,{_at(500)},2026-11-24T14:38:30Z,volume_burst,",
    )
    result = CliRunner().invoke(app, ["backtest", str(recording), "--labels", str(labels), "--json"])
    evaluation = json.loads(result.stdout)["thresholds"][0]["evaluation"]
    assert (evaluation["labels"], evaluation["found"], evaluation["false"]) == (3, 2, 0)
    assert evaluation["precision"] == 1.0
    assert evaluation["recall"] == pytest.approx(2 / 3)
    assert evaluation["f1"] == pytest.approx(0.8)
    assert evaluation["by_kind"]["volume_burst"] == {
        "labels": 1, "found": 0, "false": 0, "recall": 0.0, "precision": None, "f1": 0.0,
    }  # fmt: skip
    assert [missed["line"] for missed in evaluation["missed"]] == [4]


def test_anomalies_are_in_the_order_of_time_whatever_the_file_s_order(recording: Path) -> None:
    found = json.loads(CliRunner().invoke(app, ["backtest", str(recording), "--json"]).stdout)["thresholds"][
        0
    ]
    header, *rows = recording.read_text().splitlines()
    recording.write_text("\n".join([header, *sorted(rows, key=lambda row: row.split(",")[1], reverse=True)]))
    again = json.loads(CliRunner().invoke(app, ["backtest", str(recording), "--json"]).stdout)["thresholds"][
        0
    ]
    assert again == found


def test_a_picture_that_cannot_be_written_costs_nothing_of_what_was_found(recording: Path) -> None:
    result = CliRunner().invoke(app, ["backtest", str(recording), "--html", str(recording / "a.html")])
    assert result.exit_code == 1
    assert "1,200 ticks of 2 symbols" in result.stdout
    assert "hour.csv/a.html: cannot be written: Not a directory" in result.stderr


def test_labels_may_be_separated_by_semicolons(recording: Path) -> None:
    labels = _labelled(recording, f"KO;{_at(300)};{_at(300)};bad_tick", header="ticker;start;end;kind")
    result = CliRunner().invoke(app, ["backtest", str(recording), "--labels", str(labels), "--json"])
    assert json.loads(result.stdout)["thresholds"][0]["evaluation"]["found"] == 1


def test_an_anomaly_outside_of_labels_or_of_another_kind_is_false(recording: Path) -> None:
    labels = _labelled(recording, f"KO,{_at(300)},{_at(300)},gap", header="ticker,start,end,kind")
    result = CliRunner().invoke(app, ["backtest", str(recording), "--labels", str(labels), "--json"])
    report = json.loads(result.stdout)["thresholds"][0]
    evaluation = report["evaluation"]
    # Of AAPL every anomaly, of KO the bad tick where a gap was labelled.
    assert evaluation["false"] == len(report["anomalies"])
    assert evaluation["false_per_symbol_day"] == evaluation["false"] / 2
    assert evaluation["by_kind"]["bad_tick"]["false"] == 1


def test_an_evaluation_fits_eighty_columns(recording: Path) -> None:
    labels = _labelled(recording, f"KO,{_at(500)},{_at(510)},volume_burst,price_spike bad_tick")
    options = ["--labels", str(labels), "--threshold", "2.5", "--threshold", "4"]
    result = CliRunner().invoke(app, ["backtest", str(recording), *options])
    assert result.exit_code == 1, result.output  # a row is left out
    assert "false a day" in result.stdout
    assert re.search(
        r"Not found at threshold 2.5:\nline 2 +KO +2026-11-24 14:38:20Z +volume_burst", result.stdout
    )
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (f"N A,{_at(1)},{_at(2)},gap,", "labels.csv:2: column ticker is 'N A'"),
        (f"MSFT,{_at(1)},{_at(2)},gap,", "labels.csv:2: column ticker is 'MSFT'; must be a ticker of the recordings"),
        (f"KO,yesterday,{_at(2)},gap,", "labels.csv:2: column start is 'yesterday'"),
        (f"KO,{START_MS // 1000},{_at(2)},gap,", "looks like seconds"),
        (f"KO,{_at(2)},{_at(1)},gap,", "labels.csv:2: column end is"),
        (f"KO,{_at(9000)},{_at(9001)},gap,", "labels.csv:2: column start is"),
        (f"KO,{_at(1)},{_at(2)},crash,", "labels.csv:2: column kind is 'crash'; must be of"),
        (f"KO,{_at(1)},{_at(2)},gap,crash", "labels.csv:2: column accept is 'crash'"),
        (f"KO,{_at(1)},{_at(2)}", "labels.csv:2: has 3 values; must be 5, as in the header"),
        ("", "holds no label"),
    ],
)  # fmt: skip
def test_a_bad_label_is_rejected_by_row_and_column(recording: Path, row: str, said: str) -> None:
    labels = _labelled(recording, row)
    result = CliRunner().invoke(app, ["backtest", str(recording), "--labels", str(labels)])
    assert result.exit_code != 0
    assert said in re.sub(r"\s+", " ", str(result.exception) + result.output)


@pytest.mark.parametrize("header", ["ticker,start,kind", "ticker,start,end,kind,note", ""])
def test_labels_with_other_columns_are_rejected(recording: Path, header: str) -> None:
    labels = _labelled(recording, header=header)
    result = CliRunner().invoke(app, ["backtest", str(recording), "--labels", str(labels)])
    assert result.exit_code != 0
    assert "column" in str(result.exception) + result.output
