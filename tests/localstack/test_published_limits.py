"""Sizes that AWS rejects are rejected by the local AWS, with AWS's error. Each rule is named where it is tested."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localstack.settings import ACCOUNT, REGION
from tests.localstack.conftest import TRUST

KB, MB = 1024, 1024 * 1024
Client = Callable[[str], Any]


@pytest.fixture(scope="module")
def aws(strict_url: str) -> Client:
    session = boto3.session.Session("test", "test", region_name=REGION)
    as_given = Config(parameter_validation=False)  # botocore keeps some of the limits itself
    return lambda service: session.client(service, endpoint_url=strict_url, config=as_given)  # type: ignore[call-overload]


def rejected(call: Callable[..., object], **arguments: object) -> str:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return str(error.value.response["Error"]["Code"])


@pytest.fixture(scope="module")
def table(aws: Client) -> str:
    aws("dynamodb").create_table(
        TableName="limited",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return "limited"


def item(size: int, key: str = "a") -> dict[str, object]:
    """An item of `size` bytes: names and values count (DynamoDB guide, "DynamoDB item sizes and formats")."""
    return {"pk": {"S": key}, "b": {"B": b"x" * (size - len("pk") - len(key) - len("b"))}}


def test_an_item_above_400_kb_is_rejected(aws: Client, table: str) -> None:
    """DynamoDB guide, "Service, account, and table quotas": an item has 400 KB at most, names included."""
    dynamodb = aws("dynamodb")
    dynamodb.put_item(TableName=table, Item=item(400 * KB))
    assert rejected(dynamodb.put_item, TableName=table, Item=item(400 * KB + 1)) == "ValidationException"
    batch = {table: [{"PutRequest": {"Item": item(400 * KB + 1)}}]}
    assert rejected(dynamodb.batch_write_item, RequestItems=batch) == "ValidationException"
    growing = {
        "Key": {"pk": {"S": "a"}},
        "UpdateExpression": "SET c = :c",
        "ExpressionAttributeValues": {":c": {"B": b"x" * 100}},
    }
    assert rejected(dynamodb.update_item, TableName=table, **growing) == "ValidationException"


def test_transactions_and_batches_have_their_limits(aws: Client, table: str) -> None:
    """DynamoDB API reference: TransactWriteItems 100 actions and 4 MB, BatchWriteItem 25, BatchGetItem 100 items."""
    dynamodb = aws("dynamodb")

    def puts(count: int, size: int = 100) -> list[dict[str, object]]:
        return [{"Put": {"TableName": table, "Item": item(size, f"{n:03d}")}} for n in range(count)]

    dynamodb.transact_write_items(TransactItems=puts(100))
    assert rejected(dynamodb.transact_write_items, TransactItems=puts(101)) == "ValidationException"
    assert rejected(dynamodb.transact_write_items, TransactItems=puts(11, 390 * KB)) == "ValidationException"
    written = [{"PutRequest": {"Item": item(100, f"{n:03d}")}} for n in range(26)]
    assert rejected(dynamodb.batch_write_item, RequestItems={table: written}) == "ValidationException"
    keys = [{"pk": {"S": f"{n:03d}"}} for n in range(101)]
    assert rejected(dynamodb.batch_get_item, RequestItems={table: {"Keys": keys}}) == "ValidationException"


@pytest.fixture(scope="module")
def echo(aws: Client) -> str:
    """A function that answers with as many bytes as it is asked for."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr(
            "index.py", 'def handler(event, context):\n    return "x" * event.get("answer", 0)\n'
        )
    role = aws("iam").create_role(RoleName="echo", AssumeRolePolicyDocument=json.dumps(TRUST))
    aws("lambda").create_function(
        FunctionName="echo",
        Runtime="python3.11",
        Role=role["Role"]["Arn"],
        Handler="index.handler",
        Code={"ZipFile": package.getvalue()},
        Timeout=60,
    )
    return "echo"


def payload(size: int) -> bytes:
    return json.dumps({"pad": ""}).encode().replace(b'""', b'"' + b"x" * (size - len('{"pad": ""}')) + b'"')


def test_a_payload_above_6_mb_is_rejected(aws: Client, echo: str) -> None:
    """Lambda guide, "Lambda quotas": 6 MB each for request and response of a synchronous invocation."""
    invoke = aws("lambda").invoke
    assert "FunctionError" not in invoke(FunctionName=echo, Payload=payload(6 * MB))
    with pytest.raises(
        ClientError, match=r"6291457 byte payload is too large .* \(limit 6291456 bytes\)"
    ) as error:
        invoke(FunctionName=echo, Payload=payload(6 * MB + 1))
    assert error.value.response["Error"]["Code"] == "RequestTooLargeException"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_an_answer_above_6_mb_is_an_error_of_the_function(aws: Client, echo: str) -> None:
    """Lambda guide, "Troubleshoot invocation issues": Function.ResponseSizeTooLarge."""
    answer = aws("lambda").invoke(FunctionName=echo, Payload=b'{"answer": 6291600}')
    assert answer["FunctionError"] == "Unhandled"
    assert json.load(answer["Payload"])["errorType"] == "Function.ResponseSizeTooLarge"
    small = aws("lambda").invoke(FunctionName=echo, Payload=b'{"answer": 10}')
    assert json.load(small["Payload"]) == "x" * 10


def test_an_asynchronous_payload_above_1_mb_is_rejected(aws: Client, echo: str) -> None:
    """Lambda API reference, Invoke: 1 MB for asynchronous invocations (256 KB until October 2025)."""
    invoke = aws("lambda").invoke
    assert invoke(FunctionName=echo, InvocationType="Event", Payload=payload(MB))["StatusCode"] == 202
    too_large = {"FunctionName": echo, "InvocationType": "Event", "Payload": payload(MB + 1)}
    assert rejected(invoke, **too_large) == "RequestTooLargeException"


def test_put_records_has_its_limits(aws: Client) -> None:
    """Kinesis API reference, PutRecords: 500 records; a record of 1 MiB unless the stream allows more; a request of
    10 MiB (5 MiB until October 2025, which MiniStack still keeps)."""
    kinesis = aws("kinesis")
    kinesis.create_stream(StreamName="limited", ShardCount=1)

    def records(count: int, size: int) -> list[dict[str, object]]:
        return [{"Data": b"x" * size, "PartitionKey": "k"}] * count

    over = (records(501, 1), records(1, MB + 1), records(11, MB))
    codes = [rejected(kinesis.put_records, StreamName="limited", Records=one) for one in over]
    assert set(codes) <= {"ValidationException", "InvalidArgumentException"}


def test_put_events_has_its_limits(aws: Client) -> None:
    """EventBridge API reference, PutEvents: 10 entries, together less than 1 MB (256 KB until January 2026)."""
    put = aws("events").put_events

    def entries(count: int, size: int) -> list[dict[str, object]]:
        detail = json.dumps({"pad": "x" * size})
        return [{"Source": "s", "DetailType": "d", "Detail": detail}] * count

    assert put(Entries=entries(10, 100 * KB))["FailedEntryCount"] == 0
    assert rejected(put, Entries=entries(11, 1)) == "ValidationException"
    assert rejected(put, Entries=entries(10, 105 * KB)) == "ValidationException"


def test_a_message_above_the_limit_of_its_queue_or_topic_is_rejected(aws: Client) -> None:
    """SQS API reference, SendMessage: 1 MiB, of a batch all together. SNS, Publish: 256 KiB by default."""
    sqs, sns = aws("sqs"), aws("sns")
    url = sqs.create_queue(QueueName="limited")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x" * MB)
    too_long = rejected(sqs.send_message, QueueUrl=url, MessageBody="x" * (MB + 1))
    assert too_long in {"InvalidParameterValue", "InvalidMessageContents"}
    two = [{"Id": name, "MessageBody": "x" * (MB // 2 + 1)} for name in "ab"]
    assert "BatchRequestTooLong" in rejected(sqs.send_message_batch, QueueUrl=url, Entries=two)
    topic = sns.create_topic(Name="limited")["TopicArn"]
    sns.publish(TopicArn=topic, Message="x" * 256 * KB)
    assert rejected(sns.publish, TopicArn=topic, Message="x" * (256 * KB + 1)) == "InvalidParameter"


def test_a_parameter_above_4_kb_needs_the_advanced_tier(aws: Client) -> None:
    """Systems Manager API reference, PutParameter: 4 KB in the standard tier, 8 KB in the advanced one."""
    put = aws("ssm").put_parameter
    put(Name="/limited", Type="String", Value="x" * 4096, Overwrite=True)
    assert (
        rejected(put, Name="/limited", Type="String", Value="x" * 4097, Overwrite=True)
        == "ValidationException"
    )
    put(Name="/advanced", Type="String", Value="x" * 8192, Tier="Advanced")
    wide = {"Name": "/wide", "Type": "String", "Value": "x" * 8193, "Tier": "Advanced"}
    assert rejected(put, **wide) == "ValidationException"


def test_a_key_above_1024_bytes_is_rejected(aws: Client) -> None:
    """S3 guide, "Naming Amazon S3 objects": at most 1,024 bytes of UTF-8."""
    s3, bucket = aws("s3"), f"limited-{uuid.uuid4()}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="é" * 100, Body=b"")
    assert rejected(s3.put_object, Bucket=bucket, Key="é" * 513, Body=b"") == "KeyTooLongError"


TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:limited"


def policy(tickers: int) -> dict[str, str]:
    """The attributes of a subscriber who wants so many tickers, of two severities."""
    wanted = {"severity": ["high", "critical"], "ticker": [f"T{number}" for number in range(tickers)]}
    return {"FilterPolicy": json.dumps(wanted)}


RECORD = {"Data": b"x", "PartitionKey": "0"}


def attribute(value: str) -> dict[str, object]:
    """Of a message."""
    return {"MessageAttributes": {"channel": {"DataType": "String", "StringValue": value}}}


def lifecycle(*, days: int, ends: int) -> dict[str, object]:
    """Of objects that become infrequently read after `days`, and end after `ends`."""
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": ends}}
    return {"Rules": [{**rule, "Transitions": [{"Days": days, "StorageClass": "STANDARD_IA"}]}]}


@pytest.mark.parametrize(
    ("call", "most", "beyond", "code"),
    [
        (
            "lambda.update_function_configuration",
            {"Timeout": 900},
            {"Timeout": 901},
            "InvalidParameterValue",
        ),
        (
            "lambda.update_function_configuration",
            {"MemorySize": 10240},
            {"MemorySize": 64},
            "InvalidParameterValue",
        ),
        (
            "lambda.update_function_configuration",
            {"Environment": {"Variables": {"AB": "x" * 4094}}},
            {"Environment": {"Variables": {"AB": "x" * 4095}}},
            "InvalidParameterValue",
        ),
        (
            "lambda.put_function_event_invoke_config",
            {"MaximumEventAgeInSeconds": 60},
            {"MaximumEventAgeInSeconds": 59},
            "InvalidParameterValue",
        ),
        (
            "events.put_rule",
            {"ScheduleExpression": "rate(1 minute)"},
            {"ScheduleExpression": "rate(0 minutes)"},
            "ValidationException",
        ),
        (
            "events.put_rule",
            {"EventPattern": json.dumps({"source": ["x" * 2030]})},
            {"EventPattern": json.dumps({"source": ["x" * 2040]})},
            "ValidationException",
        ),
        (
            "sns.subscribe",
            {"Protocol": "sms", "Endpoint": "+15550100"},
            {"Protocol": "sms", "Endpoint": "15550100"},
            "InvalidParameter",
        ),
        (
            "sns.subscribe",
            {"Protocol": "email", "Endpoint": "a+b@c.com"},
            {"Protocol": "email", "Endpoint": "a b@c.com"},
            "InvalidParameter",
        ),
        (
            "sns.subscribe",
            {"Protocol": "sms", "Endpoint": "+15550101", "Attributes": policy(75)},
            {"Protocol": "sms", "Endpoint": "+15550102", "Attributes": policy(76)},
            "InvalidParameter",
        ),
        ("sns.publish", {"Subject": "s" * 99}, {"Subject": "s" * 100}, "InvalidParameter"),
        ("sns.publish", {"Subject": "s"}, {"Subject": "one\ntwo"}, "InvalidParameter"),
        ("sns.publish", {}, {"Message": ""}, "InvalidParameter"),
        ("sns.publish", attribute("sms"), attribute(""), "InvalidParameterValue"),
        (
            "sns.publish",
            {"MessageStructure": "json", "Message": '{"default": "m"}'},
            {"MessageStructure": "json", "Message": '{"sms": "m"}'},
            "InvalidParameter",
        ),
        (
            "sns.set_subscription_attributes",
            {"AttributeValue": policy(75)["FilterPolicy"]},
            {"AttributeValue": policy(76)["FilterPolicy"]},
            "InvalidParameter",
        ),
        (
            "secretsmanager.create_secret",
            {"SecretString": "s" * 65_536},
            {"SecretString": "s" * 65_537},
            "ValidationException",
        ),
        (
            "secretsmanager.put_secret_value",
            {"SecretString": "s"},
            {"SecretString": ""},
            "ValidationException",
        ),
        ("ssm.get_parameters", {"Names": ["/a"] * 10}, {"Names": ["/a"] * 11}, "ValidationException"),
        ("ssm.describe_parameters", {"MaxResults": 50}, {"MaxResults": 51}, "ValidationException"),
        ("events.put_events", {"Entries": [{"Detail": "{}"}]}, {"Entries": []}, "ValidationException"),
        ("logs.filter_log_events", {"limit": 10_000}, {"limit": 10_001}, "InvalidParameterException"),
        (
            "logs.filter_log_events",
            {"filterPattern": "f" * 1024},
            {"filterPattern": "f" * 1025},
            "InvalidParameterException",
        ),
        ("kinesis.put_records", {"Records": [RECORD]}, {"Records": []}, "ValidationException"),
        ("ssm.put_parameter", {"Value": "v"}, {"Value": ""}, "ValidationException"),
        ("ssm.put_parameter", {"Value": '{"a": {}}'}, {"Value": "{{a}}"}, "ValidationException"),
        (
            "kinesis.get_shard_iterator",
            {"Timestamp": datetime(2026, 1, 1, tzinfo=UTC)},
            {"Timestamp": datetime(2100, 1, 1, tzinfo=UTC)},
            "InvalidArgument",
        ),
        ("sqs.create_queue", {"QueueName": "q" * 80}, {"QueueName": "q" * 81}, "InvalidParameterValue"),
        (
            "kinesis.update_shard_count",
            {"TargetShardCount": 2},
            {"TargetShardCount": 5},
            "InvalidArgument",
        ),
        ("cloudwatch.put_metric_alarm", {"Period": 60}, {"Period": 61}, "ValidationError"),
        (
            "cloudwatch.put_metric_alarm",
            {"Period": 60, "AlarmActions": [TOPIC] * 5},
            {"Period": 60, "AlarmActions": [TOPIC] * 6},
            "ValidationError",
        ),
        (
            "s3.put_bucket_lifecycle_configuration",
            {"LifecycleConfiguration": lifecycle(days=30, ends=31)},
            {"LifecycleConfiguration": lifecycle(days=29, ends=31)},
            "InvalidArgument",
        ),
        (
            "s3.put_bucket_lifecycle_configuration",
            {"LifecycleConfiguration": lifecycle(days=30, ends=31)},
            {"LifecycleConfiguration": lifecycle(days=31, ends=31)},
            "InvalidArgument",
        ),
    ],
)
def test_a_setting_beyond_its_limit_is_rejected(
    fixed: Fixed, call: str, most: Settings, beyond: Settings, code: str
) -> None:
    """The rules of `stream_infra.cdk.limits`, each with its page; Kinesis API reference, UpdateShardCount.

    SNS API reference, Publish: a subject has "less than 100 characters", "no line breaks or control characters". Of
    Kinesis, GetShardIterator: "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis".
    Sizes and numbers of calls of Secrets Manager, Parameter Store, EventBridge, CloudWatch Logs, Kinesis are
    those of their API references, which botocore's models hold (kubernetes-sigs/cluster-api-provider-aws issue 1531 has
    the error of a secret). Of SNS: localstack/localstack issue 5096 (an empty message) and pull request 6938 (an empty
    attribute), aws/aws-sdk-ruby issue 346 (no default).
    """
    make, besides = fixed(call)
    make(**{**besides, **most})
    assert rejected(make, **{**besides, **beyond}).startswith(code)


def test_a_record_can_be_read_on_after(aws: Client, limited_stream: str) -> None:
    """What MiniStack hands out it takes: a mapping goes on at its checkpoint, or the whole detector stands still."""
    kinesis = aws("kinesis")
    found = kinesis.put_record(StreamName=limited_stream, Data=b"x", PartitionKey="0")
    after = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": found["SequenceNumber"]}
    given = kinesis.get_shard_iterator(StreamName=limited_stream, ShardId=found["ShardId"], **after)
    assert kinesis.get_records(ShardIterator=given["ShardIterator"], Limit=10_000)["Records"] == []


Settings = dict[str, Any]
Fixed = Callable[[str], tuple[Callable[..., object], Settings]]


@pytest.fixture(scope="module")
def fixed(aws: Client, echo: str, limited_stream: str) -> Fixed:
    """Each operation, and what it has to be told besides."""
    topic = aws("sns").create_topic(Name="limited")["TopicArn"]
    aws("s3").create_bucket(Bucket="limited")
    aws("logs").create_log_group(logGroupName="limited")
    aws("secretsmanager").create_secret(Name="limited", SecretString="s")
    subscriber = {"Protocol": "sms", "Endpoint": "+15550109", "Attributes": policy(1)}
    subscription = aws("sns").subscribe(TopicArn=topic, ReturnSubscriptionArn=True, **subscriber)
    told: dict[str, Settings] = {
        "update_function_configuration": {"FunctionName": echo},
        "put_function_event_invoke_config": {"FunctionName": echo},
        "put_rule": {"Name": "limited"},
        "subscribe": {"TopicArn": topic},
        "publish": {"TopicArn": topic, "Message": "m"},
        "get_shard_iterator": {
            "StreamName": limited_stream,
            "ShardId": "shardId-000000000000",
            "ShardIteratorType": "AT_TIMESTAMP",
        },
        "put_parameter": {"Name": "/limited", "Type": "String", "Overwrite": True},
        "update_shard_count": {"StreamName": limited_stream, "ScalingType": "UNIFORM_SCALING"},
        "create_queue": {},
        "set_subscription_attributes": {
            "SubscriptionArn": subscription["SubscriptionArn"],
            "AttributeName": "FilterPolicy",
        },
        "create_secret": {"Name": "larger"},
        "put_secret_value": {"SecretId": "limited"},
        "get_parameters": {},
        "describe_parameters": {},
        "put_events": {},
        "filter_log_events": {"logGroupName": "limited"},
        "put_records": {"StreamName": limited_stream},
        "put_metric_alarm": {
            "AlarmName": "limited",
            "Namespace": "n",
            "MetricName": "m",
            "Statistic": "Sum",
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanThreshold",
        },
        "put_bucket_lifecycle_configuration": {"Bucket": "limited"},
    }

    def of(call: str) -> tuple[Callable[..., object], Settings]:
        service, operation = call.split(".")
        return getattr(aws(service), operation), told[operation]

    return of


@pytest.fixture(scope="module")
def limited_stream(aws: Client) -> str:
    kinesis = aws("kinesis")
    kinesis.create_stream(StreamName="resharded", ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName="resharded", WaiterConfig={"Delay": 1})
    return "resharded"


@pytest.mark.parametrize(
    "given",
    [
        {"MaximumBatchingWindowInSeconds": 301},
        {"ParallelizationFactor": 11},
        {"MaximumRecordAgeInSeconds": 59},
        {"MaximumRetryAttempts": 10001},
    ],
)
def test_a_mapping_beyond_its_limits_is_rejected(
    aws: Client, echo: str, limited_stream: str, given: dict[str, int]
) -> None:
    """Lambda API reference, CreateEventSourceMapping and UpdateEventSourceMapping."""
    summary = aws("kinesis").describe_stream_summary(StreamName=limited_stream)["StreamDescriptionSummary"]
    mapping = {"FunctionName": echo, "EventSourceArn": summary["StreamARN"], "StartingPosition": "LATEST"}
    create = aws("lambda").create_event_source_mapping
    assert rejected(create, **mapping, Enabled=False, **given) == "InvalidParameterValueException"
