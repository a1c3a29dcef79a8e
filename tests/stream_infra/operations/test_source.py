"""`status` and `doctor` name the source, its market and its keys, and why it cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import boto3
import pytest
from botocore.exceptions import ClientError
from mypy_boto3_secretsmanager.client import SecretsManagerClient

from producers import secret
from producers.sources import FoundSource
from stream_infra.operations.doctor.inputs import feed
from stream_infra.operations.facts import MonitorFacts, QuoteSource
from stream_infra.operations.health import judge
from stream_infra.operations.source import market_open, quote_source, traded_now
from tests.aws import aws_in_memory

KEYS = '{"APCA_API_KEY_ID": "PK1", "APCA_API_SECRET_KEY": "s3cr3t"}'
FACTS = MonitorFacts(now=datetime(2026, 11, 24, 15, tzinfo=UTC), local=False)


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretsManagerClient]:
    monkeypatch.setattr(secret, "_read", {})
    with aws_in_memory():
        client = boto3.client("secretsmanager", region_name="us-east-1")
        client.create_secret(Name="whole", SecretString=KEYS)
        client.create_secret(Name="half", SecretString='{"APCA_API_KEY_ID": "PK1"}')
        yield client


@pytest.mark.parametrize(
    ("scanner", "found"),
    [
        ({"SOURCE": "simulated"}, QuoteSource("simulated", "poll", ("24/7 open",))),
        (
            {"SOURCE": "alpaca", "SOURCE_SECRET": "whole"},
            QuoteSource("alpaca", "poll", ("XNYS open",), ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")),
        ),
    ],
)
def test_a_source_that_can_be_used(
    secrets: SecretsManagerClient, scanner: dict[str, str], found: QuoteSource
) -> None:
    assert quote_source(scanner, secrets, ["A"], FACTS.now) == found


@pytest.mark.parametrize(
    ("scanner", "problem"),
    [
        ({"SOURCE": "alpca"}, "unknown source 'alpca'; must be one of alpaca"),
        ({"SOURCE": "alpaca", "SOURCE_SECRET": "half"}, "APCA_API_SECRET_KEY is not set: make one at"),
        ({"SOURCE": "alpaca", "SOURCE_SECRET": "gone"}, "secret gone cannot be read: "),
        ({"SOURCE": "alpaca", "SOURCE_SECRET": "whole", "ALPACA_FEED": "all"}, "must be one of iex"),
    ],
)
def test_a_source_that_cannot_be_used_is_a_finding_of_both(
    secrets: SecretsManagerClient, scanner: dict[str, str], problem: str
) -> None:
    source = quote_source(scanner, secrets, ["A"], FACTS.now)
    assert problem in source.problem
    assert "s3cr3t" not in str(source)
    (finding,) = [each for each in judge(replace(FACTS, source=source)) if each.part == "source"]
    assert (finding.state, finding.detail) == ("failed", source.problem)
    (diagnosis,) = feed(replace(FACTS, source=source))
    assert diagnosis.because == source.problem


def test_keys_are_named_and_never_shown(secrets: SecretsManagerClient) -> None:
    source = quote_source({"SOURCE": "alpaca", "SOURCE_SECRET": "whole"}, secrets, ["A"], FACTS.now)
    (finding,) = [each for each in judge(replace(FACTS, source=source)) if each.part == "source"]
    assert (
        finding.detail
        == "alpaca, by poll, market XNYS open; keys present: APCA_API_KEY_ID, APCA_API_SECRET_KEY"
    )


def test_another_source_that_cannot_be_loaded_is_named(
    secrets: SecretsManagerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = FoundSource(
        "acme", "package acme-quotes", None, "package acme-quotes cannot be loaded: ImportError: no"
    )
    monkeypatch.setattr("stream_infra.operations.source.describe", lambda: [broken])
    source = quote_source({"SOURCE": "simulated"}, secrets, ["A"], FACTS.now)
    (finding,) = [each for each in judge(replace(FACTS, source=source)) if each.part == "source"]
    assert (finding.state, "cannot be used: acme (package acme-quotes cannot" in finding.detail) == (
        "ok",
        True,
    )


def test_a_secret_that_one_may_not_read_is_not_judged() -> None:
    class Denied:
        def get_secret_value(self, *, SecretId: str) -> None:  # noqa: N803, ARG002
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetSecretValue")

    with pytest.raises(ClientError):
        quote_source({"SOURCE": "alpaca", "SOURCE_SECRET": "denied"}, Denied(), ["A"], FACTS.now)


@pytest.mark.parametrize(
    ("scanner", "tickers", "at", "is_open"),
    [
        ({"SOURCE": "yahoo"}, ["IBM"], "2026-11-24T03:00", False),
        ({"SOURCE": "yahoo"}, ["IBM", "7203.T"], "2026-11-24T02:00", True),
        ({"SOURCE": "yahoo"}, ["7203.T"], "2026-11-24T02:45", False),  # the lunch break
        ({"SOURCE": "yahoo", "MARKETS": "ABC=XLON"}, ["ABC"], "2026-11-24T09:00", True),
        ({"SOURCE": "yahoo"}, ["BTC-USD"], "2026-11-28T09:00", True),
        ({"SOURCE": "coinbase"}, [], "2026-11-28T09:00", True),
        ({"SOURCE": "alpaca"}, [], "2026-11-28T16:00", False),
        (
            {"SOURCE": "alpca"},
            ["IBM"],
            "2026-11-28T16:00",
            True,
        ),  # the check of the source says what is wrong
    ],
)
def test_quotes_are_expected_while_a_tickers_own_market_trades(
    scanner: dict[str, str], tickers: list[str], at: str, is_open: bool
) -> None:
    now = datetime.fromisoformat(f"{at}+00:00")
    assert market_open({"SESSION": "regular", **scanner}, tickers, now) is is_open


def test_each_market_is_named_with_whether_it_is_open(secrets: SecretsManagerClient) -> None:
    now = datetime(2026, 11, 24, 9, tzinfo=UTC)
    found = quote_source({"SOURCE": "yahoo"}, secrets, ["IBM", "VOD.L", "BTC-USD"], now)
    assert found.markets == ("24/7 open", "XLON open", "XNYS closed")


def test_quotes_are_expected_of_those_whose_own_market_is_open() -> None:
    """Else a partition of closed markets would be told as one that stands still."""
    saturday = datetime(2026, 11, 28, 12, tzinfo=UTC)
    scanner = {"SOURCE": "alpaca", "SESSION": "regular"}
    assert list(traded_now(scanner, ["AAPL", "BTC/USD", "7203.T"], saturday)) == ["BTC/USD"]
    assert list(traded_now({"SOURCE": "alpaca"}, ["AAPL"], saturday)) == ["AAPL"]
