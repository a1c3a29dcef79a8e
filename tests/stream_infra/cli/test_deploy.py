"""`stock-monitor deploy` shows the difference, and makes no dangerous change that is not allowed by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from stream_infra.cli.main import app
from stream_infra.operations import deployment
from stream_infra.operations.changes import NAMES, Change

SAID = "StreamStack Quotes: 4 shards would become 1"


class Steps:
    """What the command does, in its order, in place of the CDK and of AWS."""

    def __init__(self, dangers: list[Change]) -> None:
        self.done: list[str] = []
        self._dangers = dangers

    def take_over(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(deployment, "preflight", lambda *_: [])
        patch.setattr(deployment, "synthesize", self._synthesize)
        patch.setattr(deployment, "difference", lambda _: self.done.append("difference"))
        patch.setattr(deployment, "changes", lambda *_: self._dangers)
        patch.setattr(deployment, "deploy", lambda _: self.done.append("deploy"))

    def _synthesize(self, name: str) -> Path:
        self.done.append(f"synthesize {name}")
        return Path("assembly")


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "monitor.toml").write_text(
        '[prod]\nsource = "coinbase"\ntickers = "BTC-USD"\nregion = "us-east-1"\n'
    )
    monkeypatch.chdir(tmp_path)


def run(
    patch: pytest.MonkeyPatch, dangers: list[Change], *arguments: str, **environment: str
) -> tuple[Any, list[str]]:
    steps = Steps(dangers)
    steps.take_over(patch)
    return CliRunner().invoke(app, ["deploy", "prod", *arguments], env=environment), steps.done


def test_the_difference_is_shown_before_anything_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    result, done = run(monkeypatch, [])
    assert result.exit_code == 0, result.output
    assert done == ["synthesize prod", "difference", "deploy"]
    assert run(monkeypatch, [], "--check")[1] == ["synthesize prod", "difference"]


@pytest.mark.parametrize("name", NAMES)
def test_a_dangerous_change_is_made_only_if_it_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dangers = [Change(name, SAID)]
    result, done = run(monkeypatch, dangers)
    assert result.exit_code != 0
    assert f"--allow {name}" in result.output
    assert "deploy" not in done
    other = next(one for one in NAMES if one != name)
    assert "deploy" not in run(monkeypatch, dangers, "--allow", other)[1]
    assert run(monkeypatch, dangers, "--allow", name)[1][-1] == "deploy"
    # As the workflow says it: several, separated by spaces.
    assert run(monkeypatch, dangers, STOCK_MONITOR_ALLOW=f"{other} {name}")[1][-1] == "deploy"


def test_a_name_that_is_none_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    result, done = run(monkeypatch, [], "--allow", "fewer-shard")
    assert result.exit_code != 0
    assert "fewer-shards" in result.output
    assert done == []
