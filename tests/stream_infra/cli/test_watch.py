"""`stock-monitor watch` changes what the scanner reads, once the source quotes what is new."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import boto3
import pytest
from mypy_boto3_ssm.client import SSMClient
from typer.testing import CliRunner

from consumers.contracts.charts import Bar, LastQuote
from consumers.detectors.engine.signals import WARMUP_TICKS
from consumers.stores.charts import ChartTable
from consumers.stream.rules import PriceRule
from stream_infra import names
from stream_infra.cli.commands import watch
from stream_infra.operations import watching
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import InputError
from stream_infra.operations.watching import WARM_UP_TICKS
from tests.api.charts import put_quotes
from tests.aws import aws_in_memory, create_table

BUCKET = "stock-scan-data-123456789012"


class Local(Endpoints):
    """Endpoints whose scanner has the settings that a test gives it."""

    source = "simulated"

    def client(self, service: Any) -> Any:
        if service == "lambda":
            return self
        return boto3.client(service, region_name="us-east-1")

    def get_function_configuration(self, *, FunctionName: str) -> dict[str, dict[str, dict[str, str]]]:  # noqa: N803
        assert FunctionName == names.SCANNER
        return {"Environment": {"Variables": {"SOURCE": self.source, "DATA_BUCKET": BUCKET}}}


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch) -> Iterator[SSMClient]:
    monkeypatch.setattr(watch, "resolve", lambda _aws: Local(None, None, None, None))
    with aws_in_memory():
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        create_table(names.CHARTS_TABLE)
        client = boto3.client("ssm")
        client.put_parameter(Name=names.TICKER_PARAMETER, Value="AAPL,MSFT", Type="String")
        yield client


def value(ssm: SSMClient) -> str:
    return str(ssm.get_parameter(Name=names.TICKER_PARAMETER)["Parameter"]["Value"])


def run(*arguments: str) -> str:
    done = CliRunner().invoke(watch.app, list(arguments))
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_tickers_are_added_and_removed(ssm: SSMClient) -> None:
    assert "added KO (24/7)" in run("add", " ko , AAPL,", "--unchecked")
    assert value(ssm) == "AAPL,MSFT,KO"
    assert "removed MSFT" in run("remove", "msft")
    assert value(ssm) == "AAPL,KO"
    assert "all of them were watched already" in run("add", "KO")
    assert run("add", "KO", "PG").splitlines()[1:] == ["watched already: KO"]


def test_the_list_shows_markets_and_quotes(ssm: SSMClient) -> None:  # noqa: ARG001 - the AWS
    listed = json.loads(run("list", "--json"))
    assert listed["source"] == "simulated"
    assert listed["tickers"][0] == {
        "ticker": "AAPL",
        "market": "24/7",
        "open": True,
        "quoted": None,
        "minutes": 0,
        "warm_up": "0 of 60 ticks",
    }
    assert "NEWEST QUOTE" in run("list")
    assert all(len(line) <= 80 for line in run("list").splitlines())


def test_what_the_source_does_not_quote_is_not_added(ssm: SSMClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching.ScannerSource, "rejected", lambda *_: {"NOPE": "acme knows no such ticker"})
    with pytest.raises(
        InputError, match=r"simulated does not quote NOPE \(NOPE: acme knows no such ticker\)"
    ):
        run("add", "NOPE")
    assert value(ssm) == "AAPL,MSFT"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "A$"), "'A\\$' is no ticker; must be 1 to 32"),
        (("add", "s3://bucket/key", "--unchecked"), "'S3://BUCKET/KEY' is no ticker; must be 1 to 32"),
        (("add", " "), "no ticker is named; must be 1 to 32"),
        (("remove", "IBM"), "IBM is not watched; must be one of AAPL, MSFT"),
        (("remove", "AAPL", "MSFT"), "would be empty; must be at least one ticker"),
        (("import", "none.txt"), "none.txt: cannot be read"),
    ],
)
def test_what_is_wrong_is_said(ssm: SSMClient, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(*arguments)
    assert value(ssm) == "AAPL,MSFT"


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_of_a_table_the_column_of_tickers_is_read(ssm: SSMClient, tmp_path: Path, mark: str) -> None:
    """As brokers export a watch list: the names of companies are no tickers, though they may be written like some."""
    file = tmp_path / "export.csv"
    rows = [('"Name"', '"Symbol"'), ("APPLE INC", "aapl"), ('"IBM, Corp"', "IBM"), ("", ""), ("Total 2",)]
    file.write_text("\ufeff" + "".join(f"{mark.join(row)}\r\n" for row in rows), newline="")
    run("import", str(file), "--unchecked")
    assert value(ssm) == "AAPL,MSFT,IBM"
    file.write_text("ticker\nKO\nAccount total\n")
    with pytest.raises(InputError, match=r"export\.csv: 'ACCOUNT TOTAL' is no ticker; must be 1 to 32"):
        run("import", str(file), "--unchecked")


def test_a_long_list_goes_to_the_bucket(ssm: SSMClient, tmp_path: Path) -> None:
    file = tmp_path / "tickers.txt"
    file.write_text("\ufeff" + "\n".join(f"S{i:05}" for i in range(900)))
    run("import", str(file), "--unchecked")
    assert value(ssm) == f"s3://{BUCKET}/watch-lists/tickers.csv"
    assert len(json.loads(run("list", "--json"))["tickers"]) == 902
    run("remove", *[f"S{i:05}" for i in range(890)])
    assert value(ssm).startswith("AAPL,MSFT,S00890")


@pytest.mark.parametrize(
    ("when", "level", "note"),
    [
        (
            "above",
            7.0,
            "BTC/USD is at 7.48 already: the rule is met once it was below the level and comes back",
        ),
        ("above", 7.48, "BTC/USD is at 7.48 already"),
        (
            "below",
            8.0,
            "BTC/USD is at 7.48 already: the rule is met once it was above the level and comes back",
        ),
        ("above", 8.0, ""),
        ("below", 7.0, ""),
        ("spread", 7.0, ""),
    ],
)
def test_a_level_that_the_price_is_beyond_already_is_said(
    ssm: SSMClient,  # noqa: ARG001 - the AWS
    when: Literal["above", "below", "spread"],
    level: float,
    note: str,
) -> None:
    bar = Bar(60_000, 7.48, 7.48, 7.48, 7.48, None, 1, None, None)
    put_quotes(
        boto3.client("dynamodb"),
        "simulated",
        LastQuote("BTC/USD", 60_000, 7.48, None, None, None, 7.48, None, bar),
    )
    rule = PriceRule(id="r", when=when, value=level, ticker="BTC/USD")
    said = watching.note_on_level(Local(None, None, None, None), rule)
    assert said.startswith(note)
    assert bool(said) == bool(note)


def test_the_list_shows_coverage_and_warm_up(ssm: SSMClient) -> None:  # noqa: ARG001 - the AWS
    now_ms = time.time_ns() // 1_000_000 // 60_000 * 60_000
    bars = [Bar(now_ms - n * 60_000, 1.0, 1.0, 1.0, 1.0, None, 4, None, None) for n in range(1, 31)]
    ChartTable(boto3.client("dynamodb"), names.CHARTS_TABLE).put_bars(
        [("simulated", "MSFT", bar) for bar in bars], {}, now_ms, 1
    )
    aapl, msft = json.loads(run("list", "--json"))["tickers"]
    assert (aapl["minutes"], aapl["warm_up"]) == (0, "0 of 60 ticks")
    assert (msft["minutes"], msft["warm_up"]) == (30, "done")
    assert WARM_UP_TICKS == WARMUP_TICKS


def test_a_change_is_on_record(ssm: SSMClient) -> None:
    run("add", "KO", "--unchecked")
    newest = ssm.get_parameter_history(Name=names.TICKER_PARAMETER)["Parameters"][-1]
    assert newest["Description"].endswith("added KO")


def test_what_follows_the_hours_of_another_exchange_is_said(
    ssm: SSMClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Local, "source", "yahoo")
    done = CliRunner().invoke(watch.app, ["add", "FPT.VN", "0700.HK", "--unchecked"])
    assert "added FPT.VN (XNYS), 0700.HK (XHKG)" in done.stdout
    said = "no calendar is known of the exchange of FPT.VN (XNYS): set `markets`"
    assert said in done.stderr
    assert said in CliRunner().invoke(watch.app, ["list"]).stderr
    assert value(ssm) == "AAPL,MSFT,FPT.VN,0700.HK"


def test_an_option_is_one_ticker_with_the_blanks_that_fill_it_up(ssm: SSMClient) -> None:
    assert "added AAPL261218C00250000 (24/7)" in run("add", "aapl  261218C00250000", "--unchecked")
    assert value(ssm) == "AAPL,MSFT,AAPL261218C00250000"
