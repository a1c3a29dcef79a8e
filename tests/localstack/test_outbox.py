"""The outbox shows what each subscriber would have got, once, and keeps it over a restart."""

from __future__ import annotations

import json
from pathlib import Path

from localstack.outbox import Outbox, OutboxMessage
from localstack.outbox_page import html

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
    outbox.add("m-1", notification(json.dumps(ALERT)))
    email, sms = outbox.after(0)
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
