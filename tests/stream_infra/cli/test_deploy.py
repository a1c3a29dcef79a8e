"""`stock-monitor deploy` shows the difference, and makes no dangerous change that is not allowed by its name."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from stream_infra.cli.commands import verify
from stream_infra.cli.main import app
from stream_infra.operations import deployment, endpoints, notices, preflight
from stream_infra.operations.changes import NAMES, Change
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import FailedError
from stream_infra.operations.preflight import DeploymentProblem

ROOT = Path(__file__).resolve().parents[3]
NOWHERE = Endpoints(None, None, None, None)
TARGET = {"account": "111122223333", "region": "us-east-1"}
PENDING = DeploymentProblem("ops@example.com has not confirmed", "follow the link")
UNVERIFIED = DeploymentProblem("CloudFront rejects this account", "open a case")
SAID = "StreamStack Quotes: 4 shards would become 1"


class Steps:
    """What the command does, in its order, in place of the CDK and of AWS."""

    def __init__(self, dangers: list[Change], *, works: bool = True, left: bool = False) -> None:
        self._works, self._left = works, left
        self.settings: dict[str, str] = {}
        self.lacking: list[DeploymentProblem] = []
        self.fails = False
        self.done: list[str] = []
        self._dangers = dangers

    def take_over(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(deployment, "tools", lambda: self.lacking)
        patch.setattr(preflight, "preflight", self._preflight)
        patch.setattr(notices, "notices", lambda *_: [PENDING])
        patch.setattr(notices, "unverified", lambda _: [UNVERIFIED])
        patch.setattr(deployment, "bootstrap", lambda _: self.done.append("bootstrap"))
        patch.setattr(deployment, "target_of", lambda _: dict(TARGET))
        patch.setattr(deployment, "synthesize", self._synthesize)
        patch.setattr(deployment, "difference", lambda _: self.done.append("difference"))
        patch.setattr(deployment, "changes", lambda *_: self._dangers)
        patch.setattr(deployment, "deploy", self._deploy)
        patch.setattr(deployment, "parameters_kept", self._keep_parameters)
        patch.setattr(endpoints, "resolve", lambda **_: NOWHERE)
        patch.setattr(verify, "prove", self._prove)

    @contextmanager
    def _keep_parameters(self, _: object) -> Iterator[None]:
        self.done.append("read parameters")
        yield
        self.done.append("keep parameters")

    def _prove(self, where: Endpoints, *, as_json: bool) -> bool:
        assert (where, as_json) == (NOWHERE, False)
        assert os.environ["AWS_DEFAULT_REGION"] == "us-east-1", "of the deployment"
        self.done.append("prove")
        return self._works

    def _preflight(self, *_: object, adopt: bool) -> list[DeploymentProblem]:
        return [] if adopt or not self._left else [DeploymentProblem("stock-windows: left over", "--adopt")]

    def _synthesize(self, name: str, *, upload: bool, **settings: str) -> Path:
        self.settings = settings
        self.done.append(f"synthesize {name}" + (" with the files" if upload else ""))
        return Path("assembly")

    def _deploy(self, _: Path, *, adopt: bool, revert_drift: bool) -> None:
        if self.fails:
            raise FailedError("cdk deploy failed")
        self.done.append("deploy" + " and adopt" * adopt + " and revert" * revert_drift)


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
    assert "it is deployed and does not work" in result.output
    assert steps.done[-2:] == ["deploy", "prove"]


def test_what_is_left_to_a_person_is_said_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in ([], ["--check"]):
        result, _ = run(monkeypatch, [], *arguments)
        assert result.exit_code == 0
        assert "ops@example.com has not confirmed" in result.output


def test_a_machine_without_the_tools_bootstraps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps([])
    steps.take_over(monkeypatch)
    steps.lacking = [DeploymentProblem("no Node.js 20 or newer with npm", "make .venv")]
    result = CliRunner().invoke(app, ["deploy", "prod", "--bootstrap"])
    assert result.exit_code != 0
    assert "no Node.js 20 or newer" in result.output
    assert steps.done == []


def test_what_is_missing_comes_with_what_to_do_however_long_both_are(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps([])
    steps.take_over(monkeypatch)
    long = DeploymentProblem(
        "the bucket stock-scan-data is in us-east-1: " + "another deployment has it, " * 9, "give it a prefix"
    )
    steps.lacking = [long]
    result = CliRunner().invoke(app, ["deploy", "prod"], env={"COLUMNS": "80"})
    assert f"missing: {long.what}\n  do: give it a prefix\n" in result.output


def test_an_account_that_cloudfront_rejects_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps([])
    steps.take_over(monkeypatch)
    steps.fails = True
    result = CliRunner().invoke(app, ["deploy", "prod"])
    assert result.exit_code != 0
    assert "CloudFront rejects this account" in result.output
    assert "prove" not in steps.done


def test_what_an_earlier_deployment_left_is_taken_over_only_if_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = Steps([], left=True)
    steps.take_over(monkeypatch)
    result = CliRunner().invoke(app, ["deploy", "prod"])
    assert result.exit_code != 0
    assert "stock-windows: left over" in result.output
    assert steps.done == []
    assert CliRunner().invoke(app, ["deploy", "prod", "--adopt"]).exit_code == 0
    assert "deploy and adopt" in steps.done


def test_a_new_account_is_bootstrapped_first_and_never_by_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, [], "--bootstrap")[1][:2] == ["bootstrap", "synthesize prod"]
    assert "bootstrap" not in run(monkeypatch, [], "--bootstrap", "--check")[1]


def test_what_was_deleted_by_hand_is_put_back_only_if_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CloudFormation guide, "Using drift-aware change sets": all others compare templates, and find no change."""
    _, done = run(monkeypatch, [], "--revert-drift")
    assert done == [
        "synthesize prod with the files",
        "difference",
        "read parameters",
        "deploy and revert",
        "keep parameters",
        "prove",
    ]


def test_the_shell_s_deployment_is_deployed_unless_another_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps([])
    steps.take_over(monkeypatch)
    monkeypatch.setenv("STOCK_MONITOR_DEPLOYMENT", "eu")
    with Path("monitor.toml").open("a") as file:
        file.write('[eu]\nsource = "coinbase"\nregion = "us-east-1"\n')
    assert CliRunner().invoke(app, ["deploy"]).exit_code == 0
    assert "synthesize eu" in steps.done


def test_alarms_are_passed_in_one_deployment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps([])
    steps.take_over(monkeypatch)
    assert CliRunner().invoke(app, ["deploy", "prod", "--past-alarms"]).exit_code == 0
    assert steps.settings == {**TARGET, "past_alarms": "true"}
    assert CliRunner().invoke(app, ["deploy", "prod"]).exit_code == 0
    assert steps.settings == TARGET


GATE = ROOT / ".github" / "workflows" / "deploy.yml"


def workflow_commands(job: str) -> list[list[str]]:
    """Return the words of each `stock-monitor deploy` of a job, as its shell gives them to the command."""
    workflow = yaml.safe_load(GATE.read_text())
    assert set(workflow["env"]) == {"DEPLOYMENT", "STOCK_MONITOR_ALLOW"}
    lines = [step["run"] for step in workflow["jobs"][job]["steps"] if "run" in step]
    return [
        shlex.split(line.replace("$DEPLOYMENT", "prod"))[1:]
        for line in lines
        if line.startswith(".venv/bin/stock-monitor deploy")
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_dangerous_change_stops_the_workflow_before_anybody_approves_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GitHub's docs, "Deployments and environments": a job of an environment with reviewers waits for them first.

    `deploy` needs `plan` and is the job that waits, so what fails in `plan` is never put to them; as a run may wait for
    days, `deploy` compares again. Both are the command itself, with the same `allow`.
    """
    jobs = yaml.safe_load(GATE.read_text())["jobs"]
    waiting = [job for job, of in jobs.items() if of["environment"] == "production"]
    assert (waiting, jobs["deploy"]["needs"]) == (["deploy"], "plan")
    assert "continue-on-error" not in GATE.read_text()
    (planned,), (deployed,) = workflow_commands("plan"), workflow_commands("deploy")
    for command, does in ((planned, False), (deployed, True)):
        steps = Steps([Change(name, SAID)])
        steps.take_over(monkeypatch)
        rejected = CliRunner().invoke(app, command, env={"STOCK_MONITOR_ALLOW": ""})
        assert rejected.exit_code != 0
        assert f"--allow {name}" in rejected.output
        assert "difference" in steps.done, "it is shown first"
        assert "deploy" not in steps.done
        allowed = CliRunner().invoke(app, command, env={"STOCK_MONITOR_ALLOW": name})
        assert allowed.exit_code == 0, allowed.output
        assert ("deploy" in steps.done) is does


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
