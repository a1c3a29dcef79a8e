"""/rules, a person's own, and /thresholds: what is judged, and from where on it is an anomaly."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path

from api.access import allow_write
from api.audit import record
from api.models import Removed
from api.problems import Problem
from api.responses import respond
from api.routes.common import if_none_match, responses
from api.rule_models import RuleList, RuleModel, ThresholdChange, ThresholdRequest, Thresholds
from api.services import Services
from consumers.contracts.anomaly import iso_ms
from consumers.stores.rules import UnknownRuleError
from consumers.stream.rules import PriceRule, RuleError, of_object
from consumers.stream.thresholds import Threshold, ThresholdError

RuleId = Annotated[
    str, Path(description="The id of a rule.", json_schema_extra={"pattern": "^[A-Za-z0-9-]{1,32}$"})
]


def register(app: APIGatewayRestResolver, services: Services) -> None:
    """Add the routes of rules and thresholds."""

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
        by = allow_write(app, services)
        try:
            rule = services.rules.add(of_object(wanted.model_dump()), by)
            record("rule", by, None, _row(rule))
        except RuleError as error:
            what = f"{error.where}: {error.what}" if error.where else error.what
            named, _, _ = error.what.partition(" is ")
            where = named if named in RuleModel.model_fields else "rule"
            raise Problem.bad_request(what, where=where, allowed=error.allowed) from error
        return respond(_row(rule), None)

    @app.delete(
        "/rules/<rule_id>",
        summary="Remove a rule",
        responses=responses(Removed, "It is removed.", 400, 401, 404, tagged=False),
    )
    def remove_rule(rule_id: RuleId) -> Response[str]:
        by = allow_write(app, services)
        try:
            record("rule", by, _row(services.rules.remove(rule_id, by)), None)
        except UnknownRuleError as error:
            raise Problem(HTTPStatus.NOT_FOUND, error.what, where="rule_id") from error
        return respond({"removed": rule_id}, None)

    @app.get(
        "/thresholds",
        summary="The scores at which anomalies begin",
        responses=responses(Thresholds, "As the parameter has them.", 400),
    )
    def get_thresholds() -> Response[str]:
        return respond(_scores(services.thresholds.read()), if_none_match(app))

    @app.put(
        "/thresholds",
        summary="Set one threshold, or remove it",
        responses=responses(ThresholdChange, "In force within a minute.", 400, 401, tagged=False),
    )
    def put_threshold(wanted: Annotated[ThresholdRequest, Body()]) -> Response[str]:
        by = allow_write(app, services)
        try:
            before, after = services.thresholds.change(wanted.value, wanted.ticker, wanted.kind, by)
        except ThresholdError as error:
            raise Problem.bad_request(error.what, where="value", allowed=error.allowed) from error
        record("threshold", by, _scores(before), _scores(after))
        return respond({**_scores(after), "by": by, "at": iso_ms(services.now_ms())}, None)


def _scores(threshold: Threshold) -> dict[str, Any]:
    return {"default": threshold.default, "kinds": threshold.kinds, "tickers": threshold.tickers}


def _row(rule: PriceRule) -> dict[str, Any]:
    return msgspec.structs.asdict(rule)
