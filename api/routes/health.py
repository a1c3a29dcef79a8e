"""/health: whether the API responds, and on request whether quotes come in."""

from __future__ import annotations

from typing import Annotated, Literal

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from api.models import Health
from api.responses import respond
from api.routes.common import if_none_match, responses
from api.services import Services
from api.tickers import Board
from producers.origin import origin_of

LAG_LIMIT_SECONDS = 60
DepthQuery = Annotated[
    Literal["full"],
    Query(description="full: also the age of the quotes, the lag of the stream and the failed batches."),
]


def register(app: APIGatewayRestResolver, services: Services) -> None:
    """Add the route of the health."""

    @app.get("/health", summary="Health", responses=responses(Health, "The API responds.", 400))
    def get_health(depth: DepthQuery | None = None) -> Response[str]:
        if depth is None:
            return respond({"status": "healthy"}, if_none_match(app))
        origin, now_ms = origin_of(services.source), services.now_ms()
        quotes = services.charts.last_quotes(origin)
        freshness = Board(services.watch_list(), quotes, now_ms, services).feed(
            lambda: services.feed_problem(services.source)
        )
        lag, failed = services.depth.read(now_ms)
        payload = {
            "status": _status(freshness["state"], lag, failed),
            "source": services.source,
            "origin": origin,
            "feed": freshness,
            "stream_lag_seconds": lag,
            "failed_batches": failed,
        }
        return respond(payload, if_none_match(app))


def _status(feed_state: str, lag_seconds: float | None, failed_batches: int) -> str:
    in_time = lag_seconds is None or lag_seconds <= LAG_LIMIT_SECONDS
    return "healthy" if feed_state in {"live", "closed"} and in_time and not failed_batches else "degraded"
