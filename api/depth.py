"""How far behind the pipeline is: the age of what the detector gets, and the batches that were given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_sqs import SQSClient

WINDOW = timedelta(minutes=5)


class Depth:
    """Two calls: the metric `IteratorAge` that Lambda keeps of the detector, and the queue's own count."""

    def __init__(
        self, cloudwatch: CloudWatchClient, sqs: SQSClient, detector: str, dead_letter_queue_url: str
    ) -> None:
        self._cloudwatch = cloudwatch
        self._sqs = sqs
        self._detector = detector
        self._queue_url = dead_letter_queue_url

    def stream_lag_seconds(self, now_ms: int) -> float | None:
        """The worst age of a record when it reached the detector; None if none did in the last 5 minutes."""
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

    def failed_batches(self) -> int:
        """Messages in the dead-letter queue, about."""
        answer = self._sqs.get_queue_attributes(
            QueueUrl=self._queue_url, AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])
