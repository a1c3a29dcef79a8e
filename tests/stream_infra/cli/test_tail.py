"""`stock-monitor tail` as a person sees it: one line each, of what was asked for."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest
from rich.console import Console
from typer.testing import CliRunner

from stream_infra.cli.commands import tail
from stream_infra.cli.main import app
from stream_infra.cli.text import print_line
from stream_infra.operations.endpoints import Endpoints


def anomaly(minute: int, severity: str, kind: str, ticker: str = "AAPL") -> dict[str, object]:
    return {
        "id": f"{ticker}-{minute}-{kind}",
        "ticker": ticker,
        "timestamp": f"2026-11-24T14:{minute:02d}:00.000Z#{kind}",
        "severity": severity,
        "kind": kind,
        "explanation": f"{ticker} rose 4.2 % in one tick to 197.02, usual are 0.04 % " + "and more " * 12,
        "source": "alpaca",
        "late": False,
    }


THERE = [
    anomaly(1, "low", "gap"),
    anomaly(2, "high", "price_spike"),
    anomaly(3, "critical", "price_spike"),
    anomaly(4, "critical", "frozen_feed"),
    anomaly(5, "medium", "rule"),  # a kind that this version may not know
]


@pytest.fixture(autouse=True)
def api(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API's one page."""
    monkeypatch.setattr(tail, "resolve", lambda _aws: Endpoints(None, "http://127.0.0.1:1/api", None, None))
    monkeypatch.setattr(
        "stream_infra.operations.tail.get_json",
        lambda _url, **_query: {"anomalies": list(reversed(THERE)), "next": None},
    )


def shown(*arguments: str) -> list[str]:
    result = CliRunner().invoke(app, ["tail", "anomalies", "--no-follow", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


@pytest.mark.parametrize(
    ("arguments", "minutes"),
    [
        ((), [1, 2, 3, 4, 5]),
        (("--severity", "critical"), [3, 4]),
        (("--severity", "critical", "--severity", "high"), [2, 3, 4]),
        (("--kind", "price_spike", "--severity", "critical"), [3]),
        (("-n", "1", "--kind", "price_spike"), [3]),
    ],
)
def test_one_line_each_of_what_was_asked_for(arguments: tuple[str, ...], minutes: list[int]) -> None:
    date, *lines = shown(*arguments)
    assert date == "-- 2026-11-24"
    assert [line[:9] for line in lines] == [f"14:{m:02d}:00Z" for m in minutes]
    ids = [json.loads(line)["id"] for line in shown(*arguments, "--json")]
    assert ids == [THERE[minute - 1]["id"] for minute in minutes]


def test_the_date_is_told_where_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    today = f"{datetime.now(UTC):%F}"
    of = [("2026-11-23", 1), ("2026-11-23", 2), ("2026-11-24", 3), (today, 4), (today, 5)]
    items = [anomaly(n, "low", "gap") | {"timestamp": f"{day}T14:0{n}:00.000Z"} for day, n in of]
    monkeypatch.setattr(
        "stream_infra.operations.tail.get_json",
        lambda _url, **_query: {"anomalies": list(reversed(items)), "next": None},
    )
    expected = ["-- 2026-11-23", "14:01", "14:02", "-- 2026-11-24", "14:03", f"-- {today}", "14:04", "14:05"]
    assert [line[: len(start)] for line, start in zip(shown(), expected, strict=True)] == expected
    monkeypatch.setattr(
        "stream_infra.operations.tail.get_json",
        lambda _url, **_query: {"anomalies": list(reversed(items[3:])), "next": None},
    )
    assert [line[:5] for line in shown()] == ["14:04", "14:05"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("--severity", "hihg"),
            "--severity: there is no severity 'hihg' (did you mean 'high'?); must be one of low, medium",
        ),
        (("--kind", "spike"), "--kind: there is no kind 'spike'"),
        (("--ticker", "ıbm"), "error: --ticker: 'ıbm' is no ticker; must be 1 to 32 of A-Z"),
        (("--ticker", "AAPL,KO"), "error: --ticker: 'AAPL,KO' is 2 tickers; must be one ticker"),
    ],
)
def test_what_is_none_is_rejected_by_name(arguments: tuple[str, ...], says: str) -> None:
    result = CliRunner().invoke(app, ["tail", "anomalies", "--no-follow", *arguments])
    assert result.exit_code == 1
    assert says in result.stderr


def test_one_line_fits_80_columns_and_says_nothing_twice() -> None:
    sentence = "AAPL rose 4.2 % in one tick; severity high, score 2.80 where alerts begin at 2.5."
    assert tail._without_columns(sentence, "AAPL") == "rose 4.2 % in one tick."
    assert all(len(line) <= 80 for line in shown())


def test_a_line_has_its_width_and_no_control_characters() -> None:
    item = anomaly(1, "high", "gap") | {
        "ticker": "A\x1b[2J",
        "source": "s\x07",
        "explanation": "\x1b]0;x\x07" * 30,
    }
    for to_terminal in (True, False):
        file = io.StringIO()
        out = Console(file=file, force_terminal=to_terminal, width=80, color_system=None)
        print_line(out, tail._anomaly(item))
        (line,) = file.getvalue().splitlines()
        assert "\x1b" not in line
        assert "\x07" not in line
        assert len(line) <= 80


def test_times_have_a_zone_and_prices_their_digits() -> None:
    tick = {"ts": 1_763_996_400_123, "ticker": "EURUSD=X", "price": 1.09421, "bid": None, "ask": None}
    text = str(tail._tick({**tick, "day_volume": None, "source": "yahoo"}))
    assert "15:00:00.123Z" in text
    assert "1.09421" in text
