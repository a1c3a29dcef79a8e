"""Alarms that reach the operators, and the picture of the flow they see first."""

from __future__ import annotations

from typing import NamedTuple

from aws_cdk import Duration, Environment, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

from stream_infra import names
from stream_infra.cdk.monitoring import metrics
from stream_infra.cdk.monitoring.flow_dashboard import flow_dashboard
from stream_infra.cdk.stacks.api import ApiStack
from stream_infra.cdk.stacks.functions import LambdaStack
from stream_infra.cdk.stacks.storage import StorageStack
from stream_infra.cdk.stacks.stream import StreamStack
from stream_infra.config import Config

RUNBOOK = "docs/runbook.md"
BILLING_REGION = "us-east-1"
"""The only region with the metric of estimated charges (CloudWatch guide, "Create a billing alarm")."""
_ABOVE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
_AT_LEAST = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
_BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
_QUIET = cloudwatch.TreatMissingData.NOT_BREACHING


class Watch(NamedTuple):
    """An alarm: what it says, the section of the runbook that helps, and the value from which on it rings."""

    name: str
    section: str
    says: str
    metric: cloudwatch.IMetric
    threshold: float
    comparison: cloudwatch.ComparisonOperator = _AT_LEAST
    periods: int = 1
    missing: cloudwatch.TreatMissingData = _QUIET


class ObservabilityStack(Stack):
    """Alarms on the operations topic and the CloudWatch dashboard `stock-monitor`."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: Config,
        env: Environment,
        storage: StorageStack,
        stream: StreamStack,
        functions: LambdaStack,
        api: ApiStack,
    ) -> None:
        super().__init__(scope, id_, env=env)
        self._config = config
        self._action = actions.SnsAction(stream.operations)
        watches = [
            *self._scanner(functions),
            *self._detector(functions),
            *self._alerts(functions, stream),
            *self._api(api),
            *self._lake(functions),
            *self._queues_and_throttles(storage, stream, functions, api),
            *self._heartbeat(functions),
            *self._cost(),
        ]
        alarms = [self._alarm(watch) for watch in watches]
        flow_dashboard(self, alarms, storage=storage, stream=stream, functions=functions, api=api)

    def _scanner(self, functions: LambdaStack) -> list[Watch]:
        scanner = functions.scanner
        return [
            Watch(
                "stock-scanner-errors",
                "scanner-errors",
                "More than one scan failed in 5 minutes, as when the source fails in every poll: no quotes came of it.",
                metrics.of_function(scanner, "Errors"),
                1,
                _ABOVE,
            ),
            Watch(
                "stock-scanner-stopped",
                "scanner-stopped",
                "No scan was started for 15 minutes of the session: no quotes are polled.",
                metrics.scans(scanner, functions.notifier, self._config),
                1,
                _BELOW,
                periods=3,
                missing=cloudwatch.TreatMissingData.BREACHING,
            ),
            Watch(
                "stock-feed-silence",
                "feed-silence",
                "The source of quotes has brought nothing new for minutes: what happens on the market is not seen.",
                metrics.of_scanner("FeedStale", "Maximum", minutes=1),
                1,
                periods=2,
            ),
        ]

    def _detector(self, functions: LambdaStack) -> list[Watch]:
        # The emulator takes all periods as one: a slow first minute would ring for a quarter of an hour.
        usual_ms = 30_000 if self._config.local else 5_000
        slow_ms = usual_ms + 1_000 * self._config.batching_window_seconds
        return [
            Watch(
                "stock-detector-errors",
                "detector-errors",
                "The detector crashed: its batches are tried again until they are 6 hours old.",
                metrics.of_function(functions.detector, "Errors"),
                1,
            ),
            Watch(
                "stock-detector-iterator-age",
                "iterator-age",
                "Ticks wait more than a minute for the detector.",
                metrics.of_function(functions.detector, "IteratorAge", "Maximum", minutes=1),
                60_000,
                periods=3,
            ),
            Watch(
                "stock-anomaly-latency",
                "anomaly-latency",
                f"Of the anomalies, 5 % were written more than {slow_ms / 1000:g} s after their tick.",
                metrics.of_detector("EventToAnomaly", "p95"),
                slow_ms,
                periods=3,
            ),
            Watch(
                "stock-ticks-quarantined",
                "quarantine",
                "Records or ticks could not be read: they are kept in the quarantine.",
                metrics.of_detector("TicksQuarantined"),
                1,
            ),
            Watch(
                "stock-ticks-out-of-order",
                "out-of-order",
                "A producer sent ticks older than those before: they were counted and not used.",
                metrics.of_detector("TicksOutOfOrder"),
                1,
            ),
            Watch(
                "stock-threshold-rejected",
                "threshold-rejected",
                "The threshold in Parameter Store cannot be used: the one before stays in force.",
                metrics.of_detector("ThresholdsRejected"),
                1,
            ),
        ]

    def _heartbeat(self, functions: LambdaStack) -> list[Watch]:
        if self._config.local:
            return []  # there is no canary
        return [
            Watch(
                "stock-heartbeat",
                "heartbeat",
                "The detector took nothing for 15 minutes, not even the canary's tick.",
                metrics.of_function(functions.detector, "Invocations"),
                1,
                _BELOW,
                periods=3,
                missing=cloudwatch.TreatMissingData.BREACHING,
            )
        ]

    def _alerts(self, functions: LambdaStack, stream: StreamStack) -> list[Watch]:
        return [
            Watch(
                "stock-notifier-errors",
                "notifier-errors",
                "The notifier failed more than once in 5 minutes: alerts are late.",
                metrics.of_function(functions.notifier, "Errors"),
                1,
                _ABOVE,
            ),
            Watch(
                "stock-notifier-queue-age",
                "notifier-queue",
                "Events have been waiting for the notifier for 5 minutes: alerts are late.",
                metrics.oldest_message(stream.notifications),
                300,
            ),
        ]

    def _api(self, api: ApiStack) -> list[Watch]:
        return [
            Watch(
                "api-5xx-errors",
                "api-5xx-errors",
                "The API failed more than 5 times in 5 minutes.",
                api.api.metric_server_error(period=metrics.FIVE_MINUTES, statistic="Sum"),
                5,
                _ABOVE,
            ),
            Watch(
                "api-latency",
                "api-latency",
                "Of the API's answers, 5 % took more than half a second.",
                api.api.metric_latency(period=metrics.FIVE_MINUTES, statistic="p95"),
                500,
                periods=3,
            ),
        ]

    def _lake(self, functions: LambdaStack) -> list[Watch]:
        return [
            Watch(
                "stock-lake-errors",
                "lake-errors",
                "The lake was not written for three hours: what SQL shows is old.",
                metrics.of_function(functions.lake, "Errors", minutes=60),
                1,
                periods=3,
            )
        ]

    def _queues_and_throttles(
        self, storage: StorageStack, stream: StreamStack, functions: LambdaStack, api: ApiStack
    ) -> list[Watch]:
        queues = [
            Watch(
                f"{queue}-messages",
                section,
                says,
                metrics.waiting_messages(of),
                1,
            )
            for of, queue, section, says in (
                (
                    storage.dead_letters,
                    "stock-scanner-dlq",
                    "dead-letters",
                    "Batches were discarded: redrive them; or scans failed: see the alarm of the scanner's errors.",
                ),
                (stream.undelivered, "stock-notifier-dlq", "notifier-dead-letters", "Alerts were discarded."),
            )
        ]
        lambdas = [
            Watch(
                f"{function.node.id}-throttles",
                "function-throttles",
                "Lambda throttled the function: a limit of concurrency is reached.",
                metrics.of_function(function, "Throttles"),
                1,
            )
            for function in (
                functions.scanner,
                functions.detector,
                functions.notifier,
                api.handler,
                functions.lake,
            )
        ]
        tables = [
            Watch(
                f"{names.plain(name)}-throttles",
                "table-throttles",
                "DynamoDB throttled writes to the table.",
                metrics.throttled_writes(table),
                1,
            )
            for name, table in storage.tables.items()
        ]
        throttled = Watch(
            "stock-quotes-throttles",
            "stream-throttles",
            "The stream throttled ticks: its shards are too few.",
            stream.quotes.metric(
                "WriteProvisionedThroughputExceeded", period=metrics.FIVE_MINUTES, statistic="Sum"
            ),
            1,
        )
        waiting = Watch(
            "stock-ticks-waiting",
            "stream-throttles",
            "The stream has not taken ticks for 15 minutes: they wait in S3 and come late.",
            metrics.of_scanner("TicksWaiting", "Minimum"),
            1,
            periods=3,
        )
        return [*queues, *lambdas, throttled, waiting, *tables]

    def _cost(self) -> list[Watch]:
        if self._config.region not in (None, BILLING_REGION):
            return []  # an alarm on a metric that never comes would only look like one (docs/cost.md)
        dollars = self._config.monthly_cost_limit
        charges = cloudwatch.Metric(
            namespace="AWS/Billing",
            metric_name="EstimatedCharges",
            dimensions_map={"Currency": "USD"},
            period=Duration.hours(6),
            statistic="Maximum",
        )
        says = f"The account's charges of this month are more than ${dollars:g}."
        return [Watch("stock-monthly-cost", "cost", says, charges, dollars, _ABOVE)]

    def _alarm(self, watch: Watch) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            watch.name,
            alarm_name=names.named(watch.name),
            alarm_description=f"{watch.says} Runbook: {RUNBOOK}#{watch.section}",
            metric=watch.metric,
            threshold=watch.threshold,
            evaluation_periods=watch.periods,
            comparison_operator=watch.comparison,
            treat_missing_data=watch.missing,
        )
        # No word of the end: an alarm is OK for the first time soon after it is made, and each of them would say so.
        alarm.add_alarm_action(self._action)
        return alarm
