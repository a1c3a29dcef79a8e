"""The notifier against a table and a topic in memory: what people get, and how often."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError


def test_the_first_of_a_series_is_sent_at_once_and_only_once_however_often_it_comes(
    bench: Any, make: Any
) -> None:
    event = make.opened()
    assert bench.take(event, event) == [True, False]
    bench.now_ms += 600_000
    assert bench.take(event) == [False]
    assert bench.sweep() == 0
    (message,) = bench.sent()
    assert message["Subject"] == "MEDIUM: AAPL price spike, 189.12 against 185.40 expected"
    assert (
        "https://monitor.example/?ticker=AAPL&at=2026-11-24T14:30:00.000Z&source=alpaca" in message["Message"]
    )
    values = {name: item["Value"] for name, item in message["MessageAttributes"].items()}
    expected = {
        "ticker": "AAPL",
        "kind": "price_spike",
        "severity": "medium",
        "source": "alpaca",
        "message": "alert",
    }
    assert values == expected | {"AWS.SNS.SMS.SMSType": "Transactional"}


def test_more_of_the_same_are_told_together_when_the_cooldown_ends(bench: Any, make: Any) -> None:
    bench.take(*(make.opened(ts_ms=make.t0_ms + 1000 * n) for n in range(5)))
    assert len(bench.sent()) == 1
    assert bench.sweep(after_minutes=14) == 0
    assert bench.sweep(after_minutes=2) == 1
    (message,) = bench.sent()
    assert message["Subject"] == "4 more anomalies: AAPL price spike (medium)"
    assert "and 1 more" in message["Message"]  # three are named
    assert bench.sweep(after_minutes=60) == 0


def test_a_failed_publish_is_pending_and_goes_out_later_once(
    bench: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = bench.sns.publish

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "InternalError"}}, "Publish")

    monkeypatch.setattr(bench.sns, "publish", refuse)
    event = make.opened()
    with pytest.raises(ClientError):
        bench.take(event)
    with pytest.raises(ClientError):
        bench.sweep(after_minutes=1)
    monkeypatch.setattr(bench.sns, "publish", publish)
    assert bench.take(event) == [True]
    assert bench.sweep(after_minutes=1) == 0
    assert len(bench.sent()) == 1
