"""/anomalies, /anomalies/{ticker}, /anomalies/{ticker}/{id} and /stats."""

from __future__ import annotations

from dataclasses import replace
from datetime import date as Date  # noqa: N812  the name `date` is a parameter's
from datetime import datetime
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from api.anomalies import AnomalyListing, AnomalyQuery
from api.models import AnomalyModel, AnomalyPage, KindList, Stats
from api.parameters import (
    CursorQuery,
    DateQuery,
    IdPath,
    KindQuery,
    LimitQuery,
    SeverityQuery,
    SinceQuery,
    SourceQuery,
    TickerPath,
    TickerQuery,
    UntilQuery,
)
from api.problems import Problem, bad_request
from api.responses import respond
from api.routes.common import if_none_match, key_of, responses
from api.services import Services
from api.times import epoch_ms
from consumers.contracts.anomaly import KINDS, Anomaly, iso_ms, to_json
from consumers.contracts.kinds import RULE, spec_of
from producers.origin import origin_of

STATS_MAX_AGE_SECONDS = 10
KINDS_MAX_AGE_SECONDS = 300
_NEWEST_FIRST = "Anomalies, newest first."


def register(app: APIGatewayRestResolver, services: Services) -> None:
    """Add the routes of anomalies."""

    @app.get(
        "/anomalies", summary="Anomalies of all tickers", responses=responses(AnomalyPage, _NEWEST_FIRST, 400)
    )
    def list_anomalies(
        *,
        date: DateQuery | None = None,
        since: SinceQuery | None = None,
        until: UntilQuery | None = None,
        ticker: TickerQuery | None = None,
        kind: KindQuery | None = None,
        severity: SeverityQuery | None = None,
        source: SourceQuery | None = None,
        limit: LimitQuery = 50,
        cursor: CursorQuery | None = None,
    ) -> Response[str]:
        query = _query(
            ticker=ticker, date=date, since=since, until=until, kind=kind, severity=severity, source=source
        )
        return respond(_page(services.anomalies.page(query, limit, cursor)), if_none_match(app))

    @app.get(
        "/anomalies/<ticker>",
        summary="Anomalies of one ticker",
        responses=responses(AnomalyPage, _NEWEST_FIRST, 400, 404),
    )
    def list_anomalies_of(
        ticker: TickerPath,
        *,
        date: DateQuery | None = None,
        since: SinceQuery | None = None,
        until: UntilQuery | None = None,
        kind: KindQuery | None = None,
        severity: SeverityQuery | None = None,
        source: SourceQuery | None = None,
        limit: LimitQuery = 50,
        cursor: CursorQuery | None = None,
    ) -> Response[str]:
        query = _query(
            ticker=ticker, date=date, since=since, until=until, kind=kind, severity=severity, source=source
        )
        return respond(_page(services.anomalies.page(query, limit, cursor)), if_none_match(app))

    @app.get(
        "/anomalies/<ticker>/<anomaly_id>",
        summary="One anomaly",
        responses=responses(AnomalyModel, "The anomaly with its window.", 400, 404),
    )
    def get_anomaly(ticker: TickerPath, anomaly_id: IdPath) -> Response[str]:
        anomaly = services.anomalies.get(ticker, key_of(ticker, anomaly_id).sort_key)
        if anomaly is None:
            raise Problem(
                HTTPStatus.NOT_FOUND,
                f"anomaly_id is {anomaly_id!r}: there is no such anomaly",
                where="anomaly_id",
            )
        return respond(_described(anomaly), if_none_match(app))

    @app.get("/kinds", summary="Kinds of anomaly", responses=responses(KindList, "One for each detector."))
    def list_kinds() -> Response[str]:
        return respond(_kinds(), if_none_match(app), max_age_seconds=KINDS_MAX_AGE_SECONDS)

    @app.get(
        "/stats",
        summary="Numbers of anomalies by severity",
        responses=responses(Stats, "Numbers by severity.", 400),
    )
    def get_stats(
        *,
        date: DateQuery | None = None,
        since: SinceQuery | None = None,
        until: UntilQuery | None = None,
        ticker: TickerQuery | None = None,
        kind: KindQuery | None = None,
        source: SourceQuery | None = None,
    ) -> Response[str]:
        query = _query(
            ticker=ticker, date=date, since=since, until=until, kind=kind, severity=None, source=source
        )
        if date is None and since is None and until is None:
            query = replace(query, date=iso_ms(services.now_ms())[:10])
        counts = services.anomalies.counts(query)
        payload = {
            "date": query.date,
            "by_severity": counts.by_severity,
            "total": sum(counts.by_severity.values()),
            "complete": counts.complete,
        }
        return respond(payload, if_none_match(app), max_age_seconds=STATS_MAX_AGE_SECONDS)


def _kinds() -> dict[str, Any]:
    specs = [spec_of(kind) for kind in KINDS]
    kinds = [{"kind": spec.kind, "label": spec.label, "summary": spec.summary} for spec in specs]
    kinds.append({"kind": RULE, "label": "Rule", "summary": "what a person's own rule names"})
    return {"kinds": kinds, "count": len(kinds)}


def _query(
    *,
    ticker: str | None,
    date: Date | None,
    since: datetime | None,
    until: datetime | None,
    kind: str | None,
    severity: str | None,
    source: str | None,
) -> AnomalyQuery:
    since_ms = epoch_ms(since) if since else None
    until_ms = epoch_ms(until) if until else None
    if since_ms is not None and until_ms is not None and since_ms >= until_ms:
        raise bad_request("since", iso_ms(since_ms), f"an instant before until ({iso_ms(until_ms)})")
    return AnomalyQuery(
        ticker=ticker,
        date=date.isoformat() if date else None,
        since_ms=since_ms,
        until_ms=until_ms,
        kinds=tuple(kind.split(",")) if kind else (),
        source=source,
        severities=tuple(severity.split(",")) if severity else (),
    )


def _page(page: AnomalyListing) -> dict[str, Any]:
    return {
        "anomalies": [_described(anomaly) for anomaly in page.anomalies],
        "count": len(page.anomalies),
        "next": page.next,
    }


def _described(anomaly: Anomaly) -> dict[str, Any]:
    return {**to_json(anomaly), "origin": origin_of(anomaly.source)}
