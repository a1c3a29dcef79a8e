"""Origins of a distribution that have names of AWS: the API, and the domain of the sign-in.

MiniStack 1.5.33 serves a distribution of CloudFront: behaviours, functions, and the bucket behind it. An origin with a
name of AWS it does not dial, so that nothing ever reaches AWS; what has such a name here is called in this process.
"""

from __future__ import annotations

import asyncio
import http
import re
from typing import Any

import httpx
from ministack.services import cloudfront
from starlette.types import ASGIApp

_API = re.compile(r"(?P<id>[a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com")
_SIGN_IN = re.compile(r"[a-z0-9-]+\.auth\.[a-z0-9-]+\.amazoncognito\.com")
Fetched = tuple[int, str, dict[str, Any], bytes]


def serve_origins_of_our_own(app: ASGIApp) -> None:
    """Let distributions have the REST APIs and user pools of this AWS as origins; `app` is what serves them."""
    fetch = cloudfront._fetch_from_origin
    transport = httpx.ASGITransport(app)

    async def fetched(origin: dict[str, Any], *request: Any) -> Fetched:
        host = host_here(origin["domain_name"])
        if host is None:
            answer: Fetched = await fetch(origin, *request)
            return answer
        method, uri, query, headers, body, _, client_ip, forwarded_for, _ = request
        sent = {
            **cloudfront._origin_request_headers(origin, headers, client_ip, forwarded_for),
            "Host": host,
            "X-Forwarded-Proto": "https",
        }
        target = f"{origin.get('origin_path') or ''}{uri}" + (f"?{query}" if query else "")
        url = httpx.URL(f"http://{host}").copy_with(raw_path=target.encode())
        try:
            async with (
                asyncio.timeout(origin.get("read_timeout", 30)),
                httpx.AsyncClient(transport=transport) as client,
                client.stream(method, url, headers=sent, content=body) as response,
            ):
                data = b"".join(
                    [part async for part in response.aiter_raw()]
                )  # as it came: may be compressed
        except TimeoutError as error:
            raise cloudfront.OriginTimeout(str(error)) from error
        found = cloudfront._multidict_from_pairs(response.headers.multi_items())
        return response.status_code, http.HTTPStatus(response.status_code).phrase, found, data

    cloudfront._fetch_from_origin = fetched


def host_here(origin: str) -> str | None:
    """Return the host by which the local AWS knows an origin of its own; None for any other.

    >>> host_here("a1b2.execute-api.us-east-1.amazonaws.com"), host_here("example.com")
    ('a1b2.execute-api.localhost', None)
    """
    if found := _API.fullmatch(origin):
        return f"{found['id']}.execute-api.localhost"
    return "localhost" if _SIGN_IN.fullmatch(origin) else None
