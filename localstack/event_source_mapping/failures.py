"""The message an on-failure destination gets (Lambda guide, "Example invocation record")."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from localstack.event_source_mapping.batch import Discarded
from localstack.event_source_mapping.records import ShardRecord, event_bytes
from localstack.event_source_mapping.settings import MappingSettings


def failure_message(
    discarded: Discarded, settings: MappingSettings, shard_id: str, now: float, request_id: str
) -> dict[str, Any]:
    """Return the invocation record for discarded records.

    `request_id` stands in where no invocation gave one. The function's answer (`responseContext`) is said
    only where the retries ran out: AWS leaves it out for records that grew too old.
    """
    last = discarded.batch.last
    message: dict[str, Any] = {
        "requestContext": {
            "requestId": (last.request_id if last else "") or request_id,
            "functionArn": settings.function_arn,
            "condition": discarded.condition,
            "approximateInvokeCount": discarded.batch.invokes,
        }
    }
    if last and discarded.condition == "RetryAttemptsExhausted":
        message["responseContext"] = {
            "statusCode": last.status_code,
            "executedVersion": last.executed_version,
            "functionError": last.function_error,
        }
    message["version"] = "1.0"
    message["timestamp"] = iso_milliseconds(now)
    message["KinesisBatchInfo"] = _batch_info(discarded.records, settings.stream_arn, shard_id)
    return message


def _batch_info(records: Sequence[ShardRecord], stream_arn: str, shard_id: str) -> dict[str, Any]:
    first, last = records[0], records[-1]
    return {
        "shardId": shard_id,
        "startSequenceNumber": first.sequence_number,
        "endSequenceNumber": last.sequence_number,
        "approximateArrivalOfFirstRecord": iso_milliseconds(first.arrival),
        "approximateArrivalOfLastRecord": iso_milliseconds(last.arrival),
        "batchSize": len(records),
        "streamArn": stream_arn,
    }


def s3_object(message: dict[str, Any], records: Sequence[ShardRecord]) -> bytes:
    """Return the object in an S3 destination: the message and, as an escaped JSON string, the invocation payload."""
    return json.dumps({**message, "payload": event_bytes(records).decode()}).encode()


def s3_key(mapping_uuid: str, shard_id: str, now: float, unique: str) -> str:
    """`aws/lambda/<mapping UUID>/<shard id>/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-<random UUID>` (Lambda guide)."""
    at = datetime.fromtimestamp(now, UTC)
    return f"aws/lambda/{mapping_uuid}/{shard_id}/{at:%Y/%m/%d}/{at:%Y-%m-%dT%H.%M.%S}-{unique}"


def iso_milliseconds(epoch: float) -> str:
    """`2022-07-13T13:48:01.000Z`."""
    at = datetime.fromtimestamp(round(epoch, 3), UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
