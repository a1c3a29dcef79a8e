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
    assert result.exit_code == 0
    shown = re.sub(r"\s+", " ", result.stdout)
    assert "price_spike" in shown
    assert "bad_tick" in shown
    assert "1,200 ticks of 2 symbols on 2 symbol-days" in shown
    assert "1 rows were left out" in result.stderr
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
    assert result.exit_code == 0
    page = picture.read_text()
    assert page.count("<svg") == 2
    assert page.count("<circle") >= 3
    assert "AAPL rose" in page
    assert "http" not in page


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["backtest", str(tmp_path / "none.csv")])
    assert result.exit_code == 1
    assert "none.csv" in result.stderr


def test_a_threshold_that_is_none_is_rejected(recording: Path) -> None:
    result = CliRunner().invoke(app, ["backtest", str(recording), "--threshold", "0"])
    assert result.exit_code == 1
    assert "the threshold is 0" in result.stderr
