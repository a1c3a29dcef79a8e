"""What each function must be allowed to do, and what IAM's own simulator says to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stream_infra import names
from stream_infra.operations.facts import Denied

_WRITE = ("dynamodb:GetItem", "dynamodb:PutItem")
_EVERY = ("dynamodb:Query", "dynamodb:PutItem")
_READ = ("dynamodb:GetItem", "dynamodb:Query")


def needed(function: str, region: str, account: str) -> Mapping[str, Sequence[str]]:
    """Return the actions that a function cannot do without, by the ARN of what they are done to."""

    def table(name: str) -> str:
        return f"arn:aws:dynamodb:{region}:{account}:table/{name}"

    def parameter(name: str) -> str:
        return f"arn:aws:ssm:{region}:{account}:parameter{name}"

    data = f"arn:aws:s3:::{names.data_bucket(account)}"
    everything: dict[str, dict[str, Sequence[str]]] = {
        names.SCANNER: {
            f"arn:aws:kinesis:{region}:{account}:stream/{names.STREAM}": ("kinesis:PutRecords",),
            table(names.WINDOWS_TABLE): _WRITE,
            parameter(names.TICKER_PARAMETER): ("ssm:GetParameter",),
            f"{data}/raw-data/AAPL/1": ("s3:PutObject",),
            f"arn:aws:events:{region}:{account}:event-bus/{names.BUS}": ("events:PutEvents",),
        },
        names.DETECTOR: {
            f"arn:aws:kinesis:{region}:{account}:stream/{names.STREAM}": ("kinesis:GetRecords",),
            table(names.ANOMALIES_TABLE): ("dynamodb:BatchWriteItem",),
            table(names.WINDOWS_TABLE): _EVERY,
            table(names.CHARTS_TABLE): ("dynamodb:PutItem",),
            parameter(names.THRESHOLD_PARAMETER): ("ssm:GetParameterHistory",),
            parameter(names.RULES_PARAMETER): ("ssm:GetParameterHistory",),
            f"{data}/snapshots/1": ("s3:GetObject", "s3:PutObject"),
            f"{data}/quarantine/1": ("s3:PutObject",),
            f"arn:aws:events:{region}:{account}:event-bus/{names.BUS}": ("events:PutEvents",),
        },
        names.NOTIFIER: {
            f"arn:aws:sqs:{region}:{account}:{names.NOTIFIER_QUEUE}": ("sqs:ReceiveMessage",),
            table(names.ALERTS_TABLE): ("dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:PutItem"),
            table(names.CHARTS_TABLE): ("dynamodb:BatchGetItem", "dynamodb:Query"),
            f"arn:aws:sns:{region}:{account}:{names.ALERTS_TOPIC}": ("sns:Publish",),
            parameter(names.TICKER_PARAMETER): ("ssm:GetParameter",),
        },
        names.API_HANDLER: {
            table(names.ANOMALIES_TABLE): _READ,
            table(names.CHARTS_TABLE): ("dynamodb:Query",),
            table(names.ALERTS_TABLE): ("dynamodb:BatchGetItem", "dynamodb:Query"),
            parameter(names.TICKER_PARAMETER): ("ssm:GetParameter",),
        },
        names.LAKE: {
            table(names.WINDOWS_TABLE): ("dynamodb:Query",),
            f"{table(names.ANOMALIES_TABLE)}/index/DateIndex": ("dynamodb:Query",),
            table(names.ALERTS_TABLE): ("dynamodb:Query",),
            f"{data}/snapshots/1": ("s3:GetObject",),
            f"{data}/lake/1": ("s3:GetObject", "s3:PutObject"),
        },
    }
    return everything[function]


def denied(iam: Any, function: str, role: str, wanted: Mapping[str, Sequence[str]]) -> list[Denied]:
    """Return what the simulator denies; it knows the role's policies and boundary, not the policies of resources.

    LocalStack's compares names letter by letter: to it a policy with a `*` allows nothing, and whatever no policy
    names is an explicit denial, without the list of statements that AWS gives with every answer. That says nothing.
    """
    rejected = []
    for resource, actions in wanted.items():
        results = iam.simulate_principal_policy(
            PolicySourceArn=role,
            ActionNames=list(actions),
            ResourceArns=[resource],
        )["EvaluationResults"]
        rejected += [
            Denied(function, result["EvalActionName"], resource)
            for result in results
            if result["EvalDecision"] != "allowed" and not _is_unevaluated(result)
        ]
    return rejected


def _is_unevaluated(result: Any) -> bool:
    return result["EvalDecision"] == "explicitDeny" and "MatchedStatements" not in result
