"""Makes the embedded local AWS refuse what AWS refuses: rights that were not deployed, and sizes above its limits.

MiniStack judges every call by the policies that are deployed when `AUTH` is set (identity, resource and key policies;
a function's calls come with the credentials of its role), and it keeps most published limits. This layer in front of
it adds what it leaves out: two condition keys (`request_keys`), the other limits (`published_limits`), and the record
of which right was used (`rights`).
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import httpx
from ministack.core import iam_evaluator
from ministack.core.iam_actions import identity_denial_message
from ministack.services import sns
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from localstack import model_limits, published_limits, setting_limits
from localstack.published_limits import Excess
from localstack.request_keys import event_keys, leading_keys, tables_of
from localstack.rights import ROLE_KEYS, Denial, Rights, SignedCall
from localstack.settings import REGION

RECORD = "/_stock_monitor/rights"
"""Answers what `localstack.rights_report` reads."""
DENIALS = "/_stock_monitor/denials"
"""Answers what was denied to roles since the start, and how often."""
_OVER_TLS = (b"x-forwarded-proto", b"https")
"""A program reaches AWS by TLS, and policies deny what is not (`aws:SecureTransport`); here it is the loopback."""
_JSON_1_0, _JSON_1_1 = "application/x-amz-json-1.0", "application/x-amz-json-1.1"
_JSON = {
    "dynamodb": _JSON_1_0,
    "events": _JSON_1_1,
    "ssm": _JSON_1_1,
    "kinesis": _JSON_1_1,
    "lambda": "application/json",
}
_CHANGE_ROLES = {"iam", "cloudformation"}
_DENIED = {400, 403}
"""Status of an AccessDenied, by the protocol of the service."""
_EVENTS, _PARAMETER = "AWSEvents.PutEvents", "AmazonSSM.PutParameter"
_EXCESSES = {_EVENTS: published_limits.excessive_events, _PARAMETER: published_limits.excessive_parameter}


_SESSION = re.compile(r"arn:aws:sts::(?P<account>\d+):assumed-role/(?P<role>[^/]+)/.+")


def know_principals_by_their_role() -> None:
    """Let MiniStack resolve `aws:PrincipalArn` as AWS does: of a session, it is the ARN of the role that was assumed.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
    MiniStack 1.5.33 gives the session's own.
    """
    resolve = iam_evaluator._resolve_condition_key

    def resolved(key: str, context: iam_evaluator.EvalContext) -> object:
        value = resolve(key, context)
        if key.lower() == "aws:principalarn" and (found := _SESSION.fullmatch(str(value))):
            return f"arn:aws:iam::{found['account']}:role/{found['role']}"
        return value

    iam_evaluator._resolve_condition_key = resolved


def reject_another_choice_of_a_subscriber() -> None:
    """Let SNS reject attributes other than those with which an endpoint is subscribed already, as AWS does.

    "Subscription already exists with different attributes": localstack/localstack issue 8816, anomalyco/sst issue 4259.
    MiniStack 1.5.33 takes them for the subscription that it has, which stays as it is.
    """
    subscribe = sns._subscribe

    def judged(params: dict[str, Any]) -> Any:
        keys = [key for key in params if re.fullmatch(r"Attributes\.entry\.\d+\.key", key)]
        asked = {sns._p(params, key): sns._p(params, f"{key.removesuffix('key')}value") for key in keys}
        who = sns._p(params, "Protocol"), sns._p(params, "Endpoint")
        topic, _ = sns._get_topic(sns._p(params, "TopicArn"))
        for known in topic["subscriptions"] if topic else ():
            if (known["protocol"], known["endpoint"]) == who and not asked.items() <= known[
                "attributes"
            ].items():
                said = "Invalid parameter: Attributes Reason: Subscription already exists with different attributes"
                return sns._error("InvalidParameter", said, 400)
        return subscribe(params)

    sns._subscribe = judged


class StrictAws:
    """An ASGI middleware: what AWS would deny is answered with AWS's error, before `app` sees it."""

    def __init__(self, app: ASGIApp, rights: Rights) -> None:
        self._app, self._rights = app, rights
        self._key_names: dict[str, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what AWS would take."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] == RECORD:
            await JSONResponse(self._rights.as_json())(scope, receive, send)
            return
        if scope["path"] == DENIALS:
            await JSONResponse(self._rights.denied_as_json())(scope, receive, send)
            return
        call = _Call(scope, receive)
        if call.service in _CHANGE_ROLES:
            self._rights.forget_roles()
        if excess := await self._excess(call):
            await _error(call.service, excess)(scope, receive, send)
            return
        if call.access_key.startswith(ROLE_KEYS):
            request = await self._request(call)
            if denial := self._rights.judge(request):
                # All else MiniStack denies, by the same policies and more.
                if request.conditions or request.service == "codedeploy":
                    self._rights.record(denial)
                    await _denied(call.service, denial)(scope, receive, send)
                    return
                send = self._recording(send, denial)
        if published_limits.is_invocation(call.method, call.path):
            send = _with_limited_answer(send)
        await self._app({**scope, "headers": [*scope["headers"], _OVER_TLS]}, call.receive, send)

    async def _excess(self, call: _Call) -> Excess | None:
        """Limits first: services check what a request is before they ask who may do it (`too large` has no owner)."""
        return (
            await _excess(call)
            or await self._excessive_reservation(call)
            or await self._excessive_shards(call)
        )

    def _recording(self, send: Send, denial: Denial) -> Send:
        """Count the denial if the answer is one: the policy of a resource may have let the call in."""

        async def recording(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in _DENIED:
                self._rights.record(denial)
            await send(message)

        return recording

    async def _request(self, call: _Call) -> SignedCall:
        body = await call.body() if call.service != "s3" or call.method == "POST" else b""
        query = parse_qs(call.query, keep_blank_values=True)
        if call.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            query |= parse_qs(body.decode(), keep_blank_values=True)
        conditions: dict[str, list[str]] = {}
        if call.service == "dynamodb":
            for table in tables_of(body) - self._key_names.keys():
                self._key_names[table] = await self._partition_key(table)
            if keys := leading_keys(body, self._key_names):
                conditions = {"dynamodb:LeadingKeys": keys}
        elif call.target == _EVENTS:
            conditions = event_keys(body)
        return SignedCall(
            call.access_key,
            call.service,
            call.method,
            call.path,
            query,
            dict(call.headers),
            body,
            conditions,
        )

    async def _excessive_reservation(self, call: _Call) -> Excess | None:
        function = published_limits.reserves_concurrency_of(call.method, call.path)
        if function is None:
            return None
        wanted = json.loads(await call.body()).get("ReservedConcurrentExecutions", 0)
        account = (await self._call_as_root("lambda", "GET", "/2016-08-19/account-settings"))["AccountLimit"]
        path = f"/2019-09-30/functions/{function}/concurrency"
        reserved = (await self._call_as_root("lambda", "GET", path)).get("ReservedConcurrentExecutions") or 0
        limits = account["ConcurrentExecutions"], account["UnreservedConcurrentExecutions"]
        return published_limits.excessive_reservation(*limits, reserved, wanted)

    async def _excessive_shards(self, call: _Call) -> Excess | None:
        if call.target != setting_limits.UPDATE_SHARDS:
            return None
        given = json.loads(await call.body())
        stream = {key: given[key] for key in ("StreamName", "StreamARN") if key in given}
        headers = {"x-amz-target": "Kinesis_20131202.DescribeStreamSummary", "content-type": _JSON_1_1}
        found = await self._call_as_root("kinesis", "POST", "/", headers=headers, json=stream)
        now = found.get("StreamDescriptionSummary", {}).get("OpenShardCount")
        return setting_limits.excessive_shards(now, given.get("TargetShardCount", now)) if now else None

    async def _partition_key(self, table: str) -> str:
        """Return the name of a table's partition key; asked for once a table."""
        headers = {"x-amz-target": "DynamoDB_20120810.DescribeTable", "content-type": _JSON_1_0}
        answer = await self._call_as_root("dynamodb", "POST", "/", headers=headers, json={"TableName": table})
        schema = answer.get("Table", {}).get("KeySchema", [])
        return next((key["AttributeName"] for key in schema if key["KeyType"] == "HASH"), "")

    async def _call_as_root(self, service: str, method: str, path: str, **request: Any) -> dict[str, Any]:
        """Return what MiniStack itself answers to the account's root."""
        scope = f"test/20260101/{REGION}/{service}/aws4_request"
        headers = {**request.pop("headers", {}), "authorization": f"AWS4-HMAC-SHA256 Credential={scope}"}
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            answer: dict[str, Any] = (await client.request(method, path, headers=headers, **request)).json()
        return answer


class _Call:
    """One request; its body is read once, and only if something has to be known of it."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope["query_string"].decode()
        self.headers = Headers(scope=scope)
        self.target = self.headers.get("x-amz-target", "")
        self.access_key, self.service = _credential(self.headers.get("authorization", ""))
        self._receive = receive
        self._body: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes of the body, as its sender says."""
        said = self.headers.get("content-length", "0")
        return int(said) if said.isdigit() else 0

    async def body(self) -> bytes:
        """Read the body to its end."""
        if self._body is None:
            parts, more = [], True
            while more:
                message = await self._receive()
                parts.append(message.get("body", b""))
                more = message.get("more_body", False)
            self._body = b"".join(parts)
            self._unread: bytes | None = self._body
        return self._body

    async def receive(self) -> Message:
        """Give the application the body, read or not."""
        if self._body is None or self._unread is None:
            return await self._receive()
        body, self._unread = self._unread, None
        return {"type": "http.request", "body": body, "more_body": False}


def _credential(authorization: str) -> tuple[str, str]:
    """Return access key id and service of a request signed with version 4; empty for any other.

    >>> _credential("AWS4-HMAC-SHA256 Credential=ASIAX/20260101/us-east-1/s3/aws4_request, SignedHeaders=host")
    ('ASIAX', 's3')
    """
    _, found, rest = authorization.partition("Credential=")
    parts = rest.split(",", 1)[0].split("/")
    return (parts[0], parts[3]) if found and len(parts) > 4 else ("", "")


async def _excess(call: _Call) -> Excess | None:
    if published_limits.is_invocation(call.method, call.path):
        kind = call.headers.get("x-amz-invocation-type", "")
        return published_limits.excessive_payload(kind, call.size)
    if call.service == "s3" and (key := published_limits.excessive_key(call.path)):
        return key
    if (judge := _EXCESSES.get(call.target)) and call.size > published_limits.STANDARD_PARAMETER_CHARACTERS:
        return judge(await call.body())
    if (limits := model_limits.judged(call.target)) and (beyond := limits(await call.body())):
        return beyond
    if settings := setting_limits.judged(call.method, call.path, call.query, call.target, call.service):
        return settings(await call.body())
    return None


def _error(service: str, excess: Excess) -> Response:
    request_id = str(uuid.uuid4())
    if service == "s3":
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{excess.code}</Code>'
            f"<Message>{excess.message}</Message><RequestId>{request_id}</RequestId></Error>"
        )
        return Response(text, excess.status, {"x-amz-request-id": request_id}, "application/xml")
    if service == "sns":
        text = (
            '<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type>'
            f"<Code>{excess.code}</Code><Message>{escape(excess.message)}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        return Response(text, excess.status, {"x-amzn-requestid": request_id}, "text/xml")
    body = {"__type": excess.code, "message": excess.message, "Message": excess.message}
    headers = {"x-amzn-errortype": excess.code, "x-amzn-requestid": request_id}
    return Response(json.dumps(body), excess.status, headers, _JSON.get(service, _JSON_1_0))


def _denied(service: str, denial: Denial) -> Response:
    message = identity_denial_message(denial.action, denial.principal, denial.resource, explicit_deny=False)
    return _error(service, Excess(400, "AccessDeniedException", message))


def _with_limited_answer(send: Send) -> Callable[[Message], Awaitable[None]]:
    """Hold an answer back until its size is known."""
    start: Message = {}
    parts: list[bytes] = []

    async def limited(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            start = message
            return
        if message["type"] != "http.response.body":
            await send(message)
            return
        parts.append(message.get("body", b""))
        if message.get("more_body", False):
            return
        body = b"".join(parts)
        if replaced := published_limits.excessive_answer(len(body)):
            kept = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
            lengths = [
                (b"content-length", str(len(replaced)).encode()),
                (b"x-amz-function-error", b"Unhandled"),
            ]
            start, body = {**start, "headers": [*kept, *lengths]}, replaced
        await send(start)
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return limited
