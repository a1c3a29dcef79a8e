"""Entry point of stock-detector: batches of the quote stream."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from consumers.detector import Detector
from consumers.settings import Settings

logger = Logger()
metrics = Metrics()


@cache
def _detector() -> Detector:
    return Detector(Settings.from_environment(os.environ), logger, metrics)


@logger.inject_lambda_context
@metrics.log_metrics(capture_cold_start_metric=False)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Apply a batch of records; answers which of them Lambda must deliver again."""
    return _detector().handle(event, context.get_remaining_time_in_millis())
