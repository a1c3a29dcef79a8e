"""The function stock-lake: takes what is new into the lake, once an hour and when somebody invokes it."""

from __future__ import annotations

import os
import time
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import boto3
import msgspec
from aws_lambda_powertools import Logger
from msgspec import Meta

from consumers.alerts.store import AlertStore
from consumers.alerts.table import DynamoTable
from consumers.lake.bucket import LakeBucket
from consumers.lake.run import Lake, LakePorts
from consumers.stores.anomalies import AnomalyTable
from consumers.stores.snapshots import SnapshotBucket
from consumers.stores.windows import BackfillBlockTable, BlockTable
from producers.settings import read_environment

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger(service="stock-lake")
MARGIN_MS = 120_000
"""A run begins nothing in its last two minutes: a day of millions of ticks takes one."""


class LakeSettings(msgspec.Struct, frozen=True, rename=str.upper):
    """Names of what the lake reads and writes; the variables are called like the fields, in capitals."""

    windows_table: str
    anomalies_table: str
    alerts_table: str
    data_bucket: str
    partitions: Annotated[int, Meta(ge=1, le=1024)] = 4


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take in what is new, in `seconds` of the event where it has them, and return what that was."""
    left_ms = max(0, context.get_remaining_time_in_millis() - MARGIN_MS)
    until_ms = _now_ms() + min(left_ms, 1000 * event.get("seconds", left_ms))
    report = _lake().run(until_ms).as_dict()
    logger.info("lake", report=report)
    return report


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@cache
def _lake() -> Lake:
    settings = read_environment(os.environ, LakeSettings, "stock-lake")
    dynamodb, s3 = boto3.client("dynamodb"), boto3.client("s3")
    ports = LakePorts(
        blocks=BlockTable(dynamodb, settings.windows_table),
        late=BackfillBlockTable(dynamodb, settings.windows_table),
        snapshots=SnapshotBucket(s3, settings.data_bucket),
        anomalies=AnomalyTable(dynamodb, settings.anomalies_table),
        alerts=AlertStore(DynamoTable(dynamodb, settings.alerts_table)),
        bucket=LakeBucket(s3, settings.data_bucket),
        now_ms=_now_ms,
    )
    return Lake(settings.partitions, ports)
