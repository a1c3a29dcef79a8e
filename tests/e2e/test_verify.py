"""`stock-monitor verify` on the real stacks: it passes and leaves nothing, and what is broken fails it with its cause.

How each breakage is planted, and that the doctor names it and nothing else, is in test_doctor.py.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.monitor import Json, Monitor
from tests.e2e.test_doctor import (
    BREAKS,
    Break,
    alarm_without_action,
    permission_missing,
    queue_policy_removed,
)

pytestmark = pytest.mark.e2e
TOPIC = "arn:aws:sns:us-east-1:000000000000:stock-tracker-alerts"
STEPS = [
    "parts",
    "stream",
    "table",
    "API",
    "page",
    "notifier",
    "message",
    "dead letters",
    "alarm",
    "nothing left",
]


@pytest.fixture(autouse=True)
def _sets_alarms(monitor: Monitor) -> None:
    if monitor.given:
        pytest.skip("LocalStack 4.9.2: SetAlarmState acts on nothing")


@pytest.fixture
def earlier(monitor: Monitor) -> set[str]:
    """What proofs of the tests before left, such as one that a loaded machine let fail."""
    return set(left_behind(monitor))


def left_behind(monitor: Monitor) -> list[str]:
    """What holds the name of a proof, in the tables, the bucket, the queues and the topics."""
    found = []
    for table in ("stock-anomalies", "stock-charts", "stock-alerts"):
        for page in monitor.client("dynamodb").get_paginator("scan").paginate(TableName=table):
            keys = ("pk", "sk", "ticker", "timestamp")
            texts = [" ".join(item[key]["S"] for key in keys if key in item) for item in page["Items"]]
            found += [text for text in texts if "verify" in text.lower()]
    s3 = monitor.client("s3")
    objects = s3.list_object_versions(Bucket="stock-scan-data-000000000000", Prefix="aws/lambda/verify/")
    found += [one["Key"] for one in objects.get("Versions", [])]
    found += monitor.client("sqs").list_queues(QueueNamePrefix="stock-verify-").get("QueueUrls", [])
    subscriptions = monitor.client("sns").list_subscriptions()["Subscriptions"]
    return found + [one["Endpoint"] for one in subscriptions if "stock-verify-" in one["Endpoint"]]


def verified(monitor: Monitor) -> Json:
    answer = monitor.run("verify", "--json")
    found = json.loads(answer.stdout)
    assert answer.returncode == (0 if found["passed"] else 1), answer.stderr
    return found


def test_a_sound_deployment_passes_in_less_than_two_minutes_and_nothing_is_left(
    monitor: Monitor, earlier: set[str]
) -> None:
    def passes() -> Json:
        began = time.monotonic()
        found = verified(monitor)
        assert time.monotonic() - began < 120  # what is promised to people, not a speed: some 10 s are usual
        return found["passed"] and found

    found = monitor.eventually(passes, 240, "the proof is made")
    assert [step["name"] for step in found["steps"]] == STEPS
    assert set(left_behind(monitor)) <= earlier


@contextmanager
def subscriber_gone(monitor: Monitor) -> Iterator[None]:
    sns = monitor.client("sns")
    subscribed = sns.list_subscriptions_by_topic(TopicArn=TOPIC)[
        "Subscriptions"
    ]  # the runbook's tests add some
    for found in subscribed:
        sns.unsubscribe(SubscriptionArn=found["SubscriptionArn"])
    yield
    for found in subscribed:
        sns.subscribe(TopicArn=TOPIC, Protocol=found["Protocol"], Endpoint=found["Endpoint"])


PLANTED: dict[str, tuple[Break, str]] = {
    "subscriber": (subscriber_gone, "nobody-is-notified"),
    "policy": (permission_missing, "missing-permission"),
    "queue policy": (queue_policy_removed, "queue-policy"),
    "alarm action": (alarm_without_action, "alarm-without-action"),
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_breakage_fails_it_with_its_cause(monitor: Monitor, what: str) -> None:
    broken, cause = PLANTED[what]
    with broken(monitor):
        found = verified(monitor)
    (step,) = found["steps"]  # nothing was sent
    assert [one["cause"] for one in step["causes"]] == [cause]
    assert step["causes"][0]["remedy"]


def test_the_doctor_s_test_plants_the_others() -> None:
    assert {"rule", "feed", "mapping", "handler", "topic key", "bucket notification"} <= set(BREAKS)


def test_a_breakage_that_no_fact_shows_fails_the_step_that_it_stops(
    monitor: Monitor, earlier: set[str]
) -> None:
    """A rule that matches nothing looks sound; its step says so, the others go on, and nothing is left."""
    events, rule = monitor.client("events"), {"Name": "StockFailedBatches"}
    before = events.describe_rule(**rule)["EventPattern"]
    other = before.replace("aws/lambda/", "aws/nobody/")
    assert other != before
    events.put_rule(**rule, EventPattern=other, State="ENABLED")
    try:
        found = verified(monitor)
    finally:
        events.put_rule(**rule, EventPattern=before, State="ENABLED")
    failed = [step for step in found["steps"] if not step["passed"]]
    assert [(step["name"], step["causes"][0]["cause"]) for step in failed] == [("dead letters", "unknown")]
    assert "is announced in stock-scanner-dlq" in failed[0]["detail"]
    assert set(left_behind(monitor)) <= earlier


def test_ctrl_c_leaves_nothing(monitor: Monitor, earlier: set[str]) -> None:
    with monitor.program("verify") as process:
        assert process.stdout is not None
        while "sent and accounted for" not in (line := process.stdout.readline()):
            assert line, "it ended before"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert set(left_behind(monitor)) <= earlier
