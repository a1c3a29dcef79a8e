"""What schemathesis cannot read from the OpenAPI document: rules between values, which a schema has no words for.

Half of what it draws is made to fit them, so that it gets further than to a rejection; for the other half a check of
our own knows the rejections that are right.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Response
from schemathesis.specs.openapi.checks import positive_data_acceptance

from consumers.stream.rules import MAX_CHARACTERS, MAX_MINUTES, MAX_RULES, VALUES

_ANOMALIES = ("GET /anomalies", "GET /anomalies/{ticker}")
_ONE = "/anomalies/{ticker}/{anomaly_id}"
_IDENTIFIED = (f"GET {_ONE}", f"PUT {_ONE}/acknowledgement", f"DELETE {_ONE}/acknowledgement")
_SILENCES = ("PUT /alerts/silences", "DELETE /alerts/silences")
_UNTIL = ("PUT /alerts/silences", f"PUT {_ONE}/acknowledgement", "POST /incidents/{incident_id}/acknowledge")
_EDGES = "an ISO 8601 instant from 1970"
RULES = [
    # operations, the part that is rejected, how the rule begins
    (_ANOMALIES, "cursor", "the `next` of an earlier response to the same query"),
    (("GET /alerts", "GET /incidents"), "since", "an instant of the last 7 days"),
    (("GET /quotes/{ticker}",), "since", "an instant up to 48 hours before until"),
    (("GET /quotes/{ticker}",), "since", "an instant up to an hour before until"),  # of bars below a minute
    (("GET /quotes/{ticker}",), "minutes", "left out beside since or until"),
    (("GET /quotes/{ticker}",), "minutes", "at most 60 with bars below a minute"),
    (_SILENCES, "all", "a ticker, a kind, both, or all=true without them"),
    (_UNTIL, "until", "an instant after now"),
    (
        ("POST /incidents/{incident_id}/feedback",),
        "anomaly_id",
        "one of the anomalies that the incident lists",
    ),
    (
        (*_ANOMALIES, "GET /alerts", "GET /incidents", "GET /quotes/{ticker}", "GET /stats"),
        "since",
        _EDGES,
    ),
    ((*_ANOMALIES, "GET /quotes/{ticker}", "GET /stats"), "until", _EDGES),
    ((*_ANOMALIES, "GET /stats"), "since", "an instant before until"),
    (_UNTIL, "until", _EDGES),
    # What a limit may be, and whether minutes and a ticker are named, depends on what a rule watches; that an id is
    # taken or the parameter full depends on the other rules.
    *(
        (("POST /rules",), where, allowed)
        for where, allowed in (
            *dict.fromkeys(("value", allowed) for _, _, allowed in VALUES.values()),
            ("ticker", "named, where a price is the limit"),
            ("minutes", f"1 to {MAX_MINUTES} for moves"),
            ("rule", "different ids"),
            ("rule", f"at most {MAX_RULES}"),
            ("rule", f"at most {MAX_CHARACTERS},"),
        )
    ),
    (("PUT /thresholds",), "value", "at most 4096 characters"),  # of many tickers together
    # What a channel is set up with depends on its type, and which channels there are on the others.
    (("PUT /alerts/routes",), "routes", ""),
    (("PUT /alerts/routes",), "channels", ""),
    (_IDENTIFIED, "anomaly_id", "<ticker>-<epoch ms>-<kind>"),  # the id of another ticker
]
_ID = re.compile(r"(?P<ticker>.+)-(?P<ts>\d{1,13})-[a-z_]+")
_TICKER = re.compile(r"[A-Za-z0-9.^=_:&-]{1,32}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@schemathesis.hook
def map_path_parameters(_: object, path_parameters: dict[str, object] | None) -> dict[str, object] | None:
    """The ticker of every other anomaly is the one in its id."""
    drawn = path_parameters or {}
    found = _ID.fullmatch(str(drawn.get("anomaly_id")))
    if found and int(found["ts"]) % 2 == 0 and _TICKER.fullmatch(str(drawn.get("ticker"))):
        return {**drawn, "ticker": found["ticker"]}
    return path_parameters


@schemathesis.hook
def map_body(_: object, body: object) -> object:
    """Every other order is until an hour from now."""
    if isinstance(body, dict) and _INSTANT.fullmatch(str(body.get("until"))) and len(str(body)) % 2 == 0:
        return {**body, "until": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    return body


@schemathesis.check
def rejected_by_a_rule_between_values(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """What the document allows is accepted, or rejected by one of the rules that it cannot say."""
    if response.status_code == 400:
        problem = json.loads(response.text)
        rejected = (problem["where"], problem.get("allowed", ""))
        if any(
            case.operation.label in operations
            and re.split("[ .]", rejected[0])[0] == where
            and rejected[1].startswith(rule)
            for operations, where, rule in RULES
        ):
            return
    if (
        response.status_code == 410 and case.operation.label == "POST /links"
    ):  # no token drawn is of this monitor
        return
    positive_data_acceptance(ctx, response, case)
