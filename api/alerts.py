"""Incidents, messages and silences as JSON-able values: the same for the API, the page and the command line. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from consumers.alerts.context import sentence
from consumers.alerts.feedback import Feedback
from consumers.alerts.message_store import StoredMessage
from consumers.alerts.model import Incident, Silence
from consumers.alerts.policy import unsent
from consumers.alerts.rendering.texts import content
from consumers.alerts.store import AlertStore
from consumers.contracts.anomaly import iso_ms


def incident_row(incident: Incident, now_ms: int) -> dict[str, Any]:
    """Return an incident as it is at `now_ms` (epoch ms UTC)."""
    known = incident.acknowledgement if incident.state(now_ms) == "acknowledged" else None
    return {
        "id": incident.id,
        "origin": incident.origin,
        "subject": incident.subject,
        "state": incident.state(now_ms),
        "severity": incident.severity,
        "opened_at": iso_ms(incident.opened_ms),
        "last_at": iso_ms(incident.last_ms),
        "resolved_at": None if incident.resolved_ms is None else iso_ms(incident.resolved_ms),
        "acknowledged_by": known and known.by,
        "acknowledged_until": known and iso_ms(known.until_ms),
        "late": incident.late,
        "anomaly_count": incident.anomalies,
        "open_count": incident.open,
        "anomalies": [
            {
                "id": one.id,
                "ticker": one.ticker,
                "kind": one.kind,
                "severity": one.severity,
                "began_at": iso_ms(one.began_ms),
                "ended_at": None if one.ended_ms is None else iso_ms(one.ended_ms),
                "explanation": one.explanation,
            }
            for one in incident.samples
        ],
        "tickers": [move.row() for move in incident.tickers],
        "context": incident.context
        and {**asdict(incident.context), "sentence": sentence(incident.context, incident.subject)},
        "messages": [
            {
                "id": made.message_id,
                "kind": made.kind,
                "made_at": iso_ms(made.made_ms),
                "channels": list(made.channels),
            }
            for made in incident.notifications
        ],
        "unsent": unsent(incident),
    }


def message_row(stored: StoredMessage) -> dict[str, Any]:
    """Return a message and what became of it; a digest and a test are about no single incident."""
    message = stored.message
    incident, cause = message.incident, message.cause
    origin = incident.origin if incident is not None else message.digest.origin if message.digest else None
    return {
        "id": message.id,
        "message_kind": message.kind,
        "status": stored.status,
        "subject": content(message, "", "UTC").title,
        "made_at": iso_ms(message.made_ms),
        "sent_at": iso_ms(stored.sent_ms) if stored.sent_ms else None,
        "incident_id": incident and incident.id,
        "anomaly_id": cause and cause.id,
        "ticker": cause and cause.ticker,
        "kind": cause and cause.kind,
        "severity": incident and incident.severity,
        "origin": origin,
        "deliveries": [
            {
                "channel": one.channel,
                "status": one.status,
                "attempts": one.attempts,
                "sent_at": iso_ms(one.sent_ms) if one.sent_ms else None,
                "receipt": one.receipt or None,
                "error": one.error or None,
                "picture": one.picture or None,
            }
            for one in stored.deliveries
        ],
    }


def feedback_row(said: Feedback) -> dict[str, Any]:
    """Return what a person said of an incident."""
    return {"anomaly_id": said.anomaly, "useful": said.useful, "by": said.by, "at": iso_ms(said.at_ms)}


def silence_row(silence: Silence) -> dict[str, Any]:
    """Return a silence (`api.models.Silence`)."""
    return {
        "ticker": silence.ticker,
        "kind": silence.kind,
        "until": iso_ms(silence.until_ms),
        "acknowledged": None,
        "reason": silence.reason,
        "by": silence.by,
    }


def in_force(store: AlertStore, now_ms: int) -> list[dict[str, Any]]:
    """Return the silences and acknowledgements in force at `now_ms` (`api.models.Silence`)."""
    silences = [silence for silence in store.silences() if silence.until_ms > now_ms]
    return [*map(silence_row, silences), *map(acknowledgement_row, store.acknowledged(now_ms))]


def acknowledgement_row(incident: Incident) -> dict[str, Any]:
    """Return the acknowledgement of an incident, by the anomaly that a person named it by."""
    known = incident.acknowledgement
    assert known is not None  # noqa: S101  it is acknowledged
    named = [one for one in incident.samples if one.id == known.anomaly] or incident.samples
    return {
        "ticker": named[0].ticker,
        "kind": named[0].kind,
        "until": iso_ms(known.until_ms),
        "acknowledged": known.anomaly or named[0].id,
        "reason": known.reason,
        "by": known.by,
    }
