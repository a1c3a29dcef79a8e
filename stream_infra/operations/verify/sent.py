"""The recording that `verify` sends: what is in it, under which name it goes, and the records it became."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from consumers.contracts.anomaly import anomaly_id, iso_ms
from producers.partitions import partition_of
from producers.publisher import Publisher
from producers.recorded_rows import RecordedTick
from producers.recordings import read_ticks
from producers.sources.replay import batches
from stream_infra import names
from stream_infra.operations.errors import FailedError

RECORDING = Path(__file__).with_name("recording.csv")
"""A calm walk of four minutes, one tick a second, with one jump of 6 % that every threshold finds."""
TICKER, KIND = "VERIFY", "price_spike"
_SEND_SECONDS = 20.0
_SPIKE_FROM_END = 2
"""The jump is the last tick but one: the path's latency is counted from a tick that is a second old."""


class SentRecord(NamedTuple):
    """A record as the stream took it."""

    shard: str
    sequence: str
    key: str
    data: bytes
    at: datetime


@dataclass
class Sent:
    """One sending: its `source` has the origin `verify`, and its times end where it begins to be sent."""

    now: datetime
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    ticks: list[RecordedTick] = field(init=False)
    records: list[SentRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        rejected: list[Any] = []
        ticks = list(read_ticks(RECORDING, rejected.append))
        ahead = round(self.now.timestamp() * 1000) - ticks[-1].ts
        self.ticks = [tick._replace(ts=tick.ts + ahead) for tick in ticks]

    @property
    def source(self) -> str:
        """Name of the source of the ticks."""
        return f"verify-{self.run}"

    @property
    def spike_ms(self) -> int:
        """Time of the tick that is not normal (epoch ms UTC)."""
        return self.ticks[-_SPIKE_FROM_END].ts

    @property
    def anomaly(self) -> str:
        """The id of the anomaly that is to be found."""
        return anomaly_id(TICKER, self.spike_ms, KIND, self.source)

    def send(self, kinesis: Any, partitions: int) -> None:
        """Publish the ticks as the scanner does."""
        self._publish(_Recording(kinesis, self.records), partitions, self.ticks)

    def send_first_again(self, kinesis: Any, partitions: int) -> None:
        """Publish the first tick once more."""
        self._publish(kinesis, partitions, self.ticks[:1])

    def _publish(self, client: Any, partitions: int, ticks: list[RecordedTick]) -> None:
        report = Publisher(client, names.STREAM, partitions).publish(
            batches(ticks, self.source), _SEND_SECONDS
        )
        if report.waiting:
            raise FailedError(
                f"{names.STREAM} did not take {report.waiting} ticks: it is throttled, or fails"
            )

    def partition(self, partitions: int) -> int:
        """Return the partition of the ticks."""
        return partition_of(TICKER, partitions)

    def failed_batch(self, stream_arn: str) -> str:
        """Return the invocation record that Lambda would write had the batch of these records failed.

        Lambda guide, "Retain discarded batches for a Kinesis Data Streams event source": its example.
        """
        first, last = self.records[0], self.records[-1]
        at = iso_ms(round(last.at.timestamp() * 1000))
        return json.dumps(
            {
                "requestContext": {
                    "requestId": self.run,
                    "functionArn": names.DETECTOR,
                    "condition": "RetryAttemptsExhausted",
                    "approximateInvokeCount": 1,
                },
                "responseContext": {"statusCode": 200, "functionError": "stock-monitor verify: no failure"},
                "version": "1.0",
                "timestamp": at,
                "KinesisBatchInfo": {
                    "shardId": first.shard,
                    "startSequenceNumber": first.sequence,
                    "endSequenceNumber": last.sequence,
                    "approximateArrivalOfFirstRecord": at,
                    "approximateArrivalOfLastRecord": at,
                    "batchSize": len(self.records),
                    "streamArn": stream_arn,
                },
                "payload": json.dumps({"Records": [_event(record) for record in self.records]}),
            }
        )


class _Recording:
    """A Kinesis client that keeps what the stream took."""

    def __init__(self, client: Any, records: list[SentRecord]) -> None:
        self._client, self._records = client, records

    def put_records(self, **request: Any) -> Any:
        answer = self._client.put_records(**request)
        now = datetime.now(UTC)
        for entry, result in zip(request["Records"], answer["Records"], strict=True):
            if "SequenceNumber" in result:
                place = (result["ShardId"], result["SequenceNumber"])
                self._records.append(SentRecord(*place, entry["PartitionKey"], entry["Data"], now))
        return answer


def _event(record: SentRecord) -> dict[str, Any]:
    kinesis = {
        "kinesisSchemaVersion": "1.0",
        "partitionKey": record.key,
        "sequenceNumber": record.sequence,
        "data": base64.b64encode(record.data).decode(),
        "approximateArrivalTimestamp": record.at.timestamp(),
    }
    return {
        "eventID": f"{record.shard}:{record.sequence}",
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "kinesis": kinesis,
    }
