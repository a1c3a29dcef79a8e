"""A first start, watched for 30 simulated minutes: who hears of what, and nobody of the past."""

from __future__ import annotations

import pytest

from consumers.alerts.model import HIGH
from consumers.alerts.policy import SIMULATED_HISTORY_MS
from tests.consumers.alerts.thirty_minutes import SOON_MS, START_MS, Watched, table, watch


@pytest.fixture(scope="module")
def watched() -> Watched:
    """The half hour."""
    return watch()


def test_nobody_is_notified_of_what_was_filled_in(watched: Watched) -> None:
    """What changed in the last two minutes before the start counts as live: quotes of then can be late ones."""
    late = {event.anomaly.id for event in watched.events if event.at_ms >= START_MS - SIMULATED_HISTORY_MS}
    past = {event.anomaly.id for event in watched.events} - late
    assert len(past) > 5  # something happened in it
    for message in watched.messages:
        assert message.cause is None or message.cause.id not in past
        listed = () if message.digest is None else message.digest.listed
        assert all(one.last_ms >= START_MS - SIMULATED_HISTORY_MS for one in listed)


def test_each_urgent_incident_is_one_message_for_each_severity_with_its_tick(watched: Watched) -> None:
    urgent = list(watched.urgent())
    assert len(urgent) >= 10
    for event in urgent:
        told = watched.at_once(event.anomaly.id)
        by_then = [message for message in told if message.made_ms <= event.at_ms + SOON_MS]
        assert by_then, event
        assert max(message.cause.rank for message in by_then if message.cause) >= event.rank or any(
            message.incident and message.incident.peak >= event.rank for message in by_then
        )
        severities = [message.incident.peak for message in told if message.incident]
        assert len(severities) == len(set(severities)), event  # the same is not said twice
    sent = [message for message in watched.messages if message.kind in {"opened", "escalated"}]
    assert all(message.incident and message.incident.peak >= HIGH for message in sent)


def test_what_is_injected_is_found_and_its_fate_is_said(watched: Watched) -> None:
    found = [injected for injected in watched.injected if watched.found(injected)]
    assert len(found) >= 0.8 * len(watched.injected) > 15
    assert "not sent |" not in table(watched)
