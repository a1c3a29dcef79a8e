"""/alerts, and what people set about them: silences, and acknowledgements of anomalies."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Query

from api.access import require_sign_in
from api.alerts import message_row, messages_since, silence_row
from api.models import (
    AlertList,
    IdPath,
    KindName,
    Removed,
    Silence,
    SilenceRequest,
    SinceQuery,
    TickerPath,
    TickerQuery,
)
from api.problems import Problem, bad_request
from api.responses import respond
from api.routes.common import if_none_match, key_of, responses
from api.services import Services
from api.times import epoch_ms
from consumers.alerts.model import Mute
from consumers.contracts.anomaly import iso_ms

_DAY_MS = 86_400_000
DEFAULT_SPAN_MS = _DAY_MS
MAX_SPAN_MS = 7 * _DAY_MS
MAX_SILENCE_MS = 30 * _DAY_MS

AllQuery = Annotated[bool, Query(alias="all", description="true: all tickers and kinds.")]


def register(app: APIGatewayRestResolver, services: Services) -> None:
    """Add the routes of alerts."""

    def allow_write() -> None:
        require_sign_in(app.current_event.get("requestContext") or {}, writes_open=services.writes_open)

    @app.get("/alerts", summary="Messages and silences", responses=responses(AlertList, "Newest first.", 400))
    def list_alerts(since: SinceQuery | None = None) -> Response[str]:
        now_ms = services.now_ms()
        since_ms = epoch_ms(since) if since else now_ms - DEFAULT_SPAN_MS
        if not now_ms - MAX_SPAN_MS <= since_ms <= now_ms:
            allowed = f"an instant of the last {MAX_SPAN_MS // _DAY_MS} days"
            raise bad_request("since", iso_ms(since_ms), allowed)
        messages = [message_row(stored) for stored in messages_since(services.alerts, since_ms, now_ms)]
        silences = [silence_row(mute) for mute in services.alerts.mutes() if mute.until_ms > now_ms]
        return respond({"alerts": messages, "count": len(messages), "silences": silences}, if_none_match(app))

    @app.put(
        "/alerts/silences",
        summary="Silence a ticker, a kind, both, or everything, for a while",
        responses=responses(Silence, "In force, in place of one for the same.", 400, 401, tagged=False),
    )
    def put_silence(
        *,
        wanted: Annotated[SilenceRequest, Body()],
        ticker: TickerQuery | None = None,
        kind: KindName | None = None,
        everything: AllQuery = False,
    ) -> Response[str]:
        allow_write()
        _require_scope(ticker, kind, everything)
        silence = Mute(_until_ms(wanted.until, services.now_ms()), ticker, kind, reason=wanted.reason)
        services.alerts.put_mute(silence)
        return respond(silence_row(silence), None)

    @app.delete(
        "/alerts/silences",
        summary="Expire a silence now; it is named as it was made",
        responses=responses(Removed, "It is expired.", 400, 401, 404, tagged=False),
    )
    def delete_silence(
        *, ticker: TickerQuery | None = None, kind: KindName | None = None, everything: AllQuery = False
    ) -> Response[str]:
        allow_write()
        _require_scope(ticker, kind, everything)
        return _remove(services, Mute(0, ticker, kind), "no such silence is in force", "ticker, kind, all")

    @app.put(
        "/anomalies/<ticker>/<anomaly_id>/acknowledgement",
        summary="Acknowledge an anomaly: silence its ticker and kind until it is over",
        responses=responses(Silence, "In force.", 400, 401, 404, tagged=False),
    )
    def acknowledge(
        ticker: TickerPath, anomaly_id: IdPath, wanted: Annotated[SilenceRequest, Body()]
    ) -> Response[str]:
        allow_write()
        timestamp = key_of(ticker, anomaly_id).sort_key
        anomaly = services.anomalies.get(ticker, timestamp)
        if anomaly is None:
            raise Problem(
                HTTPStatus.NOT_FOUND,
                f"anomaly_id is {anomaly_id!r}: there is no such anomaly",
                where="anomaly_id",
            )
        until_ms = _until_ms(wanted.until, services.now_ms())
        silence = Mute(until_ms, ticker, anomaly.kind, acknowledged=anomaly_id, reason=wanted.reason)
        services.alerts.put_mute(silence)
        return respond(silence_row(silence), None)

    @app.delete(
        "/anomalies/<ticker>/<anomaly_id>/acknowledgement",
        summary="Withdraw an acknowledgement",
        responses=responses(Removed, "It is withdrawn.", 400, 401, 404, tagged=False),
    )
    def withdraw(ticker: TickerPath, anomaly_id: IdPath) -> Response[str]:
        allow_write()
        kind = key_of(ticker, anomaly_id).kind
        silence = Mute(0, ticker, kind, acknowledged=anomaly_id)
        return _remove(services, silence, "it is not acknowledged", "anomaly_id")


def _remove(services: Services, silence: Mute, absent: str, where: str) -> Response[str]:
    if not services.alerts.delete_mute(silence.scope):
        raise Problem(HTTPStatus.NOT_FOUND, f"{silence.words}: {absent}", where=where)
    removed: dict[str, Any] = {"removed": silence.words}
    return respond(removed, None)


def _require_scope(ticker: str | None, kind: str | None, everything: bool) -> None:
    if everything == (ticker is not None or kind is not None):
        given = f"all={'true' if everything else 'false'}, ticker={ticker}, kind={kind}"
        raise bad_request("all", given, "a ticker, a kind, both, or all=true without them")


def _until_ms(until: datetime, now_ms: int) -> int:
    until_ms = epoch_ms(until)
    if not now_ms < until_ms <= now_ms + MAX_SILENCE_MS:
        allowed = f"an instant after now ({iso_ms(now_ms)}), at most {MAX_SILENCE_MS // _DAY_MS} days"
        raise bad_request("until", iso_ms(until_ms), allowed)
    return until_ms
