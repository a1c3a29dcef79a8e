"""How far behind the pipeline is: the age of what the detector gets, and the batches that were dead-lettered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_sqs import SQSClient

WINDOW = timedelta(minutes=5)
KEPT_MS = 15_000
"""Anybody may request the health: however often they do, one instance of the function asks AWS four times a minute."""


class DepthReading(NamedTuple):
    """Seconds that a record was old when it reached the detector, at worst (None: none did), and failed batches."""

    stream_lag_seconds: float | None
    failed_batches: int


class Depth:
    """The metric `IteratorAge` that Lambda keeps of the detector, and the queue's own count; kept for 15 s.

    Parameters
    ----------
    cloudwatch, sqs
        Low-level clients; a reading is one call of each.
    detector
        Name of the detector's function.
    dead_letter_queue_url
        Where failed batches wait.
    """

    def __init__(
        self, cloudwatch: CloudWatchClient, sqs: SQSClient, detector: str, dead_letter_queue_url: str
    ) -> None:
        self._cloudwatch = cloudwatch
        self._sqs = sqs
        self._detector = detector
        self._queue_url = dead_letter_queue_url
        self._kept: tuple[int, DepthReading] | None = None

    def read(self, now_ms: int) -> DepthReading:
        """Return the reading as of `now_ms` (epoch ms UTC), or one of the 15 s before."""
        if self._kept is None or not 0 <= now_ms - self._kept[0] < KEPT_MS:
            self._kept = now_ms, DepthReading(self._stream_lag_seconds(now_ms), self._failed_batches())
        return self._kept[1]

    def _stream_lag_seconds(self, now_ms: int) -> float | None:
        end = datetime.fromtimestamp(now_ms / 1000, UTC)
        points = self._cloudwatch.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName="IteratorAge",
            Dimensions=[{"Name": "FunctionName", "Value": self._detector}],
            StartTime=end - WINDOW,
            EndTime=end,
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
        return max((point["Maximum"] / 1000 for point in points), default=None)

    def _failed_batches(self) -> int:
        found = self._sqs.get_queue_attributes(
            QueueUrl=self._queue_url, AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(found["Attributes"]["ApproximateNumberOfMessages"])
