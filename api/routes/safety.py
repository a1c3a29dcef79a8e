"""/safety/{ticker}: one cheap call before a trade."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from api.models import Safety
from api.parameters import SourceQuery, TickerPath
from api.responses import respond
from api.routes.common import if_none_match, responses
from api.safety import MAX_AGE_SECONDS, reasons, subjects
from api.services import Services
from api.tickers import Board
from consumers.contracts.anomaly import iso_ms
from producers.origin import origin_of, windows_of

AgeQuery = Annotated[int, Query(description="How old the last quote may be, in seconds.", ge=1, le=86_400)]


def register(app: APIGatewayRestResolver, services: Services) -> None:
    """Add the route of the safety of a ticker."""

    @app.get(
        "/safety/<ticker>",
        summary="Whether a ticker is safe to trade",
        responses=responses(
            Safety, "Whether quotes are fresh, no critical incident is open and the market is.", 400, 404
        ),
    )
    def get_safety(
        ticker: TickerPath, max_age_seconds: AgeQuery = MAX_AGE_SECONDS, source: SourceQuery | None = None
    ) -> Response[str]:
        now_ms, name = services.now_ms(), source or services.source
        origin = origin_of(windows_of(name))
        quotes = services.charts.last_quotes(origin)
        quote, (row,) = quotes.get(ticker), Board([ticker], quotes, now_ms, services).rows([ticker])
        found = reasons(
            ticker,
            quote,
            services.alerts.unresolved(origin, subjects(ticker)),
            market=row["market"],
            is_market_open=row["open"],
            max_age_ms=max_age_seconds * 1000,
            now_ms=now_ms,
        )
        payload = {
            "ticker": ticker,
            "safe": not found,
            "reasons": found,
            "source": name,
            "origin": origin,
            "as_of": iso_ms(now_ms),
            "quote": row,
        }
        return respond(payload, if_none_match(app))
