"""Errors as RFC 9457 problem documents: each says what is wrong, where, and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from aws_lambda_powertools.event_handler import Response

CONTENT_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818  the RFC's word for it
    """An answer that is not what was asked for; `where` names the part of the request, if one is to blame."""

    def __init__(
        self, status: HTTPStatus, detail: str, *, where: str | None = None, allowed: str | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.where = where
        self.allowed = allowed


def bad_request(where: str, given: object, allowed: str) -> Problem:
    """The 400 for one bad part of a request."""
    return Problem(
        HTTPStatus.BAD_REQUEST, f"{where} is {given!r}: allowed is {allowed}", where=where, allowed=allowed
    )


def respond(problem: Problem, headers: Mapping[str, str] | None = None) -> Response[str]:
    """The HTTP answer for a problem; errors are never cached."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
    }
    if problem.where is not None:
        body["where"] = problem.where
    if problem.allowed is not None:
        body["allowed"] = problem.allowed
    return Response(
        status_code=problem.status.value,
        content_type=CONTENT_TYPE,
        headers={"Cache-Control": "no-store", **(headers or {})},
        body=msgspec.json.encode(body).decode(),
    )


def from_validation(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """The problem for what pydantic found wrong with the parameters; the first error leads."""
    details = [_describe(error) for error in errors]
    where, _, allowed = details[0]
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "; ".join(f"{name} is {given!r}: {rule}" for name, given, rule in details),
        where=where,
        allowed=allowed.removeprefix("allowed is "),
    )


def _describe(error: Mapping[str, Any]) -> tuple[str, object, str]:
    if error["type"] == "json_invalid":
        return "body", "not JSON", f"allowed is JSON ({error['ctx']['error']}, character {error['loc'][-1]})"
    where = ".".join(str(part) for part in error["loc"][1:]) or str(error["loc"][0])
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return where, error.get("input"), message if message.startswith("allowed") else f"allowed is {message}"
