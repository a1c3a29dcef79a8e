"""The API: routes, validation and problems on one resolver."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.api_gateway import Route
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from botocore.exceptions import BotoCoreError, ClientError

from api import body, openapi, problems
from api.problems import Problem
from api.routes import alert_settings, alerts, anomalies, health, incidents, quotes, rules, safety, schemas
from api.services import Services
from consumers.contracts.errors import IOFailedError
from producers.parameter import UnusableParameterError
from producers.watch_list import WatchListUnavailableError

_logger = Logger(service="stock-api-handler")


def create_app(services: Services) -> APIGatewayRestResolver:
    """Return the resolver of API Gateway REST proxy events, working with `services`."""
    app = APIGatewayRestResolver(enable_validation=True, json_body_deserializer=body.parse)
    app.use([_reject_unknown_parameters])
    health.register(app, services)
    anomalies.register(app, services)
    alerts.register(app, services)
    alert_settings.register(app, services)
    incidents.register(app, services)
    quotes.register(app, services)
    rules.register(app, services)
    safety.register(app, services)
    schemas.register(app)
    openapi.register(app)
    _register_problems(app)
    return app


def _register_problems(app: APIGatewayRestResolver) -> None:
    def on_unknown_path(_error: NotFoundError) -> Response[str]:
        if methods := _methods_of(app):
            return _reject_method(app, methods)
        allowed = sorted({f"{route.method} {route.openapi_path}" for route in _routes(app)})
        method, path = app.current_event.http_method, app.current_event.path
        unknown = Problem(
            HTTPStatus.NOT_FOUND,
            f"there is no {method} {path[:120]}",
            where="path",
            allowed=f"{problems.one_of(allowed)}; a slash in a ticker is written %252F",
        )
        return problems.respond(unknown)

    app.exception_handler(Problem)(problems.respond)
    app.exception_handler(RequestValidationError)(_on_bad_parameters)
    app.exception_handler([ClientError, BotoCoreError, IOFailedError, WatchListUnavailableError])(
        _on_store_failure
    )
    app.exception_handler(UnusableParameterError)(_on_unusable_parameter)
    app.not_found(on_unknown_path)


def _on_unusable_parameter(error: UnusableParameterError) -> Response[str]:
    return problems.respond(Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)))


def _on_bad_parameters(error: RequestValidationError) -> Response[str]:
    return problems.respond(problems.from_validation(error.errors()))


def _on_store_failure(
    error: ClientError | BotoCoreError | IOFailedError | WatchListUnavailableError,
) -> Response[str]:
    _logger.exception("A store did not respond", exc_info=error)
    unavailable = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "a store behind the API did not respond: try again")
    return problems.respond(unavailable, {"Retry-After": "2"})


def _methods_of(app: APIGatewayRestResolver) -> list[str]:
    """Return the methods of the requested path; none for an unknown path."""
    return sorted(route.method for route in _routes(app) if route.rule.match(app.current_event.path))


def _reject_method(app: APIGatewayRestResolver, methods: list[str]) -> Response[str]:
    event = app.current_event
    rejected = Problem(
        HTTPStatus.METHOD_NOT_ALLOWED,
        f"{event.http_method} is not possible at {event.path}",
        where="method",
        allowed=problems.one_of(methods),
    )
    return problems.respond(rejected, {"Allow": ", ".join(methods)})


def _routes(app: APIGatewayRestResolver) -> list[Route]:
    return [*app._static_routes, *app._dynamic_routes]


def _reject_unknown_parameters(app: APIGatewayRestResolver, next_middleware: NextMiddleware) -> Response[Any]:
    """Reject a mistyped filter: it must not look like one that matched everything."""
    route = app.context["_route"]
    if route not in _routes(app):  # an unknown path has no parameters to check; it becomes a 404
        return next_middleware(app)
    known = [parameter.alias for parameter in route.dependant.query_params]
    for name in app.current_event.resolved_query_string_parameters:
        if name not in known:
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                f"query parameter {problems.shown(name)} is unknown here",
                where=name[:64],
                allowed=problems.one_of(known),
            )
    return next_middleware(app)
