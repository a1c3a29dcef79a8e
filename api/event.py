"""Proxy events, complete: one invoked by hand may hold a path and nothing else."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

# What the resolver's routes do not match in a path is written %XX, so that a route finds it and rejects it in words.
_UNMATCHED = re.compile(r"[^/\w%<> \[\]{}|^\-.~()'!*:@,;=+&$]")
_OPTIONAL_MAPS = ("headers", "multiValueHeaders", "queryStringParameters", "multiValueQueryStringParameters")


def normalized(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event with what API Gateway would have sent where something is missing or null."""
    path = str(event.get("path") or "/")
    complete = {
        **event,
        "path": _UNMATCHED.sub(_escaped, path.rstrip("/") or "/"),
        "httpMethod": event.get("httpMethod") or "GET",
        "requestContext": event.get("requestContext") or {},
        "body": _body(event),
        "isBase64Encoded": False,
    }
    for name in _OPTIONAL_MAPS:
        complete[name] = event.get(name) or {}
    complete["headers"] = _with_json_bodies(complete["headers"])
    return complete


def _escaped(character: re.Match[str]) -> str:
    return quote(character[0], safe="", errors="surrogatepass")


def _with_json_bodies(headers: Mapping[str, str]) -> dict[str, str]:
    # Only JSON is understood, so that is what a body is judged as; a resolver that parses others fails on some.
    kept = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    return {**kept, "Content-Type": "application/json"}


def _body(event: Mapping[str, Any]) -> str | None:
    """Return the body as text; one that is no base64 after all stays as it is, and is then no JSON either."""
    body = event.get("body")
    if not body or not event.get("isBase64Encoded"):
        return body
    try:
        return base64.b64decode(body, validate=True).decode(errors="replace")
    except ValueError:
        return str(body)
