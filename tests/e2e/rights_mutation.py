# ruff: noqa: T201 - it prints a table
"""What each statement of the functions' roles is needed for, by taking it away from a monitor that runs.

python -m tests.e2e.rights_mutation [FUNCTION …] [--running .local] [--json build/rights-mutation.json]

One statement after the other is removed from the deployed role, the tests that drive this function are run against the
monitor, and the statement is put back. It counts as needed if a test failed and the local AWS denied the role a call
meanwhile. Without `--running` a monitor is brought up for it. Exits with 1 if a removal passed unnoticed.

The local AWS judges by a changed policy at once; of AWS's "Changes that I make are not always immediately visible" (IAM
guide, "Troubleshoot IAM") nothing is imitated.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console
from rich.table import Table

from stream_infra import names
from tests.e2e.monitor import ROOT, RUNNING_VARIABLE, Json, Monitor, running, that_runs
from tests.e2e.test_at_work import Denials

_WORK = "tests/e2e/test_at_work.py::test_nothing_is_denied_to_the_{}_at_work"
DRIVING = {
    names.SCANNER: [_WORK.format("scanner")],
    names.DETECTOR: [_WORK.format("detector")],
    names.NOTIFIER: [_WORK.format("notifier")],
    names.API_HANDLER: ["tests/e2e/test_rights.py::test_the_api_may_do_what_each_of_its_routes_does"],
    names.LAKE: [_WORK.format("lake")],
}
"""The tests that let a function do its work."""
CALLS = "tests/e2e/test_at_work.py::test_a_role_allows_each_call_of_its_function[{}]"
"""The test that makes all calls of a function, also the rare ones, with its role's credentials."""


class Tried(NamedTuple):
    """A statement that was taken away: what it allows, what was denied without it, and the tests that failed."""

    function: str
    statement: str
    denied: list[str]
    failed: list[str]
    seconds: float

    @property
    def is_needed(self) -> bool:
        """Whether its removal was noticed."""
        return bool(self.denied and self.failed)


class _Failures:
    """Collects the tests that failed."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.found.append(report.nodeid.rpartition("::")[2])


def failing(tests: Sequence[str]) -> list[str]:
    """Run tests against the monitor; return the names of those that failed."""
    failures = _Failures()
    quiet = [
        "-q",
        "--no-header",
        "--no-summary",
        "--tb=no",
        "--assert=plain",
        "-p",
        "no:cacheprovider",
    ]
    with redirect_stdout(io.StringIO()):
        code = pytest.main([*quiet, *tests], plugins=[failures])
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        raise SystemExit(f"the tests could not be run: {code!r}")
    return failures.found


class Policies:
    """The inline policies of a function's role; the stacks give it no others."""

    def __init__(self, monitor: Monitor, function: str) -> None:
        role = monitor.client("lambda").get_function(FunctionName=function)["Configuration"]["Role"]
        self._iam, self._role = monitor.client("iam"), str(role.rsplit("/", 1)[1])
        attached = self._iam.list_attached_role_policies(RoleName=self._role)["AttachedPolicies"]
        assert attached == [], f"{function} has managed policies, which are not tried: {attached}"

    def statements(self) -> list[tuple[str, int, Json]]:
        """Return (policy, number, statement) of each."""
        return [
            (name, number, statement)
            for name in self._iam.list_role_policies(RoleName=self._role)["PolicyNames"]
            for number, statement in enumerate(self._document(name)["Statement"])
        ]

    @contextmanager
    def without(self, policy: str, number: int) -> Iterator[None]:
        """Take a statement away as long as the block runs."""
        whole = self._document(policy)
        rest = [of for at, of in enumerate(whole["Statement"]) if at != number]
        try:
            self._put(policy, {**whole, "Statement": rest}) if rest else self._iam.delete_role_policy(
                RoleName=self._role, PolicyName=policy
            )
            yield
        finally:
            self._put(policy, whole)

    def _document(self, policy: str) -> Json:
        return self._iam.get_role_policy(RoleName=self._role, PolicyName=policy)["PolicyDocument"]

    def _put(self, policy: str, document: Json) -> None:
        self._iam.put_role_policy(RoleName=self._role, PolicyName=policy, PolicyDocument=json.dumps(document))


def try_all(monitor: Monitor, functions: Sequence[str]) -> Iterator[Tried]:
    """Yield what became of each removal. All tests pass before, and those of a function after it was tried.

    No scan is started meanwhile but those of the tests: what is denied is denied to these.
    """
    monitor.client("events").disable_rule(Name=names.SCHEDULE_RULE)
    _pass(monitor, [test for function in functions for test in DRIVING[function]])
    for function in functions:
        policies = Policies(monitor, function)
        for policy, number, statement in policies.statements():
            began, denials = time.monotonic(), Denials(monitor, function)
            with policies.without(policy, number):
                failed = failing(DRIVING[function])
                if not denials.found():  # no call of its work needs it: a rare one does
                    failed += failing([CALLS.format(function)])
                denied = denials.found()
            yield Tried(function, _text(statement), denied, failed, time.monotonic() - began)
        _pass(monitor, [*DRIVING[function], CALLS.format(function)])
    monitor.client("events").enable_rule(Name=names.SCHEDULE_RULE)


def _pass(monitor: Monitor, tests: Sequence[str]) -> None:
    monitor.eventually(lambda: not failing(tests), 300, "it works")


def _text(statement: Json) -> str:
    def listed(value: Any) -> str:
        return ", ".join([value] if isinstance(value, str) else value)

    places = ", ".join(place.split(":", 5)[-1] for place in listed(statement["Resource"]).split(", "))
    return f"{listed(statement['Action'])} on {places}"


def render(found: Sequence[Tried], console: Console) -> None:
    """Print a line for each statement."""
    table = Table("function", "without", "AccessDenied for", "failed", "s")
    for one in found:
        denied = "\n".join(one.denied) or "NOTHING"
        table.add_row(
            one.function, one.statement, denied, "\n".join(one.failed) or "NOTHING", f"{one.seconds:.0f}"
        )
    console.print(table)
    needed = sum(one.is_needed for one in found)
    console.print(
        f"{needed} of {len(found)} statements: without each of them a test fails with AccessDenied."
    )


def _write(path: Path, found: Sequence[Tried]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        json.dumps([{**one._asdict(), "needed": one.is_needed} for one in found], indent=1) + "\n"
    )


def main() -> int:
    """Try all; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("functions", nargs="*", metavar="FUNCTION", help="only these")
    parser.add_argument("--running", type=Path, help="the folder of a local monitor that runs")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "rights-mutation.json")
    given = parser.parse_args()
    found: list[Tried] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        nullcontext(that_runs(given.running))
        if given.running
        else running(Path(folder) / ".local") as monitor,
    ):
        os.environ[RUNNING_VARIABLE] = str(monitor.directory)
        for one in try_all(monitor, given.functions or names.FUNCTIONS):
            found.append(one)
            sign = "needed " if one.is_needed else "UNNOTICED"
            print(f"{one.seconds:5.0f} s  {sign}  {one.function}: {one.statement}", flush=True)
            _write(given.json, found)
    render(found, Console(width=200))
    return 0 if all(one.is_needed for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
