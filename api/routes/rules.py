"""/rules: a person's own."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path

from api.access import require_sign_in
from api.models import Removed, RuleList, RuleModel
from api.problems import Problem
from api.responses import respond
from api.routes.common import if_none_match, responses
from api.services import Services
from consumers.stores.rules import UnknownRuleError
from consumers.stream.rules import Rule, RuleError, of_object

RuleId = Annotated[
    str, Path(description="The id of a rule.", json_schema_extra={"pattern": "^[A-Za-z0-9-]{1,32}$"})
]


def register(app: APIGatewayRestResolver, services: Services) -> None:
    """Add the routes of rules."""

    def allow_write() -> None:
        require_sign_in(app.current_event.get("requestContext") or {}, writes_open=services.writes_open)

    @app.get("/rules", summary="A person's own rules", responses=responses(RuleList, "In their order.", 400))
    def list_rules() -> Response[str]:
        found = [_row(rule) for rule in services.rules.read()]
        return respond({"rules": found, "count": len(found)}, if_none_match(app))

    @app.post(
        "/rules",
        summary="Add a rule; it is in force within a minute",
        responses=responses(RuleModel, "As it is written.", 400, 401, tagged=False),
    )
    def add_rule(wanted: Annotated[RuleModel, Body()]) -> Response[str]:
        allow_write()
        try:
            rule = services.rules.add(of_object(wanted.model_dump()))
        except RuleError as error:
            what = f"{error.where}: {error.what}" if error.where else error.what
            raise Problem.bad_request(what, where="rule", allowed=error.allowed) from error
        return respond(_row(rule), None)

    @app.delete(
        "/rules/<rule_id>",
        summary="Remove a rule",
        responses=responses(Removed, "It is removed.", 400, 401, 404, tagged=False),
    )
    def remove_rule(rule_id: RuleId) -> Response[str]:
        allow_write()
        try:
            services.rules.remove(rule_id)
        except UnknownRuleError as error:
            raise Problem(HTTPStatus.NOT_FOUND, error.what, where="rule_id") from error
        return respond({"removed": rule_id}, None)


def _row(rule: Rule) -> dict[str, Any]:
    return msgspec.structs.asdict(rule)
