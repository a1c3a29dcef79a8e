"""/kinds: the kinds of anomaly that there are, as the detectors declare them."""

from __future__ import annotations

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from api.models import KindList
from api.responses import respond
from api.routes.common import if_none_match, responses
from consumers.contracts.kinds import REGISTRY

MAX_AGE_SECONDS = 300
"""Kinds change with a deployment."""


def register(app: APIGatewayRestResolver) -> None:
    """Add the route of the kinds."""

    @app.get("/kinds", summary="Kinds of anomaly", responses=responses(KindList, "All kinds, sorted."))
    def list_kinds() -> Response[str]:
        specs = [registered.spec for registered in REGISTRY.values()]
        kinds = [{"kind": spec.kind, "label": spec.label, "summary": spec.summary} for spec in specs]
        return respond({"kinds": kinds}, if_none_match(app), max_age_seconds=MAX_AGE_SECONDS)
