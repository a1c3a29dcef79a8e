"""How a request is sent again while the API does not respond, and what a response means."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

from api.client.dialogues import ApiRequest
from api.client.errors import ApiError, ApiUnavailableError
from producers.vendor_client import retry_after_ms

LOCAL = "http://127.0.0.1:8080/api"
_PASSING = frozenset({429, 502, 503, 504})
_FIRST_BACKOFF_SECONDS, _MAX_BACKOFF_SECONDS = 0.25, 8.0


class Attempts:
    """How often and how long to wait for one response."""

    def __init__(self, retry_seconds: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until = clock() + retry_seconds
        self._count = 0

    def pause(
        self, request: ApiRequest, response: httpx.Response | None, error: httpx.HTTPError | None
    ) -> float | None:
        """Return for how long to wait before the next attempt; None where the response is one to use.

        Raises
        ------
        ApiError
            The response is an error that another attempt would not change.
        ApiUnavailableError
            The time of the retries is over.
        """
        if response is not None and response.status_code not in _PASSING:
            return None
        backoff = min(_MAX_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2.0**self._count)
        seconds = backoff * random.uniform(0.5, 1)  # noqa: S311  jitter
        if response is not None:
            now_ms = time.time_ns() // 1_000_000
            named_ms = retry_after_ms(response.headers, now_ms)
            seconds = max(seconds, 0 if named_ms is None else (named_ms - now_ms) / 1000)
        self._count += 1
        if self._clock() + seconds > self._until:
            where = f"{request.method} {request.path}"
            if response is not None:
                raise ApiUnavailableError(_detail(response), where=where, status=response.status_code)
            reason = str(error) or type(error).__name__
            raise ApiUnavailableError(f"the API does not respond ({reason})", where=where) from error
        return seconds


def _detail(response: httpx.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        body = None
    detail = body.get("detail") or body.get("message") if isinstance(body, dict) else None
    return str(detail or f"the API returns {response.status_code} {response.reason_phrase}")


def body_of(request: ApiRequest, response: httpx.Response) -> Any:
    """Return the JSON of a response.

    Raises
    ------
    ApiError
        It is an error, or no JSON.
    """
    where = f"{request.method} {request.path}"
    if response.is_error:
        raise ApiError(_detail(response), where=where, status=response.status_code)
    try:
        return response.json()
    except ValueError as error:
        said = (
            f"{response.text[:80]!r} is no JSON: is {response.url.copy_with(query=None)} the API's address?"
        )
        raise ApiError(said, where=where, status=response.status_code) from error


def http_options(url: str, token: str | None, timeout_seconds: float) -> dict[str, Any]:
    """Return the arguments of httpx's clients.

    Raises
    ------
    ApiError
        `url` is no web address.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ApiError(f"address {url!r}", allowed=f"a web address, such as {LOCAL}")
    is_here = urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}
    return {
        "base_url": url.rstrip("/"),
        "timeout": timeout_seconds,
        "trust_env": not is_here,  # a proxy is not for this machine
        "headers": {"Authorization": token} if token else {},
    }
