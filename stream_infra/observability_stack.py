"""Alarms that reach the operators, and the picture of the flow they look at first."""

from __future__ import annotations

from aws_cdk import Duration, Environment, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

from stream_infra.api_stack import ApiStack
from stream_infra.config import Config
from stream_infra.lambda_stack import LambdaStack
from stream_infra.storage_stack import StorageStack
from stream_infra.stream_stack import StreamStack

_FIVE_MINUTES = Duration.minutes(5)
_AT_LEAST = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
_ABOVE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD


class ObservabilityStack(Stack):
    """Alarms on the operations topic and the CloudWatch dashboard `stock-monitor`."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: Config,  # noqa: ARG002  every stack is built alike
        env: Environment,
        storage: StorageStack,
        stream: StreamStack,
        functions: LambdaStack,
        api: ApiStack,
    ) -> None:
        super().__init__(scope, id_, env=env)
        self._action = actions.SnsAction(stream.operations)
        errors = functions.scanner.metric_errors(period=_FIVE_MINUTES, statistic="Sum")
        server_errors = api.api.metric_server_error(period=_FIVE_MINUTES, statistic="Sum")
        iterator_age = functions.detector.metric(
            "IteratorAge", period=Duration.minutes(1), statistic="Maximum", unit=cloudwatch.Unit.MILLISECONDS
        )
        dead_letters = storage.dead_letters.metric_approximate_number_of_messages_visible(
            period=_FIVE_MINUTES, statistic="Maximum"
        )
        undelivered = stream.undelivered.metric_approximate_number_of_messages_visible(
            period=_FIVE_MINUTES, statistic="Maximum"
        )
        self._alarm(
            "stock-scanner-errors",
            errors,
            1,
            "The scanner failed. Runbook: Lambda Function Timing Out",
            _ABOVE,
        )
        self._alarm(
            "api-5xx-errors", server_errors, 5, "The API fails. Runbook: API Gateway 5xx Errors", _ABOVE
        )
        self._alarm(
            "stock-detector-iterator-age",
            iterator_age,
            60_000,
            "Ticks wait more than a minute for the detector. Runbook: No Anomalies Detected",
            _AT_LEAST,
            evaluation_periods=3,
        )
        self._alarm(
            "stock-scanner-dlq-messages",
            dead_letters,
            1,
            "Batches or scans were given up. Runbook: Incident Response",
            _AT_LEAST,
        )
        self._alarm(
            "stock-notifier-dlq-messages",
            undelivered,
            1,
            "Alerts could not be sent. Runbook: Incident Response",
            _AT_LEAST,
        )
        cloudwatch.Dashboard(
            self,
            "Flow",
            dashboard_name="stock-monitor",
            widgets=[
                [
                    _graph("Scanner", functions.scanner.metric_invocations(), errors),
                    _graph("Stream", stream.quotes.metric_put_records_success(), iterator_age),
                    _graph(
                        "Detector",
                        functions.detector.metric_duration(statistic="p95"),
                        functions.detector.metric_errors(),
                    ),
                    _graph("Alerts", functions.notifier.metric_invocations(), undelivered),
                ],
                [
                    _graph("API", api.api.metric_count(), server_errors, api.api.metric_client_error()),
                    _graph("Given up", dead_letters),
                ],
            ],
        )

    def _alarm(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        threshold: float,
        description: str,
        comparison: cloudwatch.ComparisonOperator,
        *,
        evaluation_periods: int = 1,
    ) -> None:
        cloudwatch.Alarm(
            self,
            name,
            alarm_name=name,
            alarm_description=description,
            metric=metric,
            threshold=threshold,
            evaluation_periods=evaluation_periods,
            comparison_operator=comparison,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        ).add_alarm_action(self._action)


def _graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=6)
