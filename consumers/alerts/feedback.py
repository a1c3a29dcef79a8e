"""What a person said of an incident. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from consumers.alerts.model import Incident


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person said of an anomaly of an incident, when (epoch ms UTC); kept beside what was said before.

    Attributes
    ----------
    severity
        What the anomaly had reached.
    """

    incident: str
    anomaly: str
    ticker: str
    kind: str
    severity: str
    useful: bool
    by: str
    at_ms: int


def feedback_of(
    incident: Incident, *, useful: bool, by: str, at_ms: int, anomaly: str = ""
) -> Feedback | None:
    """Return what a person says of an incident's worst anomaly, or of the one named; None if it lists none such."""
    found = next((one for one in incident.samples if anomaly in {"", one.id}), None)
    if found is None:
        return None
    return Feedback(incident.id, found.id, found.ticker, found.kind, found.severity, useful, by, at_ms)
