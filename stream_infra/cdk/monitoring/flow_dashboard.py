"""The CloudWatch dashboard `stock-monitor`: a quote's way from left to right.

From top to bottom, per station: what goes through, how late it is, and what goes wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stream_infra import names
from stream_infra.cdk.monitoring import metrics
from stream_infra.cdk.stacks.api import ApiStack
from stream_infra.cdk.stacks.functions import LambdaStack
from stream_infra.cdk.stacks.storage import StorageStack
from stream_infra.cdk.stacks.stream import StreamStack

_COLUMNS = 24
Metrics = Sequence[cloudwatch.IMetric]


class Station(NamedTuple):
    """A column of the dashboard."""

    name: str
    through: Metrics
    delay: Metrics
    trouble: Metrics


def flow_dashboard(
    scope: Construct,
    alarms: Sequence[cloudwatch.IAlarm],
    *,
    storage: StorageStack,
    stream: StreamStack,
    functions: LambdaStack,
    api: ApiStack,
) -> cloudwatch.Dashboard:
    """Add the dashboard, with the state of all alarms on top."""
    stations = [
        _feed(functions),
        _stream(stream),
        _detector(functions),
        _anomalies(storage),
        _alerts(functions, stream),
        _api(api),
    ]
    width = _COLUMNS // len(stations)
    rows: list[Sequence[cloudwatch.IWidget]] = [
        [cloudwatch.AlarmStatusWidget(title="Alarms", alarms=alarms, width=_COLUMNS, height=4)]
    ]
    rows.append([_graph(station.name, station.through, width) for station in stations])
    rows.append([_graph(f"{station.name}: delay", station.delay, width) for station in stations])
    rows.append([_graph(f"{station.name}: trouble", station.trouble, width) for station in stations])
    return cloudwatch.Dashboard(scope, "Flow", dashboard_name=names.CLOUDWATCH_DASHBOARD, widgets=rows)


def _feed(functions: LambdaStack) -> Station:
    return Station(
        "Feed",
        [metrics.of_scanner("TicksPublished"), metrics.of_scanner("Polls")],
        [metrics.of_function(functions.scanner, "Duration", "p95")],
        [
            metrics.of_function(functions.scanner, "Errors"),
            *(
                metrics.of_scanner(name)
                for name in ("PollsFailed", "PollsSkipped", "TickersMissing", "TicksWaiting")
            ),
            metrics.of_scanner("FeedStale", "Maximum"),
        ],
    )


def _stream(stream: StreamStack) -> Station:
    def quotes(name: str, statistic: str = "Sum") -> cloudwatch.Metric:
        return stream.quotes.metric(name, period=metrics.FIVE_MINUTES, statistic=statistic)

    return Station(
        "Stream",
        [quotes("IncomingRecords"), quotes("IncomingBytes")],
        [quotes("GetRecords.IteratorAgeMilliseconds", "Maximum")],
        [quotes("WriteProvisionedThroughputExceeded"), quotes("ReadProvisionedThroughputExceeded")],
    )


def _detector(functions: LambdaStack) -> Station:
    return Station(
        "Detector",
        [metrics.of_detector("TicksIn"), metrics.of_detector("TicksInWindows")],
        [
            metrics.of_function(functions.detector, "IteratorAge", "Maximum"),
            metrics.of_function(functions.detector, "Duration", "p95"),
        ],
        [
            metrics.of_function(functions.detector, "Errors"),
            metrics.of_function(functions.detector, "Throttles"),
            *(
                metrics.of_detector(name)
                for name in ("TicksQuarantined", "TicksOutOfOrder", "StoppedPartitions")
            ),
        ],
    )


def _anomalies(storage: StorageStack) -> Station:
    return Station(
        "Anomalies",
        [metrics.of_detector("Anomalies")],
        [metrics.of_detector("EventToAnomaly", "p50"), metrics.of_detector("EventToAnomaly", "p95")],
        [metrics.waiting_messages(storage.dead_letters), metrics.throttled_writes(storage.anomalies)],
    )


def _alerts(functions: LambdaStack, stream: StreamStack) -> Station:
    sent = stream.alerts.metric_number_of_messages_published(period=metrics.FIVE_MINUTES, statistic="Sum")
    failed = stream.alerts.metric_number_of_notifications_failed(period=metrics.FIVE_MINUTES, statistic="Sum")
    return Station(
        "Alerts",
        [sent],
        [metrics.oldest_message(stream.notifications)],
        [
            metrics.of_function(functions.notifier, "Errors"),
            metrics.waiting_messages(stream.undelivered),
            failed,
        ],
    )


def _api(api: ApiStack) -> Station:
    five = metrics.FIVE_MINUTES
    return Station(
        "API",
        [api.api.metric_count(period=five)],
        [
            api.api.metric_latency(period=five, statistic="p50"),
            api.api.metric_latency(period=five, statistic="p95"),
        ],
        [
            api.api.metric_server_error(period=five, statistic="Sum"),
            api.api.metric_client_error(period=five, statistic="Sum"),
            metrics.of_function(api.handler, "Throttles"),
        ],
    )


def _graph(title: str, shown: Metrics, width: int) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(
        title=title, left=list(shown), width=width, left_y_axis=cloudwatch.YAxisProps(min=0)
    )
