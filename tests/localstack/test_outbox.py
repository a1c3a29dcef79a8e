"""The outbox shows what each subscriber would have got, once, and keeps it over a restart."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from localstack import outbox as outbox_module
from localstack.event_log import EventLog
from localstack.front_door import FrontDoor
from localstack.outbox import Outbox, OutboxMessage, drain
from localstack.outbox_page import html
from localstack.settings import LocalSettings
from tests.ports import free_port

ALERT = {
    "version": 1,
    "alert_id": "AAPL-1-gap",
    "subject": "AAPL: gap",
    "email": "No quote.\nSince 14:30.",
    "sms": "AAPL gap",
}


def notification(message: str, **more: str) -> dict[str, str]:
    return {"Type": "Notification", "Message": message, "Timestamp": "2026-11-24T14:30:00.000Z", **more}


def test_an_alert_is_an_email_and_an_sms(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.jsonl")
    topic = "arn:aws:sns:us-east-1:000000000000:stock-tracker-alerts"
    outbox.add("m-1", notification(json.dumps(ALERT), TopicArn=topic))
    email, sms = outbox.after(0)
    shown = html([email, sms], "", 1)
    for channel in ("Email", "SMS"):
        assert f"<header>{channel} to subscribers of stock-tracker-alerts, " in shown
    assert (email.n, email.protocol, email.subject, email.body) == (
        1,
        "email",
        "AAPL: gap",
        "No quote.\nSince 14:30.",
    )
    assert (sms.n, sms.protocol, sms.subject, sms.body) == (2, "sms", "", "AAPL gap")
    assert [message.n for message in outbox.after(1)] == [2]


def test_an_alarm_is_text_as_sns_sends_it(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.jsonl")
    alarm = {
        "AlarmName": "stock-scanner-errors",
        "AlarmDescription": "The scanner failed. Runbook: docs/runbook.md#scanner-errors",
        "OldStateValue": "OK",
        "NewStateValue": "ALARM",
        "NewStateReason": "Sum 2.0",
        "Trigger": {"MetricName": "Errors"},
    }
    outbox.add("m-1", notification(json.dumps(alarm), Subject="ALARM"))
    (email,) = outbox.after(0)
    assert (email.protocol, email.subject) == ("email", "ALARM")
    assert email.body.startswith("The alarm stock-scanner-errors went from OK to ALARM.")
    assert "Reason: Sum 2.0" in email.body
    assert "{" not in email.body


def test_a_message_published_by_hand_is_an_email_as_it_stands(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.jsonl")
    outbox.add("m-1", notification('{"AlarmName": "no alarm"}', Subject="by hand"))
    assert outbox.after(0)[0].body == '{"AlarmName": "no alarm"}'


def message(n: int, protocol: str = "email", body: str = "No quote.") -> OutboxMessage:
    return OutboxMessage(n, protocol, "subscribers", f"Number {n}.", body, "2026-11-24T14:30:00.000Z", str(n))


def test_the_page_has_a_channel_at_a_time_twenty_messages_and_links() -> None:
    many = [message(n, "sms" if n % 3 == 0 else "email") for n in range(1, 64)]
    first, last, sms = html(many, "", 1), html(many, "", 99), html(many, "sms", 2)
    assert [first.count("<article"), last.count("<article"), sms.count("<article")] == [20, 3, 1]
    assert first.index("Number 63.") < first.index("Number 44.")
    assert "Page 4 of 4" in last
    assert 'rel="next"' not in last
    assert 'href="/outbox?channel=sms&amp;page=1" rel="prev"' in sms
    assert "refresh" not in first  # what is read stays
    told = html([message(1, body="<script> https://m.example/?ticker=A&at=1.")], "", 1)
    assert '<a href="https://m.example/?ticker=A&amp;at=1">' in told
    assert "<script> " not in told
    assert "Nothing was sent yet." in html([], "sms", 1)


def test_a_repeated_delivery_changes_nothing_even_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "outbox.jsonl"
    first = Outbox(path)
    first.add("m-1", notification(json.dumps(ALERT)))
    first.add("m-1", notification(json.dumps(ALERT)))
    again = Outbox(path)
    again.add("m-1", notification(json.dumps(ALERT)))
    again.add("m-2", notification("two"))
    assert [message.n for message in again.after(0)] == [1, 2, 3]
    assert Outbox(path).after(0) == again.after(0)


def test_a_line_that_a_crash_cut_off_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "outbox.jsonl"
    Outbox(path).add("m-1", notification(json.dumps(ALERT)))
    path.write_text(path.read_text() + '{"n": 3, "proto')
    assert len(Outbox(path).after(0)) == 2


ODD = [
    "not json",
    "[" * 100_000,
    "[1, 2]",
    "7",
    json.dumps({"Timestamp": 5, "Message": "x"}),
    json.dumps({"Timestamp": "yesterday", "Message": "x"}),
    json.dumps({"Timestamp": "2026-11-24T14:30:00.000Z", "Message": ["x"]}),
    json.dumps({"detail-type": "AnomalyDetected"}),
    json.dumps({"detail-type": "AnomalyDetected", "detail": {"metadata": {"event_id": []}, "data": {}}}),
    json.dumps({"detail-type": "AnomalyDetected", "detail": {"metadata": {"event_id": "1"}, "data": 5}}),
    json.dumps({"detail-type": "A\nevent: B", "detail": {"metadata": {"event_id": "1"}, "data": {}}}),
    json.dumps({"detail-type": 5, "detail": {"metadata": {"event_id": "1"}, "data": {}}}),
]


class Queue:
    """A queue of which each message is received until it is deleted."""

    def __init__(self, bodies: list[str], stop: threading.Event) -> None:
        self.waiting = {str(n): body for n, body in enumerate(bodies)}
        self._stop = stop

    def get_queue_url(self, **_: str) -> dict[str, str]:
        return {"QueueUrl": "q"}

    def receive_message(self, **_: object) -> dict[str, list[dict[str, str]]]:
        if not self.waiting:
            self._stop.set()
        return {
            "Messages": [{"MessageId": n, "ReceiptHandle": n, "Body": of} for n, of in self.waiting.items()]
        }

    def delete_message(self, ReceiptHandle: str, **_: str) -> None:  # noqa: N803  as boto3 names it
        del self.waiting[ReceiptHandle]


def test_whatever_comes_by_the_queue_holds_up_nothing_behind_it(tmp_path: Path) -> None:
    """The thread that fills the outbox ended with the first message that was no JSON."""
    outbox, log, stop = (
        Outbox(tmp_path / "outbox.jsonl"),
        EventLog(tmp_path / "events.jsonl"),
        threading.Event(),
    )

    def add(delivery: str, body: dict[str, Any]) -> None:
        (log if "detail-type" in body else outbox).add(delivery, body)

    event = {"detail-type": "AnomalyEnded", "detail": {"metadata": {"event_id": "e"}, "data": {}}}
    good = [json.dumps(notification("told", Subject="last")), json.dumps(event)]
    drain(Queue([*ODD, *good], stop), "q", add, stop)
    assert [one.subject for one in outbox.after(0)] == ["last"]
    assert [one.event_id for one in log.after(0)] == ["e"]


@pytest.mark.parametrize(
    "message",
    [
        {"email": 1, "sms": {"a": 2}, "subject": 3},
        {"email": None, "sms": None, "subject": None},
        {"AlarmName": 1, "NewStateValue": [], "NewStateReason": {}},
        {"email": "half \ud800", "sms": "\x00\x1b[0m", "subject": "<script>"},
    ],
)
def test_a_message_whose_parts_are_no_texts_can_be_shown_also_after_a_restart(
    tmp_path: Path, message: dict[str, Any]
) -> None:
    """`/outbox` answered 500 for good."""
    outbox = Outbox(tmp_path / "outbox.jsonl")
    outbox.add("m-1", notification(json.dumps(message)))
    for one in (outbox, Outbox(tmp_path / "outbox.jsonl")):
        page = html(one.after(0), "", 1)
        assert page.encode()
        assert page.count("<script") == 1


def test_a_full_disk_loses_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "RETRY_SECONDS", 0)
    stop, fails, added = threading.Event(), [True, True], []

    def add(delivery: str, body: dict[str, Any]) -> None:
        if fails:
            fails.pop()
            raise OSError(28, "No space left on device")
        added.append((delivery, body))

    drain(Queue([json.dumps({"a": 1})], stop), "q", add, stop)
    assert added == [("0", {"a": 1})]


@pytest.mark.parametrize(
    "query", ["after=²", f"after={'9' * 5000}", "after=-1", "after=1e3", "after=٣", "after="]
)
@pytest.mark.parametrize("path", ["/outbox.json", "/outbox"])
def test_any_number_of_a_message_or_a_page_is_answered(tmp_path: Path, path: str, query: str) -> None:
    settings = LocalSettings(tmp_path, free_port(), free_port())
    door = FrontDoor(settings, Outbox(tmp_path / "outbox.jsonl"), lambda: True)
    app = Starlette(routes=[Route("/outbox.json", door.outbox_json), Route("/outbox", door.outbox)])
    query = query.replace("after", "page") if path == "/outbox" else query
    reply = TestClient(app).get(f"{path}?{query}")
    assert reply.status_code in {200, 400}
    assert len(reply.text) < 10_000
