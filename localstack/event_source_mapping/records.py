"""A Kinesis record, and the event that Lambda makes of it."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

PAYLOAD_LIMIT_BYTES = 6 * 1024 * 1024
_ENVELOPE_BYTES = len('{"Records":[]}')


class EventSource(NamedTuple):
    """What every record of one shard has in common."""

    stream_arn: str
    shard_id: str
    region: str
    role_arn: str


@dataclass(frozen=True, slots=True, eq=False)
class ShardRecord:
    """One record of a shard.

    `sequence_number` is opaque: only a record's place in its shard orders it. `arrival` is the epoch time in
    seconds at which the stream took the record. `event_json` is the record as the function gets it.
    """

    sequence_number: str
    partition_key: str
    arrival: float
    event_json: str


def make_record(
    source: EventSource, sequence_number: str, partition_key: str, data: bytes, arrival: float
) -> ShardRecord:
    """Build a record with the JSON that Lambda passes on (User Guide, "Example event")."""
    event = {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": partition_key,
            "sequenceNumber": sequence_number,
            "data": base64.b64encode(data).decode("ascii"),
            "approximateArrivalTimestamp": round(arrival, 3),
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{source.shard_id}:{sequence_number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": source.role_arn,
        "awsRegion": source.region,
        "eventSourceARN": source.stream_arn,
    }
    return ShardRecord(sequence_number, partition_key, arrival, json.dumps(event, separators=(",", ":")))


def event_bytes(records: Sequence[ShardRecord]) -> bytes:
    """Return the invocation payload for a batch: `{"Records": [...]}` as UTF-8."""
    return ('{"Records":[' + ",".join(record.event_json for record in records) + "]}").encode()


def fitting(records: Sequence[ShardRecord], batch_size: int, limit_bytes: int = PAYLOAD_LIMIT_BYTES) -> int:
    """How many of the first records make one batch: at most `batch_size`, at most `limit_bytes` of payload.

    At least one, so that a record which is too large alone is tried, fails and is dealt with as a failure.
    """
    total = _ENVELOPE_BYTES
    for count, record in enumerate(records[:batch_size]):
        total += len(record.event_json) + 1
        if total > limit_bytes and count:
            return count
    return min(batch_size, len(records))
