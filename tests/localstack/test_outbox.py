"""The outbox shows what each subscriber would have got, once, and keeps it over a restart."""

from __future__ import annotations

import json
from pathlib import Path

from localstack.outbox import Outbox

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


def test_an_alarm_is_an_email_as_it_stands(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.jsonl")
    outbox.add("m-1", notification('{"AlarmName": "stock-scanner-errors"}', Subject="ALARM"))
    (email,) = outbox.after(0)
    assert (email.protocol, email.subject, email.body) == (
        "email",
        "ALARM",
        '{"AlarmName": "stock-scanner-errors"}',
    )


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
