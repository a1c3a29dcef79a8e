"""Puts the detector together for Lambda: adapters, consumer, metrics. Built on first use."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from consumers.contracts import events
from consumers.contracts.errors import IOFailedError
from consumers.detector.invocation import Consumer
from consumers.detector.ports import Ports
from consumers.stores.anomalies import AnomalyTable
from consumers.stores.bus import Bus
from consumers.stores.calls import CONFIG, OnFirstUse
from consumers.stores.charts import ChartTable
from consumers.stores.parameters import ThresholdParameter
from consumers.stores.quarantine import QuarantineBucket
from consumers.stores.snapshots import SnapshotBucket
from consumers.stores.windows import AttemptTable, BlockTable

if TYPE_CHECKING:
    from consumers.detector.commit import InvocationReport
    from consumers.detector.settings import DetectorSettings
    from consumers.stream.thresholds import ThresholdVersion

# An invocation begins no block in its last seconds, so that it can say how far it came.
MARGIN_MS = 15_000


def now_ms() -> int:
    """Epoch milliseconds by this machine's clock."""
    return time.time_ns() // 1_000_000


class Detector:
    """The consumer with its adapters, and the metrics of what it does."""

    def __init__(self, settings: DetectorSettings, logger: Logger, metrics: Metrics) -> None:
        self._logger = logger
        self._metrics = metrics
        self._parameter = settings.threshold_parameter
        dynamodb = boto3.client("dynamodb", config=CONFIG)
        s3: Any = OnFirstUse("s3")
        events_client: Any = OnFirstUse("events")
        self._bus = Bus(events_client, settings.bus_name)
        ssm = boto3.client("ssm", config=CONFIG)
        ports = Ports(
            blocks=BlockTable(dynamodb, settings.windows_table, settings.kept_days),
            snapshots=SnapshotBucket(s3, settings.data_bucket),
            anomalies=AnomalyTable(dynamodb, settings.anomalies_table),
            charts=ChartTable(dynamodb, settings.charts_table),
            bus=self._bus,
            quarantine=QuarantineBucket(s3, settings.data_bucket),
            thresholds=ThresholdParameter(
                ssm, settings.threshold_parameter, now_ms, self._rejected, settings.rules_parameter
            ),
            attempts=AttemptTable(dynamodb, settings.windows_table, now_ms),
        )
        self._consumer = Consumer(settings.partitions, ports, now_ms)

    def handle(self, event: Any, remaining_ms: int) -> dict[str, Any]:
        """Apply an event's records, emit the metrics, return from where to deliver again."""
        began_ms = now_ms()
        report = self._consumer.consume(event, began_ms + max(0, remaining_ms - MARGIN_MS))
        self._measure(report, now_ms() - began_ms)
        return report.response()

    def _measure(self, report: InvocationReport, took_ms: int) -> None:
        count, counts = MetricUnit.Count, report.counts
        if report.records == counts.ticks_in == counts.duplicate == 1 and not report.failed_sequence:
            return  # the canary of a quiet night: each metric costs by the hour in which it is sent
        for name, value in (
            ("TicksIn", counts.ticks_in),
            ("TicksInWindows", counts.in_windows),
            ("TicksDuplicate", counts.duplicate),
            ("TicksOutOfOrder", report.late),
            ("TicksQuarantined", counts.quarantined),
            ("Anomalies", report.anomalies),
            ("LostRaces", report.lost_races),
            ("StoppedPartitions", report.stopped_partitions),
            ("FailedSnapshots", report.failed_snapshots),
        ):
            self._metrics.add_metric(name=name, unit=count, value=value)
        self._metrics.add_metric(name="BatchSeconds", unit=MetricUnit.Seconds, value=took_ms / 1000)
        milliseconds = MetricUnit.Milliseconds
        self._metrics.add_metric(name="IteratorAge", unit=milliseconds, value=report.iterator_age_ms)
        for latency_ms in sorted(report.latencies_ms)[-99:]:  # at 100 Powertools sends all
            self._metrics.add_metric(name="EventToAnomaly", unit=milliseconds, value=latency_ms)

    def _rejected(self, version: ThresholdVersion, reason: str) -> None:
        """Say that a threshold cannot be used: log, metric, event. The one before it stays in force."""
        where = {"parameter": self._parameter, "version": version.number, "reason": reason}
        self._logger.error("threshold rejected", extra=where)
        self._metrics.add_metric(name="ThresholdsRejected", unit=MetricUnit.Count, value=1)
        event = events.threshold_rejected(self._parameter, version.number, reason, version.set_ms)
        try:
            self._bus.put([event])
        except IOFailedError as error:
            self._logger.warning("event not sent", extra={**where, "error": str(error)})
