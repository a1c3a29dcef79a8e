"""Rights of the functions: to named things only, and a written reason wherever a wildcard has to stand."""

from __future__ import annotations

from aws_cdk import Acknowledgment, Aws, Validations
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import IConstruct

from stream_infra import names

DATA_ARN = f"arn:{Aws.PARTITION}:s3:::{names.data_bucket(Aws.ACCOUNT_ID)}"


def acknowledge(construct: IConstruct, reasons: dict[str, str]) -> None:
    """Say why rules of cdk-nag's pack AwsSolutions do not hold for a construct and what is in it."""
    rules = [
        Acknowledgment(id=f"AwsSolutions::AwsSolutions-{rule}", reason=why) for rule, why in reasons.items()
    ]
    Validations.of(construct).acknowledge(*rules)


def allow(
    function: lambda_.Function,
    resource: str,
    *actions: str,
    conditions: dict[str, dict[str, list[str]]] | None = None,
) -> None:
    """Let a function do something to one resource."""
    function.add_to_role_policy(
        iam.PolicyStatement(actions=list(actions), resources=[resource], conditions=conditions)
    )


def allow_items(function: lambda_.Function, table: dynamodb.ITable, keys: list[str], *actions: str) -> None:
    """Let a function do something to the items of a table whose partition keys are like one of `keys`.

    DynamoDB guide, "Using IAM policy conditions for fine-grained access control": `dynamodb:LeadingKeys` holds the
    partition keys that a request names, and is compared with ForAllValues.
    """
    conditions = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": keys}}
    allow(function, table.table_arn, *actions, conditions=conditions)


def allow_events(function: lambda_.Function, bus: events.IEventBus, *detail_types: str) -> None:
    """Let a function put events of these detail types on a bus, and no others.

    EventBridge guide, "Using IAM policy conditions": `events:detail-type` is a condition key of PutEvents. Every entry
    has one, and ForAllValues lets a simulation pass that knows of no entries.
    """
    conditions = {"ForAllValues:StringEquals": {"events:detail-type": list(detail_types)}}
    allow(function, bus.event_bus_arn, "events:PutEvents", conditions=conditions)


def allow_objects(function: lambda_.Function, prefix: str, *actions: str) -> None:
    """Let a function do something to the data bucket's objects whose keys begin with `prefix`."""
    allow(function, f"{DATA_ARN}/{prefix}*", *actions)
    _acknowledge_wildcard(
        function,
        f"Resource::arn:<AWS::Partition>:s3:::{names.data_bucket('<AWS::AccountId>')}/{prefix}*",
        "The keys are made as data comes; the statement is bound to one prefix of one bucket.",
    )


def allow_listing(function: lambda_.Function) -> None:
    """Let a function list the data bucket: without it S3 answers 403, not 404, for an object that is not there."""
    allow(function, DATA_ARN, "s3:ListBucket")


def allow_everywhere(function: lambda_.Function, *actions: str, why: str) -> None:
    """Let a function do what cannot be bound to a resource."""
    allow(function, "*", *actions)
    _acknowledge_wildcard(function, "Resource::*", why)


def allow_channel_secrets(function: lambda_.Function) -> None:
    """Let a function read the secrets of channels; they are set up by name, without a deployment."""
    arn = f"arn:{Aws.PARTITION}:secretsmanager:{Aws.REGION}:{Aws.ACCOUNT_ID}:secret:{names.CHANNEL_SECRETS}*"
    allow(function, arn, "secretsmanager:GetSecretValue")
    _acknowledge_wildcard(
        function,
        "Resource::arn:<AWS::Partition>:secretsmanager:<AWS::Region>:<AWS::AccountId>:secret:"
        f"{names.CHANNEL_SECRETS}*",
        "Each channel has its own secret under this prefix, made when the channel is set up.",
    )


def _acknowledge_wildcard(function: lambda_.Function, finding: str, why: str) -> None:
    assert function.role is not None  # noqa: S101  each of ours has one
    acknowledge(function.role, {f"IAM5[{finding}]": why})
