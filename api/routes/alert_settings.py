"""/alerts/routes: who is notified of what, by which channel; and a message to try them."""

from __future__ import annotations

from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body

from api.access import allow_write
from api.alert_models import AlertRoutes, RoutingChange, RoutingRequest, TestRequested
from api.audit import record
from api.problems import Problem
from api.responses import respond
from api.routes.common import if_none_match, responses
from api.services import Services
from consumers.alerts import channels
from consumers.alerts.settings import AlertSettings, AlertSettingsError
from consumers.contracts import events
from consumers.contracts.anomaly import iso_ms

_PARTS = ("routes", "channels")


def register(app: APIGatewayRestResolver, services: Services) -> None:
    """Add the routes of what is set about alerts."""

    @app.get(
        "/alerts/routes",
        summary="Channels, and the routes that lead to them",
        responses=responses(AlertRoutes, "As the parameter has them.", 400),
    )
    def get_routes() -> Response[str]:
        found = {**_routing(services.alert_settings.read()), "types": _types()}
        return respond(found, if_none_match(app))

    @app.put(
        "/alerts/routes",
        summary="Set routes, channels, or both",
        responses=responses(RoutingChange, "In force within a minute.", 400, 401, tagged=False),
    )
    def put_routes(wanted: Annotated[RoutingRequest, Body()]) -> Response[str]:
        by = allow_write(app, services)
        given = wanted.model_dump(mode="json", by_alias=True)
        parts = {name: given[name] for name in _PARTS if given[name] is not None}
        if not parts:
            raise Problem.bad_request(
                "neither routes nor channels are given", where="routes", allowed="one of them at least"
            )
        try:
            before, after = services.alert_settings.change(parts, by)
        except AlertSettingsError as error:
            named, _, _ = str(error).partition(": ")
            where = named if named.partition(".")[0] in parts else next(iter(parts))
            raise Problem.bad_request(str(error), where=where, allowed="") from error
        change = {"before": _routing(before), "by": by, "at": iso_ms(services.now_ms())}
        record("routes", by, _routing(before), _routing(after))
        return respond({**_routing(after), **change}, None)

    @app.post(
        "/alerts/test",
        summary="Send a test message to every channel",
        responses=responses(TestRequested, "The notifier sends it.", 400, 401, tagged=False),
    )
    def post_test() -> Response[str]:
        by, now_ms = allow_write(app, services), services.now_ms()
        services.send_events([events.alert_test(str(now_ms), now_ms)])
        record("test of the channels", by, None, f"test-{now_ms}")
        return respond({"id": f"test-{now_ms}", "by": by}, None)


def _routing(settings: AlertSettings) -> dict[str, Any]:
    found = settings.model_dump(mode="json", by_alias=True, include={*_PARTS})
    return {name: found[name] for name in _PARTS}


def _types() -> dict[str, Any]:
    """Return the types of channels that a person can add; sns is always there."""
    kinds = {name: channels.declared(name) for name in channels.names() if name != "sns"}
    return {
        name: {"settings": kind.settings, "optional": sorted(kind.optional), "secrets": kind.secrets}
        for name, kind in kinds.items()
    }
