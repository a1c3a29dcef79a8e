"""What the emulator's CloudFormation drops without a word, set through the API from the same templates.

The one place where the local deployment differs from `cdk deploy` on AWS. Each entry says what is dropped (MiniStack
1.5.33); all of them are idempotent.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localstack.clients import client
from localstack.settings import LocalSettings
from stream_infra import names

OUTBOX_QUEUE = "stock-outbox"
EVENTS_RULE = "FollowEvents"
Resource = dict[str, Any]
Resolve = Callable[[Any], str]
"""Physical value of a template's `Ref` or `Fn::GetAtt`."""


def complement(settings: LocalSettings, assembly: Path) -> None:
    """Set what each function of `_APPLY` names, keep an archive of the bus, and subscribe the front door."""
    for stack in names.STACKS:
        resources = json.loads((assembly / f"{stack}.template.json").read_text())["Resources"]
        physical = _physical_ids(settings, stack)
        for logical_id, resource in resources.items():
            if apply := _APPLY.get(resource["Type"]):
                apply(settings, physical.get(logical_id, ""), resource.get("Properties", {}))
    _archive(settings)
    _subscribe_outbox(settings)


def _physical_ids(settings: LocalSettings, stack: str) -> dict[str, str]:
    pages = client(settings, "cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
    return {
        item["LogicalResourceId"]: item["PhysicalResourceId"]
        for page in pages
        for item in page["StackResourceSummaries"]
    }


def _table(settings: LocalSettings, table: str, properties: Resource) -> None:
    """AWS::DynamoDB::Table: TimeToLiveSpecification, PointInTimeRecoverySpecification."""
    dynamodb = client(settings, "dynamodb")
    if wanted := properties.get("TimeToLiveSpecification"):
        status = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"]
        if status != "ENABLED":  # AWS too rejects enabling it twice
            dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=wanted)
    if recovery := properties.get("PointInTimeRecoverySpecification"):
        dynamodb.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=recovery)


def _topic(settings: LocalSettings, topic: str, properties: Resource) -> None:
    """AWS::SNS::Topic: KmsMasterKeyId. The key of our own is found by its description, the managed one has an alias."""
    key = properties.get("KmsMasterKeyId")
    if isinstance(key, dict) and "Fn::GetAtt" in key:
        pages = client(settings, "kms").get_paginator("list_keys").paginate()
        keys = (of["KeyId"] for page in pages for of in page["Keys"])
        found = (client(settings, "kms").describe_key(KeyId=id_)["KeyMetadata"] for id_ in keys)
        key = next((of["Arn"] for of in found if names.OPERATIONS_TOPIC in of.get("Description", "")), None)
    if isinstance(key, str):
        client(settings, "sns").set_topic_attributes(
            TopicArn=topic, AttributeName="KmsMasterKeyId", AttributeValue=key
        )


def _asynchronous(settings: LocalSettings, _: str, properties: Resource) -> None:
    """AWS::Lambda::EventInvokeConfig: the whole resource."""
    queue = client(settings, "sqs").get_queue_url(QueueName=names.DEAD_LETTER_QUEUE)["QueueUrl"]
    arn = client(settings, "sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    client(settings, "lambda").put_function_event_invoke_config(
        FunctionName=names.SCANNER,
        Qualifier=names.LIVE,
        MaximumRetryAttempts=properties["MaximumRetryAttempts"],
        MaximumEventAgeInSeconds=properties["MaximumEventAgeInSeconds"],
        DestinationConfig={"OnFailure": {"Destination": arn["Attributes"]["QueueArn"]}},
    )


def _mapping(settings: LocalSettings, mapping: str, properties: Resource) -> None:
    """AWS::Lambda::EventSourceMapping: `Enabled: false` is kept but not shown as its state."""
    if properties.get("Enabled") is False:
        client(settings, "lambda").update_event_source_mapping(UUID=mapping, Enabled=False)


def _bucket(settings: LocalSettings, bucket: str, properties: Resource) -> None:
    """AWS::S3::Bucket: LifecycleConfiguration."""
    if lifecycle := properties.get("LifecycleConfiguration"):
        client(settings, "s3").put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": [_rule(rule) for rule in lifecycle["Rules"]]}
        )


def _archive(settings: LocalSettings) -> None:
    """AWS::Events::Archive: a template that holds one is rejected."""
    events = client(settings, "events")
    pattern = json.dumps({"source": [names.EVENT_SOURCE]})
    if events.list_archives(NamePrefix=names.ARCHIVE)["Archives"]:
        events.update_archive(
            ArchiveName=names.ARCHIVE, EventPattern=pattern, RetentionDays=names.ARCHIVE_DAYS
        )
    else:
        events.create_archive(
            ArchiveName=names.ARCHIVE,
            EventSourceArn=events.describe_event_bus(Name=names.BUS)["Arn"],
            EventPattern=pattern,
            RetentionDays=names.ARCHIVE_DAYS,
        )


def _rule(rule: Resource) -> Resource:
    """Return a lifecycle rule in the API's words, from CloudFormation's."""
    changed: Resource = {
        "ID": rule["Id"],
        "Status": rule["Status"],
        "Filter": {"Prefix": rule.get("Prefix", "")},
    }
    if larger := rule.get("ObjectSizeGreaterThan"):
        changed["Filter"] = {"And": {**changed["Filter"], "ObjectSizeGreaterThan": int(larger)}}
    if days := rule.get("ExpirationInDays"):
        changed["Expiration"] = {"Days": days}
    if rule.get("ExpiredObjectDeleteMarker"):
        changed["Expiration"] = {"ExpiredObjectDeleteMarker": True}
    if transitions := rule.get("Transitions"):
        changed["Transitions"] = [
            {"Days": item["TransitionInDays"], "StorageClass": item["StorageClass"]} for item in transitions
        ]
    if old := rule.get("NoncurrentVersionExpiration"):
        changed["NoncurrentVersionExpiration"] = old
    if abort := rule.get("AbortIncompleteMultipartUpload"):
        changed["AbortIncompleteMultipartUpload"] = abort
    return changed


def _subscribe_outbox(settings: LocalSettings) -> None:
    """Let the front door's queue receive what email and SMS of SNS would have said, and the events of the bus."""
    sqs, sns = client(settings, "sqs"), client(settings, "sns")
    url = sqs.create_queue(QueueName=OUTBOX_QUEUE)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    # SNS guide, "Subscribing an Amazon SQS queue": the queue has to let the topic send; so has it the bus.
    may_send = {
        "Effect": "Allow",
        "Principal": {"Service": ["sns.amazonaws.com", "events.amazonaws.com"]},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = {"Version": "2012-10-17", "Statement": [may_send]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    topics = {topic["TopicArn"].rsplit(":", 1)[1]: topic["TopicArn"] for topic in sns.list_topics()["Topics"]}
    for name in (names.ALERTS_TOPIC, names.OPERATIONS_TOPIC):
        sns.subscribe(
            TopicArn=topics[name], Protocol="sqs", Endpoint=arn
        )  # subscribing again changes nothing
    events = client(settings, "events")
    pattern = json.dumps({"source": [names.EVENT_SOURCE]})
    events.put_rule(Name=EVENTS_RULE, EventBusName=names.BUS, EventPattern=pattern)
    events.put_targets(Rule=EVENTS_RULE, EventBusName=names.BUS, Targets=[{"Id": OUTBOX_QUEUE, "Arn": arn}])


_APPLY: dict[str, Callable[[LocalSettings, str, Resource], None]] = {
    "AWS::DynamoDB::Table": _table,
    "AWS::Lambda::EventInvokeConfig": _asynchronous,
    "AWS::SNS::Topic": _topic,
    "AWS::Lambda::EventSourceMapping": _mapping,
    "AWS::S3::Bucket": _bucket,
}
