"""Events of an anomaly's life for the bus `stock-market`. Free of numpy.

The same occurrence always makes the same event, with the same `event_id`, so that whoever receives it twice
can tell.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from consumers.contracts.anomaly import Anomaly, iso_ms, ms_of_iso, to_json
from producers.contract import Time

SOURCE = "stock-monitor"
VERSION = 1
EMITTED_BY = "stock-detector"
ALERT_TEST_EMITTED_BY = "stock-monitor"

DetailType = Literal["AnomalyDetected", "AnomalyEscalated", "AnomalyEnded", "AlertTest", "ThresholdRejected"]


class Metadata(msgspec.Struct, frozen=True):
    """What every event carries beside its data."""

    version: int
    event_id: Annotated[
        str, Meta(description="The same for the same occurrence: an event can come more than once.")
    ]
    emitted_by: str
    correlation_id: Annotated[
        str, Meta(description="What belongs together: the anomaly's id, the outage, the parameter.")
    ]


class Escalation(msgspec.Struct, frozen=True):
    """What an escalated anomaly carries more: when it reached its severity."""

    at: Time


class Ending(msgspec.Struct, frozen=True):
    """What an ended anomaly carries more."""

    at: Time
    duration_seconds: Annotated[float, Meta(ge=0)]


class ThresholdRejection(msgspec.Struct, frozen=True):
    """Which threshold cannot be used, and why."""

    parameter: str
    version: Annotated[int, Meta(ge=0)]
    reason: str
    at: Time


class AlertTestRequest(msgspec.Struct, frozen=True):
    """A person asks for a test message."""

    id: str
    at: Time


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
    return _event("AnomalyDetected", anomaly, f"{anomaly.id}-detected", at_ms, None)


def escalated(anomaly: Anomaly, at_ms: int) -> Event:
    """Return the event of an anomaly that, still going on, reached `anomaly.severity` at `at_ms`."""
    event_id = f"{anomaly.id}-escalated-{anomaly.severity}-{at_ms}"
    return _event("AnomalyEscalated", anomaly, event_id, at_ms, Escalation(iso_ms(at_ms)))


def ended(anomaly: Anomaly, at_ms: int) -> Event:
    """Return the event of an anomaly that was over at `at_ms`."""
    began_ms = ms_of_iso(anomaly.timestamp.partition("#")[0])
    more = Ending(iso_ms(at_ms), (at_ms - began_ms) / 1000)
    return _event("AnomalyEnded", anomaly, f"{anomaly.id}-ended-{at_ms}", at_ms, more)


def threshold_rejected(name: str, version: int, reason: str, at_ms: int) -> Event:
    """Return the event of a threshold that cannot be used; the one before it stays in force."""
    metadata = _metadata(f"{name}-{version}-rejected", name)
    data = ThresholdRejection(name, version, reason, iso_ms(at_ms))
    return Event("ThresholdRejected", msgspec.to_builtins({"metadata": metadata, "data": data}), at_ms)


def alert_test(id_: str, at_ms: int) -> Event:
    """Return the event by which a person asks for a test message; `id_` distinguishes requests."""
    metadata = Metadata(VERSION, f"alert-test-{id_}", ALERT_TEST_EMITTED_BY, id_)
    data = AlertTestRequest(id_, iso_ms(at_ms))
    return Event("AlertTest", msgspec.to_builtins({"metadata": metadata, "data": data}), at_ms)


def _event(
    detail_type: DetailType, anomaly: Anomaly, event_id: str, at_ms: int, more: Escalation | Ending | None
) -> Event:
    metadata: dict[str, Any] = msgspec.to_builtins(_metadata(event_id, anomaly.id))
    fields: dict[str, Any] = msgspec.to_builtins(more) if more else {}
    return Event(detail_type, {"metadata": metadata, "data": {**to_json(anomaly), **fields}}, at_ms)


def _metadata(event_id: str, correlation_id: str) -> Metadata:
    return Metadata(VERSION, event_id, EMITTED_BY, correlation_id)
