"""/incidents/{id}: one incident, what people said of it, and what the price did since."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body

from api.access import allow_write
from api.alerts import feedback_row, incident_row
from api.audit import record
from api.incident_models import FeedbackRequest, IncidentDetail
from api.parameters import IncidentPath
from api.problems import Problem, bad_request, shown
from api.responses import respond
from api.routes.common import if_none_match, responses
from api.services import Services
from consumers.alerts.feedback import feedback_of
from consumers.alerts.market import moves_after
from consumers.alerts.model import Incident


def register(app: APIGatewayRestResolver, services: Services) -> None:
    """Add the routes of one incident."""

    @app.get(
        "/incidents/<incident_id>",
        summary="An incident, with its ratings and the price since",
        responses=responses(IncidentDetail, "As it is now, or the one that it was merged into.", 400, 404),
    )
    def get_incident(incident_id: IncidentPath) -> Response[str]:
        return respond(_detail(services, incident_known(services, incident_id)), if_none_match(app))

    @app.post(
        "/incidents/<incident_id>/feedback",
        summary="Say whether an incident was useful, or noise",
        responses=responses(
            IncidentDetail, "It is remembered, with who and when.", 400, 401, 404, tagged=False
        ),
    )
    def post_feedback(incident_id: IncidentPath, wanted: Annotated[FeedbackRequest, Body()]) -> Response[str]:
        by, incident = allow_write(app, services), incident_known(services, incident_id)
        said = feedback_of(
            incident, useful=wanted.useful, by=by, at_ms=services.now_ms(), anomaly=wanted.anomaly_id
        )
        if said is None:
            raise bad_request("anomaly_id", wanted.anomaly_id, "one of the anomalies that the incident lists")
        services.alerts.put_feedback(said)
        record("feedback", by, None, {"incident": incident.id, "useful": said.useful})
        return respond(_detail(services, incident), None)


def incident_known(services: Services, id_: str) -> Incident:
    """Return an incident.

    Raises
    ------
    Problem
        404 if there is none.
    """
    incident = services.alerts.incident(id_)
    if incident is None:
        raise unknown(id_)
    return incident


def unknown(id_: str) -> Problem:
    """Return what says that there is no such incident."""
    return Problem(
        HTTPStatus.NOT_FOUND, f"incident_id is {shown(id_)}: no such incident", where="incident_id"
    )


def _detail(services: Services, incident: Incident) -> dict[str, Any]:
    said = services.alerts.feedback_of(incident.id)
    return {
        **incident_row(incident, services.now_ms()),
        "feedback": [feedback_row(one) for one in said],
        "after": [
            {"minutes": minutes, "move": move} for minutes, move in moves_after(services.charts, incident)
        ],
    }
