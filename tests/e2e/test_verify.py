"""`stock-monitor verify` on the real stacks: it passes and leaves nothing, and what is broken fails it with its cause.

How most breakages are planted is in test_doctor.py.
"""

from __future__ import annotations

import json
import signal
import time
from contextlib import closing
from datetime import UTC, datetime
from functools import partial

import pytest

from stream_infra.operations.endpoints import Endpoints, resolve
from stream_infra.operations.facts import MonitorFacts
from stream_infra.operations.gather import Gatherer
from stream_infra.operations.verify.judgement import StepResult
from stream_infra.operations.verify.run import verify
from tests.e2e.monitor import Json, Monitor
from tests.e2e.test_doctor import (
    Break,
    alarm_without_action,
    bucket_silent,
    feed_dead,
    mapping_disabled,
    nobody_subscribed,
    permission_missing,
    queue_policy_removed,
    rule_disabled,
    topic_key_disabled,
    wrong_handler,
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
    answer = monitor.run("verify", "--json", timeout=600)
    found = json.loads(answer.stdout)
    assert answer.returncode == (0 if found["passed"] else 1), answer.stderr
    return found


@pytest.mark.speed
def test_it_takes_less_than_two_minutes(monitor: Monitor) -> None:
    """As docs/aws-drills.md says of AWS; some 10 s are usual here."""
    began = time.monotonic()
    verified(monitor)
    assert time.monotonic() - began < 120


def test_a_sound_deployment_passes_and_nothing_is_left(monitor: Monitor, earlier: set[str]) -> None:
    def passes() -> Json:
        found = verified(monitor)
        return found["passed"] and found

    found = monitor.eventually(passes, 240, "the proof is made")
    assert [step["name"] for step in found["steps"]] == STEPS
    assert set(left_behind(monitor)) <= earlier


PLANTED: dict[str, tuple[Break, str]] = {
    "subscriber gone": (partial(nobody_subscribed, topic=TOPIC), "nobody-is-notified"),
    "rule disabled": (partial(rule_disabled, name="StockFailedBatches"), "rule-disabled"),
    "policy removed": (permission_missing, "missing-permission"),
    "secret missing": (feed_dead, "feed-dead"),
    "mapping stopped": (mapping_disabled, "mapping-disabled"),
    "wrong handler": (wrong_handler, "wrong-handler"),
    "queue policy": (queue_policy_removed, "queue-policy"),
    "topic key": (topic_key_disabled, "topic-key"),
    "alarm action": (alarm_without_action, "alarm-without-action"),
    "bucket notification": (bucket_silent, "bucket-is-silent"),
}


@pytest.fixture(scope="module")
def endpoints(monitor: Monitor) -> Endpoints:
    return resolve(aws=False, environment={}, start=monitor.directory.parent)


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_breakage_fails_it_with_its_cause(
    monitor: Monitor, endpoints: Endpoints, what: str
) -> None:
    def gather() -> MonitorFacts:
        return Gatherer(endpoints, datetime.now(UTC)).facts(thorough=True)

    def first() -> StepResult:
        with closing(verify(endpoints, gather)) as steps:
            return next(steps)

    monitor.eventually(lambda: first().passed, 90, "what was broken before is mended")
    broken, cause = PLANTED[what]
    with broken(monitor):
        found = first()
    assert not found.passed
    assert [one.cause for one in found.causes] == [cause]
    assert found.causes[0].remedy


def test_a_planted_breakage_is_said_and_nothing_is_sent(monitor: Monitor) -> None:
    with alarm_without_action(monitor):
        found = verified(monitor)
    (step,) = found["steps"]
    assert [one["cause"] for one in step["causes"]] == ["alarm-without-action"]


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
    assert process.returncode == -signal.SIGINT, said
    assert set(left_behind(monitor)) <= earlier
