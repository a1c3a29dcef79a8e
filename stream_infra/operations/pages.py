"""Whether the API, the dashboard and the outbox of the local topics respond, and what is wrong with what they say."""

from __future__ import annotations

import json
from collections.abc import Callable

from producers.errors import MonitorError
from stream_infra.operations.errors import UnreachableError
from stream_infra.operations.facts import WebAddress
from stream_infra.operations.web_client import get, get_json


def api(url: str | None) -> WebAddress | None:
    """Return what the API says of its health; None without an address."""

    def problem(at: str) -> str:
        found = get_json(f"{at}/health")
        return "" if found.get("status") == "healthy" else f"{at}/health returns {json.dumps(found)}"

    return _page(url, problem)


def dashboard(url: str | None) -> WebAddress | None:
    """Return whether the dashboard's page responds; None without an address."""

    def problem(at: str) -> str:
        get(at)
        return ""

    return _page(url, problem)


def outbox(url: str | None) -> WebAddress | None:
    """Return whether the local outbox responds and receives; None without an address, as on AWS."""

    def problem(at: str) -> str:
        found = get_json(f"{at}.json", after=10**9)
        return "" if found.get("receiving", True) else "its receiver has ended: sent messages do not show"

    return _page(url, problem)


def _page(url: str | None, problem: Callable[[str], str]) -> WebAddress | None:
    if url is None:
        return None
    try:
        return WebAddress(url, problem(url))
    except MonitorError as error:
        return WebAddress(url, str(error), responds=not isinstance(error, UnreachableError))
