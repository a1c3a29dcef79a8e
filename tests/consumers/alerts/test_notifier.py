"""The notifier against a table and a topic in memory: what people get, and how often."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from consumers.alerts.model import Mute
from consumers.alerts.settings import AlertSettings


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


def test_what_failed_before_a_mute_is_sent_after_it(
    bench: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = bench.sns.publish

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "InternalError"}}, "Publish")

    monkeypatch.setattr(bench.sns, "publish", refuse)
    event = make.opened()
    with pytest.raises(ClientError):
        bench.take(event)
    monkeypatch.setattr(bench.sns, "publish", publish)
    bench.store.put_mute(Mute(bench.now_ms + 30 * 60_000, ticker="AAPL"))
    assert bench.take(event) == [False]
    assert bench.sweep(after_minutes=29) == 0
    assert bench.sweep(after_minutes=2) == 1
    assert len(bench.sent()) == 1


def test_what_is_muted_is_told_in_a_digest_once_it_is_not(bench: Any, make: Any) -> None:
    mute = Mute(bench.now_ms + 3 * 3_600_000, ticker="AAPL", kind="price_spike", reason="earnings")
    bench.store.put_mute(mute)
    assert bench.store.mutes() == [mute]
    assert bench.take(make.opened(), make.opened(ticker="MSFT")) == [False, True]
    assert bench.sweep(after_minutes=60) == 0
    assert bench.store.delete_mute(mute.scope)
    assert not bench.store.delete_mute(mute.scope)
    assert bench.sweep() == 1
    assert bench.subjects() == [
        "MEDIUM: MSFT price spike, 189.12 against 185.40 expected",
        "1 more anomaly: AAPL price spike (medium)",
    ]


def test_an_acknowledgement_ends_with_its_anomaly(bench: Any, make: Any) -> None:
    event = make.opened()
    bench.take(event)
    bench.store.put_mute(Mute(bench.now_ms + 3_600_000, "AAPL", "price_spike", acknowledged=event.anomaly.id))
    assert bench.take(make.worse(event.at_ms + 1000, severity="critical")) == [False]
    assert bench.take(make.over(event.at_ms + 120_000)) == [True]
    assert bench.store.mutes() == []
    assert len(bench.sent()) == 2


def test_a_batch_in_which_the_market_moves_is_one_message(bench: Any, make: Any) -> None:
    bench.watched = 10
    crash = [make.opened(ticker=f"T{n}", ts_ms=make.t0_ms + n, severity="high") for n in range(6)]
    assert bench.take(*crash) == [True, False, False, False, False, False]
    (message,) = bench.sent()
    assert message["Subject"].startswith("HIGH: market-wide, 6 of 10 tickers within a minute")
    assert message["MessageAttributes"]["ticker"]["Type"] == "String.Array"
    bench.settings = AlertSettings()
    assert bench.take(*crash) == [False] * 6
    assert bench.sweep(after_minutes=20) == 0


def test_a_muted_ticker_is_not_listed_in_a_market_wide_alert(bench: Any, make: Any) -> None:
    bench.watched = 10
    bench.store.put_mute(Mute(bench.now_ms + 3_600_000, ticker="T0"))
    crash = [make.opened(ticker=f"T{n}", ts_ms=make.t0_ms + n) for n in range(5)]
    assert bench.take(*crash) == [False, True, False, False, False]
    (message,) = bench.sent()
    assert "T0" not in message["Subject"] + message["Message"]


def test_a_digest_whose_parts_another_sweep_took_is_closed_without_a_message(bench: Any) -> None:
    bench.store.start_digest("live", bench.now_ms)
    assert bench.sweep() == 0
    assert bench.store.open_digest("live") is None
    assert bench.sent() == []


def test_simulated_quotes_never_take_the_place_of_real_ones(bench: Any, make: Any) -> None:
    bench.settings = AlertSettings(messages_per_hour=4)
    simulated = [make.opened(ticker=f"S{n}", source="simulated", severity="critical") for n in range(6)]
    assert bench.take(*simulated).count(True) == 3
    assert bench.take(make.opened(severity="low")) == [True]
