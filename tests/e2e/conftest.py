"""The whole monitor on a local AWS, for every test of this folder, and only as long as these run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.e2e.monitor import ROOT, RUNNING_VARIABLE, Monitor, running, that_runs

_OLDER_VERSION = "its CopyObject refuses an older version over the newest, which S3 takes"
NOT_ON_LOCALSTACK = {
    "test_a_spoiled_and_a_deleted_object": _OLDER_VERSION,
    "aws s3api copy-object": _OLDER_VERSION,
    "stock-monitor recover object": _OLDER_VERSION,
    "aws cloudformation detect-stack-drift": "DetectStackDrift is not in this edition",
    "aws cloudformation rollback-stack": "RollbackStack is not in this edition",
    "aws cloudfront": "CloudFront is not in this edition",
    "aws cloudtrail": "CloudTrail is not in this edition",
    "aws cloudwatch list-dashboards": "dashboards are not in this edition",
    "aws iam simulate-principal-policy": "its SimulatePrincipalPolicy knows no `*`",
    "[permission]": "its SimulatePrincipalPolicy knows no `*`",
}
"""What LocalStack 4.9.2 does not show, by a part of the test's name or of the commands that it runs."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the judgement of all calls after the tests that make them."""
    last = ("test_without_any_statement", "test_every_call")
    items.sort(key=lambda item: [item.name.startswith(name) for name in reversed(last)])


@pytest.fixture(scope="package")
def monitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitor]:
    """The whole monitor, for all tests of this folder; see docs/testing.md."""
    if given := os.environ.get(RUNNING_VARIABLE):
        yield that_runs(Path(given))
        return
    with running(tmp_path_factory.mktemp("monitor") / ".local") as started:
        yield started
        if not started.given:
            report = started.make("localstack.rights_report")
            (ROOT / "build").mkdir(exist_ok=True)
            process = os.environ.get("PYTEST_XDIST_WORKER", "all")
            (ROOT / "build" / f"rights-{process}.txt").write_text(report.stdout + report.stderr)


@pytest.fixture(autouse=True)
def shown_here(request: pytest.FixtureRequest, monitor: Monitor) -> None:
    """Skips what the local AWS in use does not show."""
    parameters = getattr(request.node, "callspec", SimpleNamespace(params={})).params
    commands = getattr(parameters.get("block"), "commands", parameters.get("command", ""))
    text = f"{request.node.name}\n{commands}"
    reason = next((reason for part, reason in NOT_ON_LOCALSTACK.items() if part in text), None)
    if monitor.given and reason is not None:
        pytest.skip(f"LocalStack 4.9.2: {reason}")
