"""Lambda `stock-notifier`: events from its queue, and once a minute a sweep of what is due.

A message of the queue that is no event of ours, or could not be handled, is named in the response, comes again, and
after five times is in `stock-notifier-dlq`; the others of its batch are done.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from consumers.alerts import event as events
from consumers.alerts.event import AlertEvent, AlertTest
from consumers.alerts.market import MarketReader
from consumers.alerts.model import Pending
from consumers.alerts.notifier import Notifier
from consumers.alerts.outlets import Outlets, dead_letters, side_by_side
from consumers.alerts.parameters import PARAMETER, SettingsReader
from consumers.alerts.pictures import PicturePorts, drawer
from consumers.alerts.store import AlertStore
from consumers.alerts.table import ConflictError, DynamoTable
from consumers.stores.calls import CONFIG
from consumers.stores.charts import ChartTable
from producers.parameter import UnusableParameterError
from producers.settings import read_environment
from producers.watch_list import WatchListError, WatchListReader

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger(service="stock-notifier")

_OFTEN = CONFIG.merge(Config(user_agent="stock-notifier"))
_SOON = Config(connect_timeout=0.3, read_timeout=0.4, retries={"total_max_attempts": 1})
"""An alert goes out without its context rather than late."""


class NotifierSettings(msgspec.Struct, frozen=True, rename=str.upper):
    """Names of what the notifier uses; the variables are called like the fields, in capitals."""

    alerts_table: str
    charts_table: str
    topic_arn: str
    ticker_parameter: str
    channel_secrets: str
    dead_letter_queue_url: str
    dashboard_url: str = ""
    alerts_parameter: str = PARAMETER


def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Take a batch of the queue (``Records``), or sweep (``{"digest": true}``)."""
    if event.get("digest"):
        return _sweep()
    parsed = {record["messageId"]: _parsed(record) for record in event["Records"]}
    found = {id_: one for id_, one in parsed.items() if isinstance(one, AlertEvent)}
    failed = [id_ for id_, one in parsed.items() if one is None] + _failed(found)
    for id_, one in parsed.items():  # after the events: no request delays an alert
        if isinstance(one, AlertTest | Pending) and not _is_done(one, id_):
            failed.append(id_)
    return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}


def _sweep() -> dict[str, Any]:
    done = _notifier().sweep(_reader().settings())
    for error in done.errors:
        logger.error("not done, the next sweep tries again", reason=str(error))
    logger.info("swept", sent=done.sent, incidents=done.incidents)
    return {"sent": done.sent, "incidents": done.incidents, "errors": len(done.errors)}


def _parsed(record: dict[str, Any]) -> AlertEvent | AlertTest | Pending | None:
    try:
        return events.parse(record["body"], _now_ms())
    except events.AlertEventError as error:
        logger.error(
            "no event of ours, stays in the queue", message_id=record["messageId"], reason=str(error)[:500]
        )
        return None


def _is_done(request: AlertTest | Pending, message_id: str) -> bool:
    """Do what a person asks for; return whether that worked."""
    try:
        if isinstance(request, AlertTest):
            logger.info("test", id=request.id, sent=_notifier().test(request, _reader().settings()))
        else:
            _notifier().reopen(request)
    except (ConflictError, ClientError, BotoCoreError, ValueError, OverflowError, OSError) as error:
        logger.error("not done, stays in the queue", message_id=message_id, reason=str(error)[:500])
        return False
    return True


def _failed(found: dict[str, AlertEvent]) -> list[str]:
    """Take events in, by the id of their message of the queue; return the ids of those that have to come again."""
    if not found:
        return []
    handled = _notifier().handle(list(found.values()), _reader().settings())
    for one in handled:
        id_, change = one.event.anomaly.id, one.event.key
        if one.error is None:
            made = one.message and one.message.id
            logger.info("handled", correlation_id=id_, change=change, made=made)
        else:
            reason = str(one.error)
            logger.error("not handled, stays in the queue", correlation_id=id_, change=change, reason=reason)
    return [id_ for id_, one in zip(found, handled, strict=True) if one.error is not None]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _pause(attempt: int) -> None:
    time.sleep(random.uniform(0, min(0.02 * 2**attempt, 1)))  # noqa: S311  jitter, not a secret


def _watched() -> int:
    try:
        return len(_watch_list()().symbols)
    except WatchListError as error:
        logger.warning(
            "no market-wide incidents: how many tickers are watched is not known", reason=str(error)
        )
        return 0


def _report(error: UnusableParameterError) -> None:
    logger.error(
        "bad setting, the last good one stays in force",
        parameter=_settings().alerts_parameter,
        reason=str(error),
    )


@cache
def _settings() -> NotifierSettings:
    return read_environment(os.environ, NotifierSettings, "stock-notifier")


@cache
def _reader() -> SettingsReader:
    import boto3  # noqa: PLC0415  a client at import would need a region even to be read

    return SettingsReader(boto3.client("ssm"), _now_ms, _report, _settings().alerts_parameter)


@cache
def _watch_list() -> WatchListReader:
    import boto3  # noqa: PLC0415

    return WatchListReader(boto3.client("ssm"), boto3.client("s3"), _settings().ticker_parameter, _now_ms)


@cache
def _notifier() -> Notifier:
    import boto3  # noqa: PLC0415

    settings = _settings()
    store = AlertStore(DynamoTable(boto3.client("dynamodb", config=_OFTEN), settings.alerts_table))
    charts = ChartTable(boto3.client("dynamodb", config=_SOON), settings.charts_table)
    outlets = Outlets(
        boto3.client,
        topic_arn=settings.topic_arn,
        secret_prefix=settings.channel_secrets,
        dashboard_url=settings.dashboard_url,
        clock=_now_ms,
        link_key=cache(lambda: store.link_key(_now_ms(), secrets.token_bytes)),
    )
    return Notifier(
        store,
        outlets.send,
        dead_letter=dead_letters(boto3.client("sqs"), settings.dead_letter_queue_url, logger),
        clock=_now_ms,
        watched=_watched,
        pause=_pause,
        run=side_by_side,
        owner=secrets.token_hex(8),
        context=MarketReader(charts, lambda: _watch_list()().symbols, _now_ms).context,
        pictures=PicturePorts(drawer(charts), outlets.add_picture, outlets.carries_pictures),
    )
