"""/health: whether the API answers, and on request whether quotes come in."""

from __future__ import annotations

from typing import Annotated, Literal

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from api.answers import answer
from api.models import Health
from api.routes.common import if_none_match, responses
from api.services import Services
from api.tickers import feed, ticker_rows
from producers.origin import origin_of

LAG_LIMIT_SECONDS = 60
DepthQuery = Annotated[
    Literal["full"], Query(description="full: look at the stores too, and say how old the quotes are.")
]


def register(app: APIGatewayRestResolver, services: Services) -> None:
    """Add the route of the health."""

    @app.get("/health", summary="Health", responses=responses(Health, "The API answers.", 400))
    def get_health(depth: DepthQuery | None = None) -> Response[str]:
        if depth is None:
            return answer({"status": "healthy"}, if_none_match(app))
        origin, now_ms = origin_of(services.source), services.now_ms()
        rows = ticker_rows(services.watch_list(), services.charts.last_quotes(origin), now_ms)
        freshness = feed(rows, services.is_market_open)
        lag, failed = services.depth.stream_lag_seconds(now_ms), services.depth.failed_batches()
        in_time = lag is None or lag <= LAG_LIMIT_SECONDS
        payload = {
            "status": "healthy"
            if freshness["state"] in {"live", "closed"} and in_time and not failed
            else "degraded",
            "source": services.source,
            "origin": origin,
            "feed": freshness,
            "stream_lag_seconds": lag,
            "failed_batches": failed,
        }
        return answer(payload, if_none_match(app))
