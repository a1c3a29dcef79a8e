"""The doctor names the right cause on the real stacks, broken in many ways on the local AWS.

What no emulator breaks (an alarm's own state on AWS, a failed update, a detector's mapping) is in
tests/stream_infra/operations/test_doctor.py, with recorded facts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from stream_infra.operations.doctor import examine
from stream_infra.operations.doctor.diagnosis import Diagnosis, healthy
from stream_infra.operations.endpoints import Endpoints, resolve
from stream_infra.operations.gather import Gatherer
from tests.e2e.monitor import Json, Monitor

pytestmark = pytest.mark.e2e
DATA, SITE = "stock-scan-data-000000000000", "stock-dashboard-000000000000"
Break = Callable[[Monitor], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def endpoints(monitor: Monitor) -> Endpoints:
    return resolve(aws=False, environment={}, start=monitor.directory.parent)


def look(endpoints: Endpoints) -> list[Diagnosis]:
    return examine(Gatherer(endpoints, datetime.now(UTC)).facts(thorough=True))


@contextmanager
def rule_disabled(monitor: Monitor, name: str = "StockScannerSchedule") -> Iterator[None]:
    events = monitor.client("events")
    events.disable_rule(Name=name)
    yield
    events.enable_rule(Name=name)


@contextmanager
def anomaly_rule_without_target(monitor: Monitor) -> Iterator[None]:
    events, rule = monitor.client("events"), {"Rule": "StockAnomalies", "EventBusName": "stock-market"}
    targets = events.list_targets_by_rule(**rule)["Targets"]
    events.remove_targets(**rule, Ids=[target["Id"] for target in targets])
    yield
    events.put_targets(**rule, Targets=targets)


def parameter(name: str, value: str) -> Break:
    @contextmanager
    def broken(monitor: Monitor) -> Iterator[None]:
        ssm = monitor.client("ssm")
        before = ssm.get_parameter(Name=name)["Parameter"]["Value"]
        ssm.put_parameter(Name=name, Value=value, Overwrite=True)
        yield
        ssm.put_parameter(Name=name, Value=before, Overwrite=True)

    return broken


@contextmanager
def queue_full(monitor: Monitor) -> Iterator[None]:
    sqs = monitor.client("sqs")
    url = sqs.get_queue_url(QueueName="stock-scanner-dlq")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody='{"requestContext": {"condition": "EventAgeExceeded"}}')
    yield
    sqs.purge_queue(QueueUrl=url)


@contextmanager
def feed_dead(monitor: Monitor) -> Iterator[None]:
    """A version goes live whose source has no key."""
    client, sqs, name = monitor.client("lambda"), monitor.client("sqs"), "stock-scanner"
    before = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    live = client.get_alias(FunctionName=name, Name="live")["FunctionVersion"]

    def scan() -> Json:
        return client.invoke(FunctionName=name, Qualifier="live", Payload=b'{"polls": 1}')

    client.update_function_configuration(
        FunctionName=name, Environment={"Variables": {**before, "SOURCE": "alpaca"}}
    )
    bad = client.publish_version(FunctionName=name)["Version"]
    client.update_alias(FunctionName=name, Name="live", FunctionVersion=bad)
    monitor.eventually(lambda: "FunctionError" in scan(), 90, "it fails")
    yield
    client.update_function_configuration(FunctionName=name, Environment={"Variables": before})
    client.update_alias(FunctionName=name, Name="live", FunctionVersion=live)
    client.delete_function(FunctionName=name, Qualifier=bad)
    monitor.eventually(lambda: "FunctionError" not in scan(), 90, "it works")
    logs, group = (
        monitor.client("logs"),
        f"/aws/lambda/{name}",
    )  # the error is news until a scan has ended well
    for event in logs.filter_log_events(logGroupName=group, filterPattern="APCA_API_KEY_ID")["events"]:
        with suppress(logs.exceptions.ResourceNotFoundException):
            logs.delete_log_stream(logGroupName=group, logStreamName=event["logStreamName"])
    sqs.purge_queue(QueueUrl=sqs.get_queue_url(QueueName="stock-scanner-dlq")["QueueUrl"])


@contextmanager
def permission_missing(monitor: Monitor) -> Iterator[None]:
    iam, functions = monitor.client("iam"), monitor.client("lambda")
    role = functions.get_function_configuration(FunctionName="stock-detector")["Role"].rsplit("/", 1)[1]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    less = [
        statement
        for statement in document["Statement"]
        if "events:PutEvents" not in json.dumps(statement["Action"])
    ]
    assert len(less) < len(document["Statement"])
    put = {"RoleName": role, "PolicyName": name}
    iam.put_role_policy(**put, PolicyDocument=json.dumps({**document, "Statement": less}))
    yield
    iam.put_role_policy(**put, PolicyDocument=json.dumps(document))


@contextmanager
def bucket_deleted(monitor: Monitor) -> Iterator[None]:
    s3 = monitor.client("s3")
    kept = {}
    for item in s3.list_objects_v2(Bucket=SITE)["Contents"]:
        found = s3.get_object(Bucket=SITE, Key=item["Key"])
        kept[item["Key"]] = (found["Body"].read(), found["ContentType"], found.get("CacheControl", ""))
        s3.delete_object(Bucket=SITE, Key=item["Key"])
    s3.delete_bucket(Bucket=SITE)
    yield
    s3.create_bucket(Bucket=SITE)
    for key, (body, type_, cache) in kept.items():
        s3.put_object(Bucket=SITE, Key=key, Body=body, ContentType=type_, CacheControl=cache)


@contextmanager
def index_deleted(monitor: Monitor) -> Iterator[None]:
    s3 = monitor.client("s3")
    found = s3.get_object(Bucket=SITE, Key="index.html")
    body, type_, cache = found["Body"].read(), found["ContentType"], found.get("CacheControl", "")
    s3.delete_object(Bucket=SITE, Key="index.html")
    yield
    s3.put_object(Bucket=SITE, Key="index.html", Body=body, ContentType=type_, CacheControl=cache)


@contextmanager
def table_throttled(monitor: Monitor) -> Iterator[None]:
    """As AWS would count it; that metric can be put on an emulator only."""
    cloudwatch = monitor.client("cloudwatch")
    metric = {
        "MetricName": "WriteThrottleEvents",
        "Dimensions": [{"Name": "TableName", "Value": "stock-windows"}],
        "Unit": "Count",
    }

    def put(value: float) -> None:
        cloudwatch.put_metric_data(
            Namespace="AWS/DynamoDB", MetricData=[{**metric, "Value": value, "Timestamp": datetime.now(UTC)}]
        )

    put(12)
    yield
    put(-12)


@contextmanager
def table_provisioned(monitor: Monitor) -> Iterator[None]:
    dynamodb = monitor.client("dynamodb")
    one = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
    dynamodb.update_table(TableName="stock-charts", BillingMode="PROVISIONED", ProvisionedThroughput=one)
    yield
    dynamodb.update_table(TableName="stock-charts", BillingMode="PAY_PER_REQUEST")


@contextmanager
def recovery_off(monitor: Monitor) -> Iterator[None]:
    dynamodb = monitor.client("dynamodb")

    def put(enabled: bool) -> None:
        dynamodb.update_continuous_backups(
            TableName="stock-anomalies",
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": enabled},
        )

    put(enabled=False)
    yield
    put(enabled=True)


@contextmanager
def versions_off(monitor: Monitor) -> Iterator[None]:
    s3 = monitor.client("s3")
    s3.put_bucket_versioning(Bucket=DATA, VersioningConfiguration={"Status": "Suspended"})
    yield
    s3.put_bucket_versioning(Bucket=DATA, VersioningConfiguration={"Status": "Enabled"})


@contextmanager
def function_stopped(monitor: Monitor) -> Iterator[None]:
    client, name = monitor.client("lambda"), "stock-scanner"
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    yield
    client.delete_function_concurrency(FunctionName=name)


@contextmanager
def mapping_disabled(monitor: Monitor) -> Iterator[None]:
    client = monitor.client("lambda")
    source = "arn:aws:sqs:us-east-1:000000000000:stock-notifier-queue"
    (found,) = client.list_event_source_mappings(EventSourceArn=source)["EventSourceMappings"]
    client.update_event_source_mapping(UUID=found["UUID"], Enabled=False)
    yield
    client.update_event_source_mapping(UUID=found["UUID"], Enabled=True)


@contextmanager
def alarm_ringing(monitor: Monitor) -> Iterator[None]:
    cloudwatch, name = monitor.client("cloudwatch"), "stock-quotes-throttles"
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
    yield
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="a test")


@contextmanager
def record_quarantined(monitor: Monitor) -> Iterator[None]:
    s3 = monitor.client("s3")

    def keys() -> list[str]:
        found = s3.list_objects_v2(Bucket=DATA, Prefix="quarantine/").get("Contents", [])
        return [item["Key"] for item in found]

    monitor.client("kinesis").put_record(StreamName="stock-quotes", Data=b"no JSON", PartitionKey="DOC")
    monitor.eventually(keys, 30, "it is in the quarantine")
    yield
    for key in keys():
        s3.delete_object(Bucket=DATA, Key=key)


@contextmanager
def nobody_subscribed(
    monitor: Monitor, topic: str = "arn:aws:sns:us-east-1:000000000000:stock-tracker-operations"
) -> Iterator[None]:
    sns = monitor.client("sns")
    found = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    for subscription in found:
        sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    yield
    for subscription in found:
        sns.subscribe(TopicArn=topic, Protocol=subscription["Protocol"], Endpoint=subscription["Endpoint"])


@contextmanager
def queue_policy_removed(monitor: Monitor) -> Iterator[None]:
    sqs = monitor.client("sqs")
    url = sqs.get_queue_url(QueueName="stock-notifier-queue")["QueueUrl"]
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    yield
    sqs.set_queue_attributes(QueueUrl=url, Attributes=before)


@contextmanager
def topic_key_disabled(monitor: Monitor) -> Iterator[None]:
    kms, topic = monitor.client("kms"), "arn:aws:sns:us-east-1:000000000000:stock-tracker-operations"
    key = monitor.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["KmsMasterKeyId"]
    kms.disable_key(KeyId=key)
    yield
    kms.enable_key(KeyId=key)


@contextmanager
def alarm_without_action(monitor: Monitor) -> Iterator[None]:
    cloudwatch, alarms = monitor.client("cloudwatch"), ["api-latency"]
    cloudwatch.disable_alarm_actions(AlarmNames=alarms)
    yield
    cloudwatch.enable_alarm_actions(AlarmNames=alarms)


@contextmanager
def bucket_silent(monitor: Monitor) -> Iterator[None]:
    s3 = monitor.client("s3")
    s3.put_bucket_notification_configuration(Bucket=DATA, NotificationConfiguration={})
    yield
    s3.put_bucket_notification_configuration(
        Bucket=DATA, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )


@contextmanager
def wrong_handler(monitor: Monitor) -> Iterator[None]:
    """In the next version; what runs goes on."""
    client, name = monitor.client("lambda"), "stock-notifier"
    before = client.get_function_configuration(FunctionName=name)["Handler"]
    client.update_function_configuration(FunctionName=name, Handler="consumers.nobody.handler")
    yield
    client.update_function_configuration(FunctionName=name, Handler=before)


BREAKS: dict[str, tuple[Break, str, str, str, str]] = {
    # what is broken: how, severity, cause, words of the finding and its reason, words of the remedy
    "schedule": (rule_disabled, "failed", "schedule-stopped", "StockScannerSchedule", "enable-rule"),
    "rule": (anomaly_rule_without_target, "failed", "rule-without-target", "StockAnomalies", ""),
    "threshold": (
        parameter("/stock-tracker/threshold", "high"), "failed", "parameter-unusable", '"high"', "recover",
    ),
    "watch list": (
        parameter("/stock-tracker/ticker", " , "), "failed", "parameter-unusable", "names no ticker", "recover",
    ),
    "one ticker": (
        parameter("/stock-tracker/ticker", "AAPL,<no>,MSFT"), "warning", "parameter-partly-unusable", "<NO>", "recover",
    ),
    "queue": (queue_full, "failed", "dead-letters", "messages wait in stock-scanner-dlq", "dlq redrive"),
    "feed": (feed_dead, "failed", "feed-dead", "APCA_API_KEY_ID", "Environment"),
    "permission": (permission_missing, "failed", "missing-permission", "stock-detector may not: events:PutEvents", ""),
    "bucket": (bucket_deleted, "failed", "missing-resource", SITE, "make clean up"),
    "index": (index_deleted, "failed", "dashboard-empty", "index.html", "make up"),
    "throttled table": (table_throttled, "failed", "table-throttled", "stock-windows throttled 12", "status"),
    "provisioned table": (table_provisioned, "warning", "table-not-on-demand", "stock-charts", "PAY_PER_REQUEST"),
    "recovery": (recovery_off, "warning", "not-recoverable", "stock-anomalies", "update-continuous-backups"),
    "versions": (versions_off, "warning", "not-recoverable", DATA, "put-bucket-versioning"),
    "function": (function_stopped, "failed", "function-stopped", "stock-scanner", "delete-function-concurrency"),
    "mapping": (mapping_disabled, "failed", "mapping-disabled", "stock-notifier", "--enabled"),
    "alarm": (alarm_ringing, "warning", "alarm", "stock-quotes-throttles", ""),
    "quarantine": (record_quarantined, "warning", "quarantined-records", "in the quarantine", "quarantine list"),
    "queue policy": (queue_policy_removed, "failed", "queue-policy", "stock-notifier-queue", "make clean up"),
    "topic key": (topic_key_disabled, "failed", "topic-key", "stock-tracker-operations", ""),
    "alarm action": (alarm_without_action, "failed", "alarm-without-action", "api-latency", "enable-alarm-actions"),
    "bucket notification": (bucket_silent, "failed", "bucket-is-silent", DATA, "put-bucket-notification-configuration"),
    "handler": (wrong_handler, "failed", "wrong-handler", "consumers.nobody.handler", "consumers.alerts.handler"),
    "subscription": (nobody_subscribed, "warning", "nobody-is-notified", "stock-tracker-operations", "subscribe"),
}  # fmt: skip


def test_a_sound_monitor_is_healthy(monitor: Monitor) -> None:
    def sound() -> Json:
        answer = monitor.run("doctor", "--json")
        return answer.returncode == 0 and json.loads(answer.stdout)

    assert monitor.eventually(sound, 90, "the doctor finds nothing")["healthy"] is True


@pytest.mark.parametrize("what", BREAKS)
def test_the_cause_is_named_with_its_remedy(monitor: Monitor, endpoints: Endpoints, what: str) -> None:
    broken, severity, cause, words, remedy = BREAKS[what]
    found: list[Diagnosis] = []

    def right() -> list[Diagnosis]:
        found[:] = look(endpoints)
        return [item for item in found if item.cause == cause and words in f"{item.finding} {item.because}"]

    # A scan that failed is news until the next one ends well: of a breakage before, too.
    monitor.eventually(lambda: healthy(look(endpoints)), 90, "what was broken before is mended")
    with broken(monitor):
        # A scan that began before ends well, and is news until the next one fails.
        (named,) = monitor.eventually(right, 75, "the cause is named")
    assert named.severity == severity
    assert remedy in named.remedy
    if severity == "failed":
        assert not healthy(found)
        assert found[0] == named, "the cause comes first"
        others = [item for item in found[1:] if item.severity == "failed" and not item.follows_from]
        assert others == [], "nothing else is called a cause"


def test_a_person_reads_cause_remedy_and_section(monitor: Monitor) -> None:
    with rule_disabled(monitor):
        answer = monitor.run("doctor")
    assert answer.returncode == 1
    assert "the rule StockScannerSchedule is DISABLED" in answer.stdout
    assert "aws events enable-rule --name StockScannerSchedule" in answer.stdout
    assert "docs/runbook.md#scanner-stopped" in answer.stdout


def test_an_aws_that_does_not_answer_is_the_only_thing_said(endpoints: Endpoints) -> None:
    nobody = "http://127.0.0.1:9"
    found = look(replace(endpoints, aws=nobody, api=f"{nobody}/api", dashboard=f"{nobody}/"))
    assert [item.part for item in found] == ["AWS", "API", "dashboard"]
    assert not healthy(found)


def test_a_program_that_was_ended_explains_what_it_served(monitor: Monitor, endpoints: Endpoints) -> None:
    pid = monitor.directory / "front-door.pid"
    kept = pid.read_text()
    try:
        pid.write_text("1\nlong ago\n")
        found = look(replace(endpoints, api="http://127.0.0.1:9/api", dashboard="http://127.0.0.1:9/"))
    finally:
        pid.write_text(kept)
    assert found[0].cause == "program-stopped"
    assert {item.part: item.follows_from for item in found[1:] if item.severity == "failed"} == {
        "API": ("program-stopped",),
        "dashboard": ("program-stopped",),
    }


def test_nothing_stays_broken(monitor: Monitor, endpoints: Endpoints) -> None:
    time.sleep(1)
    monitor.eventually(lambda: healthy(look(endpoints)), 90, "all is mended")
