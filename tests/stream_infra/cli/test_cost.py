"""`stock-monitor cost`: a small monitor is cheap, the sum adds up, and the model counts what was measured."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from producers.markets import Session
from producers.scan.scan import SCAN_SECONDS
from stream_infra.cli.commands.cost import app
from stream_infra.config import Config
from stream_infra.operations import cost, prices
from stream_infra.operations.errors import InputError

ROOT = Path(__file__).parents[3]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def units(tickers: int, price: prices.Price) -> float:
    """Units of a price per poll, in a month of polls every 5 seconds."""
    found = cost.estimate(tickers, 5, "regular", Config())
    (line,) = [line for line in found.lines if line.price == price]
    return line.quantity / (cost.SESSION_HOURS["regular"] * 720)


def test_the_defaults_cost_a_user_of_20_tickers_under_20_dollars_a_month() -> None:
    assert cost.estimate(20, Config().poll_interval_seconds, "regular", Config()).dollars < 20
    answer = json.loads(run("--json").stdout)
    assert answer["tickers"] == 20
    assert answer["interval_seconds"] == Config().poll_interval_seconds
    assert answer["dollars_a_month"] < 20
    assert answer["list_dollars_a_month"] < 30


def test_services_and_lines_add_up_and_every_price_has_a_source() -> None:
    answer = json.loads(run("--tickers", "500", "--interval", "2", "--json").stdout)
    for total, of in (("dollars_a_month", "dollars"), ("list_dollars_a_month", "list_dollars")):
        assert sum(line[of] for line in answer["lines"]) == pytest.approx(answer[total], abs=0.01)
        services = sum(service[of] for service in answer["services"].values())
        assert services == pytest.approx(answer[total], abs=0.1)
    assert re.fullmatch(r"20\d\d-[01]\d", answer["prices_as_of"])
    for line in answer["lines"]:
        assert line["source"].startswith("https://aws.amazon.com/")
        assert line["driver"]


def test_the_text_says_what_drives_it_and_what_was_assumed() -> None:
    lines = run("--tickers", "20").stdout.splitlines()
    assert lines[0].startswith("20 tickers every 5 s, session regular")
    assert "What drives it:" in lines
    assert any("Kinesis, 730 shard hours" in line for line in lines)
    assert any(line.startswith("Assumed: ") for line in lines)
    assert max(map(len, lines)) <= 80
    assert run("--tickers", "1").stdout.startswith("1 ticker every 5 s")


@given(
    st.integers(1, 20_000),
    st.integers(0, 5_000),
    st.sampled_from([1.0, 2.0, 5.0, 30.0]),
    st.sampled_from(["regular", "extended"]),
)
def test_more_tickers_and_longer_sessions_never_cost_less(
    tickers: int, more: int, interval: float, session: cost.Session
) -> None:
    # Beyond 50 tickers a scan writes one object, beyond 156 last quotes are written less often.
    if any(tickers <= edge < tickers + more for edge in (50, 156)):
        return
    small = cost.estimate(tickers, interval, session, Config())
    large = cost.estimate(tickers + more, interval, session, Config())
    always = cost.estimate(tickers, interval, "always", Config())
    assert small.list_dollars <= large.list_dollars + 1e-9
    assert small.list_dollars <= always.list_dollars
    assert 0 <= small.dollars <= small.list_dollars


@pytest.mark.parametrize(("tickers", "measured"), [(20, 9.67), (500, 21.0)])
def test_write_units_are_those_that_were_measured(
    tickers: int, measured: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the shipped adapters: 72 invocations of 5 seconds each, as in test_requests.py."""
    monkeypatch.setattr(cost, "RATES", cost.RATES._replace(anomalies_of_a_ticker_a_day=0))
    assert units(tickers, prices.WRITE_UNIT) == pytest.approx(measured, rel=0.1)


def test_one_price_is_one_line_so_that_nothing_is_free_twice() -> None:
    lines = cost.estimate(20, 5, "regular", Config()).lines
    assert len({line.price for line in lines}) == len(lines)


def test_a_session_that_is_none_is_rejected() -> None:
    done = run("--session", "night")
    assert isinstance(done.exception, InputError)
    assert str(done.exception) == "--session: 'night'; must be one of regular, extended, always"


def test_the_document_has_the_sizes_that_the_command_prints() -> None:
    document = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
    header, *rows = run("--sizes").stdout.split("\n\n")[1].splitlines()
    assert header.split()[:3] == ["tickers", "shards", "partitions"]
    for row in rows:
        assert f"| {' | '.join(re.split(r'  +', row.strip()))} |" in document
    report = json.loads(run("--sizes", "--json").stdout)
    assert [size["tickers"] for size in report] == [10, 500, 5_000, 50_000]
    assert all(size["dollars_a_month"] > 0 for size in report)


def test_the_model_lets_a_scan_take_its_whole_time() -> None:
    assert cost.RATES.scan_seconds == SCAN_SECONDS


@pytest.mark.parametrize(
    ("tickers", "interval", "session"),
    [(20, 5, "regular"), (500, 5, "regular"), (5_000, 5, "regular"), (20, 1, "always")],
)
def test_the_document_has_what_the_command_prints(tickers: int, interval: int, session: Session) -> None:
    found = cost.estimate(tickers, interval, session, Config())
    row = f"| {tickers:,} | {interval} s | {session} | ${found.dollars:.0f} | ${found.list_dollars:.0f} |"
    assert row in (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")


def test_the_document_says_what_a_thousand_checks_before_an_order_cost() -> None:
    document = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
    lines = run("--sizes").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    printed = " ".join(lines)
    for size in cost.SIZES:
        found = cost.checks(1000, size.tickers, size.partitions)
        (units,) = [line.quantity / 1000 for line in found.lines if line.price == prices.READ_UNIT]
        assert f"| {size.tickers:,} | {units:.1f} | {found.list_dollars:.4f} |" in document
        assert f"{size.tickers:,}: {found.list_dollars:.4f}" in printed


@pytest.mark.parametrize("option", ["--tickers", "--interval"])
def test_an_option_without_effect_is_rejected(option: str) -> None:
    done = run("--sizes", option, "7")
    assert isinstance(done.exception, InputError)
    assert "must be without --tickers and --interval" in str(done.exception)
