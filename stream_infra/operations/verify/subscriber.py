"""A subscriber of both topics for the time of a proof: a queue of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import ClientError

from stream_infra import names
from stream_infra.operations.endpoints import Endpoints

PREFIX = names.named("stock-verify-")
ABANDONED_SECONDS = 3600
"""A proof lasts minutes: a queue this old is of one that was killed."""


class Subscriber:
    """What the topics have sent since the subscription."""

    def __init__(self, sqs: Any, url: str) -> None:
        self._sqs, self._url = sqs, url
        self._received: list[dict[str, Any]] = []

    def notifications(self) -> list[dict[str, Any]]:
        """Return all notifications so far; waits a second for new ones."""
        answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            with suppress(ValueError):  # not of SNS
                self._received.append(json.loads(message["Body"]))
        return self._received


@contextmanager
def subscribed(endpoints: Endpoints, run: str, account: str) -> Iterator[Subscriber]:
    """Subscribe a new queue to the topics; it and its subscriptions are gone at the end."""
    sqs, sns = endpoints.client("sqs"), endpoints.client("sns")
    region = sns.meta.region_name
    arns = [
        f"arn:aws:sns:{region}:{account}:{topic}" for topic in (names.ALERTS_TOPIC, names.OPERATIONS_TOPIC)
    ]
    name = f"{PREFIX}{run}"
    queue = f"arn:aws:sqs:{region}:{account}:{name}"
    url = ""
    try:
        attributes: Any = {"MessageRetentionPeriod": "3600", "Policy": _policy(queue, arns)}
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        for arn in arns:
            sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue)
        yield Subscriber(sqs, url)
    finally:
        _remove(sns, sqs, arns, name, url)


def remove_abandoned(endpoints: Endpoints, account: str) -> None:
    """Remove the queues, and their subscriptions, of proofs that were killed."""
    sqs, sns = endpoints.client("sqs"), endpoints.client("sns")
    region = sns.meta.region_name
    arns = [
        f"arn:aws:sns:{region}:{account}:{topic}" for topic in (names.ALERTS_TOPIC, names.OPERATIONS_TOPIC)
    ]
    for url in sqs.list_queues(QueueNamePrefix=PREFIX).get("QueueUrls", []):
        wanted: Any = ["CreatedTimestamp"]
        made = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)["Attributes"]
        if time.time() - float(made["CreatedTimestamp"]) > ABANDONED_SECONDS:
            _remove(sns, sqs, arns, url.rpartition("/")[2], url)


def _policy(queue: str, topics: list[str]) -> str:
    """SNS guide, "Subscribing an Amazon SQS queue to an Amazon SNS topic": the queue has to let the topic send."""
    may_send = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": topics}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [may_send]})


def _remove(sns: Any, sqs: Any, topics: list[str], name: str, url: str) -> None:
    for topic in topics:
        with suppress(ClientError):  # a topic that is gone holds no subscription
            pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
            for subscription in [of for page in pages for of in page["Subscriptions"]]:
                if subscription["Endpoint"].endswith(f":{name}"):
                    sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    if url:
        with suppress(sqs.exceptions.QueueDoesNotExist):
            sqs.delete_queue(QueueUrl=url)
