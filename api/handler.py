"""The Lambda function stock-api-handler."""

from __future__ import annotations

import os
import time
from typing import Any

import boto3
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.utilities.typing import LambdaContext

from api.anomalies import AnomalyStore
from api.app import create_app
from api.event import normalized
from api.services import Services
from api.settings import Settings
from api.watch_list import WatchList
from consumers.charts import ChartStore


def _app(settings: Settings) -> APIGatewayRestResolver:
    dynamodb = boto3.client("dynamodb")
    return create_app(
        Services(
            anomalies=AnomalyStore(dynamodb, settings.anomalies_table),
            charts=ChartStore(dynamodb, settings.charts_table),
            watch_list=WatchList(boto3.client("ssm"), settings.ticker_parameter, _now_ms),
            source=settings.source,
            now_ms=_now_ms,
        )
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


_APP = _app(Settings.from_environment(os.environ))


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one API Gateway REST proxy event, or a bare {"path": ..., "httpMethod": ...} by hand."""
    return _APP.resolve(normalized(event), context)
