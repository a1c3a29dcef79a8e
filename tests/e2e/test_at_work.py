"""Each function does its work with the rights that were deployed, and nothing is denied to it.

`rights_mutation.py` takes a statement of a role away and runs this: what AWS would deny then fails here, at once.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar
from urllib.request import urlopen

import pytest

from localstack.settings import ACCOUNT
from localstack.strict_aws import DENIALS
from producers.publisher import Publisher
from stream_infra import names
from tests.e2e.in_the_name_of import LOGS, InTheNameOf
from tests.e2e.monitor import Json, Monitor
from tests.e2e.rare_calls import make
from tests.e2e.test_browser import calm_then_a_jump
from tests.rights import Account

pytestmark = pytest.mark.e2e
T = TypeVar("T")
SECONDS = 300
"""On a busy machine: a scan that died leaves its lease for 40 s, and the one after it takes a minute."""


@pytest.fixture(autouse=True)
def _strict(monitor: Monitor) -> None:
    if monitor.given:
        pytest.skip("LocalStack 4.9.2: policies are not enforced in this edition")


class Denials:
    """What was denied to the role of a function since this was made."""

    def __init__(self, monitor: Monitor, function: str) -> None:
        self._monitor, self._function = monitor, function
        role = monitor.client("lambda").get_function(FunctionName=function)["Configuration"]["Role"]
        self.role = str(role.rsplit("/", 1)[1])
        self._before = self._counts()

    def _counts(self) -> dict[tuple[str, str], int]:
        with urlopen(self._monitor.aws + DENIALS, timeout=20) as answer:
            return {(action, on): times for role, action, on, times in json.load(answer) if role == self.role}

    def found(self) -> list[str]:
        """Return them, as in `dynamodb:GetItem on arn:…`."""
        now = self._counts()
        return sorted(
            f"{action} on {on}" for (action, on), n in now.items() if n > self._before.get((action, on), 0)
        )

    def eventually(self, look: Callable[[], T], why: str) -> T:
        """Return the first truthy answer; fail as soon as something was denied."""

        def seen() -> T:
            assert self.found() == [], f"AccessDenied while {why}"
            return look()

        try:
            return self._monitor.eventually(seen, SECONDS, why)
        except AssertionError as error:
            error.add_note(f"{self._function} wrote last:\n{self._log()}")
            raise

    def _log(self) -> str:
        asked: Json = {
            "logGroupName": f"/aws/lambda/{self._function}",
            "startTime": round((time.time() - 2 * SECONDS) * 1000),
        }
        events = self._monitor.client("logs").filter_log_events(**asked)["events"]
        return "".join(event["message"] for event in events[-100:])


@contextmanager
def nothing_denied(monitor: Monitor, function: str) -> Iterator[Denials]:
    """The function wrote its log meanwhile, and nothing was denied to it."""
    denials, since = Denials(monitor, function), int(time.time() * 1000)
    yield denials
    logs, group = monitor.client("logs"), f"/aws/lambda/{function}"
    denials.eventually(
        lambda: logs.filter_log_events(logGroupName=group, startTime=since, limit=1)["events"],
        f"{function} writes its log",
    )
    assert denials.found() == [], "AccessDenied"


def invoke(monitor: Monitor, function: str, event: Json) -> Json:
    answer = monitor.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    said = json.load(answer["Payload"])
    assert "FunctionError" not in answer, said
    return said


def test_nothing_is_denied_to_the_scanner_at_work(monitor: Monitor) -> None:
    s3, began = monitor.client("s3"), datetime.now(UTC)
    bucket = names.data_bucket(ACCOUNT)

    def archived() -> bool:
        # Of any ticker: one whose gap is injected just now is not quoted, and not archived.
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="raw-data/")
        return any(item["LastModified"] >= began for page in pages for item in page.get("Contents", ()))

    with nothing_denied(monitor, names.SCANNER) as denials:
        invoke(monitor, names.SCANNER, {"polls": 1})  # or another scan is at work
        denials.eventually(archived, "the scanner archives what it polled")


def jump(monitor: Monitor) -> tuple[str, Callable[[], list[Json]]]:
    """Send ticks with a jump; return their ticker and what finds its anomalies."""
    ticker = f"W{uuid.uuid4().hex[:8].upper()}"
    batch = calm_then_a_jump(ticker, int(time.time() * 1000))
    Publisher(monitor.client("kinesis"), names.STREAM, 4).publish([batch])
    asked: Json = {
        "TableName": names.ANOMALIES_TABLE,
        "KeyConditionExpression": "ticker = :t",
        "ExpressionAttributeValues": {":t": {"S": ticker}},
    }
    return ticker, lambda: list(monitor.client("dynamodb").query(**asked)["Items"])


def is_known_to_the_notifier(monitor: Monitor, ticker: str) -> bool:
    return any(one["subject"] == ticker for one in monitor.get("/api/incidents")["incidents"])


def test_nothing_is_denied_to_the_detector_at_work(monitor: Monitor) -> None:
    kinesis, s3 = monitor.client("kinesis"), monitor.client("s3")
    bucket = names.data_bucket(ACCOUNT)

    def quarantined() -> set[str]:
        found = s3.list_objects_v2(Bucket=bucket, Prefix="quarantine/").get("Contents", [])
        return {item["Key"] for item in found}

    with nothing_denied(monitor, names.DETECTOR) as denials:
        before = quarantined()
        ticker, anomalies = jump(monitor)
        kinesis.put_record(StreamName=names.STREAM, Data=b"no JSON", PartitionKey=ticker)
        denials.eventually(anomalies, "the detector finds the jump")
        denials.eventually(lambda: is_known_to_the_notifier(monitor, ticker), "the bus brings its event")
        denials.eventually(lambda: quarantined() - before, "what is no tick is quarantined")


def test_nothing_is_denied_to_the_notifier_at_work(monitor: Monitor) -> None:
    def mailed(ticker: str) -> bool:
        messages = monitor.get("/outbox.json?after=0")["messages"]
        return any(ticker in f"{one['subject']} {one['body']}" for one in messages)

    with nothing_denied(monitor, names.NOTIFIER) as denials:
        ticker, _ = jump(monitor)
        denials.eventually(lambda: mailed(ticker), "the notifier sends a message")


def test_nothing_is_denied_to_the_lake_at_work(monitor: Monitor) -> None:
    with nothing_denied(monitor, names.LAKE):
        invoke(monitor, names.LAKE, {"seconds": 20})


@pytest.mark.parametrize("function", names.FUNCTIONS)
def test_a_role_allows_each_call_of_its_function(monitor: Monitor, function: str) -> None:
    """Also those that a function makes rarely, or AWS in its name: with the role's credentials, changing nothing."""
    role, denied = InTheNameOf(monitor, function), list[str]()
    for call in Account(ACCOUNT).calls(function):
        # Simulated quotes need no keys, so the role has no right to them.
        if call.action not in LOGS and names.SOURCE_SECRET not in call.resource:
            denied += make(role.client, monitor.client, call)
    assert denied == []
