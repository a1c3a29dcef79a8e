"""Lambda `stock-notifier`: events from its queue, and once a minute a sweep of what is due.

A message of the queue that could not be handled is named in the answer, comes again, and after five times is
in `stock-notifier-dlq`; the others of its batch are done.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from aws_lambda_powertools import Logger

from consumers.alerts import event as events
from consumers.alerts.event import AlertEvent
from consumers.alerts.notifier import Notifier
from consumers.alerts.parameters import PARAMETER, SettingsReader
from consumers.alerts.settings import AlertSettings, AlertSettingsError
from consumers.alerts.store import AlertStore
from producers.settings import read_environment
from producers.watch_list import WatchListError, WatchListReader

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger(service="stock-notifier")


class NotifierSettings(msgspec.Struct, frozen=True, rename=str.upper):
    """Names of what the notifier uses; the variables are called like the fields, in capitals."""

    alerts_table: str
    topic_arn: str
    ticker_parameter: str
    dashboard_url: str = ""


def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Take a batch of the queue (``Records``), or sweep (``{"digest": true}``)."""
    settings = _reader().settings()
    if event.get("digest"):
        done = _notifier().sweep(settings)
        logger.info("swept", published=done.published, series=done.series)
        return {"published": done.published, "series": done.series}
    parsed = {record["messageId"]: _parsed(record) for record in event["Records"]}
    good = {message_id: found for message_id, found in parsed.items() if found is not None}
    failed = [message_id for message_id in parsed if message_id not in good]
    if good:
        failed += _failed(good, settings)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _parsed(record: dict[str, Any]) -> AlertEvent | None:
    try:
        return events.parse(record["body"])
    except events.AlertEventError as error:
        logger.error(
            "no event of ours, stays in the queue", message_id=record["messageId"], reason=str(error)
        )
        return None


def _failed(found: dict[str, AlertEvent], settings: AlertSettings) -> Iterator[str]:
    """Take events in, by the id of their message of the queue; answers with those that have to come again."""
    _notifier().note(found.values(), settings)
    for message_id, taken in zip(found, _notifier().take(list(found.values()), settings), strict=True):
        id_ = taken.event.anomaly.id
        if taken.error is None:
            logger.info("taken", correlation_id=id_, change=taken.event.key, published=taken.published)
            continue
        logger.error(
            "not handled, stays in the queue",
            correlation_id=id_,
            message_id=message_id,
            reason=str(taken.error),
        )
        yield message_id


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _pause(attempt: int) -> None:
    time.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311  jitter, not a secret


def _watched() -> int:
    try:
        return len(_watch_list()().symbols)
    except WatchListError as error:
        logger.warning("no market-wide alerts: how many tickers are watched is not known", reason=str(error))
        return 0


def _report(error: AlertSettingsError) -> None:
    logger.error("bad setting, the last good one stays in force", parameter=PARAMETER, reason=str(error))


@cache
def _settings() -> NotifierSettings:
    return read_environment(os.environ, NotifierSettings, "stock-notifier")


@cache
def _reader() -> SettingsReader:
    import boto3  # noqa: PLC0415  a client at import would need a region even to be read

    return SettingsReader(boto3.client("ssm"), _now_ms, _report)


@cache
def _watch_list() -> WatchListReader:
    import boto3  # noqa: PLC0415

    return WatchListReader(boto3.client("ssm"), boto3.client("s3"), _settings().ticker_parameter, _now_ms)


@cache
def _notifier() -> Notifier:
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    # SNS does not recognise a repeated publish, so a retry of the client could be a second message: the
    # queue retries instead, after what is known to have failed.
    settings = _settings()
    once = Config(retries={"total_max_attempts": 1}, read_timeout=20)
    return Notifier(
        AlertStore(boto3.client("dynamodb"), settings.alerts_table),
        boto3.client("sns", config=once),
        settings.topic_arn,
        dashboard_url=settings.dashboard_url,
        clock=_now_ms,
        watched=_watched,
        pause=_pause,
    )
