"""What routes share: the caller's tag, the responses that a route describes, and ids of anomalies."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from api.models import ProblemModel
from api.problems import bad_request
from consumers.contracts.anomaly import AnomalyIdError, AnomalyKey


def if_none_match(app: APIGatewayRestResolver) -> str | None:
    """Return the If-None-Match header, if the caller sent one."""
    headers: dict[str, str] = app.current_event.headers
    return headers.get("If-None-Match") or headers.get("if-none-match")


def responses(model: type, description: str, *failures: int, tagged: bool = True) -> dict[int, Any]:
    """Return what a route describes: its 200, the 304 where it is `tagged`, and the problems that it may return."""
    problems = {
        400: "The request cannot be understood.",
        401: "It needs a sign-in.",
        404: "There is no such thing.",
        409: "It is over.",
        410: "It was used, or it has expired.",
        503: "Try again.",
    }
    described: dict[int, Any] = {
        200: {"description": description, "content": {"application/json": {"model": model}}}
    }
    if tagged:
        described[304] = {"description": "Nothing changed since the response with the tag in If-None-Match."}
    for status in (*failures, 503):
        described[status] = {
            "description": problems[status],
            "content": {"application/problem+json": {"model": ProblemModel}},
        }
    return described


def key_of(ticker: str, given: str) -> AnomalyKey:
    """Return the key of an anomaly by its id.

    Raises
    ------
    Problem
        400 if `given` is no id of an anomaly of that ticker.
    """
    try:
        key = AnomalyKey.parse(given)
    except AnomalyIdError as error:
        slash = "" if "-" in given else "; a slash in a ticker is written %252F"
        raise bad_request("anomaly_id", given, f"{error.allowed}{slash}") from error
    if key.ticker != ticker:
        raise bad_request(
            "anomaly_id",
            given,
            f"<ticker>-<epoch ms>-<kind> of this ticker, such as {ticker}-1763994600123-price_spike",
        )
    return key
