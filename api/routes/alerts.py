"""/alerts and /incidents, and what people silence and acknowledge."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Query

from api.access import caller, require_sign_in
from api.alerts import acknowledgement_row, in_force, incident_row, message_row, silence_row
from api.audit import record
from api.incident_models import IncidentList, IncidentModel
from api.models import AlertList, LinkRequest, Removed, SilenceModel, SilenceRequest
from api.parameters import IdPath, IncidentPath, KindName, SinceQuery, TickerPath, TickerQuery
from api.problems import Problem, bad_request
from api.responses import respond
from api.routes.common import if_none_match, key_of, responses
from api.routes.incidents import incident_known, unknown
from api.services import Services
from api.times import epoch_ms
from consumers.alerts import links
from consumers.alerts.feedback import feedback_of
from consumers.alerts.links import LinkError
from consumers.alerts.model import LONGEST_SILENCE_DAYS, Acknowledgement, Incident, Silence
from consumers.alerts.store import ResolvedError
from consumers.alerts.table import ConflictError
from consumers.contracts.anomaly import iso_ms

_DAY_MS = 86_400_000
DEFAULT_SPAN_MS = _DAY_MS
MAX_SPAN_MS = 7 * _DAY_MS

AllQuery = Annotated[bool, Query(alias="all", description="true: all tickers and kinds.")]


def register(app: APIGatewayRestResolver, services: Services) -> None:
    """Add the routes of alerts."""

    def allow_write() -> None:
        require_sign_in(app.current_event.get("requestContext") or {}, writes_open=services.writes_open)

    def who() -> str:
        return caller(app.current_event.get("requestContext") or {})

    @app.get("/alerts", summary="Messages and silences", responses=responses(AlertList, "Newest first.", 400))
    def list_alerts(since: SinceQuery | None = None) -> Response[str]:
        now_ms = services.now_ms()
        stored = services.alerts.messages(_since_ms(since, now_ms), now_ms)
        messages = [message_row(one) for one in stored][::-1]
        silences = in_force(services.alerts, now_ms)
        return respond({"alerts": messages, "count": len(messages), "silences": silences}, if_none_match(app))

    @app.put(
        "/alerts/silences",
        summary="Silence a ticker, a kind, both, or everything, for a while",
        responses=responses(SilenceModel, "In force, in place of one for the same.", 400, 401, tagged=False),
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
        until_ms = _until_ms(wanted.until, services.now_ms())
        silence = Silence(until_ms, ticker, kind, wanted.reason, who())
        _silence(services, silence)
        return respond(silence_row(silence), None)

    @app.delete(
        "/alerts/silences",
        summary="End a silence now; name the ticker and kind that it was made with",
        responses=responses(Removed, "It is expired.", 400, 401, 404, tagged=False),
    )
    def delete_silence(
        *, ticker: TickerQuery | None = None, kind: KindName | None = None, everything: AllQuery = False
    ) -> Response[str]:
        allow_write()
        _require_scope(ticker, kind, everything)
        scope = Silence(0, ticker, kind)
        before = _silence_of(services, scope.scope)
        if not services.alerts.delete_silence(scope.scope):
            absent = f"{scope.words}: no such silence is in force"
            raise Problem(HTTPStatus.NOT_FOUND, absent, where="ticker, kind, all")
        record("silence", who(), before, None)
        return respond({"removed": scope.words}, None)

    @app.put(
        "/anomalies/<ticker>/<anomaly_id>/acknowledgement",
        summary="Acknowledge an anomaly's incident: no more of it is sent unless it gets worse",
        responses=responses(SilenceModel, "In force.", 400, 401, 404, 409, tagged=False),
    )
    def acknowledge(
        ticker: TickerPath, anomaly_id: IdPath, wanted: Annotated[SilenceRequest, Body()]
    ) -> Response[str]:
        allow_write()
        key_of(ticker, anomaly_id)
        until_ms = _until_ms(wanted.until, services.now_ms())
        incident = _incident_of(services, anomaly_id)
        known = Acknowledgement(who(), until_ms, 0, wanted.reason, anomaly_id)
        return respond(acknowledgement_row(_acknowledged(services, incident.id, known, who())), None)

    @app.delete(
        "/anomalies/<ticker>/<anomaly_id>/acknowledgement",
        summary="Withdraw an acknowledgement",
        responses=responses(Removed, "It is withdrawn.", 400, 401, 404, tagged=False),
    )
    def withdraw(ticker: TickerPath, anomaly_id: IdPath) -> Response[str]:
        allow_write()
        key_of(ticker, anomaly_id)
        incident = _incident_of(services, anomaly_id)
        _require_acknowledged(services, incident, anomaly_id, "anomaly_id")
        _acknowledged(services, incident.id, None, who())
        return respond({"removed": anomaly_id}, None)

    _register_incidents(app, services, allow_write, who)


def _register_incidents(
    app: APIGatewayRestResolver, services: Services, allow_write: Callable[[], None], who: Callable[[], str]
) -> None:
    @app.get("/incidents", summary="Incidents", responses=responses(IncidentList, "Newest first.", 400))
    def list_incidents(since: SinceQuery | None = None) -> Response[str]:
        now_ms = services.now_ms()
        found = services.alerts.incidents(_since_ms(since, now_ms), now_ms)
        rows = [incident_row(incident, now_ms) for incident in found][::-1]
        return respond({"incidents": rows, "count": len(rows)}, if_none_match(app))

    @app.post(
        "/incidents/<incident_id>/acknowledge",
        summary="Acknowledge an incident: no more of it is sent unless it gets worse",
        responses=responses(IncidentModel, "As it is now.", 400, 401, 404, 409, tagged=False),
    )
    def acknowledge_incident(
        incident_id: IncidentPath, wanted: Annotated[SilenceRequest, Body()]
    ) -> Response[str]:
        allow_write()
        known = Acknowledgement(who(), _until_ms(wanted.until, services.now_ms()), 0, wanted.reason)
        incident = _acknowledged(services, incident_id, known, who())
        return respond(incident_row(incident, services.now_ms()), None)

    @app.delete(
        "/incidents/<incident_id>/acknowledge",
        summary="Withdraw the acknowledgement of an incident",
        responses=responses(IncidentModel, "As it is now.", 400, 401, 404, tagged=False),
    )
    def withdraw_incident(incident_id: IncidentPath) -> Response[str]:
        allow_write()
        _require_acknowledged(services, incident_known(services, incident_id), incident_id, "incident_id")
        incident = _acknowledged(services, incident_id, None, who())
        return respond(incident_row(incident, services.now_ms()), None)

    @app.post(
        "/links",
        summary="Do what a link in a message allows; needs no sign-in",
        responses=responses(
            IncidentModel, "Done: the incident as it is now.", 400, 404, 409, 410, tagged=False
        ),
    )
    def follow_link(wanted: Annotated[LinkRequest, Body()]) -> Response[str]:
        try:
            incident = _follow(services, wanted.token)
        except LinkError as error:
            raise Problem(HTTPStatus.GONE, error.what, where="token", allowed=error.allowed) from error
        return respond(incident_row(incident, services.now_ms()), None)


def _incident_of(services: Services, anomaly_id: str) -> Incident:
    incident = services.alerts.incident_of(anomaly_id)
    if incident is None:
        absent = f"anomaly_id is {anomaly_id!r}: no incident is known of such an anomaly"
        raise Problem(HTTPStatus.NOT_FOUND, absent, where="anomaly_id")
    return incident


def _require_acknowledged(services: Services, incident: Incident, id_: str, where: str) -> None:
    if incident.state(services.now_ms()) != "acknowledged":
        raise Problem(HTTPStatus.NOT_FOUND, f"{id_}: it is not acknowledged", where=where)


def _silence(services: Services, silence: Silence, link: str = "") -> None:
    before = _silence_of(services, silence.scope)
    services.alerts.put_silence(silence, link)
    record("silence", silence.by, before, silence_row(silence))


def _silence_of(services: Services, scope: str) -> dict[str, Any] | None:
    return next((silence_row(one) for one in services.alerts.silences() if one.scope == scope), None)


def _acknowledged(
    services: Services, id_: str, known: Acknowledgement | None, by: str, link: str = ""
) -> Incident:
    before = services.alerts.incident(id_)
    try:
        incident = services.alerts.acknowledge(id_, known, services.now_ms(), link)
    except ConflictError as error:
        changes = "the incident changes all the while: try again"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, changes) from error
    except ResolvedError as error:
        raise Problem(HTTPStatus.CONFLICT, error.what) from error
    if incident is None:
        raise unknown(id_)
    record("acknowledgement", by, _acknowledgement(before), _acknowledgement(incident))
    return incident


def _acknowledgement(incident: Incident | None) -> dict[str, Any] | None:
    known = incident and incident.acknowledgement
    if not incident or not known:
        return None
    return {"incident": incident.id, "until": iso_ms(known.until_ms), "reason": known.reason, "by": known.by}


def _follow(services: Services, token: str) -> Incident:
    """Do what a link allows; return its incident then."""
    now_ms = services.now_ms()
    allowed = links.verify(services.alerts.link_key(now_ms, secrets.token_bytes), token, now_ms)
    if allowed.action == "acknowledge":
        known = Acknowledgement(allowed.by, now_ms + links.ACKNOWLEDGED_MS, 0)
        return _acknowledged(services, allowed.incident, known, allowed.by, allowed.use)
    incident = incident_known(services, allowed.incident)
    if allowed.action != "silence":
        said = feedback_of(incident, useful=allowed.action == "useful", by=allowed.by, at_ms=now_ms)
        if said is not None:
            services.alerts.put_feedback(said, allowed.use)
            record("feedback", allowed.by, None, {"incident": incident.id, "useful": said.useful})
        return incident
    until_ms = now_ms + links.SILENCED_MS
    _silence(services, Silence(until_ms, incident.subject, by=allowed.by), allowed.use)
    return incident


def _since_ms(since: datetime | None, now_ms: int) -> int:
    since_ms = epoch_ms(since) if since else now_ms - DEFAULT_SPAN_MS
    if not now_ms - MAX_SPAN_MS <= since_ms <= now_ms:
        raise bad_request("since", iso_ms(since_ms), f"an instant of the last {MAX_SPAN_MS // _DAY_MS} days")
    return since_ms


def _require_scope(ticker: str | None, kind: str | None, everything: bool) -> None:
    if everything == (ticker is not None or kind is not None):
        given = (
            "all=true is given with a ticker or a kind" if everything else "no ticker, kind or all is given"
        )
        allowed = "a ticker, a kind, both, or all=true without them"
        raise Problem.bad_request(given, where="all", allowed=allowed)


def _until_ms(until: datetime, now_ms: int) -> int:
    until_ms = epoch_ms(until)
    if not now_ms < until_ms <= now_ms + LONGEST_SILENCE_DAYS * _DAY_MS:
        allowed = f"an instant after now ({iso_ms(now_ms)}), at most {LONGEST_SILENCE_DAYS} days"
        raise bad_request("until", iso_ms(until_ms), allowed)
    return until_ms
