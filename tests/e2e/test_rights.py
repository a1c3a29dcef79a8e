"""Rights of the functions' roles: the local AWS denies what no statement allows, so each has to be needed by something.

Runs last (conftest.py), when all that the functions do was done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from rich.console import Console

from localstack.rights_report import Use, collect, render, state
from localstack.settings import REGION, read_settings
from stream_infra import names
from tests.e2e.monitor import ROOT, Monitor

pytestmark = pytest.mark.e2e

WHOLE_RUN = 100
"""So many tests and more are a run of all."""
ARGUED = {
    "kinesis:DescribeStreamConsumer": "of the CDK's grant to a reader; only a consumer with fan-out is described",
    "kinesis:SubscribeToShard": "of the CDK's grant to a reader; only a consumer with fan-out subscribes",
    "kinesis:ListStreams": "of the CDK's grant to a reader; it is asked without a resource, so allows nothing",
}
"""Rights that stay although nothing needs them."""


@pytest.fixture(autouse=True)
def _strict(monitor: Monitor) -> None:
    if monitor.given:
        pytest.skip("LocalStack 4.9.2: policies are not enforced in this edition")


class InTheNameOf:
    """Clients with the credentials of a function's role."""

    def __init__(self, monitor: Monitor, function: str) -> None:
        role = monitor.client("lambda").get_function(FunctionName=function)["Configuration"]["Role"]
        given = monitor.client("sts").assume_role(RoleArn=role, RoleSessionName="aws-itself")["Credentials"]
        self._url = monitor.aws
        self._session = boto3.session.Session(
            given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=REGION
        )

    def client(self, service: str) -> Any:
        return self._session.client(service, endpoint_url=self._url)  # type: ignore[call-overload]


def test_aws_itself_may_do_what_it_does_in_a_function_s_name(monitor: Monitor) -> None:
    """Lambda guide: it writes logs, reads event sources and sends to destinations with the function's role.

    ("Defining Lambda function permissions with an execution role", "Using Lambda with Amazon SQS", "Capturing records
    of Lambda asynchronous invocations".) MiniStack does so without asking, and the runner reads the stream itself.
    """
    for function in names.FUNCTIONS:
        logs = InTheNameOf(monitor, function).client("logs")
        group, stream = f"/aws/lambda/{function}", "in-its-name"
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        event = {"timestamp": 1_700_000_000_000, "message": "in its name"}
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])

    kinesis = InTheNameOf(monitor, names.DETECTOR).client("kinesis")
    arn = kinesis.describe_stream_summary(StreamName=names.STREAM)["StreamDescriptionSummary"]["StreamARN"]
    kinesis.describe_stream(StreamARN=arn)

    sqs = InTheNameOf(monitor, names.NOTIFIER).client("sqs")
    url = sqs.get_queue_url(QueueName=names.NOTIFIER_QUEUE)["QueueUrl"]
    sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    # What is not valid is rejected after what is not allowed, and moves no message.
    allowed(sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=0)
    allowed(sqs.delete_message, QueueUrl=url, ReceiptHandle="none")
    allowed(sqs.change_message_visibility, QueueUrl=url, ReceiptHandle="none", VisibilityTimeout=1)

    dead_letters = monitor.client("sqs").get_queue_url(QueueName=names.DEAD_LETTER_QUEUE)["QueueUrl"]
    scanner = InTheNameOf(monitor, names.SCANNER).client("sqs")
    allowed(scanner.send_message, QueueUrl=dead_letters, MessageBody="")


def allowed(call: Callable[..., Any], **arguments: Any) -> None:
    """Make a call that may fail, but not for want of a right."""
    try:
        call(**arguments)
    except ClientError as error:
        assert "AccessDenied" not in error.response["Error"]["Code"], error  # noqa: PT017


def test_a_function_s_credentials_do_not_reach_the_work_of_another(monitor: Monitor) -> None:
    """The scanner's own items only, and events of the feed only: conditions of its role."""
    scanner = InTheNameOf(monitor, names.SCANNER)
    forged = {"pk": {"S": "partition#0"}, "sk": {"S": "block#999999999999"}}
    with pytest.raises(ClientError, match="not authorized to perform: dynamodb:PutItem"):
        scanner.client("dynamodb").put_item(TableName=names.WINDOWS_TABLE, Item=forged)
    event = {"EventBusName": names.BUS, "Source": names.EVENT_SOURCE, "Detail": "{}"}
    with pytest.raises(ClientError, match="not authorized to perform: events:PutEvents"):
        scanner.client("events").put_events(Entries=[event | {"DetailType": "AnomalyDetected"}])


def test_no_right_is_granted_and_never_used(
    monitor: Monitor, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if len(request.session.items) < WHOLE_RUN:
        pytest.skip("says something after a run of all end-to-end tests only")
    for name, value in monitor.environment().items():
        monkeypatch.setenv(name, value)
    found = collect(read_settings())
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "rights.txt").open("w") as file:
        render(found, Console(file=file, width=140))
    assert [_line(use) for use in found if state(use) == "NEVER USED" and use.action not in ARGUED] == []


def test_every_statement_is_needed(
    monitor: Monitor, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some call was allowed by it alone: with the statement removed, that call is denied, and its test fails."""
    if len(request.session.items) < WHOLE_RUN:
        pytest.skip("says something after a run of all end-to-end tests only")
    for name, value in monitor.environment().items():
        monkeypatch.setenv(name, value)
    found = collect(read_settings())
    needed = {(use.function, use.statement) for use in found if use.alone}
    assert {(use.function, use.statement) for use in found} - needed == set()


def _line(use: Use) -> str:
    return f"{use.function}: {use.action} on {use.resource}"
