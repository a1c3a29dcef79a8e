"""Events of an anomaly's life for the bus `stock-market`. Free of numpy.

The same occurrence always makes the same event, with the same `event_id`, so that whoever receives it twice
can tell.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from consumers.contracts.anomaly import Anomaly, iso_ms, ms_of_iso, to_json

SOURCE = "stock-monitor"
VERSION = 1
EMITTED_BY = "stock-detector"

DetailType = Literal["AnomalyDetected", "AnomalyEscalated", "AnomalyEnded", "AlertTest", "ThresholdRejected"]


@dataclass(frozen=True, slots=True)
class Event:
    """One entry for PutEvents: detail type, detail (a JSON object) and when it happened (epoch ms)."""

    detail_type: DetailType
    detail: dict[str, Any]
    at_ms: int

    @property
    def event_id(self) -> str:
        """The same for the same occurrence, however often it is sent."""
        return str(self.detail["metadata"]["event_id"])

    @property
    def correlation_id(self) -> str:
        """The id of the anomaly whose life it is about."""
        return str(self.detail["metadata"]["correlation_id"])

    def detail_json(self) -> str:
        """Return the detail as compact JSON."""
        return json.dumps(self.detail, separators=(",", ":"), sort_keys=True)


def detected(anomaly: Anomaly) -> Event:
    """Return the event of an anomaly that was found."""
    at_ms = ms_of_iso(anomaly.timestamp.partition("#")[0])
    return _event("AnomalyDetected", anomaly, f"{anomaly.id}-detected", at_ms, {})


def escalated(anomaly: Anomaly, at_ms: int) -> Event:
    """Return the event of an anomaly that, still going on, reached `anomaly.severity` at `at_ms`."""
    event_id = f"{anomaly.id}-escalated-{anomaly.severity}-{at_ms}"
    return _event("AnomalyEscalated", anomaly, event_id, at_ms, {"at": iso_ms(at_ms)})


def ended(anomaly: Anomaly, at_ms: int) -> Event:
    """Return the event of an anomaly that was over at `at_ms`."""
    began_ms = ms_of_iso(anomaly.timestamp.partition("#")[0])
    more = {"at": iso_ms(at_ms), "duration_seconds": (at_ms - began_ms) / 1000}
    return _event("AnomalyEnded", anomaly, f"{anomaly.id}-ended-{at_ms}", at_ms, more)


def threshold_rejected(name: str, version: int, reason: str, at_ms: int) -> Event:
    """Return the event of a threshold that cannot be used; the one before it stays in force."""
    metadata = _metadata(f"{name}-{version}-rejected", name)
    data = {"parameter": name, "version": version, "reason": reason, "at": iso_ms(at_ms)}
    return Event("ThresholdRejected", {"metadata": metadata, "data": data}, at_ms)


def alert_test(id_: str, at_ms: int) -> Event:
    """Return the event by which a person asks for a test message; `id_` distinguishes requests."""
    metadata = _metadata(f"alert-test-{id_}", id_) | {"emitted_by": "stock-monitor"}
    return Event("AlertTest", {"metadata": metadata, "data": {"id": id_, "at": iso_ms(at_ms)}}, at_ms)


def _event(
    detail_type: DetailType, anomaly: Anomaly, event_id: str, at_ms: int, more: dict[str, Any]
) -> Event:
    detail = {"metadata": _metadata(event_id, anomaly.id), "data": {**to_json(anomaly), **more}}
    return Event(detail_type, detail, at_ms)


def _metadata(event_id: str, correlation_id: str) -> dict[str, Any]:
    return {
        "version": VERSION,
        "event_id": event_id,
        "emitted_by": EMITTED_BY,
        "correlation_id": correlation_id,
    }
