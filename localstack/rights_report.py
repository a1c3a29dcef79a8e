"""Which rights of the functions' roles were used since the local AWS was begun, and what each statement is for.

python -m localstack.rights_report

A statement is needed if some call was allowed by it alone: without it, that very call is denied. So one run tells for
every statement what its removal would break.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

from ministack.core.iam_evaluator import fnmatch_iam_cs
from rich.console import Console
from rich.table import Table

from localstack.clients import client
from localstack.rights import Allowed, from_json, place, statement_text
from localstack.settings import LocalError, LocalSettings, read_settings
from localstack.strict_aws import RECORD
from producers.errors import MonitorError
from stream_infra import names


class Use(NamedTuple):
    """One action of one statement on one of its resources, and what a run showed of it."""

    function: str
    statement: str
    action: str
    resource: str
    used: bool
    alone: bool
    """Whether no other statement would have allowed some such call."""


def uses(function: str, role: str, statements: Sequence[str], calls: Iterable[Allowed]) -> list[Use]:
    """Return a line for each right that a role's statements give."""
    own = [call for call in calls if call.role == role]
    found = []
    for statement in statements:
        said = json.loads(statement)
        here = [call for call in own if statement in call.statements]
        for action, resource in product(said["actions"], said["resources"]):
            fitting = [
                call
                for call in here
                # Of an object no more is kept than a statement may name.
                if call.action == action
                and (fnmatch_iam_cs(call.place, resource) or call.place == place(resource))
            ]
            alone = any(call.statements == {statement} for call in fitting)
            found.append(Use(function, statement, action, resource, bool(fitting), alone))
    return found


def collect(settings: LocalSettings) -> list[Use]:
    """Return the uses of all functions' rights in a running local AWS.

    Raises
    ------
    LocalError
        If it keeps no record, or does not answer.
    """
    calls = recorded(settings)
    lambda_, iam = client(settings, "lambda"), client(settings, "iam")
    found: list[Use] = []
    for function in names.FUNCTIONS:
        role = lambda_.get_function(FunctionName=function)["Configuration"]["Role"].rsplit("/", 1)[1]
        found += uses(function, role, sorted(set(_statements(iam, role))), calls)
    return found


def recorded(settings: LocalSettings) -> set[Allowed]:
    """Return every call that the local AWS allowed a role.

    Raises
    ------
    LocalError
        If it keeps no record, or does not answer.
    """
    try:
        with urllib.request.urlopen(f"{settings.aws}{RECORD}", timeout=20) as answer:  # noqa: S310
            return from_json(json.load(answer))
    except (urllib.error.URLError, TimeoutError, ValueError) as error:
        raise LocalError(
            f"{settings.aws} keeps no record of rights: run `make up` first ({error})"
        ) from error


def _statements(iam: Any, role: str) -> Iterator[str]:
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        yield from (statement_text(statement) for statement in document["Statement"])
    for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        version = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]["DefaultVersionId"]
        found = iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId=version)["PolicyVersion"]
        yield from (statement_text(statement) for statement in found["Document"]["Statement"])


def state(use: Use) -> str:
    """Return what a run says of a right: needed, also allowed by another statement, or never used."""
    if use.alone:
        return "needed"
    return "also by another statement" if use.used else "NEVER USED"


def render(found: Sequence[Use], console: Console) -> None:
    """Print a table for each function; statements are numbered in it."""
    for function in names.FUNCTIONS:
        table = Table("statement", "right", "on", "in this run", title=function, title_justify="left")
        numbers: dict[str, int] = {}
        for use in (use for use in found if use.function == function):
            number = numbers.setdefault(use.statement, len(numbers) + 1)
            table.add_row(str(number), use.action, use.resource.split(":", 5)[-1], state(use))
        console.print(table)


class Mutation(NamedTuple):
    """One statement of a role taken away, and the actions of calls of the run that are denied then."""

    function: str
    statement: str
    denied: tuple[str, ...]


def mutations(found: Sequence[Use]) -> list[Mutation]:
    """Return what the removal of each statement would have denied in the run.

    A call that it alone allowed; its role has no statement that denies (`Rights.judge` records none where one does).
    """
    denied: dict[tuple[str, str], list[str]] = {}
    for use in found:
        denied.setdefault((use.function, use.statement), []).extend([use.action] if use.alone else [])
    return [Mutation(*key, tuple(sorted(set(actions)))) for key, actions in denied.items()]


def render_mutations(found: Sequence[Mutation], console: Console) -> None:
    """Print a line for each statement, and how many of them the run needed."""
    table = Table("function", "without", "on", "AccessDenied for", title="mutations", title_justify="left")
    for one in found:
        said = json.loads(one.statement)
        table.add_row(
            one.function,
            ", ".join(said["actions"]),
            ", ".join(resource.split(":", 5)[-1] for resource in said["resources"]),
            ", ".join(one.denied) or "NOTHING",
        )
    console.print(table)
    needed = sum(bool(one.denied) for one in found)
    console.print(f"{needed} of {len(found)} statements: without each of them a call of this run is denied.")


def main() -> int:
    """Print the tables. Returns the exit code: 1 if a right was never used."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    try:
        found = collect(read_settings())
    except MonitorError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    console = Console(width=150)
    render(found, console)
    render_mutations(mutations(found), console)
    return 1 if any(state(use) == "NEVER USED" for use in found) else 0


if __name__ == "__main__":
    sys.exit(main())
