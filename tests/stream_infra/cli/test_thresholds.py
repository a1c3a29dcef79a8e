"""`stock-monitor thresholds`: what is set, what was so before, and what is rejected."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from typer.testing import CliRunner, Result

from consumers.stream.thresholds import ThresholdError
from stream_infra import names
from stream_infra.cli.commands import thresholds
from stream_infra.operations.endpoints import Endpoints
from tests.aws import aws_in_memory


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found = Endpoints("https://monitor.example/", None, None, None)
    monkeypatch.setattr(thresholds, "resolve", lambda _aws: found)
    with aws_in_memory():
        boto3.client("ssm").put_parameter(Name=names.TICKER_PARAMETER, Value="AAPL", Type="String")
        yield


def run(*arguments: str) -> Result:
    return CliRunner().invoke(thresholds.app, [*arguments])


def test_a_change_that_changes_nothing_says_so() -> None:
    assert run("set", "3", "--ticker", "KO").stdout.splitlines()[1:] == ["KO  3", "In force within a minute."]
    assert "Nothing changed: it was so before." in run("set", "3", "--ticker", "ko").stdout
    assert "Nothing changed: it was so before." in run("unset", "--ticker", "NOPE").stdout
    assert run("unset", "--ticker", "KO").stdout.splitlines() == ["default  2.5", "In force within a minute."]


def test_a_ticker_is_named_as_it_is_written() -> None:
    assert "\nTSLA is not on the watch list" in run("set", "3", "--ticker", " tsla ").output


def test_a_score_is_rejected_with_what_a_score_may_be() -> None:
    with pytest.raises(ThresholdError, match=r"the threshold is 0.0; must be a number from 0.1 to 1000$"):
        raise run("set", "0").exception or AssertionError
