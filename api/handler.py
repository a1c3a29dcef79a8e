"""The Lambda function stock-api-handler."""

from __future__ import annotations

import os
import time
from functools import cache
from http import HTTPStatus
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from api.anomalies import AnomalyStore
from api.app import create_app
from api.depth import Depth
from api.event import normalized
from api.services import Services
from api.settings import SERVER_ERRORS, ApiSettings
from api.watch_list import WatchedTickers, WatchListEditor
from consumers.alerts.parameters import SettingsEditor
from consumers.alerts.store import AlertStore
from consumers.alerts.table import DynamoTable
from consumers.stores.bus import Bus
from consumers.stores.charts import ChartTable
from consumers.stores.parameters import ThresholdEditor
from consumers.stores.rules import RuleParameter
from producers.archive import ArchiveReader
from producers.feed_problem import FeedProblem
from producers.markets.listings import Listings
from producers.watch_list import WatchListReader, WatchListWriter

_logger = Logger(service="stock-api-handler")
_ONCE = Config(read_timeout=8, retries={"total_max_attempts": 1})  # the API has ten seconds to answer


@cache
def _app() -> APIGatewayRestResolver:
    settings = ApiSettings.from_environment(os.environ)
    dynamodb, ssm, s3 = boto3.client("dynamodb"), boto3.client("ssm"), boto3.client("s3")
    writer = WatchListWriter(ssm, s3, settings.ticker_parameter, settings.data_bucket)
    return create_app(
        Services(
            anomalies=AnomalyStore(dynamodb, settings.anomalies_table),
            alerts=AlertStore(DynamoTable(dynamodb, settings.alerts_table)),
            charts=ChartTable(dynamodb, settings.charts_table),
            archive=ArchiveReader(s3, settings.data_bucket),
            rules=RuleParameter(ssm, settings.rules_parameter),
            thresholds=ThresholdEditor(ssm, settings.threshold_parameter),
            depth=Depth(
                boto3.client("cloudwatch"),
                boto3.client("sqs"),
                settings.detector,
                settings.dead_letter_queue_url,
            ),
            watch_list=WatchedTickers(WatchListReader(ssm, s3, settings.ticker_parameter, _now_ms)),
            alert_settings=SettingsEditor(ssm, settings.alerts_parameter),
            send_events=Bus(boto3.client("events"), settings.bus_name).put,
            editor=WatchListEditor(boto3.client("lambda", config=_ONCE), settings.scanner, writer),
            source=settings.source,
            now_ms=_now_ms,
            session=settings.session,
            market_of=Listings(settings.markets, settings.market),
            feed_problem=FeedProblem(dynamodb, settings.windows_table),
            writes_open=settings.writes_open,
        )
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Return the response to one API Gateway REST proxy event, or a bare {"path": ..., "httpMethod": ...} by hand."""
    complete = normalized(event)
    _logger.set_correlation_id(complete["requestContext"].get("requestId"))  # that of the access log
    answer = _app().resolve(complete, context)
    if answer["statusCode"] >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _count_server_error()
    return answer


def _count_server_error() -> None:
    """Count it by version: what a new one does wrong takes it back, and to Lambda an answer is no error."""
    from aws_lambda_powertools.metrics import MetricUnit, single_metric  # noqa: PLC0415  a start must not pay for it

    with single_metric(SERVER_ERRORS, MetricUnit.Count, 1) as metric:
        metric.add_dimension("version", os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "none"))
        metric.add_dimension("service", os.environ.get("POWERTOOLS_SERVICE_NAME", "stock-api-handler"))
