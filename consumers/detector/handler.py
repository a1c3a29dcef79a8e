"""Entry point of stock-detector: batches of the quote stream."""

from __future__ import annotations

import logging
import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers

from consumers.detector.settings import DetectorSettings
from consumers.detector.wiring import Detector

logger = Logger()
metrics = Metrics()


@cache
def _detector() -> Detector:
    structured(logger)
    return Detector(DetectorSettings.from_environment(os.environ), logger, metrics)


def structured(like: Logger) -> None:
    """Configure the `consumers` loggers like `like`: JSON, with the request's id."""
    logging.getLogger("consumers")  # only loggers that exist are configured
    copy_config_to_registered_loggers(source_logger=like, include={"consumers"})


@logger.inject_lambda_context
@metrics.log_metrics(capture_cold_start_metric=False)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Apply a batch of records; return which of them Lambda must deliver again."""
    return _detector().handle(event, context.get_remaining_time_in_millis())
