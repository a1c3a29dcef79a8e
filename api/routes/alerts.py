"""/alerts, and what a person orders about them: mutes, and acknowledgements of anomalies."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Query

from api.access import require_sign_in
from api.alerts import message_row, messages_since, mute_row
from api.answers import answer
from api.models import (
    AlertList,
    IdPath,
    KindName,
    MuteModel,
    MuteOrder,
    Removed,
    SinceQuery,
    TickerPath,
    TickerQuery,
)
from api.problems import Problem, bad_request
from api.routes.common import if_none_match, key_of, responses
from api.services import Services
from api.times import epoch_ms
from consumers.alerts.model import Mute
from consumers.contracts.anomaly import iso_ms

_DAY_MS = 86_400_000
DEFAULT_SPAN_MS = _DAY_MS
MAX_SPAN_MS = 7 * _DAY_MS
MAX_MUTE_MS = 30 * _DAY_MS

AllQuery = Annotated[bool, Query(alias="all", description="true: all tickers and kinds.")]


def register(app: APIGatewayRestResolver, services: Services) -> None:
    """Add the routes of alerts."""

    def allow_write() -> None:
        require_sign_in(app.current_event.get("requestContext") or {}, writes_open=services.writes_open)

    @app.get("/alerts", summary="Messages and mutes", responses=responses(AlertList, "Newest first.", 400))
    def list_alerts(since: SinceQuery | None = None) -> Response[str]:
        now_ms = services.now_ms()
        since_ms = epoch_ms(since) if since else now_ms - DEFAULT_SPAN_MS
        if not now_ms - MAX_SPAN_MS <= since_ms <= now_ms:
            allowed = f"an instant of the last {MAX_SPAN_MS // _DAY_MS} days"
            raise bad_request("since", iso_ms(since_ms), allowed)
        messages = [message_row(stored) for stored in messages_since(services.alerts, since_ms, now_ms)]
        mutes = [mute_row(mute) for mute in services.alerts.mutes() if mute.until_ms > now_ms]
        return answer({"alerts": messages, "count": len(messages), "mutes": mutes}, if_none_match(app))

    @app.put(
        "/alerts/mutes",
        summary="Hold alerts of a ticker, of a kind, of both, or all of them, for a while",
        responses=responses(MuteModel, "In force, in place of one for the same.", 400, 401, tagged=False),
    )
    def put_mute(
        *,
        order: Annotated[MuteOrder, Body()],
        ticker: TickerQuery | None = None,
        kind: KindName | None = None,
        everything: AllQuery = False,
    ) -> Response[str]:
        allow_write()
        _require_scope(ticker, kind, everything)
        mute = Mute(_until_ms(order.until, services.now_ms()), ticker, kind, reason=order.reason)
        services.alerts.put_mute(mute)
        return answer(mute_row(mute), None)

    @app.delete(
        "/alerts/mutes",
        summary="End a mute now; it is named as it was made",
        responses=responses(Removed, "It is ended.", 400, 401, 404, tagged=False),
    )
    def delete_mute(
        *, ticker: TickerQuery | None = None, kind: KindName | None = None, everything: AllQuery = False
    ) -> Response[str]:
        allow_write()
        _require_scope(ticker, kind, everything)
        return _remove(services, Mute(0, ticker, kind), "no such mute is in force", "ticker, kind, all")

    @app.put(
        "/anomalies/<ticker>/<anomaly_id>/acknowledgement",
        summary="Say that an anomaly is known: hold its ticker and kind until it is over",
        responses=responses(MuteModel, "In force.", 400, 401, 404, tagged=False),
    )
    def acknowledge(
        ticker: TickerPath, anomaly_id: IdPath, order: Annotated[MuteOrder, Body()]
    ) -> Response[str]:
        allow_write()
        timestamp = key_of(ticker, anomaly_id)
        anomaly = services.anomalies.get(ticker, timestamp)
        if anomaly is None:
            raise Problem(
                HTTPStatus.NOT_FOUND,
                f"anomaly_id is {anomaly_id!r}: there is no such anomaly",
                where="anomaly_id",
            )
        until_ms = _until_ms(order.until, services.now_ms())
        mute = Mute(until_ms, ticker, anomaly.kind, acknowledged=anomaly_id, reason=order.reason)
        services.alerts.put_mute(mute)
        return answer(mute_row(mute), None)

    @app.delete(
        "/anomalies/<ticker>/<anomaly_id>/acknowledgement",
        summary="Take an acknowledgement back",
        responses=responses(Removed, "It is taken back.", 400, 401, 404, tagged=False),
    )
    def take_back(ticker: TickerPath, anomaly_id: IdPath) -> Response[str]:
        allow_write()
        kind = key_of(ticker, anomaly_id).partition("#")[2]
        order = Mute(0, ticker, kind, acknowledged=anomaly_id)
        return _remove(services, order, "it is not acknowledged", "anomaly_id")


def _remove(services: Services, order: Mute, absent: str, where: str) -> Response[str]:
    if not services.alerts.delete_mute(order.scope):
        raise Problem(HTTPStatus.NOT_FOUND, f"{order.words}: {absent}", where=where)
    removed: dict[str, Any] = {"removed": order.words}
    return answer(removed, None)


def _require_scope(ticker: str | None, kind: str | None, everything: bool) -> None:
    if everything == (ticker is not None or kind is not None):
        given = f"all={'true' if everything else 'false'}, ticker={ticker}, kind={kind}"
        raise bad_request("all", given, "a ticker, a kind, both, or all=true without them")


def _until_ms(until: datetime, now_ms: int) -> int:
    until_ms = epoch_ms(until)
    if not now_ms < until_ms <= now_ms + MAX_MUTE_MS:
        allowed = f"an instant after now ({iso_ms(now_ms)}), at most {MAX_MUTE_MS // _DAY_MS} days"
        raise bad_request("until", iso_ms(until_ms), allowed)
    return until_ms
