"""Forged and odd events: each costs itself only, with a reason, and none reaches a subject or a terminal as it is."""

from __future__ import annotations

import json

import pytest

from consumers.alerts.event import AlertEvent, AlertEventError, AlertTest, parse
from consumers.contracts.events import detected
from producers.errors import MonitorError
from tests.consumers.alerts.bench import T0_MS, envelope, make_anomaly


def _forged(**changes: object) -> str:
    whole = json.loads(envelope(detected(make_anomaly())))
    whole["detail"]["data"] |= changes
    return json.dumps(whole)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"value": float("nan")}, "event"),
        ({"value": "a lot"}, "value"),
        ({"id": ""}, "id"),
        ({"id": "AAPL\r\nBcc: you"}, "id"),
        ({"id": "x" * 300}, "id"),
        ({"ticker": "AAPL\r"}, "ticker"),
        ({"ticker": "<b>AAPL</b>"}, "ticker"),
        ({"kind": "eaten"}, "kind: 'eaten'; must be one of bad_tick"),
        ({"severity": "worst"}, "severity: 'worst'; must be one of low, medium, high, critical"),
        ({"source": "\x1b[2J"}, "source"),
        ({"timestamp": "9999-12-31T23:59:59.999Z#gap"}, "timestamp: .*must be between 1970 and now"),
        ({"timestamp": "yesterday"}, "timestamp: .*must be an ISO 8601 time in UTC"),
        ({"timestamp": "2026-11-24T14:30:00#gap"}, "timestamp"),
        ({"timestamp": "0001-01-01T00:00:00Z#gap"}, "timestamp"),
        ({"at": "2026-11-24T14:00:00Z"}, "at: .*must be no earlier than"),
        ({"at": 5}, "at"),
        ({"explanation": None}, "explanation"),
        ({"window": {"unit": "x" * 100}}, "unit"),
        ({"window": []}, "window"),
        ({"late": "yes"}, "late"),
    ],
)
def test_what_the_detector_does_not_write_is_rejected_with_its_reason(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(AlertEventError, match=said) as caught:
        parse(_forged(**changes), T0_MS)
    assert isinstance(caught.value, MonitorError)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        "[]",
        "null",
        '"text"',
        '{"detail-type":"AnomalyDetected"}',
        "[" * 100_000,
        '{"detail-type":"AnomalyDetected","detail":' + '{"a":' * 50_000,
        envelope(detected(make_anomaly())).replace("189.12", "1e400"),
        envelope(detected(make_anomaly())).replace("AnomalyDetected", "AnomalyEaten"),
        envelope(detected(make_anomaly())).replace('"version": 1', '"version": 2'),
        envelope(detected(make_anomaly())).replace('{"count": 1800', '{"deep": ' + "[" * 5000),
    ],
)
def test_what_is_no_event_is_rejected_whatever_it_is(body: str) -> None:
    with pytest.raises(AlertEventError):
        parse(body, T0_MS)


def test_what_stands_beside_the_sentence_of_a_message_is_not_in_it() -> None:
    said = "AAPL rose 4.2 % in one tick; severity high, score 2.80 where alerts begin at 2.5."
    event = parse(_forged(explanation=said), T0_MS)
    assert isinstance(event, AlertEvent)
    assert event.anomaly.explanation == "AAPL rose 4.2 % in one tick."


def test_a_long_or_hostile_explanation_is_cut_and_printable() -> None:
    event = parse(_forged(explanation="\x1b[2J<script>\r\n" + "x" * 200_000), T0_MS)
    assert isinstance(event, AlertEvent)
    assert len(event.anomaly.explanation) == 300
    assert event.anomaly.explanation.isprintable()


def test_what_grants_a_privilege_is_never_in_a_tick() -> None:
    """A source that is called `test` is an origin like any other; a test is an event of its own."""
    event = parse(_forged(source="test"), T0_MS)
    assert isinstance(event, AlertEvent)
    assert event.origin == "live"
    body = {
        "detail-type": "AlertTest",
        "detail": {"metadata": {"version": 1}, "data": {"id": "1", "at": "2026-11-24T14:30:00Z"}},
    }
    assert parse(json.dumps(body), T0_MS) == AlertTest("1", T0_MS)
