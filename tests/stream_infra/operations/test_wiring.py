"""What connects the parts, as AWS says it is set up."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from stream_infra import names
from stream_infra.operations import wiring
from tests.aws import aws_in_memory

ACCOUNT, REGION = "123456789012", "us-east-1"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{names.BUS}/{names.ANOMALY_RULE}"
TLS_ONLY = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sqs:*", "Resource": "*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}}}  # fmt: skip
ALLOW = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": ["sqs:SendMessage"],
         "Resource": "*", "Condition": {"ArnEquals": {"aws:SourceArn": RULE}}}  # fmt: skip


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.mark.parametrize(
    "sound",
    [
        (TLS_ONLY, ALLOW),
        ({**ALLOW, "Action": "sqs:*"},),
        ({**ALLOW, "Principal": "*", "Condition": {}},),
        ({**ALLOW, "Principal": {"Service": ["s3.amazonaws.com", "events.amazonaws.com"]}},),
        ({**ALLOW, "Condition": {"ArnLike": {"AWS:SourceArn": ["arn:other", "arn:aws:events:*:*:rule/*"]}}},),
    ],
)
def test_a_policy_that_lets_the_rule_send_has_no_problem(sound: tuple[dict[str, Any], ...]) -> None:
    assert wiring.problem_of_policy(policy(*sound), RULE) == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no policy"),
        (policy(TLS_ONLY), "allows events.amazonaws.com no sqs:SendMessage"),
        (policy({**ALLOW, "Action": "sqs:ReceiveMessage"}), "no sqs:SendMessage"),
        (policy({**ALLOW, "Principal": {"Service": "s3.amazonaws.com"}}), "no sqs:SendMessage"),
        (policy({**ALLOW, "Condition": {"ArnEquals": {"aws:SourceArn": RULE + "2"}}}), "other rules"),
        (policy(ALLOW, {**ALLOW, "Effect": "Deny", "Condition": {}}), "denies"),
    ],
)
def test_a_policy_that_keeps_the_rule_out_is_found(text: str, problem: str) -> None:
    assert problem in wiring.problem_of_policy(text, RULE)


def key_policy(*actions: str) -> str:
    alarms = {"Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Resource": "*"}
    return policy({**alarms, "Action": list(actions)})


def test_the_key_of_a_topic_has_to_be_enabled_and_open_to_alarms() -> None:
    with aws_in_memory():
        sns, kms = boto3.client("sns"), boto3.client("kms")

        def problem(key: str, topic: str = names.OPERATIONS_TOPIC) -> str:
            sns.create_topic(Name=topic)
            arn = f"arn:aws:sns:{REGION}:{ACCOUNT}:{topic}"
            sns.set_topic_attributes(TopicArn=arn, AttributeName="KmsMasterKeyId", AttributeValue=key)
            return wiring.topic_key(sns, kms, topic, ACCOUNT)

        key = kms.create_key(Policy=key_policy("kms:Decrypt", "kms:GenerateDataKey*"))["KeyMetadata"]["KeyId"]
        assert problem(key) == ""
        kms.put_key_policy(KeyId=key, PolicyName="default", Policy=key_policy("kms:Decrypt"))
        assert "no kms:GenerateDataKey" in problem(key)
        assert problem(key, names.ALERTS_TOPIC) == "", "its publisher is the notifier"
        kms.disable_key(KeyId=key)
        assert problem(key) == f"the key {key} is Disabled"
        kms.schedule_key_deletion(KeyId=key)
        assert "PendingDeletion" in problem(key)
        assert "is not there" in problem("00000000-0000-0000-0000-000000000000")
        assert "may not be used by alarms" in problem("alias/aws/sns")
        assert problem("alias/aws/sns", names.ALERTS_TOPIC) == ""


def test_an_alarm_of_ours_without_an_action_on_the_topic_is_silent() -> None:
    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:{names.OPERATIONS_TOPIC}"
    with aws_in_memory():
        cloudwatch = boto3.client("cloudwatch")

        def put(name: str, says: str = "Broken. Runbook: docs/runbook.md#alarms", **more: Any) -> None:
            cloudwatch.put_metric_alarm(
                AlarmName=name, AlarmDescription=says, Namespace="N", MetricName="M", Statistic="Sum", Period=60,
                EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold", **more,
            )  # fmt: skip

        put("stock-sound", AlarmActions=[topic])
        put("stock-none")
        put("api-elsewhere", AlarmActions=[topic + "-2"])
        put("stock-disabled", AlarmActions=[topic], ActionsEnabled=False)
        put("stock-of-somebody-else", "Not ours.")
        put("eu-stock-of-another-deployment")
        silent = set(wiring.silent_alarms(cloudwatch))
        assert silent == {"stock-none", "api-elsewhere", "stock-disabled"}


class Versions:
    """Lambda's configurations: what runs, by the alias."""

    def __init__(self, live: str) -> None:
        self._live = live

    def get_function_configuration(self, **_: str) -> dict[str, str]:
        return {"Handler": self._live}


@pytest.mark.parametrize("name", names.FUNCTIONS)
def test_a_handler_is_wrong_in_what_runs_or_in_what_would_run_next(name: str) -> None:
    right = names.HANDLERS[name]

    def wrong(live: str, newest: str) -> str:
        return wiring.wrong_handler(Versions(live), {"FunctionName": name, "Handler": newest})

    assert wrong(right, right) == ""
    assert wrong("a.b", right) == "a.b"
    assert wrong(right, "a.b") == "a.b"
