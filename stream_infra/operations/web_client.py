"""Requests to the monitor's own addresses, with errors that say what to do."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

from stream_infra.operations.errors import FailedError, UnreachableError

TIMEOUT_SECONDS = 10.0


def get(url: str, *, token: str | None = None, **query: str | int | None) -> bytes:
    """Return the body that `url` returns to who shows a `token`; a query value of None is left out.

    Raises
    ------
    UnreachableError
        Nothing responds there.
    FailedError
        It returns an error; the message holds its status and text.
    """
    given = {name: value for name, value in query.items() if value is not None}
    whole = f"{url}?{urlencode(given)}" if given else url
    if urlsplit(whole).scheme not in {"http", "https"}:
        raise FailedError(f"{whole}: not a web address; run `make up` again")
    try:
        request = urllib.request.Request(whole)  # noqa: S310  its scheme is one of the two
        if token:
            request.add_unredirected_header("Authorization", token)
        with _opener(whole).open(request, timeout=TIMEOUT_SECONDS) as answer:
            body: bytes = answer.read()
            return body
    except urllib.error.HTTPError as error:
        text = error.read(500).decode(errors="replace").strip()
        hint = "; sign in: stock-monitor login --aws" if error.code == HTTPStatus.UNAUTHORIZED else ""
        raise FailedError(f"{whole} returns {error.code}: {text or error.reason}{hint}") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise UnreachableError(f"{whole} does not respond ({reason})") from error


def get_json(url: str, *, token: str | None = None, **query: str | int | None) -> Any:
    """Return the JSON that `url` returns; errors as of `get`, also for what is not JSON."""
    body = get(url, token=token, **query)
    try:
        return json.loads(body)
    except ValueError as error:
        raise FailedError(f"{url} returns something that is not JSON: {body[:80]!r}") from error


def _opener(url: str) -> urllib.request.OpenerDirector:
    if urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}:
        return urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy is not for this machine
    return urllib.request.build_opener()
