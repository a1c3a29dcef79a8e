"""Where records go that are discarded: the message by destination, and what happens when the destination is away."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.json_types import Json
from tests.localstack.conftest import Lab

ALWAYS = "raise ValueError('always')"
METADATA = {"requestContext", "responseContext", "version", "timestamp", "KinesisBatchInfo"}


Inbox = Callable[[str], tuple[str, Callable[[], list[Json]]]]


def give_up(lab: Lab, name: str, destination: str, **settings: Any) -> None:
    """A record that fails at once and for good."""
    stream = lab.stream(name)
    lab.function(name, ALWAYS)
    lab.mapping(
        name,
        stream,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": destination}},
        **settings,
    )
    lab.put(name, ("key", b"poison"))


@pytest.fixture
def inbox(lab: Lab) -> Inbox:
    """Makes a queue: its ARN, and a look at the messages in it."""
    sqs = lab.aws.client("sqs")

    def make(name: str) -> tuple[str, Callable[[], list[Json]]]:
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        seen: list[Json] = []

        def look() -> list[Json]:
            answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            seen.extend(json.loads(message["Body"]) for message in answer.get("Messages", []))
            return seen

        return arn, look

    return make


def test_a_topic_gets_the_metadata(lab: Lab, inbox: Inbox) -> None:
    """Lambda guide, "Retain discarded batch records": SQS and SNS get the metadata of the invocation only."""
    queue, look = inbox("esm-topic-inbox")
    topic = lab.aws.client("sns").create_topic(Name="esm-failures")["TopicArn"]
    lab.aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    give_up(lab, "esm-to-topic", topic)
    notification = lab.eventually(look)[0]
    message = json.loads(notification["Message"])
    assert message.keys() == METADATA
    assert message["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert message["requestContext"]["approximateInvokeCount"] == 1
    assert message["KinesisBatchInfo"]["batchSize"] == 1


def test_a_destination_that_comes_late_is_waited_for(lab: Lab) -> None:
    give_up(lab, "esm-late-bucket", "arn:aws:s3:::esm-late-bucket")
    lab.eventually(lambda: lab.deliveries("esm-late-bucket"))
    s3 = lab.aws.client("s3")
    s3.create_bucket(Bucket="esm-late-bucket")
    found = lab.eventually(lambda: s3.list_objects_v2(Bucket="esm-late-bucket").get("Contents"))
    assert found
    body = json.loads(s3.get_object(Bucket="esm-late-bucket", Key=found[0]["Key"])["Body"].read())
    assert body.keys() == METADATA | {"payload"}
    assert len(json.loads(body["payload"])["Records"]) == 1


def test_a_destination_that_never_takes_them_is_counted_and_holds_nothing_up(lab: Lab) -> None:
    """Lambda guide, "Types of metrics", event source mappings: DestinationDeliveryFailures."""
    give_up(lab, "esm-no-queue", "arn:aws:sqs:us-east-1:000000000000:esm-nowhere", BatchSize=1)
    lab.eventually(lambda: lab.deliveries("esm-no-queue"))
    lab.put("esm-no-queue", ("key", b"next"))
    lab.eventually(lambda: len(lab.deliveries("esm-no-queue")) == 2, seconds=30)
    lab.eventually(lambda: lab.metric("esm-no-queue", "DestinationDeliveryFailures"), seconds=30)
