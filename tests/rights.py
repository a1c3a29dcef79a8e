"""Every call that a function makes, or that AWS makes in its name: what its role is judged by.

The end-to-end tests check that they make no other (tests/e2e/test_rights.py); tests/stream_infra/cdk/test_rights.py
takes each statement of the roles away and shows which of these calls is then denied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from stream_infra import names

ARGUED = {
    "kinesis:DescribeStreamConsumer": "of the CDK's grant to a reader; only a consumer with fan-out is described",
    "kinesis:SubscribeToShard": "of the CDK's grant to a reader; only a consumer with fan-out subscribes",
    "kinesis:ListStreams": "of the CDK's grant to a reader; it is asked without a resource, so allows nothing",
    "sqs:GetQueueUrl": "of the CDK's grant to a consumer; a mapping knows the queue by its ARN",
}
"""Rights that stay although nothing needs them."""

NO_KEYS: Mapping[str, Sequence[str]] = MappingProxyType({})


class Call(NamedTuple):
    """An action on a resource, with the condition keys of the request that a policy of ours looks at."""

    action: str
    resource: str
    keys: Mapping[str, Sequence[str]] = NO_KEYS


class Account:
    """ARNs of the monitor in an account."""

    def __init__(self, number: str, region: str = "us-east-1") -> None:
        self._number, self._region = number, region
        self.data = f"arn:aws:s3:::{names.data_bucket(number)}"

    def arn(self, service: str, name: str) -> str:
        return f"arn:aws:{service}:{self._region}:{self._number}:{name}"

    def table(self, name: str) -> str:
        return self.arn("dynamodb", f"table/{name}")

    def parameter(self, name: str) -> str:
        return self.arn("ssm", f"parameter{name}")

    def calls(self, function: str) -> list[Call]:
        """The calls of a function."""
        of = {
            names.SCANNER: self._scanner,
            names.DETECTOR: self._detector,
            names.NOTIFIER: self._notifier,
            names.API_HANDLER: self._api,
            names.LAKE: self._lake,
        }
        # Lambda guide, "Defining Lambda function permissions with an execution role": it writes logs in its name.
        log = self.arn("logs", f"log-group:/aws/lambda/{function}:log-stream:1")
        return [*on(log, "logs:CreateLogStream", "logs:PutLogEvents"), *of[function]()]

    def _scanner(self) -> list[Call]:
        bus, windows = self.arn("events", f"event-bus/{names.BUS}"), self.table(names.WINDOWS_TABLE)
        item = ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem")
        return [
            # Lambda guide, "Capturing records of Lambda asynchronous invocations": it sends a failed scan in its name.
            *on(self.arn("sqs", names.DEAD_LETTER_QUEUE), "sqs:SendMessage"),
            *on(self.arn("kinesis", f"stream/{names.STREAM}"), "kinesis:PutRecords"),
            *on(bus, "events:PutEvents", keys={"events:detail-type": ["FeedStale"]}),
            *on(bus, "events:PutEvents", keys={"events:detail-type": ["FeedRecovered"]}),
            *on(
                self.arn("secretsmanager", f"secret:{names.SOURCE_SECRET}-a1B2c3"),
                "secretsmanager:GetSecretValue",
            ),
            *on(windows, *item, keys={"dynamodb:LeadingKeys": ["scan#lease"]}),
            *on(windows, *item, keys={"dynamodb:LeadingKeys": ["scan#feed"]}),
            *on(f"{self.data}/raw-data/AAPL/1", "s3:PutObject"),
            *on(f"{self.data}/unsent/1", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
            *on(f"{self.data}/watch-lists/1", "s3:GetObject"),
            *on(self.data, "s3:ListBucket"),
            *on(self.parameter(names.TICKER_PARAMETER), "ssm:GetParameter"),
        ]

    def _detector(self) -> list[Call]:
        stream, bus = (
            self.arn("kinesis", f"stream/{names.STREAM}"),
            self.arn("events", f"event-bus/{names.BUS}"),
        )
        types = ("AnomalyDetected", "AnomalyEscalated", "AnomalyEnded", "ThresholdRejected")
        windows = self.table(names.WINDOWS_TABLE)
        reads = ("kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:ListShards")
        return [
            # Lambda guide, "Process Amazon Kinesis Data Streams records with Lambda", permissions of the role.
            *on(stream, *reads, "kinesis:GetShardIterator", "kinesis:GetRecords"),
            *on(self.table(names.ANOMALIES_TABLE), "dynamodb:BatchWriteItem"),
            *on(
                windows, "dynamodb:Query", "dynamodb:PutItem", keys={"dynamodb:LeadingKeys": ["partition#0"]}
            ),
            *on(windows, "dynamodb:UpdateItem", keys={"dynamodb:LeadingKeys": ["attempts#shardId-0"]}),
            *on(
                self.table(names.CHARTS_TABLE),
                "dynamodb:BatchWriteItem",
                "dynamodb:PutItem",
                "dynamodb:UpdateItem",
            ),
            *on(f"{self.data}/snapshots/1", "s3:GetObject", "s3:PutObject"),
            *on(f"{self.data}/quarantine/1", "s3:PutObject"),
            # Lambda guide, "Retain discarded batches for a Kinesis Data Streams event source": in its name.
            *on(f"{self.data}/aws/lambda/1", "s3:PutObject"),
            *on(self.data, "s3:ListBucket"),
            *(one for of in types for one in on(bus, "events:PutEvents", keys={"events:detail-type": [of]})),
            *on(self.parameter(names.THRESHOLD_PARAMETER), "ssm:GetParameter", "ssm:GetParameterHistory"),
            *on(self.parameter(names.RULES_PARAMETER), "ssm:GetParameter", "ssm:GetParameterHistory"),
        ]

    def _notifier(self) -> list[Call]:
        queue = self.arn("sqs", names.NOTIFIER_QUEUE)
        moves = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")
        items = ("dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem")
        return [
            # Lambda guide, "Using Lambda with Amazon SQS", permissions of the role.
            *on(queue, *moves, "sqs:GetQueueAttributes"),
            *on(self.table(names.ALERTS_TABLE), *items),
            *on(
                self.table(names.CHARTS_TABLE),
                "dynamodb:BatchGetItem",
                "dynamodb:Query",
                keys={"dynamodb:LeadingKeys": ["bars#live#1", "live#live"]},
            ),
            *on(self.arn("sns", names.ALERTS_TOPIC), "sns:Publish"),
            *on(self.arn("sqs", names.NOTIFIER_DEAD_LETTER_QUEUE), "sqs:SendMessage"),
            *on(
                self.arn("secretsmanager", f"secret:{names.CHANNEL_SECRETS}slack-a1B2c3"),
                "secretsmanager:GetSecretValue",
            ),
            *on(f"{self.data}/watch-lists/1", "s3:GetObject"),
            *on(self.data, "s3:ListBucket"),
            *on(self.parameter(names.ALERTS_PARAMETER), "ssm:GetParameter", "ssm:GetParameterHistory"),
            *on(self.parameter(names.TICKER_PARAMETER), "ssm:GetParameter"),
        ]

    def _api(self) -> list[Call]:
        anomalies = self.table(names.ANOMALIES_TABLE)
        items = ("dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem")
        return [
            *on(anomalies, "dynamodb:GetItem", "dynamodb:Query"),
            *on(f"{anomalies}/index/DateIndex", "dynamodb:Query"),
            *on(f"{anomalies}/index/SeverityIndex", "dynamodb:Query"),
            *on(self.table(names.CHARTS_TABLE), "dynamodb:BatchGetItem", "dynamodb:Query"),
            *on(self.table(names.ALERTS_TABLE), *items),
            *on(
                self.table(names.WINDOWS_TABLE),
                "dynamodb:GetItem",
                keys={"dynamodb:LeadingKeys": ["scan#feed"]},
            ),
            *on(self.parameter(names.TICKER_PARAMETER), "ssm:GetParameter", "ssm:PutParameter"),
            *on(self.parameter(names.RULES_PARAMETER), "ssm:GetParameter", "ssm:PutParameter"),
            *on(self.parameter(names.THRESHOLD_PARAMETER), "ssm:GetParameter", "ssm:PutParameter"),
            *on(self.parameter(names.ALERTS_PARAMETER), "ssm:GetParameter", "ssm:PutParameter"),
            *on(
                self.arn("events", f"event-bus/{names.BUS}"),
                "events:PutEvents",
                keys={"events:detail-type": ["AlertTest"]},
            ),
            *on(self.arn("lambda", f"function:{names.SCANNER}"), "lambda:InvokeFunction"),
            *on(self.arn("sqs", names.DEAD_LETTER_QUEUE), "sqs:GetQueueAttributes"),
            *on("*", "cloudwatch:GetMetricStatistics"),
            *on(f"{self.data}/watch-lists/1", "s3:GetObject", "s3:PutObject"),
            *on(f"{self.data}/raw-data/AAPL/1", "s3:GetObject"),
            *on(self.data, "s3:ListBucket"),
        ]

    def _lake(self) -> list[Call]:
        windows, alerts = self.table(names.WINDOWS_TABLE), self.table(names.ALERTS_TABLE)
        days = [f"{of}#2026-11-24" for of in ("incidents", "messages", "feedback")]
        return [
            *on(
                windows, "dynamodb:Query", "dynamodb:GetItem", keys={"dynamodb:LeadingKeys": ["partition#0"]}
            ),
            *on(f"{self.table(names.ANOMALIES_TABLE)}/index/DateIndex", "dynamodb:Query"),
            *(
                call
                for day in days
                for call in on(alerts, "dynamodb:Query", keys={"dynamodb:LeadingKeys": [day]})
            ),
            *on(f"{self.data}/snapshots/1", "s3:GetObject"),
            *on(f"{self.data}/lake/1", "s3:GetObject", "s3:PutObject"),
            *on(self.data, "s3:ListBucket"),
        ]


def on(resource: str, *actions: str, keys: Mapping[str, Sequence[str]] = NO_KEYS) -> list[Call]:
    return [Call(action, resource, keys) for action in actions]
