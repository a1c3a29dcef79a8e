"""The functions of the flow: scanner, detector, notifier and lake, each with no more rights than it uses."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import jsii
from aws_cdk import Duration, Environment, Size, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from consumers.contracts.events import DetailType
from consumers.contracts.kinds import distortions
from consumers.lake.tables import PREFIX
from producers.scan.staleness import FeedEventType
from producers.simulation.distortion import VARIABLE, to_text
from producers.sources import get
from stream_infra import names
from stream_infra.cdk.constructs.function import function, with_prefix
from stream_infra.cdk.constructs.permissions import (
    DATA_ARN,
    allow,
    allow_channel_secrets,
    allow_events,
    allow_items,
    allow_listing,
    allow_objects,
)
from stream_infra.cdk.constructs.releases import live
from stream_infra.cdk.schedule import scan_schedule
from stream_infra.cdk.stacks.storage import StorageStack
from stream_infra.cdk.stacks.stream import NOTIFIER_TIMEOUT, StreamStack
from stream_infra.config import Config

RECORD_AGE = Duration.hours(6)
"""A failing dependency delays ticks this long; what is older is discarded and comes back by redrive."""


class LambdaStack(Stack):
    """stock-scanner, stock-detector, stock-notifier and stock-lake with their triggers."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: Config,
        env: Environment,
        bundles: dict[str, Path],
        storage: StorageStack,
        stream: StreamStack,
        dashboard_url: str,
    ) -> None:
        super().__init__(scope, id_, env=env)
        self._dashboard_url = dashboard_url
        self._config, self._bundles = config, bundles
        self._storage, self._stream = storage, stream
        self.scanner = self._scanner()
        self.detector = self._detector()
        self.notifier = self._notifier()
        self.lake = self._lake()

    def _scanner(self) -> lambda_.Function:
        config, storage = self._config, self._storage
        has_keys = bool(get(config.source).keys)
        scanner = function(
            self,
            names.SCANNER,
            self._bundles[names.SCANNER],
            description="Polls quotes of the watch list and puts them on the stream",
            memory_mb=512,
            timeout=Duration.seconds(120),
            concurrency=config.concurrency_limit,
            environment={
                "STREAM_NAME": names.STREAM,
                "PARTITIONS": str(config.partitions),
                "SCAN_TABLE": storage.windows.table_name,
                "DATA_BUCKET": storage.data.bucket_name,
                "TICKER_PARAMETER": names.TICKER_PARAMETER,
                "SOURCE": config.source,
                "SESSION": config.session,
                "POLL_INTERVAL_SECONDS": f"{config.poll_interval_seconds:g}",
                "BUS_NAME": names.BUS,
                **config.source_options,
                **({"SOURCE_MODE": config.source_mode} if config.source_mode else {}),
                **({"MARKETS": config.markets} if config.markets else {}),
                **({"SOURCE_SECRET": names.SOURCE_SECRET} if has_keys else {}),
                **({VARIABLE: to_text(distortions())} if config.source == "simulated" else {}),
            },
            config=config,
        )
        alias = live(scanner, config)
        # A scan that failed is stale a minute later: the schedule is its retry, the queue its record.
        alias.configure_async_invoke(
            retry_attempts=0,
            max_event_age=Duration.seconds(60),
            on_failure=_DeadLetters(storage.dead_letters.queue_arn),
        )
        allow(
            scanner, storage.dead_letters.queue_arn, "sqs:SendMessage"
        )  # Lambda sends in the function's name
        allow(scanner, self._stream.quotes.stream_arn, "kinesis:PutRecords")
        allow_events(scanner, self._stream.bus, *get_args(FeedEventType))
        if has_keys:
            keys = secretsmanager.Secret.from_secret_name_v2(self, "SourceKeys", names.SOURCE_SECRET)
            allow(scanner, f"{keys.secret_arn}-??????", "secretsmanager:GetSecretValue")
        # Its lease and the state of the feed: the blocks beside them are the detector's alone.
        allow_items(
            scanner,
            storage.windows,
            ["scan#feed", "scan#lease"],
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
        )
        allow_objects(scanner, "raw-data/", "s3:PutObject")
        allow_objects(scanner, "unsent/", "s3:GetObject", "s3:PutObject", "s3:DeleteObject")
        allow_objects(scanner, "watch-lists/", "s3:GetObject")
        allow_listing(scanner)
        self._read_parameter(scanner, names.TICKER_PARAMETER)
        events.Rule(
            self,
            "Schedule",
            rule_name=names.SCHEDULE_RULE,
            description="Starts a scan every minute; whether the market is open is decided in code",
            enabled=not config.local,  # locally `make up` enables it once there is a history to go on from
            schedule=_schedule(config),
            targets=[targets.LambdaFunction(alias, retry_attempts=0, max_event_age=Duration.seconds(60))],
        )
        return scanner

    def _detector(self) -> lambda_.Function:
        config, storage = self._config, self._storage
        detector = function(
            self,
            names.DETECTOR,
            self._bundles[names.DETECTOR],
            description="Keeps windows, scores every tick, writes and announces anomalies",
            memory_mb=1024,
            timeout=Duration.seconds(60),
            concurrency=config.concurrency_limit,
            environment={
                "PARTITIONS": str(config.partitions),
                "ANOMALIES_TABLE": storage.anomalies.table_name,
                "WINDOWS_TABLE": storage.windows.table_name,
                "CHARTS_TABLE": storage.charts.table_name,
                "DATA_BUCKET": storage.data.bucket_name,
                "BUS_NAME": names.BUS,
                "THRESHOLD_PARAMETER": names.THRESHOLD_PARAMETER,
                "KEPT_DAYS": str(config.window_days),
                **with_prefix(RULES_PARAMETER=names.RULES_PARAMETER),
            },
            config=config,
        )
        # At once: two versions that score differently would undo each other's windows, block by block.
        alias = live(detector, config, gradual=False, check='{"Records": []}')
        alias.add_event_source(
            sources.KinesisEventSource(
                self._stream.quotes,
                enabled=not config.local,  # locally the runner in localstack/ drives the disabled mapping
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                batch_size=1000,
                max_batching_window=Duration.seconds(config.batching_window_seconds),
                parallelization_factor=config.parallelization_factor,
                report_batch_item_failures=True,
                bisect_batch_on_error=True,
                max_record_age=RECORD_AGE,  # retries do not end before it does
                on_failure=_FailedBatches(),
            )
        )
        allow(detector, storage.anomalies.table_arn, "dynamodb:BatchWriteItem")
        allow_items(
            detector,
            storage.windows,
            ["partition#*", "attempts#*"],
            "dynamodb:Query",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
        )
        allow(
            detector,
            storage.charts.table_arn,
            "dynamodb:BatchWriteItem",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
        )
        allow_objects(detector, "snapshots/", "s3:GetObject", "s3:PutObject")
        allow_objects(detector, "quarantine/", "s3:PutObject")
        allow_objects(
            detector, names.FAILED_BATCHES_PREFIX, "s3:PutObject"
        )  # Lambda writes in the function's name
        allow_listing(detector)
        allow_events(detector, self._stream.bus, *get_args(DetailType))
        for parameter in (names.THRESHOLD_PARAMETER, names.RULES_PARAMETER):
            self._read_parameter(detector, parameter, history=True)
        return detector

    def _notifier(self) -> lambda_.Function:
        stream, storage = self._stream, self._storage
        notifier = function(
            self,
            names.NOTIFIER,
            self._bundles[names.NOTIFIER],
            description="Turns anomalies into incidents, and notifies people of them",
            memory_mb=512,  # and more than a quarter of a processor: a flood keeps its 3 s (docs/performance.md)
            timeout=NOTIFIER_TIMEOUT,
            environment={
                "ALERTS_TABLE": storage.alerts.table_name,
                "CHARTS_TABLE": storage.charts.table_name,
                "TOPIC_ARN": stream.alerts.topic_arn,
                "DASHBOARD_URL": self._dashboard_url,
                "TICKER_PARAMETER": names.TICKER_PARAMETER,
                "CHANNEL_SECRETS": names.CHANNEL_SECRETS,
                "DEAD_LETTER_QUEUE_URL": stream.undelivered.queue_url,
                **with_prefix(ALERTS_PARAMETER=names.ALERTS_PARAMETER),
            },
            config=self._config,
        )
        alias = live(notifier, self._config)
        alias.add_event_source(
            sources.SqsEventSource(
                stream.notifications,
                batch_size=10,
                report_batch_item_failures=True,
                max_concurrency=names.NOTIFIER_CONCURRENCY
                if self._config.concurrency_limit
                else names.NOTIFIER_CONCURRENCY_UNRESERVED,
            )
        )
        storage.alerts.grant(
            notifier,
            "dynamodb:BatchGetItem",
            "dynamodb:Query",
            "dynamodb:PutItem",
            "dynamodb:DeleteItem",
        )
        # The bars of the market, for an incident's context.
        allow_items(notifier, storage.charts, ["bars#*", "live#*"], "dynamodb:BatchGetItem", "dynamodb:Query")
        stream.alerts.grant_publish(notifier)
        allow(notifier, stream.undelivered.queue_arn, "sqs:SendMessage")
        allow_channel_secrets(notifier)
        allow_objects(notifier, "watch-lists/", "s3:GetObject")
        allow_listing(notifier)
        self._read_parameter(notifier, names.ALERTS_PARAMETER, history=True)
        self._read_parameter(notifier, names.TICKER_PARAMETER)
        events.Rule(
            self,
            "Digest",
            rule_name=names.DIGEST_RULE,
            description="Sends what is due: digests, repetitions, ends of incidents, and what failed before",
            schedule=events.Schedule.rate(Duration.minutes(1)),
            targets=[
                targets.LambdaFunction(
                    alias, event=events.RuleTargetInput.from_object({"digest": True}), retry_attempts=0
                )
            ],
        )
        return notifier

    def _lake(self) -> lambda_.Function:
        storage = self._storage
        lake = function(
            self,
            names.LAKE,
            self._bundles[names.LAKE],
            description="Takes what was seen and found into the lake, as Parquet",
            memory_mb=2048,  # DuckDB takes half of it; more than 1,769 MB is a whole processor
            timeout=Duration.minutes(15),
            disk=Size.gibibytes(4),
            environment={
                "PARTITIONS": str(self._config.partitions),
                "WINDOWS_TABLE": storage.windows.table_name,
                "ANOMALIES_TABLE": storage.anomalies.table_name,
                "ALERTS_TABLE": storage.alerts.table_name,
                "DATA_BUCKET": storage.data.bucket_name,
            },
            config=self._config,
        )
        alias = live(lake, self._config, gradual=False)
        allow_items(lake, storage.windows, ["partition#*"], "dynamodb:Query", "dynamodb:GetItem")
        allow(lake, f"{storage.anomalies.table_arn}/index/DateIndex", "dynamodb:Query")
        allow_items(lake, storage.alerts, ["incidents#*", "messages#*", "feedback#*"], "dynamodb:Query")
        allow_objects(lake, "snapshots/", "s3:GetObject")
        allow_objects(lake, PREFIX, "s3:GetObject", "s3:PutObject")
        allow_listing(lake)
        events.Rule(
            self,
            "LakeSchedule",
            rule_name=names.LAKE_RULE,
            description="Takes what is new into the lake",
            schedule=events.Schedule.rate(Duration.hours(1)),
            targets=[targets.LambdaFunction(alias, retry_attempts=0)],
        )
        return lake

    def _read_parameter(self, grantee: lambda_.Function, name: str, *, history: bool = False) -> None:
        """Let a function read a parameter; with its history, to go on with the last value that can be used."""
        arn = self.format_arn(service="ssm", resource="parameter", resource_name=name.lstrip("/"))
        allow(grantee, arn, "ssm:GetParameter", *(["ssm:GetParameterHistory"] if history else []))


@jsii.implements(lambda_.IDestination)
class _DeadLetters:
    """A queue as destination; the CDK's own gives the function more rights than Lambda needs to send."""

    def __init__(self, queue_arn: str) -> None:
        self._queue_arn = queue_arn

    def bind(
        self,
        _scope: Construct,
        _function: lambda_.IFunction,
        *,
        type: lambda_.DestinationType,  # noqa: A002, ARG002
    ) -> lambda_.DestinationConfig:
        return lambda_.DestinationConfig(destination=self._queue_arn)


@jsii.implements(lambda_.IEventSourceDlq)
class _FailedBatches:
    """The data bucket as destination; the CDK's own gives the function the right to write anywhere in it."""

    def bind(
        self, _target: lambda_.IEventSourceMapping, _handler: lambda_.IFunction
    ) -> lambda_.DlqDestinationConfig:
        return lambda_.DlqDestinationConfig(destination=DATA_ARN)


def _schedule(config: Config) -> events.Schedule:
    """Rules know no time zone: the UTC hours cover summer and winter time, the scan decides the rest."""
    schedule = scan_schedule(config)
    if schedule is None:
        return events.Schedule.rate(Duration.minutes(1))
    return events.Schedule.cron(minute="*", hour=schedule.hours, week_day=schedule.days)
