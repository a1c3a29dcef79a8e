"""One id leads from the tick to the alert: through both logs, and to the record on the stream."""

from __future__ import annotations

import json

import pytest

from tests.e2e.monitor import Json, Monitor

pytestmark = pytest.mark.e2e


def logged(monitor: Monitor, function: str) -> dict[str, dict[str, Json]]:
    """The entries of a function's log that carry a correlation id, by it."""
    pages = (
        monitor.client("logs")
        .get_paginator("filter_log_events")
        .paginate(logGroupName=f"/aws/lambda/{function}", filterPattern="correlation_id")
    )
    found: dict[str, dict[str, Json]] = {}
    for page in pages:
        for event in page["events"]:
            if event["message"].startswith("{"):
                entry = json.loads(event["message"])
                found.setdefault(entry.get("correlation_id", ""), entry)
    return found


def test_an_alert_can_be_followed_back_to_its_tick(monitor: Monitor) -> None:
    def both() -> list[tuple[dict[str, Json], dict[str, Json]]]:
        detected, taken = logged(monitor, "stock-detector"), logged(monitor, "stock-notifier")
        return [(detected[key], taken[key]) for key in detected.keys() & taken.keys() if key]

    detected, taken = monitor.eventually(both, 180, "an anomaly of both logs")[0]
    assert detected["service"] == "stock-detector"
    assert taken["service"] == "stock-notifier"
    ticker, tick_ms, _ = detected["correlation_id"].split("-", 2)
    assert monitor.get(f"/api/anomalies/{ticker}")["count"] > 0
    assert abs(int(tick_ms) - detected["tick_ms"]) < 86_400_000
    record = monitor.client("kinesis").get_shard_iterator(
        StreamName="stock-quotes",
        ShardId=detected["shard"],
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=detected["sequence"],
    )
    (found,) = monitor.client("kinesis").get_records(ShardIterator=record["ShardIterator"], Limit=1)[
        "Records"
    ]
    assert found["SequenceNumber"] == detected["sequence"]
    assert ticker.encode() in found["Data"]
