"""What arrives from the bus `stock-market`: the opening, the escalation and the end of an anomaly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from consumers.contracts.anomaly import SEVERITIES, Anomaly, ms_of_iso
from consumers.contracts.events import VERSION
from producers.origin import Origin, origin_of

Change = Literal["detected", "escalated", "ended"]
_CHANGES: dict[str, Change] = {
    "AnomalyDetected": "detected",
    "AnomalyEscalated": "escalated",
    "AnomalyEnded": "ended",
}


TEST_SOURCE = "test"
"""Source of the anomaly that `stock-monitor alerts test` sends: always told, whatever is quiet."""


class AlertEventError(ValueError):
    """A message in the queue is no event of ours; says what is wrong, where, and what is allowed."""


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One change in the life of an anomaly.

    Attributes:
        at_ms: when it changed (of market time), epoch ms UTC.
        severity: the severity from now on.
        duration_seconds: how long the anomaly lasted; None unless it ended.
    """

    change: Change
    anomaly: Anomaly
    at_ms: int
    severity: str
    duration_seconds: float | None = None

    @property
    def key(self) -> str:
        """What tells the changes of one anomaly apart; a repeated delivery has the same."""
        return f"escalated-{self.severity}" if self.change == "escalated" else self.change

    @property
    def rank(self) -> int:
        """Place of the severity: 0 is low."""
        return SEVERITIES.index(self.severity)

    @property
    def origin(self) -> Origin:
        """Whether the quotes were real, simulated or replayed."""
        return origin_of(self.anomaly.source)


def began_ms(anomaly: Anomaly) -> int:
    """When an anomaly began, epoch ms UTC."""
    return ms_of_iso(anomaly.timestamp.partition("#")[0])


def parse(body: str) -> AlertEvent:
    """An event from a message of the queue (the EventBridge event as JSON).

    Raises:
        AlertEventError: not JSON, another event, another version, or a wrong field.
    """
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
        change = _CHANGES.get(envelope.detail_type)
        if change is None:
            raise AlertEventError(f"detail-type {envelope.detail_type!r}: allowed are {', '.join(_CHANGES)}")
        if envelope.detail.metadata.version != VERSION:
            raise AlertEventError(
                f"detail.metadata.version {envelope.detail.metadata.version}: allowed is {VERSION}"
            )
        return _event(change, envelope.detail.data)
    except msgspec.ValidationError as error:
        raise AlertEventError(f"event: {error}") from error
    except msgspec.DecodeError as error:
        raise AlertEventError(f"event: not JSON ({error})") from error


class _Metadata(msgspec.Struct):
    version: int


class _Detail(msgspec.Struct):
    metadata: _Metadata
    data: dict[str, Any]


class _Envelope(msgspec.Struct, rename={"detail_type": "detail-type"}):
    detail_type: str
    detail: _Detail


def _event(change: Change, data: dict[str, Any]) -> AlertEvent:
    # "severity" is the anomaly's own in AnomalyDetected and the one it changed to in the others.
    anomaly = msgspec.convert(data, Anomaly)
    if anomaly.severity not in SEVERITIES:
        raise AlertEventError(f"severity {anomaly.severity!r}: allowed are {', '.join(SEVERITIES)}")
    try:
        at_ms = ms_of_iso(str(data["at"])) if "at" in data else began_ms(anomaly)
        began_ms(anomaly)
    except (ValueError, TypeError) as error:  # TypeError: a time without its offset from UTC
        raise AlertEventError(
            f"anomaly {anomaly.id}: timestamp and at: allowed are ISO 8601 times in UTC ({error})"
        ) from error
    duration = data.get("duration_seconds") if change == "ended" else None
    if duration is not None and not isinstance(duration, (int, float)):
        raise AlertEventError(f"duration_seconds {duration!r}: allowed is a number of seconds")
    return AlertEvent(change, anomaly, at_ms, anomaly.severity, duration)
