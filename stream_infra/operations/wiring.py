"""Facts of what connects the parts: handlers, queue policies, topics and their keys, alarms and their actions.

What AWS raises is raised as it comes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from botocore.exceptions import ClientError

from stream_infra import names
from stream_infra.operations.facts import Alarm

RUNBOOK = "docs/runbook.md"
"""Our alarms name it in their descriptions."""
SENT_BY_RULES = {
    names.NOTIFIER_QUEUE: f"{names.BUS}/{names.ANOMALY_RULE}",
    names.DEAD_LETTER_QUEUE: names.FAILED_BATCH_RULE,
}
"""Queues that rules send to, each with the rule as its ARN names it."""
_EVENTS, _ALARMS = "events.amazonaws.com", "cloudwatch.amazonaws.com"
_MANAGED_KEY = "alias/aws/sns"


def wrong_handler(client: Any, function: Mapping[str, Any]) -> str:
    """Return what is called in place of a function's handler, by its alias or by the next version of it."""
    name = function["FunctionName"]
    live = client.get_function_configuration(FunctionName=name, Qualifier=names.LIVE)
    called = (str(of.get("Handler", "")) for of in (live, function))
    return next((handler for handler in called if handler != names.HANDLERS[name]), "")


def queue_policy(sqs: Any, queue: str, account: str) -> str:
    """Return why the policy of a queue keeps out what its rule sends."""
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {})
    rule = f"arn:aws:events:{sqs.meta.region_name}:{account}:rule/{SENT_BY_RULES[queue]}"
    return problem_of_policy(attributes.get("Policy", ""), rule)


def problem_of_policy(text: str, rule: str) -> str:
    """Return why the policy of a queue keeps out what a rule sends; only what can be read off it without doubt.

    EventBridge guide, "Using resource-based policies": the queue has to allow events.amazonaws.com sqs:SendMessage,
    for the rule by aws:SourceArn.
    """
    if not text:
        return "it has no policy, so no rule may send to it"
    statements = _statements(text)
    sending = [one for one in statements if _covers(one, _EVENTS, "sqs:SendMessage")]
    if any(one["Effect"] == "Deny" and not one.get("Condition") for one in sending):
        return "its policy denies sqs:SendMessage"
    allowing = [one for one in sending if one["Effect"] == "Allow"]
    if not allowing:
        return f"its policy allows {_EVENTS} no sqs:SendMessage"
    if not any(_is_for(one, rule) for one in allowing):
        return f"its policy allows other rules than {rule} to send"
    return ""


def topic_key(sns: Any, kms: Any, topic: str, account: str) -> str:
    """Return why the key of a topic keeps messages from it.

    SNS guide, "Enable compatibility between event sources from AWS services and encrypted topics": CloudWatch needs
    kms:GenerateDataKey* and kms:Decrypt on a key of one's own, and cannot use the one that AWS manages.
    """
    arn = f"arn:aws:sns:{sns.meta.region_name}:{account}:{topic}"
    key = sns.get_topic_attributes(TopicArn=arn)["Attributes"].get("KmsMasterKeyId", "")
    of_alarms = topic == names.OPERATIONS_TOPIC
    if not key or _MANAGED_KEY in key:
        return f"{_MANAGED_KEY} may not be used by alarms" if key and of_alarms else ""
    try:
        state = str(kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"])
        policy = kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"] if of_alarms else ""
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "NotFoundException":
            raise
        return f"the key {key} is not there"
    if state != "Enabled":
        return f"the key {key} is {state}"
    wanted = ("kms:GenerateDataKey", "kms:Decrypt") if of_alarms else ()
    lacking = [action for action in wanted if not _lets_alarms(policy, action)]
    return f"the policy of the key {key} allows {_ALARMS} no {', '.join(lacking)}" if lacking else ""


def subscribers(sns: Any, topic: str, account: str) -> int:
    """Return how many confirmed subscriptions a topic has."""
    arn = f"arn:aws:sns:{sns.meta.region_name}:{account}:{topic}"
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arn)
    return sum(of["SubscriptionArn"].startswith("arn:") for page in pages for of in page["Subscriptions"])


def ringing(cloudwatch: Any) -> tuple[Alarm, ...]:
    """Return the alarms that ring."""
    pages = cloudwatch.get_paginator("describe_alarms").paginate(StateValue="ALARM")
    return tuple(
        Alarm(alarm["AlarmName"], alarm.get("AlarmDescription", ""), alarm.get("StateReason", ""))
        for page in pages
        for alarm in page["MetricAlarms"]
        if not _is_of_another_deployment(alarm)
    )


def silent_alarms(cloudwatch: Any) -> tuple[str, ...]:
    """Return those of our alarms that do not reach the operations topic."""
    pages = cloudwatch.get_paginator("describe_alarms").paginate()
    return tuple(
        alarm["AlarmName"]
        for page in pages
        for alarm in page["MetricAlarms"]
        if RUNBOOK in alarm.get("AlarmDescription", "")
        and not _is_of_another_deployment(alarm)
        and not _notifies(alarm)
    )


def _is_of_another_deployment(alarm: Mapping[str, Any]) -> bool:
    ours = tuple(names.named(start) for start in ("stock-", "api-"))
    return RUNBOOK in alarm.get("AlarmDescription", "") and not alarm["AlarmName"].startswith(ours)


def _notifies(alarm: Mapping[str, Any]) -> bool:
    topics = (
        action for action in alarm.get("AlarmActions", ()) if action.endswith(f":{names.OPERATIONS_TOPIC}")
    )
    return bool(alarm.get("ActionsEnabled", True) and any(topics))


def _lets_alarms(policy: str, action: str) -> bool:
    return any(one["Effect"] == "Allow" and _covers(one, _ALARMS, action) for one in _statements(policy))


def _statements(policy: str) -> list[dict[str, Any]]:
    found = json.loads(policy).get("Statement", [])
    return [found] if isinstance(found, dict) else list(found)


def _covers(statement: Mapping[str, Any], service: str, action: str) -> bool:
    principal = statement.get("Principal", "")
    who = [principal] if isinstance(principal, str) else [*principal.values()]
    named = {name for of in who for name in ([of] if isinstance(of, str) else of)}
    actions = statement.get("Action", [])
    patterns = [actions] if isinstance(actions, str) else actions
    return bool(named & {"*", service}) and any(
        fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns
    )


def _is_for(statement: Mapping[str, Any], rule: str) -> bool:
    """Return whether a statement's aws:SourceArn, where it has one, is the rule's."""
    wanted = [
        value
        for keys in statement.get("Condition", {}).values()
        for key, value in keys.items()
        if key.lower() == "aws:sourcearn"
    ]
    arns = [arn for value in wanted for arn in ([value] if isinstance(value, str) else value)]
    return not arns or any(fnmatchcase(rule, arn) for arn in arns)
