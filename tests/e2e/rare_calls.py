"""Calls that a run makes rarely, or that AWS makes in a function's name, as requests that change nothing.

They are made with the credentials of the function's role: whether they are allowed is known before they fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from stream_infra import names
from tests.rights import Call

Client = Callable[[str], Any]
NONE = "rights-none"
"""Of a key, a prefix, a receipt and a source of events that are not there."""
_KEYS = {names.ANOMALIES_TABLE: ("ticker", "timestamp")}
_INDEXES = {"DateIndex": "date", "SeverityIndex": "severity"}
DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError"}


def make(client: Client, root: Client, call: Call) -> list[str]:
    """Make a call; return what denied it, all other errors are meant. `root` clears away what it may have made."""
    service = call.action.partition(":")[0]
    try:
        _REQUESTS[call.action](client(service), call)
    except ClientError as error:
        return [str(error)] if error.response["Error"]["Code"] in DENIED else []
    if call.action == "ssm:PutParameter":
        root("ssm").delete_parameter(Name=_parameter(call))
    return []


def _place(call: Call) -> str:
    return call.resource.split(":", 5)[-1]


def _parameter(call: Call) -> str:
    return _place(call).removeprefix("parameter")


def _table(call: Call) -> str:
    return _place(call).split("/")[1]


def _item(call: Call) -> dict[str, Any]:
    partition, sort = _KEYS.get(_table(call), ("pk", "sk"))
    leading = call.keys.get("dynamodb:LeadingKeys", [NONE])[0]
    return {partition: {"S": leading}, sort: {"S": NONE}}


def _query(dynamodb: Any, call: Call) -> object:
    index = _place(call).partition("/index/")[2]
    key, value = next(iter(_item(call).items()))
    return dynamodb.query(
        TableName=_table(call),
        KeyConditionExpression="#k = :k",
        ExpressionAttributeNames={"#k": _INDEXES.get(index, key)},
        ExpressionAttributeValues={":k": value},
        **({"IndexName": index} if index else {}),
    )


def _records(kinesis: Any, call: Call) -> object:
    (shard, *_others) = kinesis.list_shards(StreamName=names.STREAM)["Shards"]
    latest = {"StreamName": names.STREAM, "ShardId": shard["ShardId"], "ShardIteratorType": "LATEST"}
    iterator = kinesis.get_shard_iterator(**latest)["ShardIterator"]
    return kinesis.get_records(ShardIterator=iterator, StreamARN=call.resource, Limit=1)


def _statistics(cloudwatch: Any, _: Call) -> object:
    now = datetime.now(UTC)
    return cloudwatch.get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="Errors",
        StartTime=now - timedelta(minutes=5),
        EndTime=now,
        Period=60,
        Statistics=["Sum"],
    )


def _object(call: Call) -> dict[str, str]:
    bucket, _, key = _place(call).partition("/")
    return {"Bucket": bucket, "Key": f"{key}-{NONE}"} if key else {"Bucket": bucket}


def _queue(sqs: Any, call: Call) -> str:
    return str(sqs.meta.endpoint_url) + f"/{call.resource.split(':')[4]}/{_place(call)}"


_STREAM = {"StreamName": names.STREAM}
_CONDITION = {"ConditionExpression": "attribute_exists(nothing)"}
_REQUESTS: Mapping[str, Callable[[Any, Call], object]] = {
    "cloudwatch:GetMetricStatistics": _statistics,
    "dynamodb:BatchGetItem": lambda c, of: c.batch_get_item(RequestItems={_table(of): {"Keys": [_item(of)]}}),
    "dynamodb:BatchWriteItem": lambda c, of: c.batch_write_item(
        RequestItems={_table(of): [{"DeleteRequest": {"Key": _item(of)}}]}
    ),
    "dynamodb:DeleteItem": lambda c, of: c.delete_item(TableName=_table(of), Key=_item(of), **_CONDITION),
    "dynamodb:GetItem": lambda c, of: c.get_item(TableName=_table(of), Key=_item(of)),
    "dynamodb:PutItem": lambda c, of: c.put_item(TableName=_table(of), Item=_item(of), **_CONDITION),
    "dynamodb:Query": _query,
    "dynamodb:UpdateItem": lambda c, of: c.update_item(
        TableName=_table(of), Key=_item(of), UpdateExpression="REMOVE nothing", **_CONDITION
    ),
    "events:PutEvents": lambda c, of: c.put_events(
        Entries=[
            {
                "EventBusName": names.BUS,
                "Source": NONE,
                "DetailType": of.keys["events:detail-type"][0],
                "Detail": "{}",
            }
        ]
    ),
    "kinesis:DescribeStream": lambda c, _: c.describe_stream(**_STREAM),
    "kinesis:DescribeStreamSummary": lambda c, _: c.describe_stream_summary(**_STREAM),
    "kinesis:GetRecords": _records,
    "kinesis:GetShardIterator": _records,
    "kinesis:ListShards": _records,
    "kinesis:PutRecords": lambda c, _: c.put_records(
        **_STREAM, Records=[{"Data": b"", "PartitionKey": "p", "ExplicitHashKey": NONE}]
    ),
    "lambda:InvokeFunction": lambda c, _: c.invoke(FunctionName=names.SCANNER, Payload=b'{"validate": []}'),
    "s3:DeleteObject": lambda c, of: c.delete_object(**_object(of)),
    "s3:GetObject": lambda c, of: c.get_object(**_object(of)),
    "s3:ListBucket": lambda c, of: c.list_objects_v2(**_object(of), Prefix=NONE, MaxKeys=1),
    "s3:PutObject": lambda c, of: c.put_object(**_object(of), Body=b"", ContentMD5="AAAA"),
    "secretsmanager:GetSecretValue": lambda c, of: c.get_secret_value(SecretId=of.resource),
    "sns:Publish": lambda c, of: c.publish(TopicArn=of.resource, Message="", MessageStructure="json"),
    "sqs:ChangeMessageVisibility": lambda c, of: c.change_message_visibility(
        QueueUrl=_queue(c, of), ReceiptHandle=NONE, VisibilityTimeout=0
    ),
    "sqs:DeleteMessage": lambda c, of: c.delete_message(QueueUrl=_queue(c, of), ReceiptHandle=NONE),
    "sqs:GetQueueAttributes": lambda c, of: c.get_queue_attributes(QueueUrl=_queue(c, of)),
    "sqs:ReceiveMessage": lambda c, of: c.receive_message(QueueUrl=_queue(c, of), VisibilityTimeout=0),
    "sqs:SendMessage": lambda c, of: c.send_message(QueueUrl=_queue(c, of), MessageBody="\0"),
    "ssm:GetParameter": lambda c, of: c.get_parameter(Name=_parameter(of)),
    "ssm:GetParameterHistory": lambda c, of: c.get_parameter_history(Name=_parameter(of)),
    "ssm:PutParameter": lambda c, of: c.put_parameter(
        Name=_parameter(of), Value=NONE, Type="String", Overwrite=False
    ),
}
