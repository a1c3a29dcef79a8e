"""One message per alert, and no anomaly lost, whatever fails, crashes, repeats or overlaps. On a table in memory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from consumers.alerts.event import AlertEvent
from consumers.alerts.items import days_between
from consumers.alerts.model import Mute
from consumers.alerts.notifier import Notifier
from consumers.alerts.settings import AlertSettings, MarketWide
from consumers.alerts.store import AlertStore, ConflictError

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
FAULTS = ("refused", "lost", "crash before", "crash after", "overlap")


class CrashError(BaseException):
    """The function was killed."""


@dataclass
class Faults:
    """What goes wrong: at the n-th call from now on, which fault; nothing once `script` is used up.

    Attributes:
        overlapping: another invocation comes between the read and the write of every decision.
        clock: the time now, epoch ms UTC.
        published: each message that was published; `heard` when, and about which tickers.
        unclear: faults after a publish and before its mark: each may be one message twice.
        overlap: runs another invocation in the middle of this one.
    """

    script: list[str | None]
    unclear: int = 0
    overlapping: bool = False
    overlap: Callable[[], None] = lambda: None
    clock: Callable[[], int] = lambda: 0
    published: list[str] = field(default_factory=list)
    heard: list[tuple[int, str]] = field(default_factory=list)
    unmarked: bool = False

    def call(self, operation: str, arguments: dict[str, Any], method: Callable[..., Any]) -> Any:
        fault = self.script.pop(0) if self.script else None
        if fault == "overlap" or (self.overlapping and operation == "transact_write_items"):
            self.overlap()
        elif fault in {"refused", "crash before"}:
            self.unclear += int(self.unmarked)
            self.unmarked = False
            raise _error(fault, operation)
        answer = method(**arguments)
        self._note(operation, arguments)
        if fault in {"lost", "crash after"}:
            self.unclear += int(self.unmarked)
            self.unmarked = False
            raise _error(fault, operation)
        return answer

    def _note(self, operation: str, arguments: dict[str, Any]) -> None:
        if operation == "publish":
            about = json.loads(json.loads(arguments["Message"])["default"])["message"]
            self.published.append(json.dumps(about, sort_keys=True))
            self.heard.append((self.clock(), arguments["MessageAttributes"]["ticker"]["StringValue"]))
            self.unmarked = True
        elif operation == "update_item":
            self.unmarked = False


def _error(fault: str, operation: str) -> BaseException:
    if fault.startswith("crash"):
        return CrashError(operation)
    if fault == "lost":
        return ReadTimeoutError(endpoint_url="http://127.0.0.1")
    return ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, operation)


class Faulty:
    """A client whose calls go wrong."""

    OPERATIONS = frozenset(
        {
            "publish",
            "update_item",
            "transact_write_items",
            "batch_get_item",
            "batch_write_item",
            "delete_item",
            "query",
        }
    )

    def __init__(self, client: Any, faults: Faults) -> None:
        self._client, self._faults = client, faults

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name not in self.OPERATIONS:
            return method
        return lambda **arguments: self._faults.call(name, arguments, method)


@dataclass
class Play:
    """The function, its queue and its minute rule, on an AWS in memory."""

    rules: AlertSettings
    faults: Faults
    now_ms: int
    notifier: Notifier
    other: Notifier
    store: AlertStore
    taken_alongside: list[AlertEvent] = field(default_factory=list)

    def deliver(self, events: list[AlertEvent], sweep_every: int) -> None:
        """Deliver until every event was taken; whatever failed comes again, behind the others."""
        queue = list(events)
        self.faults.overlap = lambda: self._alongside(queue)
        for turn in range(20 * len(events) + 200):
            if not queue:
                return
            batch, queue = queue[:3], queue[3:]
            queue += self._invoke(batch)
            self.now_ms += 20_000
            if turn % sweep_every == 0:
                self._quietly(lambda: self.notifier.sweep(self.rules))
        raise AssertionError("the queue is never empty")

    def _invoke(self, batch: list[AlertEvent]) -> list[AlertEvent]:
        try:
            self.notifier.note(batch, self.rules)
        except (CrashError, ClientError, BotoCoreError):
            return batch
        try:
            taken = self.notifier.take(batch, self.rules)
        except CrashError:
            return batch
        return [one.event for one in taken if one.error is not None]

    @staticmethod
    def _quietly(action: Callable[[], Any]) -> None:
        with suppress(ClientError, BotoCoreError, ConflictError, CrashError):
            action()

    def _alongside(self, queue: list[AlertEvent]) -> None:
        """Another function, without faults, takes the next event of the queue that it did not take yet, and sweeps."""
        event = next((event for event in queue if event not in self.taken_alongside), None)
        if event is not None:
            self.taken_alongside.append(event)
            self._quietly(partial(self.other.take, [event], self.rules))
        self._quietly(lambda: self.other.sweep(self.rules))

    def let_time_pass(self, hours: int) -> None:
        for _ in range(hours * 4):
            self.now_ms += 15 * MINUTE_MS
            self.notifier.sweep(self.rules)


@pytest.fixture(scope="module", autouse=True)
def _aws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield


_COUNT = iter(range(10**9))


def _play(rules: AlertSettings, script: list[str | None], now_ms: int) -> Play:
    table = f"alerts-{next(_COUNT)}"
    dynamodb, sns = boto3.client("dynamodb"), boto3.client("sns")
    dynamodb.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    faults, calm = Faults(script), Faults([])
    calm.published, calm.heard = faults.published, faults.heard
    faults.clock = calm.clock = lambda: play.now_ms
    play: Play

    def notifier(some: Faults) -> Notifier:
        return Notifier(
            AlertStore(Faulty(dynamodb, some), table),  # type: ignore[arg-type]
            Faulty(sns, some),  # type: ignore[arg-type]
            topic,
            dashboard_url="",
            clock=lambda: play.now_ms,
            watched=lambda: 4,
            pause=lambda _attempt: None,
        )

    play = Play(rules, faults, now_ms, notifier(faults), notifier(calm), AlertStore(dynamodb, table))
    return play


_OPENINGS = st.lists(
    st.tuples(
        st.sampled_from(["AAPL", "AAPL", "MSFT", "NVDA"]),
        st.integers(0, 5),
        st.sampled_from(["low", "medium", "high", "critical"]),
    ),
    min_size=1,
    max_size=10,
    unique_by=lambda opening: opening[:2],
)
_SCRIPT = st.lists(st.one_of(st.none(), st.none(), st.sampled_from(FAULTS)), max_size=60)


@settings(max_examples=40)
@given(
    openings=_OPENINGS,
    repeated=st.lists(st.integers(0, 7), max_size=4),
    script=_SCRIPT,
    cap=st.sampled_from([2, 6]),
    market=st.sampled_from([None, MarketWide(share=0.5, at_least=2)]),
    sweep_every=st.integers(1, 4),
    overlapping=st.booleans(),
    muted=st.sampled_from([None, None, "AAPL", "MSFT"]),
)
def test_each_anomaly_is_told_once_whatever_goes_wrong(
    make: Any,
    *,
    openings: list[tuple[str, int, str]],
    repeated: list[int],
    script: list[str | None],
    cap: int,
    market: MarketWide | None,
    sweep_every: int,
    overlapping: bool,
    muted: str | None,
) -> None:
    events = [
        make.opened(ticker=ticker, ts_ms=make.t0_ms + 1000 * second, severity=severity)
        for ticker, second, severity in openings
    ]
    worse = [
        make.worse(event.at_ms + 5000, ticker=event.anomaly.ticker, ts_ms=event.at_ms, severity="critical")
        for event in events[:2]
        if event.severity != "critical"
    ]
    again = [events[n] for n in repeated if n < len(events)]
    play = _play(AlertSettings(messages_per_hour=cap, market_wide=market), script, make.t0_ms + 6000)
    play.faults.overlapping = overlapping
    mute = Mute(make.t0_ms + 2 * HOUR_MS, ticker=muted)
    if muted is not None:
        play.store.put_mute(mute)
    play.deliver([*events, *worse, *again], sweep_every)
    play.faults.script.clear()
    play.faults.overlapping = False
    play.let_time_pass(hours=8)

    published = Counter(play.faults.published)
    if muted is not None:
        assert not any(muted in tickers for at, tickers in play.faults.heard if at < mute.until_ms)
    assert sum(published.values()) - len(published) <= play.faults.unclear
    first, escalated, counted = _told([json.loads(about) for about in published])
    assert max(first.values(), default=0) <= 1
    assert len(first) + counted <= len(events) <= len(first.keys() | escalated) + counted
    assert play.store.pending() == []
    assert list(play.store.held("live")) == []
    made = [one for day in _days(play, make.t0_ms) for one in play.store.messages(day)]
    assert all(one.status == "sent" for one in made)
    times = sorted(one.message.made_ms for one in made)
    for start in times:
        assert sum(start <= at < start + HOUR_MS for at in times) <= cap


def _told(messages: list[dict[str, Any]]) -> tuple[Counter[str], set[str], int]:
    """How often an anomaly was told for the first time, which were told as they got worse, and the digests' count."""
    first: Counter[str] = Counter()
    escalated: set[str] = set()
    counted = 0
    for message in messages:
        if message["kind"] == "digest":
            counted += message["anomalies"]
            continue
        about = {message["anomaly"]["id"]}
        if "#escalated" in message["id"]:
            escalated |= about
            first.update({move["id"] for move in message.get("market", {}).get("moves", [])} - about)
        else:
            first.update({move["id"] for move in message.get("market", {}).get("moves", [])} | about)
    return first, escalated, counted


def _days(play: Play, since_ms: int) -> list[str]:
    return days_between(since_ms, play.now_ms)


def test_a_crash_between_publish_and_mark_is_the_one_way_to_two(make: Any) -> None:
    """The documented window: the claim runs out, and the message is published again."""
    play = _play(AlertSettings(), [], make.t0_ms + 100)
    event = make.opened()
    play.faults.script = [None] * 4
    crash_after_publish = _after("publish", play)
    play.deliver([event], sweep_every=1)
    play.let_time_pass(hours=1)
    assert crash_after_publish.unclear == 1
    assert len(play.faults.published) == 2
    assert len(set(play.faults.published)) == 1


def _after(operation: str, play: Play) -> Faults:
    faults, call, done = play.faults, play.faults.call, []

    def crash_once(name: str, arguments: dict[str, Any], method: Callable[..., Any]) -> Any:
        if name == operation and not done:
            done.append(name)
            faults.script.insert(0, "crash after")
        return call(name, arguments, method)

    faults.call = crash_once  # type: ignore[method-assign]
    return faults


def test_overlapping_invocations_lose_no_count(make: Any) -> None:
    """Between each read and its write another invocation changes the same series."""
    events = [make.opened(ts_ms=make.t0_ms + 1000 * second) for second in range(8)]
    play = _play(AlertSettings(), [], make.t0_ms + 9000)
    play.faults.overlapping = True
    play.deliver(events, sweep_every=3)
    play.faults.overlapping = False
    play.let_time_pass(hours=1)
    first, _, counted = _told([json.loads(about) for about in play.faults.published])
    assert (sum(first.values()), counted) == (1, 7)
