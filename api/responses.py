"""Responses with an entity tag, so that a poll which finds nothing new costs a 304 and no body."""

from __future__ import annotations

import base64
import re
from hashlib import blake2b
from http import HTTPStatus
from typing import Any

import msgspec
from aws_lambda_powertools.event_handler import Response

JSON = "application/json"
# Ages grow while nothing happens: they are no part of what the (weak) tag stands for.
_VOLATILE = re.compile(rb'"(?:age_seconds|as_of)":[^,}]*')


def respond(payload: Any, if_none_match: str | None, *, max_age_seconds: int = 0) -> Response[str]:
    """Return `payload` as JSON, or a 304 when the caller's tag says that they have it.

    Parameters
    ----------
    payload
        What msgspec writes as JSON.
    if_none_match
        The request's header, if it has one.
    max_age_seconds
        How long a cache may use the response without a request; with 0 it must revalidate (`no-cache`).
    """
    body = msgspec.json.encode(payload)
    tag = _tag(body)
    headers = {
        "ETag": tag,
        "Cache-Control": f"private, max-age={max_age_seconds}" if max_age_seconds else "private, no-cache",
    }
    if if_none_match is not None and _matches(if_none_match, tag):
        return Response(
            status_code=HTTPStatus.NOT_MODIFIED.value, content_type=JSON, headers=headers, body=""
        )
    return Response(status_code=HTTPStatus.OK.value, content_type=JSON, headers=headers, body=body.decode())


def _tag(body: bytes) -> str:
    digest = blake2b(_VOLATILE.sub(b"", body), digest_size=12).digest()
    return f'W/"{base64.urlsafe_b64encode(digest).decode()}"'


def _matches(if_none_match: str, tag: str) -> bool:
    """Weak comparison (RFC 9110, 13.1.2): a `W/` in front does not count."""
    wanted = tag.removeprefix("W/")
    given = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return wanted in given or "*" in given
