"""`GET /metrics`: how the local monitor does, in Prometheus' text format.

On AWS the same figures are in CloudWatch; docs/grafana has a dashboard for either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import httpx
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from localstack.event_log import EventLog
from localstack.outbox import Outbox

Json = Mapping[str, Any]


class MetricsPage:
    """The handler of `/metrics`; `api` knows the API by its base URL."""

    def __init__(self, api: httpx.AsyncClient, log: EventLog, outbox: Outbox) -> None:
        self._api, self._log, self._outbox = api, log, outbox

    async def respond(self, _: Request) -> Response:
        """Return the figures; where the API does not respond those of it are left out, and `api_up` is 0."""
        health, stats = await self._get("/health?depth=full"), await self._get("/stats")
        families = [*_of_api(health, stats), _events(self._log), _messages(self._outbox)]
        return Response(exposition(families), media_type=CONTENT_TYPE_LATEST)

    async def _get(self, path: str) -> Json | None:
        try:
            response = await self._api.get(path)
        except httpx.TransportError:
            return None
        found: Json | None = response.json() if response.status_code == HTTPStatus.OK else None
        return found


def exposition(families: Iterable[Metric]) -> bytes:
    """Return the metrics in the text format."""
    registry = CollectorRegistry()
    registry.register(_Once(families))
    return generate_latest(registry)


class _Once(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def _of_api(health: Json | None, stats: Json | None) -> Iterable[Metric]:
    is_up = health is not None and stats is not None
    yield GaugeMetricFamily("stock_monitor_api_up", "Whether the API responds.", value=is_up)
    if health is not None:
        yield from _of_health(health)
    if stats is not None:
        today = GaugeMetricFamily(
            "stock_monitor_anomalies_today",
            "Anomalies of this UTC day, as far as counted.",
            labels=["severity"],
        )
        for severity, count in stats["by_severity"].items():
            today.add_metric([severity], count)
        yield today


def _of_health(health: Json) -> Iterable[Metric]:
    healthy = health["status"] == "healthy"
    yield GaugeMetricFamily(
        "stock_monitor_healthy", "Whether quotes come in and are judged in time.", value=healthy
    )
    feed = health["feed"]
    for name, words, value in (
        ("quote_age_seconds", "Age of the newest quote.", feed["age_seconds"]),
        (
            "stream_lag_seconds",
            "Age of records when the detector got them, at worst.",
            health["stream_lag_seconds"],
        ),
        ("failed_batches", "Batches that wait in the dead-letter queue, about.", health["failed_batches"]),
    ):
        if value is not None:  # unknown is no figure, and never 0
            yield GaugeMetricFamily(f"stock_monitor_{name}", words, value=value)
    tickers = GaugeMetricFamily("stock_monitor_tickers", "Watched tickers by freshness.", labels=["fresh"])
    tickers.add_metric(["true"], feed["live"])
    tickers.add_metric(["false"], feed["total"] - feed["live"])
    yield tickers


def _events(log: EventLog) -> Metric:
    found = CounterMetricFamily(
        "stock_monitor_events", "Events of the bus.", labels=["detail_type", "kind", "severity"]
    )
    for labels, count in log.counts().items():
        found.add_metric(list(labels), count)
    return found


def _messages(outbox: Outbox) -> Metric:
    found = CounterMetricFamily(
        "stock_monitor_messages", "Emails and SMS in the outbox.", labels=["protocol"]
    )
    for protocol, count in outbox.counts().items():
        found.add_metric([protocol], count)
    return found
