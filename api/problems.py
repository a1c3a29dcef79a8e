"""Errors as RFC 9457 problem documents: each says what is wrong, where, and what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from aws_lambda_powertools.event_handler import Response

from producers.errors import MonitorError
from producers.settings import choices

CONTENT_TYPE = "application/problem+json"
_SHOWN = 120
"""Characters of a bad value that an error repeats."""
_RULES = {
    "datetime": "an ISO 8601 instant such as 2026-11-24T14:30:00Z",
    "date": "a date such as 2026-11-24",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "list": "a list",
    "string_type": "text, in quotes",
    "dict": "a JSON object",
    "model": "a JSON object",
}
"""Instead of pydantic's words, by how the type of its error begins."""
_SHOULD = re.compile(
    r"^(?:Value error, )?(?:\w+ should )?(?:must )?(?:be |have )?| after validation, not \d+$"
)


class Problem(MonitorError):  # noqa: N818  the word of RFC 9457
    """A response that is not what was requested.

    Parameters
    ----------
    status
        The HTTP status.
    what
        What is wrong, as a clause that names the part of the request: ``"limit is '0'"``.
    where
        The part of the request that is to blame, if one is.
    allowed
        What would be right, for a sentence of the form ``"… must be {allowed}"``.
    others
        The sentences of what else is wrong.

    Examples
    --------
    >>> Problem(HTTPStatus.BAD_REQUEST, "limit is '0'", where="limit", allowed="1 to 200").detail
    "limit is '0'; must be 1 to 200"
    """

    def __init__(
        self, status: HTTPStatus, what: str, *, where: str = "", allowed: str = "", others: Sequence[str] = ()
    ) -> None:
        super().__init__(what, where=where, allowed=allowed)
        self.status = status
        self._others = others

    @classmethod
    def bad_request(cls, what: str, *, where: str, allowed: str) -> Problem:
        """Return a 400."""
        return cls(HTTPStatus.BAD_REQUEST, what, where=where, allowed=allowed)

    @property
    def detail(self) -> str:
        """The sentence for people; `what` names the part already."""
        first = f"{self.what}; must be {self.allowed}" if self.allowed else self.what
        return "; ".join([first, *self._others])


def bad_request(where: str, given: object, allowed: str) -> Problem:
    """Return the 400 for one bad part of a request.

    Examples
    --------
    >>> bad_request("severity", "urgent", "one of low, high").detail
    "severity is 'urgent'; must be one of low, high"
    """
    return Problem.bad_request(f"{where} is {shown(given)}", where=where, allowed=allowed)


def shown(value: object) -> str:
    """Return a bad value as an error repeats it: quoted, and never long.

    Examples
    --------
    >>> shown("x" * 1000)[-6:], len(shown("x" * 1000))
    ('xxxxx…', 120)
    """
    text = repr(value[:_SHOWN]) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def respond(problem: Problem, headers: Mapping[str, str] | None = None) -> Response[str]:
    """Return the HTTP response for a problem; errors are never cached."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
    }
    if problem.where:
        body["where"] = problem.where
    if problem.allowed:
        body["allowed"] = problem.allowed
    return Response(
        status_code=problem.status.value,
        content_type=CONTENT_TYPE,
        headers={"Cache-Control": "no-store", **(headers or {})},
        body=msgspec.json.encode(body).decode(),
    )


def from_validation(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """Return the 400 for what pydantic found wrong with the parameters; the first error leads."""
    found = [_of_validation(error) for error in errors]
    first, *others = found
    rest = [problem.detail for problem in others]
    return Problem(first.status, first.what, where=first.where, allowed=first.allowed, others=rest)


def _of_validation(error: Mapping[str, Any]) -> Problem:
    where = ".".join(str(part) for part in error["loc"][1:]) or str(error["loc"][0])
    if error["type"] == "missing":
        return Problem.bad_request(f"{where} is missing", where=where, allowed="given")
    if error["type"] == "extra_forbidden":
        return Problem.bad_request(f"{where} is unknown here", where=where, allowed="left out")
    rules = (rule for begins, rule in _RULES.items() if error["type"].startswith(begins))
    rule = choices(error) or next(rules, _SHOULD.sub("", str(error["msg"])))
    return bad_request(where, error.get("input"), rule)


def one_of(names: Sequence[str]) -> str:
    """Return that something must be one of some names.

    Examples
    --------
    >>> one_of(["GET", "PUT"]), one_of(["GET"]), one_of([])
    ('one of GET, PUT', 'GET', 'left out')
    """
    if not names:
        return "left out"
    return f"one of {', '.join(names)}" if len(names) > 1 else names[0]
