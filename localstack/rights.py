"""Judges the calls of functions by the policies of their roles, and keeps which statement allowed what.

MiniStack judges them too, by all but two condition keys (`localstack.request_keys`). It does not say what allowed a
call, so the same evaluator is called here again, statement by statement: what no call ever needed can be taken away.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ministack.core import iam_evaluator
from ministack.core.iam_actions import (
    dynamodb_resource_arns,
    dynamodb_transaction_checks,
    extract_iam_action,
    extract_resource_arn,
    s3_additional_checks,
)
from ministack.core.iam_evaluator import EvalContext, ParsedStatement, evaluate, resolve_principal

from localstack.files import write_atomically
from localstack.settings import ACCOUNT, REGION
from localstack.shifts import group_arn

RIGHTS = "rights.json"
"""File of the record, in the local monitor's folder."""
ROLE_KEYS = "ASIA"
"""Start of the access key ids of a role's session (IAM guide, "Unique identifiers")."""
_ROLE_SECONDS = 1.0
"""How long a role's policies are remembered, while a deployment changes them; IAM's own changes take longer."""


class SignedCall(NamedTuple):
    """A signed call, as it came."""

    access_key: str
    service: str
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    conditions: Mapping[str, list[str]]
    """Condition keys that the evaluator does not read from the request itself."""


class Denial(NamedTuple):
    """What a role may not do."""

    principal: str
    action: str
    resource: str

    @property
    def role(self) -> str:
        """Name of the role whose session `principal` is."""
        return self.principal.split("/")[1]


class Allowed(NamedTuple):
    """A kind of call that was allowed: each of `statements` alone would have done."""

    role: str
    action: str
    place: str
    statements: frozenset[str]


class _Role(NamedTuple):
    name: str
    principal: str
    account: str
    statements: list[tuple[str, ParsedStatement]]
    until: float


@dataclass
class Rights:
    """The judge, and its record."""

    used: set[Allowed] = field(default_factory=set)
    denied: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """How often a (role, action, place) was denied since the start."""
    _roles: dict[str, _Role] = field(default_factory=dict)

    def judge(self, request: SignedCall) -> Denial | None:
        """Record what allowed a call; return what its role's policies do not allow."""
        role = self._role(request.access_key)
        if role is None:  # an unknown key: MiniStack rejects it
            return None
        return self._judge(role, checks(request), request.conditions)

    def may_write_logs(self, role_arn: str, group: str) -> bool:
        """Record that Lambda writes logs in a function's name; return whether the function's role allows it.

        Lambda guide, "Sending Lambda function logs to CloudWatch Logs": "the execution role" needs CreateLogStream and
        PutLogEvents. The group is there: the stacks made it.
        """
        stream = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:1"
        actions = ("logs:CreateLogStream", "logs:PutLogEvents")
        denial = self._judge(self._role_itself(role_arn), [(action, stream) for action in actions], {})
        if denial:
            self.record(denial)
        return denial is None

    def record(self, denial: Denial) -> None:
        """Count what was denied."""
        self.denied[denial.role, denial.action, place(denial.resource)] += 1

    def _judge(
        self, role: _Role, pairs: Iterable[tuple[str, str]], conditions: Mapping[str, list[str]]
    ) -> Denial | None:
        for action, resource in pairs:
            context = EvalContext(
                principal_arn=role.principal,
                principal_type="AssumedRole",
                principal_account=role.account,
                action=action,
                resource_arn=resource,
                region=REGION,
                secure_transport=True,
                service_context={key.lower(): value for key, value in conditions.items()},
            )
            decisions = {
                text: evaluate(context, [[statement]]).decision for text, statement in role.statements
            }
            allowing = frozenset(text for text, decision in decisions.items() if decision == "Allow")
            if not allowing or "Deny" in decisions.values():
                return Denial(role.principal, action, resource)
            self.used.add(Allowed(role.name, action, place(resource), allowing))
        return None

    def _role(self, access_key: str) -> _Role | None:
        known = self._roles.get(access_key)
        now = time.monotonic()
        if known is None or known.until < now:
            found = resolve_principal(access_key, ACCOUNT)
            policies = getattr(found, "policies", None)
            if policies is None:
                return None
            name = found.arn.split("/")[1]
            known = _Role(name, found.arn, found.account, _statements(policies), now + _ROLE_SECONDS)
            self._roles[access_key] = known
        return known

    def _role_itself(self, arn: str) -> _Role:
        """Return a role that Lambda acts in the name of; as a session, as AWS's messages show it."""
        known = self._roles.get(arn)
        now = time.monotonic()
        if known is None or known.until < now:
            name = arn.rsplit("/", 1)[1]
            policies = iam_evaluator._gather_role_policies(name, ACCOUNT)
            principal = f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/lambda"
            known = _Role(name, principal, ACCOUNT, _statements(policies), now + _ROLE_SECONDS)
            self._roles[arn] = known
        return known

    def forget_roles(self) -> None:
        """Look at roles' policies anew, as they may have changed."""
        self._roles.clear()

    def save(self, file: Path) -> None:
        """Write the record, for the next start; it is a report, and costs no data where the disk is full."""
        try:
            write_atomically(file, json.dumps(self.as_json()))
        except OSError as error:
            logging.getLogger(__name__).error("the record of rights cannot be written: %s", error)

    def load(self, file: Path) -> None:
        """Read what an earlier run recorded, if there is any that can be read."""
        try:
            self.used |= from_json(json.loads(file.read_text()))
        except FileNotFoundError:
            pass
        except (ValueError, TypeError) as error:
            logging.getLogger(__name__).error("%s is damaged, and begun anew: %s", file, error)

    def as_json(self) -> list[tuple[str, str, str, list[str]]]:
        """Return the record as (role, action, place, statements)."""
        return [(one.role, one.action, one.place, sorted(one.statements)) for one in set(self.used)]

    def denied_as_json(self) -> list[tuple[str, str, str, int]]:
        """Return what was denied as (role, action, place, how often)."""
        return [(*key, times) for key, times in dict(self.denied).items()]


def from_json(said: Iterable[tuple[str, str, str, list[str]]]) -> set[Allowed]:
    """Return a record that `Rights.as_json` gave."""
    return {Allowed(role, action, where, frozenset(texts)) for role, action, where, texts in said}


def place(resource: str) -> str:
    """Return what is kept of a resource: all of its name, but an object's only up to its key's first slash.

    >>> place("arn:aws:s3:::data/raw-data/AAPL/1.json"), place("arn:aws:sqs:us-east-1:1:q")
    ('arn:aws:s3:::data/raw-data/', 'arn:aws:sqs:us-east-1:1:q')
    """
    bucket, slash, key = resource.partition("/")
    return f"{bucket}/{key.partition('/')[0]}/" if slash and ":s3:::" in bucket else resource


def statement_text(statement: Mapping[str, Any]) -> str:
    """Return what a statement says in one form, whether it was parsed or is part of a document.

    >>> statement_text({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})
    '{"actions": ["s3:GetObject"], "conditions": {}, "effect": "Allow", "resources": ["*"]}'
    """
    plain = {
        "effect": statement.get("effect") or statement.get("Effect"),
        "actions": _sorted(statement.get("actions") or statement.get("Action") or []),
        "resources": _sorted(statement.get("resources") or statement.get("Resource") or []),
        "conditions": statement.get("conditions") or statement.get("Condition") or {},
    }
    return json.dumps(plain, sort_keys=True)


def _statements(policies: Iterable[Iterable[ParsedStatement]]) -> list[tuple[str, ParsedStatement]]:
    return [(statement_text(vars(statement)), statement) for document in policies for statement in document]


def _sorted(values: str | Iterable[str]) -> list[str]:
    return [values] if isinstance(values, str) else sorted(values)


def checks(request: SignedCall) -> list[tuple[str, str]]:
    """Return the (action, resource) pairs that AWS authorizes a call as; most have one.

    Raises
    ------
    LookupError
        If the action is not known: what is not judged must not pass.
    """
    service, method, path, query, headers, body = request[1:7]
    action = extract_iam_action(service, method, path, headers, body, query)
    if action is None:
        raise LookupError(f"no IAM action is known for {service} {method} {path}")
    if service == "dynamodb":
        return _dynamodb_checks(action, body) or [(action, "*")]
    if service == "codedeploy":
        return [(action, group_arn(json.loads(body)["deploymentId"]))]
    resource = extract_resource_arn(service, method, path, headers, body, query, REGION, ACCOUNT)
    further = s3_additional_checks(method, path, headers, body, query) if service == "s3" else []
    return [(action, resource), *further]


def _dynamodb_checks(action: str, body: bytes) -> list[tuple[str, str]]:
    """Return what a transaction is authorized as, its parts, and a batch, each of its tables."""
    parts = list(dynamodb_transaction_checks(action, body, REGION, ACCOUNT))
    return parts or [(action, arn) for arn in dynamodb_resource_arns(body, REGION, ACCOUNT)]
