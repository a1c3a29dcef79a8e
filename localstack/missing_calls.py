"""Calls of `stock-monitor deploy` and `verify` that MiniStack 1.5.33 does not know.

- TestInvokeMethod (API Gateway API reference): it calls the integration of a method, and no authorizer comes before
  it. A private API is asked by it.
- PutLifecycleEventHookExecutionStatus (CodeDeploy API reference): what the check of a new version found (`shifts`).
- DescribeLimits (Kinesis API reference): the shards that an account may have in a region, here the 20,000 of US East
  (Kinesis guide, "Quotas and limits"), and those that are open.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from localstack import shifts
from localstack.settings import REGION

_PATH = re.compile(r"/restapis/[^/]+/resources/[^/]+/methods/(?P<verb>[A-Z]+)")
_FUNCTION = re.compile(r"/functions/arn:aws:lambda:[^:]+:\d+:function:(?P<name>[^/]+)/invocations$")


_LIMITS = "Kinesis_20131202.DescribeLimits"
SHARD_LIMIT = 20_000


class MissingCalls:
    """An ASGI middleware: answers these calls; all else goes to `app`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to them, and pass on the rest."""
        if scope["type"] == "http" and Headers(scope=scope).get("x-amz-target") == _LIMITS:
            answer = await self._limits()
            await answer(scope, receive, send)
            return
        if scope["type"] == "http" and Headers(scope=scope).get("x-amz-target") == shifts.HOOK_SAID:
            said = shifts.hook_said(json.loads(await Request(scope, receive).body()))
            unknown = {"__type": "DeploymentDoesNotExistException", "message": "no such deployment"}
            answer = JSONResponse(said or unknown, 200 if said else 400)
            await answer(scope, receive, send)
            return
        found = (
            _PATH.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        )
        if found is None:
            await self._app(scope, receive, send)
            return
        asked = json.loads(await Request(scope, receive).body() or b"{}")
        answer = await self._tested(scope["path"], found["verb"], asked, _region(Headers(scope=scope)))
        await answer(scope, receive, send)

    async def _limits(self) -> JSONResponse:
        streams = (await self._kinesis("ListStreams", {}))["StreamNames"]
        summaries = [await self._kinesis("DescribeStreamSummary", {"StreamName": name}) for name in streams]
        open_ = sum(of["StreamDescriptionSummary"]["OpenShardCount"] for of in summaries)
        return JSONResponse({"ShardLimit": SHARD_LIMIT, "OpenShardCount": open_})

    async def _kinesis(self, call: str, request: dict[str, Any]) -> Any:
        headers = {"x-amz-target": f"Kinesis_20131202.{call}", "content-type": "application/x-amz-json-1.1"}
        return (await self._call("kinesis", "POST", "/", headers=headers, json=request)).json()

    async def _tested(self, path: str, verb: str, asked: dict[str, Any], region: str) -> JSONResponse:
        method = await self._call("apigateway", "GET", path, region)
        function = _FUNCTION.search(method.json().get("methodIntegration", {}).get("uri", ""))
        if function is None:
            return JSONResponse(method.json(), method.status_code if method.is_error else 400)
        url = urlsplit(asked.get("pathWithQueryString") or "/")
        event = {
            "resource": "/{proxy+}",
            "path": url.path,
            "httpMethod": verb,
            "headers": asked.get("headers") or {},
            "multiValueQueryStringParameters": parse_qs(url.query, keep_blank_values=True) or None,
            "requestContext": {"requestId": "test-invoke-request", "stage": "test-invoke-stage"},
            "body": asked.get("body"),
            "isBase64Encoded": False,
        }
        invoked = await self._call(
            "lambda", "POST", f"/2015-03-31/functions/{function['name']}/invocations", region, json=event
        )
        said = invoked.json()
        if invoked.is_error or "statusCode" not in said:
            said = {"statusCode": 502, "body": '{"message": "Internal server error"}'}
        return JSONResponse(
            {"status": said["statusCode"], "body": said.get("body") or "", "headers": {}, "latency": 0}
        )

    async def _call(
        self, service: str, verb: str, path: str, region: str = REGION, **request: Any
    ) -> httpx.Response:
        credential = f"test/20260101/{region}/{service}/aws4_request"
        headers = {**request.pop("headers", {}), "authorization": f"AWS4-HMAC-SHA256 Credential={credential}"}
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60) as client:
            return await client.request(verb, path, headers=headers, **request)


def _region(headers: Headers) -> str:
    """Return the region that a request is signed for.

    >>> _region(Headers({"authorization": "AWS4-HMAC-SHA256 Credential=ASIAX/20260101/eu-west-1/s3/aws4_request, X"}))
    'eu-west-1'
    """
    scope = headers.get("authorization", "").partition("Credential=")[2].split("/")
    return scope[2] if len(scope) > 2 else REGION
