"""Who may write: on AWS whoever signed in, on the local machine whoever can reach 127.0.0.1."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from api.problems import Problem

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import APIGatewayRestResolver

    from api.services import Services


def allow_write(app: APIGatewayRestResolver, services: Services) -> str:
    """Return who makes the request at hand, which writes.

    Raises
    ------
    Problem
        401 if nobody vouches for the caller, see `require_sign_in`.
    """
    context = app.current_event.get("requestContext") or {}
    require_sign_in(context, writes_open=services.writes_open)
    return caller(context)


def require_sign_in(request_context: Mapping[str, Any], *, writes_open: bool) -> None:
    """Let a write pass only if API Gateway vouches for a caller (an authorizer's claims, or IAM).

    The request context is made by API Gateway: a caller cannot send one. Where no authorizer is in front
    of the API there are no claims, and writes are rejected.

    Raises
    ------
    Problem
        401 without a caller.
    """
    if writes_open:
        return
    authorizer = request_context.get("authorizer") or {}
    identity = request_context.get("identity") or {}
    if not (authorizer.get("claims") or {}).get("sub") and not identity.get("userArn"):
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "a change needs a sign-in",
            where="Authorization",
            allowed="a token of the user pool, or a request signed with IAM credentials",
        )


def caller(request_context: Mapping[str, Any]) -> str:
    """Return who makes a request, for others to see: the signed-in person or role; "somebody" where none is known."""
    claims = (request_context.get("authorizer") or {}).get("claims") or {}
    identity = request_context.get("identity") or {}
    return str(claims.get("email") or claims.get("sub") or identity.get("userArn") or "somebody")
