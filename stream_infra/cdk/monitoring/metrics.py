"""The metrics that alarms and the dashboard look at, by what they are of."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs

from stream_infra import names
from stream_infra.cdk.constructs.releases import NAMESPACE
from stream_infra.cdk.schedule import scan_schedule
from stream_infra.config import Config

FIVE_MINUTES = Duration.minutes(5)


def of_function(
    function: lambda_.IFunction, name: str, statistic: str = "Sum", *, minutes: int = 5
) -> cloudwatch.Metric:
    """Return a metric that Lambda keeps of a function, over all its versions."""
    return function.metric(name, period=Duration.minutes(minutes), statistic=statistic)


def of_scanner(name: str, statistic: str = "Sum", *, minutes: int = 5) -> cloudwatch.Metric:
    """Return a metric that the scanner counts itself."""
    return _own(names.SCANNER, name, statistic, minutes)


def of_detector(name: str, statistic: str = "Sum", *, minutes: int = 5) -> cloudwatch.Metric:
    """Return a metric that the detector counts itself."""
    return _own(names.DETECTOR, name, statistic, minutes)


def _own(service: str, name: str, statistic: str, minutes: int) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=name,
        dimensions_map={"service": service},
        period=Duration.minutes(minutes),
        statistic=statistic,
    )


def waiting_messages(queue: sqs.IQueue) -> cloudwatch.Metric:
    """Messages that wait in a queue."""
    return queue.metric_approximate_number_of_messages_visible(period=FIVE_MINUTES, statistic="Maximum")


def oldest_message(queue: sqs.IQueue) -> cloudwatch.Metric:
    """Age of the oldest message of a queue (s)."""
    return queue.metric_approximate_age_of_oldest_message(period=FIVE_MINUTES, statistic="Maximum")


def throttled_writes(table: dynamodb.ITable) -> cloudwatch.Metric:
    """Return writes that DynamoDB throttled, of the table itself."""
    return table.metric("WriteThrottleEvents", period=FIVE_MINUTES, statistic="Sum")


def scans(scanner: lambda_.IFunction, notifier: lambda_.IFunction, config: Config) -> cloudwatch.IMetric:
    """Invocations of the scanner; 1 where its schedule starts none, so that a night is no outage.

    The notifier is invoked every minute, day and night: its metric gives the hour where the scanner's has no point.
    """
    found = of_function(scanner, "Invocations")
    schedule = scan_schedule(config)
    if schedule is None:
        return found
    return cloudwatch.MathExpression(
        expression=f"IF({schedule.outside}, 1, FILL(found, 0))",
        using_metrics={"found": found, "beat": of_function(notifier, "Invocations")},
        label="Scans (1 outside the session)",
        period=FIVE_MINUTES,
    )
