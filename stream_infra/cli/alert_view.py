"""How `stock-monitor alerts` shows what it found: as text for people, as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from api.alerts import feedback_row, incident_row, message_row, silence_row
from consumers.alerts.channels import sns
from consumers.alerts.context import percent, sentence
from consumers.alerts.feedback import Feedback
from consumers.alerts.model import AnomalySummary, Incident, Silence
from consumers.alerts.rendering.texts import Content, content, subject_of
from consumers.alerts.settings import Way
from consumers.contracts.anomaly import iso_ms
from consumers.contracts.kinds import name_of
from consumers.contracts.wording import counted
from stream_infra.cli.text import table_text, time_of
from stream_infra.operations.alert_desk import AlertTrail, Overview
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.offline.dry_run import DryRunReport


def overview_text(overview: Overview) -> str:
    """Return the silences, the incidents, and the messages, each as a table."""
    tables = [
        *([_silences(overview.silences)] if overview.silences else []),
        *([_incidents(overview.incidents, overview.now_ms)] if overview.incidents else []),
        *([_messages([message_row(stored) for stored in overview.messages])] if overview.messages else []),
    ]
    return "\n\n".join(tables) if tables else "No incidents, no messages, nothing is silenced."


def overview_json(overview: Overview) -> str:
    """Return the same as JSON."""
    return json.dumps(
        {
            "silences": [silence_row(silence) for silence in overview.silences],
            "incidents": [incident_row(incident, overview.now_ms) for incident in overview.incidents],
            "messages": [message_row(stored) for stored in overview.messages],
        }
    )


def silence_line(silence: Silence) -> str:
    """Return a silence as a sentence."""
    why = f": {silence.reason}" if silence.reason else ""
    return f"{silence.words} is silenced until {_at(silence.until_ms)}{why}"


def incident_line(incident: Incident, now_ms: int) -> str:
    """Return an incident as a table of one row."""
    return _incidents([incident], now_ms)


def found_text(found: AlertTrail, endpoints: Endpoints) -> str:
    """Return what became of an anomaly, an incident or a message, with the texts of the messages."""
    lines = [incident_line(found.incident, found.now_ms)] if found.incident is not None else []
    if found.incident is not None and found.incident.context is not None:
        lines.append(sentence(found.incident.context, found.incident.subject))
    lines += [_said_line(said) for said in found.said]
    if found.incident is not None:
        lines += ["", _anomalies(found.incident.samples), ""]
    if known := [f"{minutes} min: {percent(move)}" for minutes, move in found.after if move is not None]:
        lines.append(f"The price after {', after '.join(known)}.")
    lines += [found.why] if found.why else []
    for stored in found.messages:
        said = _content(found, endpoints, stored.message)
        lines += ["", _messages([message_row(stored)])]
        lines += [_delivery_line(row) for row in message_row(stored)["deliveries"]]
        lines += [
            "",
            f"Subject: {sns.subject(said)}",
            "",
            sns.email(said).rstrip(),
            "",
            f"SMS: {sns.sms(said)}",
        ]
    return "\n".join(lines)


def found_json(found: AlertTrail, endpoints: Endpoints) -> str:
    """Return the same as JSON."""
    messages = []
    for stored in found.messages:
        said = _content(found, endpoints, stored.message)
        messages.append({**message_row(stored), "email": sns.email(said), "sms": sns.sms(said)})
    incident = found.incident and incident_row(found.incident, found.now_ms)
    judged = {
        "feedback": [feedback_row(one) for one in found.said],
        "after": [{"minutes": minutes, "move": move} for minutes, move in found.after],
    }
    return json.dumps({"incident": incident, **judged, "why": found.why, "messages": messages})


def deliveries_text(overview: Overview) -> str:
    """Return the deliveries of each message as a table, those that are not done first."""
    rows = [
        (delivery, message)
        for message in map(message_row, overview.messages)
        for delivery in message["deliveries"]
    ]
    if not rows:
        return "No messages."
    rows.sort(key=lambda row: row[0]["status"] == "sent")
    return table_text(
        [
            (row["channel"], row["status"], time_of(row["sent_at"]) if row["sent_at"] else "-",
             f"{message['subject']} [{_outcome(row)}]".removesuffix(" []"))
            for row, message in rows
        ],
        header=("CHANNEL", "STATUS", "SENT", "MESSAGE"),
    )  # fmt: skip


def test_text(sent: dict[str, Any], endpoints: Endpoints) -> str:
    """Return what each channel did with a test."""
    lines = [_delivery_line(row).strip() for row in sent["deliveries"]]
    where = [f"See it: {endpoints.outbox}"] if endpoints.outbox else []
    caution = (
        "For sns, sent means that SNS accepted it: emails reach confirmed subscribers only,",
        "SMS also need an account out of the SMS sandbox and, in many countries, a sender ID.",
    )
    return "\n".join([*lines, *where, *caution])


def way_text(way: Way) -> str:
    """Return where news goes, and when."""
    when = {"at_once": "at once", "digest": "in a digest", "never": "never"}[way.notify]
    return f"{when}: {', '.join(way.channels)}" if way.notify != "never" else "never"


def dry_run_text(report: DryRunReport) -> str:
    """Return the messages, then how many there would have been each hour."""
    lines = []
    if report.messages:
        lines.append(
            table_text([(_at(m.made_ms), m.kind, content(m, "", "UTC").title) for m in report.messages])
        )
    lines += ["", "hour              one a change   sent"]
    lines += [f"{_at(h.start_ms)[:16]}  {h.before:>12}  {h.after:>5}" for h in report.hours]
    most_before = max((hour.before for hour in report.hours), default=0)
    lines += [
        "",
        f"{counted(report.ticks, 'tick')} of {counted(len(report.tickers), 'ticker')},"
        f" {counted(report.anomalies, 'anomaly', 'anomalies')}, {counted(len(report.incidents), 'incident')}.",
        f"Messages, one for each change: {report.changes:,}, up to {most_before:,} in an hour.",
        f"Messages as they would have been sent: {len(report.messages):,}, up to {report.busiest:,} in",
        "any 60 minutes. None was sent.",
    ]
    return "\n".join(lines)


def dry_run_json(report: DryRunReport) -> str:
    """Return the same as JSON, with the texts of each message."""
    now_ms = max((incident.updated_ms for incident in report.incidents.values()), default=0)
    shown = ("tickers", "ticks", "anomalies", "changes", "busiest")
    return json.dumps(
        {
            **{name: getattr(report, name) for name in shown},
            "rejected": report.rejected.count,
            "reasons": [str(row) for row in report.rejected.first],
            "hours": [
                {"start": iso_ms(hour.start_ms), "before": hour.before, "after": hour.after}
                for hour in report.hours
            ],
            "incidents": [incident_row(incident, now_ms) for incident in report.incidents.values()],
            "messages": [
                {
                    "at": iso_ms(message.made_ms),
                    "kind": message.kind,
                    "incident": message.incident and message.incident.id,
                    **asdict(content(message, "", "UTC")),
                }
                for message in report.messages
            ],
        }
    )


def _said_line(said: Feedback) -> str:
    word = "Useful" if said.useful else "Noise"
    kind = name_of(said.kind)
    return f"{word}, says {said.by} at {_at(said.at_ms)} of the {said.ticker} {kind} ({said.severity})."


def _anomalies(samples: Iterable[AnomalySummary]) -> str:
    rows = [
        (_at(one.began_ms), one.severity, "goes on" if one.ended_ms is None else "over", one.explanation)
        for one in samples
    ]
    return table_text(rows, header=("BEGAN", "SEVERITY", "STATE", "ANOMALY"))


def _content(found: AlertTrail, endpoints: Endpoints, message: Any) -> Content:
    return content(message, endpoints.dashboard or "", found.time_zone)


def _silences(silences: list[Silence]) -> str:
    rows = [(silence.words, _at(silence.until_ms), silence.reason or "-") for silence in silences]
    return table_text(rows, header=("SILENCED", "UNTIL", "REASON"))


def _incidents(incidents: list[Incident], now_ms: int) -> str:
    rows = []
    # By the time that is shown: an anomaly that came late may have begun before the one that the id names.
    for incident in sorted(incidents, key=lambda one: one.opened_ms):
        row = incident_row(incident, now_ms)
        until = f", until {time_of(row['acknowledged_until'])}" if row["acknowledged_until"] else ""
        waits = ", waits for a digest" if incident.waiting is not None else ""
        count = f"{row['anomaly_count']:,} {'anomaly' if row['anomaly_count'] == 1 else 'anomalies'}"
        context = row["context"]
        verdict = (
            f", {context['verdict']} move" if context and context["verdict"] and not incident.is_wide else ""
        )
        about = f"{subject_of(incident)}, {count}{verdict}{until}{waits} [{incident.id}]"
        rows.append((_at(incident.opened_ms), row["severity"], row["state"], about))
    return table_text(rows, header=("OPENED", "SEVERITY", "STATE", "INCIDENT"))


def _messages(messages: list[dict[str, Any]]) -> str:
    timed = sorted(
        (row["sent_at"] or row["made_at"], row["status"], row["subject"], row["id"]) for row in messages
    )
    rows = [(time_of(at), status, f"{subject} [{id_}]") for at, status, subject, id_ in timed]
    return table_text(rows, header=("MADE OR SENT", "STATUS", "MESSAGE"))


def _delivery_line(row: dict[str, Any]) -> str:
    at = f" {time_of(row['sent_at'])}" if row["sent_at"] else ""
    outcome = _outcome(row)
    return f"  {row['channel']}: {row['status']}{at}{', ' if outcome else ''}{outcome}"


def _outcome(row: dict[str, Any]) -> str:
    attempts = f"attempts {row['attempts']}" if row["attempts"] != 1 else ""
    receipt = f"receipt {row['receipt']}" if row["receipt"] else ""
    return ", ".join(filter(None, [attempts, receipt, row["error"]]))


def _at(ms: int) -> str:
    return time_of(iso_ms(ms))
