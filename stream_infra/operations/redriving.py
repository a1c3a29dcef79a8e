"""Redrives failed batches with the detector's own settings: message by message, whatever one of them holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from consumers.detector.settings import DetectorSettings
from consumers.redrive.ports import RedrivePorts
from consumers.redrive.redrive import Redrive, Redriven
from consumers.stores.anomalies import AnomalyTable
from consumers.stores.bus import Bus
from consumers.stores.parameters import ThresholdParameter
from consumers.stores.quarantine import QuarantineBucket
from consumers.stores.snapshots import SnapshotBucket
from consumers.stores.windows import BackfillBlockTable, BlockTable
from producers.errors import MonitorError
from stream_infra import names
from stream_infra.operations.dead_letters import DeadLetter, DeadLetterQueue, UnusableError, records_of
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import NotDeployedError

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient


@dataclass(frozen=True)
class RedriveResult:
    """What became of a message: what was `done`, or the `reason` for which it stays."""

    message: DeadLetter
    done: Redriven | None = None
    reason: str = ""

    @property
    def failed(self) -> bool:
        """Whether somebody has to look at it; a failed scan stays by design."""
        return self.done is None and self.message.kind != "scan"

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON-able values."""
        about = {"id": self.message.id, "kind": self.message.kind}
        if self.done is None:
            return {**about, "redriven": False, "reason": self.reason}
        counts = self.done.counts.as_dict()
        ticks = self.done.present + counts.pop("ticks_in")
        return {
            **about,
            "redriven": True,
            "records": self.done.records,
            "ticks": ticks,
            "present": self.done.present,
            **counts,
            "anomalies": self.done.anomalies,
        }


def redrive_all(
    endpoints: Endpoints,
    queue: DeadLetterQueue,
    messages: Sequence[DeadLetter],
    on_ticks: Callable[[int], None],
) -> Iterator[RedriveResult]:
    """Redrive messages one after the other, delete those that are done, and yield what became of each."""
    redriving, kinesis = redrive_of(endpoints, on_ticks), endpoints.client("kinesis")
    for i, message in enumerate(messages):
        queue.extend_visibility(messages[i:])
        try:
            result = RedriveResult(message, redrive(message, redriving, kinesis))
        except (UnusableError, ClientError, BotoCoreError) as error:
            result = RedriveResult(message, reason=str(error))
        if result.done is not None:
            queue.delete(message)
        yield result


def redrive(message: DeadLetter, redriving: Redrive, kinesis: KinesisClient) -> Redriven:
    """Bring back the records of a message.

    Raises
    ------
    UnusableError
        There is nothing in it that can be brought back; the text says what to do.
    """
    if message.batch is None:
        raise UnusableError(_why_not(message))
    records = records_of(message.batch, kinesis)
    try:
        return redriving.batch(records)
    except (ClientError, BotoCoreError):
        raise
    except Exception as error:  # a batch that crashes the redrive, as it did the detector: the others go on
        known = isinstance(error, MonitorError)
        what = str(error) if known else f"it crashes the redrive, report it as a defect: {error!r}"
        raise UnusableError(f"{what}: the message stays") from error


def _why_not(message: DeadLetter) -> str:
    if message.kind == "scan":
        return (
            "a failed scan has no quotes to bring back, the next scan replaced it: `stock-monitor dlq purge`"
        )
    return f"{message.reason}: nothing to redrive; delete it with `stock-monitor dlq purge`"


def redrive_of(endpoints: Endpoints, on_ticks: Callable[[int], None] = lambda _: None) -> Redrive:
    """Return a redrive with the detector's own settings.

    Raises
    ------
    NotDeployedError
        There is no detector.
    """
    settings = detector_settings(endpoints)
    dynamodb, s3 = endpoints.client("dynamodb"), endpoints.client("s3")
    ports = RedrivePorts(
        blocks=BlockTable(dynamodb, settings.windows_table),
        backfill_blocks=BackfillBlockTable(dynamodb, settings.windows_table),
        snapshots=SnapshotBucket(s3, settings.data_bucket),
        anomalies=AnomalyTable(dynamodb, settings.anomalies_table),
        bus=Bus(endpoints.client("events"), settings.bus_name),
        quarantine=QuarantineBucket(s3, settings.data_bucket),
        thresholds=ThresholdParameter(
            endpoints.client("ssm"),
            settings.threshold_parameter,
            now_ms,
            lambda _version, _reason: None,
            settings.rules_parameter,
        ),
    )
    return Redrive(settings.partitions, ports, on_ticks)


def detector_settings(endpoints: Endpoints) -> DetectorSettings:
    """Return the settings that the deployed detector has in its environment.

    Raises
    ------
    NotDeployedError
        There is no detector.
    """
    try:
        found = endpoints.client("lambda").get_function_configuration(FunctionName=names.DETECTOR)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
            raise
        raise NotDeployedError(
            f"{names.DETECTOR} is not deployed: run `make up`, or `stock-monitor deploy`"
        ) from error
    return DetectorSettings.from_environment(found["Environment"]["Variables"])


def now_ms() -> int:
    """Return the time of this machine's clock in epoch milliseconds."""
    return time.time_ns() // 1_000_000
