"""Mutations of the functions' roles: without any one statement some call is denied, and no right is without a call.

Judged by the evaluator of the local AWS, as the calls of the end-to-end tests are. The table of all mutations is
written to build/mutations.txt.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ministack.core.iam_evaluator import EvalContext, ParsedStatement, evaluate, parse_policy_document

from stream_infra import names
from tests.rights import ARGUED, Account, Call
from tests.stream_infra.cdk.assembly import ROOT, Properties, Templates

ACCOUNT, REGION = "111122223333", "us-east-1"
BUILD = ROOT / "build"
_NAMED = {
    "AWS::DynamoDB::Table": ("dynamodb", "table/{}", "TableName"),
    "AWS::SQS::Queue": ("sqs", "{}", "QueueName"),
    "AWS::SNS::Topic": ("sns", "{}", "TopicName"),
    "AWS::Kinesis::Stream": ("kinesis", "stream/{}", "Name"),
    "AWS::Events::EventBus": ("events", "event-bus/{}", "Name"),
    "AWS::Logs::LogGroup": ("logs", "log-group:{}:*", "LogGroupName"),
}
_PSEUDO = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT}


def text_of(templates: Templates, stack: str, value: Any) -> str:
    """What CloudFormation makes of a value that names a resource."""
    if isinstance(value, str):
        return value
    ((function, of),) = value.items()
    if function == "Fn::Join":
        return str(of[0]).join(text_of(templates, stack, part) for part in of[1])
    if function == "Fn::ImportValue":
        for other, template in templates.items():
            for output in template.get("Outputs", {}).values():
                if output.get("Export", {}).get("Name") == of:
                    return text_of(templates, other, output["Value"])
    if function == "Ref" and of in _PSEUDO:
        return _PSEUDO[of]
    logical = of if function == "Ref" else of[0]
    resource = templates[stack]["Resources"][logical]
    service, form, name = _NAMED[resource["Type"]]
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{form.format(resource['Properties'][name])}"


def statements(templates: Templates, function: str) -> list[Properties]:
    """Every statement of a function's role, with the names of resources as AWS has them."""
    stack = "ApiStack" if function == names.API_HANDLER else "LambdaStack"
    (role,) = [
        logical
        for logical, item in templates[stack]["Resources"].items()
        if item["Type"] == "AWS::IAM::Role"
        and item["Properties"].get("Description") == f"What {function} may do"
    ]
    assert "ManagedPolicyArns" not in templates[stack]["Resources"][role]["Properties"]
    found = []
    for item in templates[stack]["Resources"].values():
        if item["Type"] == "AWS::IAM::Policy" and {"Ref": role} in item["Properties"]["Roles"]:
            for statement in item["Properties"]["PolicyDocument"]["Statement"]:
                resources = statement["Resource"]
                resources = resources if isinstance(resources, list) else [resources]
                named = [text_of(templates, stack, resource) for resource in resources]
                found.append({**statement, "Resource": named})
    return found


def is_allowed(call: Call, role: Sequence[Properties]) -> bool:
    """Whether a role's statements allow a call."""
    context = EvalContext(
        principal_arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/role/session",
        principal_type="AssumedRole",
        principal_account=ACCOUNT,
        action=call.action,
        resource_arn=call.resource,
        region=REGION,
        secure_transport=True,
        service_context={key.lower(): list(values) for key, values in call.keys.items()},
    )
    return bool(evaluate(context, [parsed(role)]).decision == "Allow")


def parsed(role: Sequence[Properties]) -> list[ParsedStatement]:
    return list(parse_policy_document({"Version": "2012-10-17", "Statement": list(role)}))


def actions_of(statement: Properties) -> list[str]:
    actions = statement["Action"]
    return [actions] if isinstance(actions, str) else list(actions)


@pytest.fixture(params=names.FUNCTIONS)
def function(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_call_is_allowed_and_none_of_another_function(aws_templates: Templates, function: str) -> None:
    role, account = statements(aws_templates, function), Account(ACCOUNT)
    assert [call for call in account.calls(function) if not is_allowed(call, role)] == []
    forged = Call(
        "dynamodb:PutItem", account.table(names.WINDOWS_TABLE), {"dynamodb:LeadingKeys": ["somebody#else"]}
    )
    assert not is_allowed(forged, role)


def test_without_a_statement_a_call_is_denied(aws_templates: Templates, function: str) -> None:
    """IAM guide, "Policy evaluation logic": what no statement allows is denied."""
    role, calls = statements(aws_templates, function), Account(ACCOUNT).calls(function)
    lines, needless = [], []
    for number, removed in enumerate(role):
        rest = [*role[:number], *role[number + 1 :]]
        denied = sorted({call.action for call in calls if not is_allowed(call, rest)})
        lines.append(f"{function:<18} {number + 1:>2}  without {', '.join(actions_of(removed))}")
        lines.append(f"{'':<18}     denied  {', '.join(denied) or 'NOTHING'}")
        if not denied:
            needless.append(removed)
    write(f"{function}.mutations", lines)
    assert needless == []


def write(name: str, lines: Sequence[str]) -> None:
    """Add a function's mutations to the table of all."""
    BUILD.mkdir(exist_ok=True)
    (BUILD / name).write_text("\n".join(lines) + "\n")
    parts = [Path(BUILD / f"{of}.mutations") for of in names.FUNCTIONS]
    (BUILD / "mutations.txt").write_text("".join(part.read_text() for part in parts if part.exists()))


def test_no_right_is_without_a_call(aws_templates: Templates, function: str) -> None:
    calls = Account(ACCOUNT).calls(function)
    unused = [
        f"{action} on {resource}"
        for statement in statements(aws_templates, function)
        for action in actions_of(statement)
        for resource in statement["Resource"]
        if action not in ARGUED
        and not any(
            call.action == action
            and is_allowed(call, [{**statement, "Action": action, "Resource": [resource]}])
            for call in calls
        )
    ]
    assert unused == []


def test_what_is_argued_is_granted(aws_templates: Templates) -> None:
    granted = json.dumps([statements(aws_templates, function) for function in names.FUNCTIONS])
    assert [action for action in ARGUED if f'"{action}"' not in granted] == []
