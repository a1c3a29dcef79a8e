"""The machine's clock is set back by a day: the emulator goes on at once, and not in a day."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from ministack.services import apigateway_v1, cloudwatch_logs, eventbridge, lambda_svc, sqs

from localstack.clock import follow_a_clock_that_is_set_back

DAY = 86_400.0
ARN = "arn:aws:events:us-east-1:000000000000:rule/minutely"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """How far the machine's clock is set, in seconds."""
    ahead, now = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: now() + ahead[0])
    monkeypatch.setattr(eventbridge, "_tick_scheduled_rules", eventbridge._tick_scheduled_rules)
    follow_a_clock_that_is_set_back()
    yield ahead
    eventbridge.reset()
    apigateway_v1._throttle_state.clear()
    lambda_svc._esm_backoff_until._data.clear()


def rule(made_s: float) -> None:
    key = "default|minutely"
    given = {"Name": "minutely", "Arn": ARN, "State": "ENABLED", "ScheduleExpression": "rate(1 minute)"}
    eventbridge._rules._data["000000000000", "us-east-1", key] = {**given, "CreationTime": made_s}
    eventbridge._targets._data["000000000000", "us-east-1", key] = [{"Id": "one", "Arn": ARN}]


@pytest.mark.parametrize("runs", [True, False], ids=["while it runs", "between two runs"])
def test_a_rule_goes_on_after_its_minute(
    runs: bool, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    fired: list[object] = []
    monkeypatch.setattr(eventbridge, "_invoke_target", lambda *_: fired.append(1))
    clock[0] = DAY
    rule(time.time() - 61)
    if runs:
        eventbridge._tick_scheduled_rules()
        assert len(fired) == 1
    clock[0] = 0
    fired.clear()
    eventbridge._tick_scheduled_rules()
    assert fired == []
    clock[0] = 61
    eventbridge._tick_scheduled_rules()
    assert len(fired) == 1


def test_a_function_ran_last_when_it_ran_and_not_tomorrow(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms = round(time.time() * 1000)
    streams: dict[str, Any] = {
        "new": {"lastEventTimestamp": None},
        "old": {"lastEventTimestamp": now_ms - 60_000},
        "ahead": {"lastEventTimestamp": now_ms + 86_400_000},
    }
    groups = cloudwatch_logs._log_groups._data
    monkeypatch.setitem(groups, ("000000000000", "us-east-1", "/aws/lambda/f"), {"streams": streams})
    eventbridge._tick_scheduled_rules()
    assert [streams[name]["lastEventTimestamp"] for name in ("new", "old")] == [None, now_ms - 60_000]
    assert 0 <= streams["ahead"]["lastEventTimestamp"] - now_ms < 60_000


def test_the_api_answers_at_once(clock: list[float]) -> None:
    """It answered 429 to every call until the clock was where it had been."""
    limits = {"rateLimit": 10, "burstLimit": 1}
    clock[0] = DAY
    assert apigateway_v1._take_token(("stage",), limits)
    assert not apigateway_v1._take_token(("stage",), limits)
    clock[0] = 0
    eventbridge._tick_scheduled_rules()
    assert apigateway_v1._take_token(("stage",), limits)


def test_a_queue_gives_its_messages_and_a_mapping_polls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = time.time()
    of_yesterday: dict[str, Any] = {"sent_at": now_s - DAY, "visible_at": now_s + 600}
    sent: dict[str, Any] = {"sent_at": now_s + DAY, "visible_at": now_s + DAY}
    in_flight: dict[str, Any] = {"sent_at": now_s + DAY, "visible_at": now_s + DAY + 30}
    queue = {"messages": [of_yesterday, sent, in_flight]}
    monkeypatch.setitem(sqs._queues._data, ("000000000000", "us-east-1", "q"), queue)
    lambda_svc._esm_backoff_until._data["000000000000", "us-east-1", "m"] = now_s + DAY
    eventbridge._tick_scheduled_rules()
    waits = [round(message["visible_at"] - time.time()) for message in queue["messages"]]
    assert waits == [600, 0, 30]
    assert ("000000000000", "us-east-1", "m") not in lambda_svc._esm_backoff_until._data
