"""`stock-monitor quote`: a quote, or a clear reason why there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from stream_infra.cli import main
from tests.http_server import Handler, serving

runner = CliRunner()
Answers = dict[str, tuple[int, dict[str, object]]]
"""By ticker, the status and the body of a vendor's answer."""


@pytest.fixture
def finnhub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    """A vendor on 127.0.0.1: what it answers for which ticker."""
    answers: Answers = {}

    class Finnhub(Handler):
        def do_GET(self) -> None:
            status, body = answers[self.path.rpartition("=")[2]]
            self.answer(status, json.dumps(body).encode())

    monkeypatch.setenv("FINNHUB_API_KEY", "k3y")
    with serving(Finnhub) as address:
        monkeypatch.setenv("FINNHUB_URL", address)
        yield answers


def quote(*arguments: str) -> tuple[int, str, str]:
    result = runner.invoke(main.app, ["quote", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_a_simulated_quote_needs_no_key() -> None:
    tickers = ["AAPL", "MSFT", "NVDA", "AMZN", "TSLA", "JPM", "XOM", "KO"]
    code, out, _ = quote("aapl", *tickers[1:], "--source", "simulated", "--json")
    answer = json.loads(out)
    quoted = [row["ticker"] for row in answer["quotes"]]
    assert quoted == [ticker for ticker in tickers if ticker not in answer["missing"]]
    assert quoted  # each is halted for minutes now and then, but hardly all at once
    assert (code, answer["source"]) == (1 if answer["missing"] else 0, "simulated")
    assert all(row["price"] > 0 and row["day_volume"] >= 0 for row in answer["quotes"])  # misprints come, too


def test_a_quote_is_shown_with_its_age(finnhub: Answers) -> None:
    finnhub["AAPL"] = (200, {"c": 261.74, "t": 1_582_641_000})
    code, out, _ = quote("AAPL", "--source", "finnhub")
    assert code == 0
    assert "261.74" in out
    assert "2020-02-25 14:30:00Z" in out


@pytest.mark.parametrize(
    ("price", "shown"), [(1.09421, "1.09421"), (0.00001234, "0.00001234"), (65012.5, "65,012.50")]
)
def test_a_price_has_its_own_digits_within_80_columns(finnhub: Answers, price: float, shown: str) -> None:
    finnhub["AAPL"] = (200, {"c": price, "t": 1_582_641_000})
    _, out, _ = quote("AAPL", "--source", "finnhub")
    assert shown in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_ticker_without_a_quote_is_named_and_the_others_are_shown(
    finnhub: Answers,
) -> None:
    finnhub["AAPL"] = (200, {"c": 261.74, "t": 1_582_641_000})
    finnhub["NOPE"] = (200, {"c": 0, "t": 0})
    code, out, err = quote("AAPL", "NOPE", "--source", "finnhub")
    assert code == 1
    assert "261.74" in out
    assert "finnhub has no quote of NOPE" in err


def test_a_price_that_is_none_costs_its_ticker_alone(finnhub: Answers) -> None:
    finnhub["AAPL"] = (200, {"c": 261.74, "t": 1_582_641_000})
    finnhub["ODD"] = (200, {"c": float("nan"), "t": 1_582_641_000})
    code, out, err = quote("ODD", "AAPL", "--source", "finnhub")
    assert code == 1
    assert "261.74" in out
    assert "finnhub has no quote of ODD: ODD: price is NaN" in err


def test_a_rejected_key_is_said_without_showing_it(finnhub: Answers) -> None:
    finnhub["AAPL"] = (401, {"error": "Invalid API key k3y"})
    code, _, err = quote("AAPL", "--source", "finnhub")
    assert code == 1
    assert "finnhub rejects the key (401: Invalid API key ***): check FINNHUB_API_KEY" in err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("AAPL",), "source alpaca needs a key and APCA_API_KEY_ID is not set"),
        (
            ("AAPL", "--source", "acme"),
            "unknown source 'acme'; must be one of alpaca, coinbase, finnhub, kraken",
        ),
        (("AAPL", "--source", "replay"), "cannot be polled: run `stock-monitor replay FILE`"),
        (("AAPL", "A!B", "--source", "simulated"), "'A!B' is no ticker; must be 1 to"),
    ],
)
def test_what_cannot_be_asked_is_said(
    arguments: tuple[str, ...], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "SOURCE"):
        monkeypatch.delenv(name, raising=False)
    code, _, err = quote(*arguments)
    assert code == 1
    assert reason in " ".join(err.split())
