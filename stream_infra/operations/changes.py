"""What a deployment would change beside what runs, as far as it could lose data, ticks or people. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Template = Mapping[str, Any]
"""A template of CloudFormation, as JSON: its shape is CloudFormation's."""
# CloudFormation template reference, "Update requires: Replacement": a change of these makes a new, empty resource.
REPLACED_WITH: Mapping[str, tuple[str, ...]] = {
    "AWS::DynamoDB::Table": ("TableName", "KeySchema"),
    "AWS::S3::Bucket": ("BucketName",),
    "AWS::Kinesis::Stream": ("Name",),
    "AWS::SQS::Queue": ("QueueName",),
    "AWS::SNS::Topic": ("TopicName",),
    "AWS::SSM::Parameter": ("Name",),
    "AWS::Cognito::UserPool": ("UsernameAttributes", "AliasAttributes"),
}


NAMES = (
    "close-access",
    "fewer-shards",
    "open-access",
    "other-partitions",
    "other-source",
    "remove-data",
    "remove-person",
    "remove-subscriber",
    "replace-data",
)
"""Every dangerous change, as it is allowed."""


class Change(NamedTuple):
    """A change that is made only if it is allowed by its name."""

    name: str
    says: str


class _Resource(NamedTuple):
    stack: str
    id: str
    type: str
    properties: Mapping[str, Any]


def dangerous(
    running: Mapping[str, Template], wanted: Mapping[str, Template], account: str = ""
) -> list[Change]:
    """Return the dangerous changes between the templates of what runs and those to deploy, by stack.

    A stack that does not run is new, and nothing about it is dangerous. With the number of the `account`, a name that
    is made of it is the same as one that is written out: to CloudFormation it is, too.
    """
    before = {(of.stack, of.id): of for of in _resources(running, account)}
    after = {(of.stack, of.id): of for of in _resources(wanted, account)}
    found = [change for key, of in before.items() for change in _of_resource(of, after.get(key))]
    return list(dict.fromkeys([*found, *_of_people(before.values(), after.values())]))


def _resources(templates: Mapping[str, Template], account: str) -> Iterator[_Resource]:
    for stack, template in templates.items():
        for id_, resource in template.get("Resources", {}).items():
            properties = _with_account(resource.get("Properties", {}), account)
            yield _Resource(stack, id_, resource["Type"], properties)


def _with_account(value: Any, account: str) -> Any:
    """Return a value with the account's number in place of its reference, and joins of plain texts done."""
    if isinstance(value, list):
        return [_with_account(of, account) for of in value]
    if not isinstance(value, dict):
        return value
    if account and value == {"Ref": "AWS::AccountId"}:
        return account
    inner = {key: _with_account(of, account) for key, of in value.items()}
    match inner:
        case {"Fn::Join": [str(separator), [*parts]]} if all(isinstance(part, str) for part in parts):
            return separator.join(parts)
    return inner


def _of_resource(before: _Resource, after: _Resource | None) -> Iterator[Change]:
    where = f"{before.stack} {before.id}"
    yield from _of_data(where, before, after)
    if after is None:
        return
    if before.type == "AWS::Kinesis::Stream":
        shards = (before.properties.get("ShardCount", 1), after.properties.get("ShardCount", 1))
        if shards[1] < shards[0]:
            yield Change("fewer-shards", f"{where}: {shards[0]} shards would become {shards[1]}")
    elif before.type == "AWS::Lambda::Function":
        yield from _of_settings(where, _environment(before), _environment(after))
    elif before.type == "AWS::ApiGateway::Method":
        guards = tuple(of.properties.get("AuthorizationType", "NONE") != "NONE" for of in (before, after))
        if guards == (True, False):
            yield Change("open-access", f"{where}: anybody could call what needs a sign-in now")
        elif guards == (False, True):
            yield Change("close-access", f"{where}: what anybody may call now would need a sign-in")


def _of_data(where: str, before: _Resource, after: _Resource | None) -> Iterator[Change]:
    keys = REPLACED_WITH.get(before.type, ())
    if keys and after is None:
        yield Change("remove-data", f"{where} ({before.type}) would be removed")
    for key in keys:
        if after and _text(before.properties.get(key)) != _text(after.properties.get(key)):
            yield Change("replace-data", f"{where} ({before.type}) would be replaced: its {key} changes")


def _of_settings(where: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for key, name, why in (
        ("PARTITIONS", "other-partitions", "windows would no longer fit their symbols"),
        ("SOURCE", "other-source", "windows would go on with the quotes of another source"),
    ):
        if key in before and before[key] != after.get(key):
            yield Change(name, f"{where}: {key} {before[key]} would become {after.get(key)}: {why}")


def _of_people(before: Any, after: Any) -> Iterator[Change]:
    there = {_subscription(of) for of in after if of.type == "AWS::SNS::Subscription"}
    for of in before:
        if of.type == "AWS::SNS::Subscription" and (subscription := _subscription(of)) not in there:
            yield Change(
                "remove-subscriber", f"{of.stack}: {' '.join(subscription)} would get nothing any more"
            )
    invited = {_person(of) for of in after if of.type == "AWS::Cognito::UserPoolUser"}
    for of in before:
        if of.type == "AWS::Cognito::UserPoolUser" and _person(of) not in invited:
            yield Change("remove-person", f"{of.stack}: {_person(of)} could not sign in any more")


def _person(of: _Resource) -> str:
    return _text(of.properties.get("Username"))


def _subscription(of: _Resource) -> tuple[str, str]:
    return _text(of.properties.get("Protocol")), _text(of.properties.get("Endpoint"))


def _environment(of: _Resource) -> Mapping[str, Any]:
    variables: Mapping[str, Any] = of.properties.get("Environment", {}).get("Variables", {})
    return variables


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
