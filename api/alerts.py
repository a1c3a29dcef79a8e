"""Alerts as the API shows them: silences, and acknowledgements of incidents by an anomaly."""

from __future__ import annotations

from typing import Any

from consumers.alerts import view
from consumers.alerts.model import Incident, Silence
from consumers.alerts.store import AlertStore
from consumers.contracts.anomaly import iso_ms


def in_force(store: AlertStore, now_ms: int) -> list[dict[str, Any]]:
    """Return the silences and acknowledgements in force at `now_ms` (`api.models.Silence`)."""
    silences = [silence for silence in store.silences() if silence.until_ms > now_ms]
    return [*map(silence_row, silences), *map(acknowledgement_row, store.acknowledged(now_ms))]


def silence_row(silence: Silence) -> dict[str, Any]:
    """Return a silence (`api.models.Silence`)."""
    return {**view.silence_row(silence), "acknowledged": None}


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
