"""Settings and requests are typed, and a bad one is named with what is allowed."""

from __future__ import annotations

import pytest

from producers.settings import ScanRequest, SettingsError, scan_request, scanner_settings

GOOD = {
    "STREAM_NAME": "stock-quotes",
    "SCAN_TABLE": "t",
    "DATA_BUCKET": "b",
    "SOURCE": "simulated",
    "PATH": "/bin",
}


def test_defaults_and_values_of_the_environment() -> None:
    plain = scanner_settings(GOOD)
    assert (plain.partitions, plain.poll_interval_seconds, plain.session) == (4, 5.0, "regular")
    assert plain.ticker_parameter == "/stock-tracker/ticker"
    given = scanner_settings({**GOOD, "PARTITIONS": "8", "POLL_INTERVAL_SECONDS": "2.5", "SESSION": "always"})
    assert (given.partitions, given.poll_interval_seconds, given.session) == (8, 2.5, "always")


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"SOURCE": None}, ["SOURCE is not set"]),
        ({"STREAM_NAME": ""}, ["STREAM_NAME is not set"]),
        ({"PARTITIONS": "0"}, ["PARTITIONS is '0'; must be int >= 1"]),
        ({"PARTITIONS": "four"}, ["PARTITIONS", "int"]),
        ({"POLL_INTERVAL_SECONDS": "0.1"}, ["POLL_INTERVAL_SECONDS", ">= 0.5"]),
        ({"SESSION": "sometimes"}, ["SESSION is 'sometimes'; must be one of regular, extended, always"]),
    ],
)
def test_a_bad_variable_is_named(changes: dict[str, str], reasons: list[str]) -> None:
    changed = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    with pytest.raises(SettingsError) as caught:
        scanner_settings(changed)
    assert all(reason in str(caught.value) for reason in ["environment of stock-scanner: ", *reasons])


def test_a_scheduled_event_asks_for_a_scan() -> None:
    event = {"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
    assert scan_request(event) == ScanRequest(source="aws.events")
    assert scan_request({}) == ScanRequest()
    assert scan_request({"polls": 1}).polls == 1


@pytest.mark.parametrize(
    ("event", "reasons"),
    [
        ({"polls": 0}, ["polls", ">= 1"]),
        ({"polls": "1"}, ["polls", "int"]),
        ({"backfill_minutes": 241}, ["backfill_minutes", "<= 240"]),
        ({"backfill_minutes": 30, "polls": 1}, ["polls and backfill_minutes are both there; must be one"]),
        ([], ["object"]),
    ],
)
def test_a_bad_request_is_named(event: object, reasons: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        scan_request(event)
    assert all(reason in str(caught.value) for reason in ["event of the scanner", *reasons])
