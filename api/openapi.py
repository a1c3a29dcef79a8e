"""The OpenAPI document: served at /openapi.json and committed as `api/openapi.json`."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from api.models import Document
from api.responses import respond
from api.routes.common import if_none_match, responses

VERSION = "1.0.0"
COMMITTED = Path(__file__).with_name("openapi.json")
_NOT_MODIFIED = "304"
_MAX_AGE_SECONDS = 300
_UNDER = "/api"  # of the dashboard's origin, locally and on AWS
_DESCRIPTION = (
    "What the Stock Market Anomaly Monitor found, and the quotes it found it in. Instants are ISO 8601 "
    "in UTC with milliseconds. Every response has an ETag; send it back as If-None-Match and an unchanged "
    "one is a 304. Errors are RFC 9457 problem documents: what is wrong, where, and what is allowed."
)


def register(app: APIGatewayRestResolver) -> None:
    """Add the route of the document."""

    @app.get("/openapi.json", summary="This document", responses=responses(Document, "The OpenAPI document."))
    def get_openapi() -> Response[str]:
        return respond(_served(app), if_none_match(app), max_age_seconds=_MAX_AGE_SECONDS)


@cache
def _served(app: APIGatewayRestResolver) -> dict[str, Any]:
    """Return the document of this deployment: packages may have added kinds to the committed one."""
    return document(app)


def document(app: APIGatewayRestResolver) -> dict[str, Any]:
    """Return what the code says now; `COMMITTED` must say the same."""
    generated = app.get_openapi_json_schema(
        title="Stock Market Anomaly Monitor",
        version=VERSION,
        description=_DESCRIPTION,
        openapi_version="3.1.0",
    )
    found: dict[str, Any] = json.loads(generated)
    found["paths"] = dict(sorted(found["paths"].items()))
    found["servers"] = [{"url": _UNDER}]
    _drop_what_is_never_sent(found)
    return found


def _drop_what_is_never_sent(found: dict[str, Any]) -> None:
    """Drop what the resolver describes of its own, a 422 and a body of a 304; here bad parameters are a 400."""
    for operation in (operation for path in found["paths"].values() for operation in path.values()):
        del operation["responses"]["422"]
        if _NOT_MODIFIED in operation["responses"]:
            del operation["responses"][_NOT_MODIFIED]["content"]
    for name in ("HTTPValidationError", "ResponseValidationError", "ValidationError"):
        del found["components"]["schemas"][name]
