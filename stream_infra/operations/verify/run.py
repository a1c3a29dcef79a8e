"""The course of a proof: the steps in their order, what each waits for, and the end that leaves nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from consumers.alerts.places import record_place
from consumers.alerts.store import AlertStore
from consumers.alerts.table import DynamoTable
from consumers.contracts.anomaly import AnomalyKey
from consumers.redrive.dead_letters import BatchInS3
from consumers.stores.windows import Ledger
from producers.errors import MonitorError
from stream_infra import names
from stream_infra.operations import alert_desk
from stream_infra.operations.dead_letters import DeadLetterQueue
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import FailedError
from stream_infra.operations.facts import MonitorFacts
from stream_infra.operations.redriving import detector_settings, redrive_all
from stream_infra.operations.verify import judgement, leftovers
from stream_infra.operations.verify.judgement import StepKind, StepResult
from stream_infra.operations.verify.sent import KIND, TICKER, Sent
from stream_infra.operations.verify.subscriber import Subscriber, remove_abandoned, subscribed
from stream_infra.operations.web_client import get, get_json

STEP_SECONDS = 60
POLL_SECONDS = 0.5
LATE_SECONDS = 20
"""How long what was sent is looked for and deleted after a proof that did not end: ticks may be on their way."""
EVENT_SECONDS = 5
"""The same after one that ended: an event that was sent again comes within this time."""
FAILED_BATCHES = "aws/lambda/verify/"
"""Below the prefix where Lambda writes failed batches, and no function's own."""
ALARM = names.named("stock-scanner-dlq-messages")
"""The alarm that is made to ring: no shift of a version depends on it, and the failed batch could raise it anyway."""
_UNAUTHORIZED = "returns 401"


@dataclass
class VerifyContext:
    """What the steps share."""

    endpoints: Endpoints
    account: str
    sent: Sent
    subscriber: Subscriber
    clock: ModuleType
    test_ms: int | None = None
    alarm_before: str = ""
    is_under_way: bool = False
    """Ticks were sent, and not all steps that follow them passed."""
    is_in_windows: bool = False
    """The ticks that were sent are in the windows."""

    @property
    def batch_key(self) -> str:
        """Where the failed batch lies in the data bucket."""
        return f"{FAILED_BATCHES}{self.sent.run}"

    def wait(self, look: Callable[[], Any], why: str) -> Any:
        """Return the first truthy answer of `look`; raise `FailedError` after `STEP_SECONDS`."""
        began = self.clock.monotonic()
        while not (found := look()):
            if self.clock.monotonic() - began > STEP_SECONDS:
                raise FailedError(f"after {STEP_SECONDS} s still not: {why}")
            self.clock.sleep(POLL_SECONDS)
        return found


def verify(
    endpoints: Endpoints,
    gather: Callable[[], MonitorFacts],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    clock: ModuleType = time,
) -> Generator[StepResult]:
    """Yield the result of each step as it ends; all that was made is deleted, also when the iterator is closed.

    Parameters
    ----------
    gather
        Returns the facts that the doctor examines: before anything is sent, and again where a step fails.
    """
    began = clock.monotonic()
    first = judgement.judge_parts(gather())
    yield first._replace(seconds=clock.monotonic() - began)
    if not first.passed:
        return
    account = endpoints.account()
    remove_abandoned(endpoints, account)
    sent = Sent(now())
    with subscribed(endpoints, sent.run, account) as subscriber:
        context = VerifyContext(endpoints, account, sent, subscriber, clock)
        try:
            yield from _steps(context, gather)
        finally:
            _clean(context)
    yield _nothing_left(context)


def _steps(context: VerifyContext, gather: Callable[[], MonitorFacts]) -> Iterator[StepResult]:
    failed: set[str] = set()
    for kind, step in _STEPS:
        if failed & set(kind.needs):
            failed.add(kind.name)
            continue
        result = _made(kind, partial(step, context), gather, context.clock)
        if not result.passed:
            failed.add(kind.name)
        yield result
    context.is_under_way &= bool(failed)


def _made(
    kind: StepKind, step: Callable[[], str], gather: Callable[[], MonitorFacts], clock: ModuleType
) -> StepResult:
    began = clock.monotonic()
    try:
        detail = step()
    except (MonitorError, ClientError, BotoCoreError) as error:
        causes = judgement.causes_of(kind, str(error), gather())
        return StepResult(
            kind.name, passed=False, detail=str(error), seconds=clock.monotonic() - began, causes=causes
        )
    return StepResult(kind.name, passed=True, detail=detail, seconds=clock.monotonic() - began)


def _stream(context: VerifyContext) -> str:
    endpoints, sent = context.endpoints, context.sent
    partitions = detector_settings(endpoints).partitions
    ledger = Ledger(endpoints.client("dynamodb"), names.WINDOWS_TABLE, partitions)
    heads = ledger.heads()
    context.is_under_way = True
    sent.send(endpoints.client("kinesis"), partitions)
    wanted = len(sent.ticks)

    def counted() -> bool:
        counts = ledger.counts_since(heads, sent.source)
        return counts.ticks_in - counts.duplicate >= wanted

    context.wait(counted, f"{wanted} ticks of {sent.source} are accounted for in {names.WINDOWS_TABLE}")
    context.is_in_windows = True
    return f"{wanted} ticks of {sent.source} sent and accounted for"


def _table(context: VerifyContext) -> str:
    key = AnomalyKey.parse(context.sent.anomaly)
    place: Any = {"ticker": {"S": key.ticker}, "timestamp": {"S": key.sort_key}}
    dynamodb = context.endpoints.client("dynamodb")

    def found() -> Any:
        return dynamodb.get_item(TableName=names.ANOMALIES_TABLE, Key=place, ConsistentRead=True).get("Item")

    item = context.wait(found, f"the anomaly {context.sent.anomaly} is in {names.ANOMALIES_TABLE}")
    return f"{KIND} of {TICKER}, {item['severity']['S']}"


def _api(context: VerifyContext) -> str:
    url, sent = context.endpoints.api, context.sent
    if url is None:
        raise FailedError("the API is not deployed")

    def shown() -> bool:
        return sent.anomaly in _ids(_anomalies(context, url))

    context.wait(shown, f"GET /anomalies/{TICKER} shows {sent.anomaly}")
    return f"GET /anomalies/{TICKER} shows it"


def _anomalies(context: VerifyContext, url: str) -> Any:
    try:
        return get_json(f"{url}/anomalies/{TICKER}", source=context.sent.source)
    except FailedError as error:
        if _UNAUTHORIZED not in str(error):
            raise
        return _past_the_sign_in(context, url)


def _past_the_sign_in(context: VerifyContext, url: str) -> Any:
    """Return what the API answers to a caller whom IAM knows.

    API Gateway guide, "Use the API Gateway console to test a REST API method" (TestInvokeMethod): the authorizer is
    left out; method, integration and function are the deployed ones.
    """
    gateway: Any = context.endpoints.client("apigateway")  # type: ignore[call-overload]
    api = _api_id(url)
    pages = gateway.get_paginator("get_resources").paginate(restApiId=api)
    resource = next(of["id"] for page in pages for of in page["items"] if of["path"] == "/{proxy+}")
    answer = gateway.test_invoke_method(
        restApiId=api,
        resourceId=resource,
        httpMethod="GET",
        pathWithQueryString=f"/anomalies/{TICKER}?source={context.sent.source}",
    )
    if answer["status"] != 200:
        raise FailedError(f"the API returns {answer['status']}: {answer.get('body', '')[:200]}")
    return json.loads(answer["body"])


def _api_id(url: str) -> str:
    """Return the id of a REST API by its URL: a local AWS has it in the path.

    >>> _api_id("https://a1b2.execute-api.us-east-1.amazonaws.com/prod")
    'a1b2'
    >>> _api_id("http://127.0.0.1:4566/restapis/a1b2/prod/_user_request_")
    'a1b2'
    """
    host, path = str(urlsplit(url).hostname), urlsplit(url).path.split("/")
    return path[2] if path[1:2] == ["restapis"] else host.partition(".")[0]


def _ids(answer: Any) -> set[str]:
    return {anomaly["id"] for anomaly in answer["anomalies"]}


def _page(context: VerifyContext) -> str:
    url = context.endpoints.dashboard
    if url is None:
        return "has no known address"
    if b"<html" not in get(url)[:1000].lower():
        raise FailedError(f"{url} is not the dashboard's page")
    try:
        shown = get_json(f"{url}api/anomalies/{TICKER}", source=context.sent.source)
    except FailedError as error:
        if context.endpoints.aws is None and _UNAUTHORIZED in str(error):
            return "the page loads, and its API asks for a sign-in"
        raise
    if context.sent.anomaly not in _ids(shown):
        raise FailedError(f"the page's API does not show {context.sent.anomaly}")
    return "the page loads, and its API shows it"


def _notifier(context: VerifyContext) -> str:
    table = DynamoTable(context.endpoints.client("dynamodb"), names.ALERTS_TABLE)
    place = record_place(context.sent.anomaly)
    context.wait(
        lambda: table.read([place]), f"the notifier took {context.sent.anomaly} from {names.NOTIFIER_QUEUE}"
    )
    return "the event came through bus and queue; nobody is notified of it"


def _message(context: VerifyContext) -> str:
    now = datetime.now(UTC)
    context.test_ms = round(now.timestamp() * 1000)
    store = AlertStore(DynamoTable(context.endpoints.client("dynamodb"), names.ALERTS_TABLE))
    alert_desk.send_test(context.endpoints, store, now, STEP_SECONDS, context.clock)

    def came() -> bool:
        return any(_is_test(one) for one in context.subscriber.notifications())

    context.wait(came, f"a new subscriber of {names.ALERTS_TOPIC} gets the test message")
    return f"a test message reached a new subscriber of {names.ALERTS_TOPIC}"


def _is_test(notification: dict[str, Any]) -> bool:
    return bool(notification.get("MessageAttributes", {}).get("message", {}).get("Value") == "test")


def _dead_letters(context: VerifyContext) -> str:
    endpoints, sent, key = context.endpoints, context.sent, context.batch_key
    region = endpoints.client("kinesis").meta.region_name
    stream = f"arn:aws:kinesis:{region}:{context.account}:stream/{names.STREAM}"
    bucket = names.data_bucket(context.account)
    endpoints.client("s3").put_object(Bucket=bucket, Key=key, Body=sent.failed_batch(stream).encode())
    queue = DeadLetterQueue(endpoints)

    def redriven() -> Any:
        with queue.messages() as messages:
            own = [one for one in messages if isinstance(one.letter, BatchInS3) and one.letter.key == key]
            return list(redrive_all(endpoints, queue, own, lambda _: None))

    (result,) = context.wait(redriven, f"the failed batch {key} is announced in {names.DEAD_LETTER_QUEUE}")
    if result.done is None:
        raise FailedError(f"the failed batch cannot be redriven: {result.reason}")
    if result.done.present != len(sent.ticks):
        raise FailedError(
            f"of {len(sent.ticks)} ticks the redrive found {result.done.present} in the windows"
        )
    return "a failed batch was announced, redriven, and gone"


def _alarm(context: VerifyContext) -> str:
    cloudwatch = context.endpoints.client("cloudwatch")
    found = cloudwatch.describe_alarms(AlarmNames=[ALARM])["MetricAlarms"]
    if not found:
        raise FailedError(f"there is no alarm {ALARM}")
    context.alarm_before = found[0]["StateValue"]
    reason = f"stock-monitor verify {context.sent.run}: a test, nothing is wrong"
    if context.alarm_before == "ALARM":  # an alarm acts on a change of its state
        cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue="OK", StateReason=reason)
    cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue="ALARM", StateReason=reason)

    def came() -> bool:
        return any(reason in str(one.get("Message")) for one in context.subscriber.notifications())

    context.wait(came, f"a new subscriber of {names.OPERATIONS_TOPIC} is notified of {ALARM}")
    return f"{ALARM} reached a new subscriber of {names.OPERATIONS_TOPIC}"


def _close(context: VerifyContext) -> None:
    """Put a block without effects after that of the anomaly.

    A process that takes a partition over writes the effects of its newest block again, and would so bring back what is
    deleted. A tick that is older than the window's newest is counted in a block of its own, and nothing else.
    """
    endpoints, sent = context.endpoints, context.sent
    partitions = detector_settings(endpoints).partitions
    ledger = Ledger(endpoints.client("dynamodb"), names.WINDOWS_TABLE, partitions)
    heads = ledger.heads()
    sent.send_first_again(endpoints.client("kinesis"), partitions)
    context.wait(
        lambda: ledger.counts_since(heads, sent.source).ticks_in,
        f"a tick of {sent.source} that comes again is accounted for in {names.WINDOWS_TABLE}",
    )


def _clean(context: VerifyContext) -> None:
    endpoints = context.endpoints
    if context.alarm_before and context.alarm_before != "ALARM":
        reason = f"stock-monitor verify {context.sent.run}: the test is over"
        with suppress(ClientError, BotoCoreError):  # AWS evaluates it within minutes anyway
            endpoints.client("cloudwatch").set_alarm_state(
                AlarmName=ALARM, StateValue="OK", StateReason=reason
            )
    seconds = LATE_SECONDS if context.is_under_way else EVENT_SECONDS
    if context.is_in_windows:
        try:
            _close(context)
        except (MonitorError, ClientError, BotoCoreError):
            seconds = LATE_SECONDS
    ends = context.clock.monotonic() + seconds
    while True:
        leftovers.delete(endpoints, context.sent, context.test_ms, context.batch_key)
        if context.clock.monotonic() >= ends:
            break
        context.clock.sleep(POLL_SECONDS)


def _nothing_left(context: VerifyContext) -> StepResult:
    left = leftovers.find(context.endpoints, context.sent, context.test_ms, context.batch_key)
    detail = f"still there: {', '.join(left)}" if left else "what was made is deleted"
    return StepResult(judgement.CLEAN.name, not left, detail)


_STEPS: tuple[tuple[StepKind, Callable[[VerifyContext], str]], ...] = (
    (judgement.STREAM, _stream),
    (judgement.TABLE, _table),
    (judgement.API, _api),
    (judgement.PAGE, _page),
    (judgement.NOTIFIER, _notifier),
    (judgement.MESSAGE, _message),
    (judgement.DEAD_LETTERS, _dead_letters),
    (judgement.ALARM, _alarm),
)
