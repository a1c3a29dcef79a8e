"""Alerts as the API shows them: messages that were made, and silences. Pure but for `messages_since`."""

from __future__ import annotations

from itertools import chain
from typing import Any

from consumers.alerts.items import Stored, days_between
from consumers.alerts.model import Mute
from consumers.alerts.store import AlertStore
from consumers.contracts.anomaly import iso_ms
from producers.origin import origin_of


def messages_since(store: AlertStore, since_ms: int, now_ms: int) -> list[Stored]:
    """Return the messages made in since_ms <= made <= now_ms, newest first: one query for each UTC day."""
    days = days_between(since_ms, now_ms)
    found = chain.from_iterable(store.messages(day, since_ms - 1) for day in days)
    return sorted(found, key=lambda stored: stored.message.made_ms, reverse=True)


def message_row(stored: Stored) -> dict[str, Any]:
    """Return a message (`api.models.AlertMessage`); a digest is about no single anomaly."""
    message, event = stored.message, stored.message.event
    anomaly = event.anomaly if event else None
    return {
        "id": message.id,
        "message_kind": message.kind,
        "status": "sent" if stored.status == "sent" else "pending",
        "subject": stored.subject or None,
        "made_at": iso_ms(message.made_ms),
        "sent_at": iso_ms(stored.sent_ms) if stored.sent_ms else None,
        "anomaly_id": anomaly.id if anomaly else None,
        "ticker": anomaly.ticker if anomaly else None,
        "kind": anomaly.kind if anomaly else None,
        "severity": event.severity if event else None,
        "origin": origin_of(anomaly.source) if anomaly else None,
    }


def silence_row(mute: Mute) -> dict[str, Any]:
    """Return a silence or an acknowledgement (`api.models.Silence`)."""
    return {
        "ticker": mute.ticker,
        "kind": mute.kind,
        "until": iso_ms(mute.until_ms),
        "acknowledged": mute.acknowledged or None,
        "reason": mute.reason,
    }
