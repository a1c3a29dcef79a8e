"""The function stock-scanner: polls the watch list and puts the quotes on the stream."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import boto3
from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit
from botocore.config import Config

from producers.archive import Archive
from producers.markets.listings import Listings
from producers.origin import origin_of
from producers.polling import unquoted
from producers.publisher import Publisher
from producers.scan.feed_keeper import FeedKeeper
from producers.scan.lease import Lease
from producers.scan.report import ScanReport
from producers.scan.scan import Parts, Scan, deadline
from producers.scan.unsent import UnsentStore
from producers.scan.warm_up import WarmUp, limits_of
from producers.secret import environment_with_secret
from producers.settings import ScannerSettings, SettingsError, scan_request, scanner_settings
from producers.source import Environment, Source, SourceError
from producers.sources import create, get, history_of
from producers.watch_list import WatchListReader

_CLIENT = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
_LEASE_MS = 30_000
_logger = Logger(service="stock-scanner")


def handler(event: dict[str, Any] | None, context: Any) -> dict[str, Any]:
    """Run one scan and return its report; for a scheduled event, or {"polls": 1}, or a backfill.

    For {"validate": [tickers]} return which of them the source does not quote, or why it cannot be queried.
    """
    settings = scanner_settings(os.environ)
    request = scan_request(event or {})
    if request.validate:
        return _validated(settings, request.validate)
    scan = Scan(_parts(settings, context.aws_request_id), settings)
    try:
        return scan.run(
            request, deadline(request, _now_ms(), context.get_remaining_time_in_millis())
        ).as_dict()
    finally:
        _emit(scan.report, context.aws_request_id)


def _validated(settings: ScannerSettings, tickers: Sequence[str]) -> dict[str, Any]:
    try:
        source = create(settings.source, _environment(settings))
        return {"rejected": unquoted(settings.source, source, tickers, _now_ms())}
    except (SourceError, SettingsError) as error:
        return {"problem": str(error)}


def _environment(settings: ScannerSettings) -> Environment:
    """Return the environment with the source's keys."""
    if not settings.source_secret:
        return os.environ
    return environment_with_secret(os.environ, _client("secretsmanager"), settings.source_secret)


def _parts(settings: ScannerSettings, owner: str) -> Parts:
    s3, ssm, kinesis, dynamodb, events = map(_client, ("s3", "ssm", "kinesis", "dynamodb", "events"))
    feed = FeedKeeper(dynamodb, settings.scan_table, events, settings.bus_name)
    lease_ms = _LEASE_MS + 2 * round(settings.poll_interval_seconds * 1000)
    source, environment = _source(settings, feed)
    listings = Listings(settings.markets, get(settings.source).market)
    return Parts(
        source=source,
        watch_list=WatchListReader(ssm, s3, settings.ticker_parameter, _now_ms),
        publisher=Publisher(kinesis, settings.stream_name, settings.partitions),
        lease=Lease(dynamodb, settings.scan_table, owner, lease_ms),
        unsent=UnsentStore(s3, settings.data_bucket, settings.partitions),
        archive=Archive(s3, settings.data_bucket),
        feed=feed,
        clock_ms=_now_ms,
        sleep=time.sleep,
        market_of=listings,
        warm_up=_warm_up(settings, environment, listings),
    )


def _source(settings: ScannerSettings, feed: FeedKeeper) -> tuple[Source, Environment]:
    try:
        environment = _environment(settings)
        return create(settings.source, environment, settings.source_mode), environment
    except (SourceError, SettingsError) as error:
        feed.record_unusable(settings.source, str(error), _now_ms())
        raise


def _warm_up(settings: ScannerSettings, environment: Environment, listings: Listings) -> WarmUp | None:
    spec = get(settings.source)
    if origin_of(settings.source) != "live" or spec.history is None:
        return None
    limits = limits_of(spec.calls_per_minute, settings.poll_interval_seconds)
    make = partial(history_of, settings.source, environment)
    return WarmUp(
        settings.source, make, market_of=listings, session=settings.session, limits=limits, clock_ms=_now_ms
    )


@lru_cache
def _client(service: str) -> Any:
    return boto3.client(service, config=_CLIENT)  # type: ignore[call-overload] # any of six


def _emit(report: ScanReport, scan: str) -> None:
    log = _logger.warning if report.problems or report.rejected or report.waiting else _logger.info
    log("scan", extra={"correlation_id": scan, "report": report.as_dict()})
    metrics = Metrics(
        namespace="StockMonitor", service=os.environ.get("POWERTOOLS_SERVICE_NAME", "stock-scanner")
    )
    for name, value in {
        "Polls": report.polls,
        "PollsFailed": report.failed_polls,
        "TicksPublished": report.ticks,
        "TicksWaiting": report.waiting,
        "RecordsResent": report.resent,
        "QuotesRepeated": report.repeated,
        "TickersMissing": len(report.missing),
        "TickersRejected": len(report.rejected),
        "ScansWithoutTicks": int(report.status == "ok" and report.ticks == 0),
        "FeedStale": int(report.feed.get("stale_since") is not None),
        "TickersStale": report.feed.get("stale_ticker_count", 0),
        "BreakerOpen": int(report.feed.get("breaker") == "open"),
        # A metric costs by the hour in which it is sent.
        **({"PollsSkipped": report.skipped_polls} if report.skipped_polls else {}),
    }.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
    metrics.flush_metrics()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
