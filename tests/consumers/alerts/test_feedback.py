"""What people say of incidents is kept, and changes nothing of them."""

from __future__ import annotations

from consumers.alerts.feedback import feedback_of
from tests.consumers.alerts.bench import T0_MS, Bench, opened


def test_what_is_said_of_an_incident_is_kept_beside_what_was_said_before() -> None:
    bench = Bench()
    worst, other = opened(severity="high"), opened(T0_MS + 1_000, "low", kind="volume_burst")
    bench.take(worst, other)
    incident = bench.incident(worst)
    first = feedback_of(incident, useful=False, by="me", at_ms=T0_MS + 60_000)
    second = feedback_of(incident, useful=True, by="you", at_ms=T0_MS + 61_000)
    third = feedback_of(incident, useful=False, by="you", at_ms=T0_MS + 62_000, anomaly=other.anomaly.id)
    assert first is not None
    assert second is not None
    assert third is not None
    assert feedback_of(incident, useful=True, by="me", at_ms=0, anomaly="AAPL-1-gap") is None
    for said in (second, first, third):
        bench.store.put_feedback(said)
    assert bench.store.feedback_of(incident.id) == [first, second, third]
    assert list(bench.store.feedback(T0_MS, T0_MS)) == [first, second, third]
    assert list(bench.store.feedback(T0_MS + 1, T0_MS + 10)) == []
    assert bench.incident(worst) == incident  # nothing of it changed
