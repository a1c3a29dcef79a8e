"""`stock-monitor deploy` shows the difference, and makes no dangerous change that is not allowed by its name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from stream_infra.cli.commands import verify
from stream_infra.cli.main import app
from stream_infra.operations import deployment, endpoints
from stream_infra.operations.changes import NAMES, Change
from stream_infra.operations.endpoints import Endpoints

NOWHERE = Endpoints(None, None, None, None)
SAID = "StreamStack Quotes: 4 shards would become 1"


class Steps:
    """What the command does, in its order, in place of the CDK and of AWS."""

    def __init__(self, dangers: list[Change], *, works: bool = True) -> None:
        self._works = works
        self.done: list[str] = []
        self._dangers = dangers

    def take_over(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(deployment, "preflight", lambda *_: [])
        patch.setattr(deployment, "synthesize", self._synthesize)
        patch.setattr(deployment, "difference", lambda _: self.done.append("difference"))
        patch.setattr(deployment, "changes", lambda *_: self._dangers)
        patch.setattr(deployment, "deploy", lambda _: self.done.append("deploy"))
        patch.setattr(endpoints, "resolve", lambda **_: NOWHERE)
        patch.setattr(verify, "prove", self._prove)

    def _prove(self, where: Endpoints, *, as_json: bool) -> bool:
        assert (where, as_json) == (NOWHERE, False)
        assert os.environ["AWS_DEFAULT_REGION"] == "us-east-1", "of the deployment"
        self.done.append("prove")
        return self._works

    def _synthesize(self, name: str) -> Path:
        self.done.append(f"synthesize {name}")
        return Path("assembly")


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "monitor.toml").write_text(
        '[prod]\nsource = "coinbase"\ntickers = "BTC-USD"\nregion = "us-east-1"\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


def run(
    patch: pytest.MonkeyPatch, dangers: list[Change], *arguments: str, **environment: str
) -> tuple[Any, list[str]]:
    steps = Steps(dangers)
    steps.take_over(patch)
    return CliRunner().invoke(app, ["deploy", "prod", *arguments], env=environment), steps.done


def test_the_difference_is_shown_before_anything_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    result, done = run(monkeypatch, [])
    assert result.exit_code == 0, result.output
    assert done == ["synthesize prod", "difference", "deploy", "prove"]
    assert run(monkeypatch, [], "--check")[1] == ["synthesize prod", "difference"]


def test_a_deployment_that_does_not_work_is_said_to_be_deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps([], works=False)
    steps.take_over(monkeypatch)
    result = CliRunner().invoke(app, ["deploy", "prod"])
    assert result.exit_code == 1
    assert "it is deployed, and does not work" in result.output
    assert steps.done[-2:] == ["deploy", "prove"]


@pytest.mark.parametrize("name", NAMES)
def test_a_dangerous_change_is_made_only_if_it_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dangers = [Change(name, SAID)]
    result, done = run(monkeypatch, dangers)
    assert result.exit_code != 0
    assert f"--allow {name}" in result.output
    assert "deploy" not in done
    other = next(one for one in NAMES if one != name)
    assert "deploy" not in run(monkeypatch, dangers, "--allow", other)[1]
    assert "deploy" in run(monkeypatch, dangers, "--allow", name)[1]
    # As the workflow says it: several, separated by spaces.
    assert "deploy" in run(monkeypatch, dangers, STOCK_MONITOR_ALLOW=f"{other} {name}")[1]


def test_the_deployment_of_this_machine_is_not_deployed_to_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps([])
    steps.take_over(monkeypatch)
    result = CliRunner().invoke(app, ["deploy", "local"])
    assert result.exit_code != 0
    assert "make up" in result.output
    assert steps.done == []


def test_a_name_that_is_none_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    result, done = run(monkeypatch, [], "--allow", "fewer-shard")
    assert result.exit_code != 0
    assert "fewer-shards" in result.output
    assert done == []
