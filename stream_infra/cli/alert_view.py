"""How `stock-monitor alerts` shows what it found: as text for people, as JSON for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from consumers.alerts.dry_run import Rehearsed
from consumers.alerts.items import Stored
from consumers.alerts.model import Mute
from consumers.alerts.rendering.texts import Texts
from consumers.contracts.anomaly import iso_ms
from stream_infra.operations.alert_desk import Found, Overview
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.offline.dry_run import DryRun

_FATES = {
    "": "known, and told by no message: its kind or ticker is off",
    "told": "told",
    "held": "held, and told in a digest",
}


def overview_text(overview: Overview) -> str:
    """The mutes, what waits, and the messages."""
    lines = [mute_line(mute) for mute in overview.mutes]
    for due, series in overview.waiting:
        anomalies = series.held.anomalies if series.held else 0
        when = _at(series.due_ms or 0)
        lines.append(f"{due.ticker} {due.kind}: {anomalies} held for the digest after {when}")
    lines += [_message_line(stored) for stored in overview.messages]
    return "\n".join(lines) if lines else "No messages, nothing waits, nothing is muted."


def overview_json(overview: Overview) -> str:
    """The same as JSON."""
    waiting = [
        {
            "ticker": due.ticker,
            "kind": due.kind,
            "origin": due.origin,
            "anomalies": series.held.anomalies if series.held else 0,
            "due": iso_ms(series.due_ms or 0),
        }
        for due, series in overview.waiting
    ]
    return json.dumps(
        {
            "mutes": [mute_dict(mute) for mute in overview.mutes],
            "waiting": waiting,
            "messages": [_stored_dict(stored) for stored in overview.messages],
        }
    )


def mute_line(mute: Mute) -> str:
    """A mute in a sentence."""
    verb = f"is acknowledged ({mute.acknowledged})" if mute.acknowledged else "is muted"
    why = f": {mute.reason}" if mute.reason else ""
    return f"{mute.words} {verb} until {_at(mute.until_ms)}{why}"


def mute_dict(mute: Mute) -> dict[str, Any]:
    """A mute as JSON-able values."""
    return {
        "ticker": mute.ticker,
        "kind": mute.kind,
        "until": iso_ms(mute.until_ms),
        "acknowledged": mute.acknowledged or None,
        "reason": mute.reason,
    }


def found_text(found: Found) -> str:
    """What became of an anomaly, with the email and the SMS of each message."""
    lines = [f"{found.id}: {_fate(found)}"]
    for stored, texts in found.messages:
        lines += ["", _message_line(stored), "", f"Subject: {texts.subject}", "", texts.email.rstrip(), ""]
        lines += [f"SMS: {texts.sms}"]
    return "\n".join(lines)


def found_json(found: Found) -> str:
    """The same as JSON."""
    messages = [{**_stored_dict(stored), **asdict(texts)} for stored, texts in found.messages]
    return json.dumps({"id": found.id, "fate": _fate(found), "messages": messages})


def test_text(sent: dict[str, Any], endpoints: Endpoints) -> str:
    """That the test went out, and where to look."""
    where = f" See it: {endpoints.outbox}" if endpoints.outbox else ""
    return f"Sent after {sent['seconds']:.1f} s: {sent['subject']}.{where}"


def dry_run_text(report: DryRun) -> str:
    """The messages, then how many there would have been each hour."""
    lines = [f"{reason}" for reason in report.reasons]
    if report.refused > len(report.reasons):
        lines.append(f"and {report.refused - len(report.reasons):,} more rows that cannot be used")
    lines += [f"{_at(m.at_ms)}  {m.kind.replace('_', ' '):<14}  {m.texts.subject}" for m in report.messages]
    lines += ["", "hour              one a change   sent"]
    lines += [f"{_at(h.start_ms)[:16]}  {h.before:>12}  {h.after:>5}" for h in report.hours]
    most_before = max((hour.before for hour in report.hours), default=0)
    lines += [
        "",
        f"{report.ticks:,} ticks of {len(report.tickers)} tickers, {report.anomalies:,} anomalies.",
        f"Messages, one for each change: {report.changes:,}, up to {most_before:,} in an hour.",
        f"Messages as they would have been sent: {len(report.messages):,}, up to {report.busiest:,} in"
        " any 60 minutes. None was sent.",
    ]
    return "\n".join(lines)


def dry_run_json(report: DryRun) -> str:
    """The same as JSON, with the texts and the anomalies of each message."""
    return json.dumps(
        {
            **{key: value for key, value in asdict(report).items() if key not in {"messages", "hours"}},
            "hours": [
                {"start": iso_ms(hour.start_ms), "before": hour.before, "after": hour.after}
                for hour in report.hours
            ],
            "messages": [_rehearsed_dict(message) for message in report.messages],
        }
    )


def _rehearsed_dict(message: Rehearsed) -> dict[str, Any]:
    about = {"at": iso_ms(message.at_ms), "kind": message.kind, "anomalies": list(message.anomalies)}
    return {**about, **_texts(message.texts)}


def _texts(texts: Texts) -> dict[str, str]:
    return asdict(texts)


def _fate(found: Found) -> str:
    if found.alert is None:
        return "a digest"
    if found.alert.under_market and not found.messages:
        return "told in a market-wide alert"
    return _FATES[found.alert.fate]


def _message_line(stored: Stored) -> str:
    message = stored.message
    at = _at(stored.sent_ms or message.made_ms)
    what = stored.subject or f"{message.kind.replace('_', ' ')}, tried {stored.attempts} times"
    return f"{at}  {stored.status:<10}  {what}  [{message.id}]"


def _stored_dict(stored: Stored) -> dict[str, Any]:
    message = stored.message
    return {
        "id": message.id,
        "kind": message.kind,
        "status": stored.status,
        "made_at": iso_ms(message.made_ms),
        "sent_at": iso_ms(stored.sent_ms) if stored.sent_ms else None,
        "subject": stored.subject,
        "sns_id": stored.sns_id,
        "attempts": stored.attempts,
    }


def _at(ms: int) -> str:
    return iso_ms(ms)[:19].replace("T", " ")
