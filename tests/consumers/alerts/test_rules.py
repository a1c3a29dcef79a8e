"""What is said at once, what waits, and what is not said: the rules of `consumers.alerts.policy`, one by one."""

from __future__ import annotations

from datetime import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.alerts.dry_run import Rehearsal, Rehearsed
from consumers.alerts.event import began_ms
from consumers.alerts.model import HOUR_MS, Mute
from consumers.alerts.settings import AlertSettings, QuietHours
from consumers.contracts.anomaly import SEVERITIES

T0_MS = 1_795_530_600_000
MINUTE_MS = 60_000
CALM = AlertSettings(messages_per_hour=1000)


def _digests(world: Rehearsal) -> list[Rehearsed]:
    return [message for message in world.messages if message.kind == "digest"]


def test_what_is_worse_breaks_through_the_cooldown_and_leaves_the_digest(make: Any) -> None:
    world = Rehearsal(CALM)
    assert world.take(make.opened(severity="medium"), T0_MS) == "alert"
    second = make.opened(T0_MS + 1000, "medium")
    assert world.take(second, T0_MS + 1000) is None
    assert world.take(make.worsened(second, T0_MS + 5000, "medium"), T0_MS + 5000) is None
    assert world.take(make.worsened(second, T0_MS + 9000, "critical"), T0_MS + 9000) == "escalation"
    assert world.take(make.opened(T0_MS + 10_000, "high"), T0_MS + 10_000) is None
    world.sweep(T0_MS + 15 * MINUTE_MS + 9000)
    (digest,) = _digests(world)
    assert len(digest.anomalies) == 1


def test_an_escalation_that_overtakes_its_anomaly_is_the_one_message(make: Any) -> None:
    world = Rehearsal(CALM)
    event = make.opened()
    assert world.take(make.worsened(event, T0_MS + 10, "high"), T0_MS + 10) == "escalation"
    assert world.take(event, T0_MS + 20) is None
    assert world.book.series["live", "AAPL", "price_spike"].held is None


def test_a_series_is_armed_again_by_a_cooldown_without_anomalies(make: Any) -> None:
    world = Rehearsal(CALM)
    assert world.take(make.opened(), T0_MS) == "alert"
    later = T0_MS + 15 * MINUTE_MS
    assert world.take(make.opened(later - 1), later - 1) is None
    world.sweep(later)
    assert world.take(make.opened(later + 1), later + 1) is None  # the digest began another cooldown
    world.sweep(later + 15 * MINUTE_MS)
    quiet = later + 31 * MINUTE_MS
    assert world.take(make.opened(quiet), quiet) == "alert"


@pytest.mark.parametrize(("seconds", "message"), [(59, None), (60, "back_to_normal")])
def test_the_end_of_what_lasted_is_told(seconds: int, message: str | None, make: Any) -> None:
    world = Rehearsal(CALM)
    event = make.opened()
    world.take(event, T0_MS)
    end = T0_MS + seconds * 1000
    assert world.take(make.ended(event, end), end) == message
    assert world.take(make.ended(event, end), end) is None


def test_the_end_of_what_was_not_told_is_not_told(make: Any) -> None:
    world = Rehearsal(CALM)
    world.take(make.opened(), T0_MS)
    second = make.opened(T0_MS + 1)
    world.take(second, T0_MS + 1)
    assert world.take(make.ended(second, T0_MS + HOUR_MS // 2), T0_MS + HOUR_MS // 2) is None


def test_the_last_place_of_the_hour_is_a_digests(make: Any) -> None:
    world = Rehearsal(AlertSettings(messages_per_hour=3))
    sent = [world.take(make.opened(severity="critical", ticker=f"T{n}"), T0_MS) for n in range(10)]
    assert sent == ["alert", "alert", *[None] * 8]
    world.take(make.opened(T0_MS + 20 * MINUTE_MS, ticker="NEW"), T0_MS + 20 * MINUTE_MS)
    world.sweep(T0_MS + 29 * MINUTE_MS)
    assert _digests(world) == []  # the one place left is in the middle of what is left of the hour
    world.sweep(T0_MS + 30 * MINUTE_MS)
    assert len(_digests(world)[0].anomalies) == 9
    world.take(make.opened(T0_MS + 31 * MINUTE_MS, ticker="LATER"), T0_MS + 31 * MINUTE_MS)
    world.sweep(T0_MS + 59 * MINUTE_MS)
    assert len(_digests(world)) == 1  # no place: it stays held
    world.sweep(T0_MS + HOUR_MS)
    assert len(_digests(world)) == 2


def test_places_are_kept_for_what_is_severe_and_for_what_people_know_least_of(make: Any) -> None:
    world = Rehearsal(AlertSettings(messages_per_hour=6))
    wanted = [
        ("A", "gap", "medium", True),
        ("A", "price_spike", "medium", True),
        ("A", "level_shift", "medium", False),  # another kind of a ticker that was told
        ("B", "gap", "low", True),
        ("C", "gap", "medium", False),
        ("A", "vol_shift", "high", True),  # worse than what was told of A
        ("D", "gap", "critical", False),
    ]
    for ticker, kind, severity, told in wanted:
        event = make.opened(T0_MS, severity, ticker=ticker, kind=kind)
        assert (world.take(event, T0_MS) == "alert") == told, (ticker, kind)
    due = {key[1:]: series.due_ms for key, series in world.book.series.items() if series.held}
    assert due == {
        ("A", "level_shift"): T0_MS + 15 * MINUTE_MS,
        ("C", "gap"): T0_MS,  # nothing is known of it yet: it is in the next digest
        ("D", "gap"): T0_MS,
    }
    crash = [make.opened(T0_MS + 1000 + n, "low", ticker=f"T{n}") for n in range(4)]
    world.watched = 10
    assert world.hear(crash, T0_MS + 2000) == ["market_wide", None, None, None]


def test_what_found_no_place_is_in_a_digest_once_the_rest_of_the_hour_is_shared_out(make: Any) -> None:
    world = Rehearsal(AlertSettings(messages_per_hour=6))
    for n in range(5):
        world.take(make.opened(T0_MS, "low", ticker=f"T{n}"), T0_MS)
    assert len(world.messages) == 3
    for minute in range(61):
        world.sweep(T0_MS + minute * MINUTE_MS)
        now_ms = T0_MS + minute * MINUTE_MS
        world.take(make.opened(now_ms, "low", ticker=f"M{minute}"), now_ms)
    assert [(m.at_ms - T0_MS) // MINUTE_MS for m in _digests(world)] == [15, 30, 45, 60]


def test_what_is_learned_too_late_is_no_news(make: Any) -> None:
    world = Rehearsal(CALM)
    assert world.take(make.opened(), T0_MS + 16 * MINUTE_MS) is None
    assert world.book.series["live", "AAPL", "price_spike"].held is not None


def test_late_ones_do_not_silence_live_ones(make: Any) -> None:
    world = Rehearsal(CALM)
    world.take(make.opened(T0_MS - 1, "critical", late=True), T0_MS)
    world.sweep(T0_MS + 16 * MINUTE_MS)
    assert len(_digests(world)) == 1
    now_ms = T0_MS + 17 * MINUTE_MS
    assert world.take(make.opened(now_ms, "low"), now_ms) == "alert"


@settings(max_examples=20)
@given(st.integers(1, 60))
def test_a_digest_names_the_worst_and_counts_the_rest(make: Any, count: int) -> None:
    world = Rehearsal(CALM)
    world.take(make.opened(T0_MS - 1, "critical"), T0_MS)
    for n in range(count):
        world.take(make.opened(T0_MS + n, SEVERITIES[n % 4]), T0_MS + n)
    held = world.book.series["live", "AAPL", "price_spike"].held
    assert held is not None
    assert held.anomalies == count
    assert [sample.rank for sample in held.samples] == sorted((n % 4 for n in range(count)), reverse=True)[:3]
    assert (held.first_ms, held.last_ms) == (T0_MS, T0_MS + count - 1)
    assert all(began_ms(sample.anomaly) >= T0_MS for sample in held.samples)


def test_a_market_wide_move_is_one_alert_with_the_singles_under_it(make: Any) -> None:
    world = Rehearsal(AlertSettings(), watched=10)
    crash = [make.opened(T0_MS + n, "high", ticker=f"T{n}") for n in range(10)]
    sent = world.hear(crash, T0_MS + 20)
    assert sent == ["market_wide", *[None] * 9]
    (message,) = world.messages
    assert set(message.anomalies) == {event.anomaly.id for event in crash}
    assert message.texts.subject.startswith("HIGH: market-wide, 10 of 10 tickers within a minute (T0, T1,")
    assert world.waiting() == []


def test_singles_that_arrive_one_by_one_are_merged_from_the_share_on(make: Any) -> None:
    world = Rehearsal(AlertSettings(), watched=10)
    sent = [world.hear([make.opened(T0_MS + n, "high", ticker=f"T{n}")], T0_MS + n)[0] for n in range(10)]
    assert sent == ["alert"] * 3 + ["market_wide"] + [None] * 6
    assert len(world.waiting()) == 6


def test_what_is_worse_than_the_market_wide_alert_breaks_through_it(make: Any) -> None:
    world = Rehearsal(AlertSettings(), watched=5)
    crash = [make.opened(T0_MS + n, "medium", ticker=f"T{n}") for n in range(4)]
    assert world.hear(crash, T0_MS + 10) == ["market_wide", None, None, None]
    assert world.hear([make.opened(T0_MS + 5000, "low", ticker="T4")], T0_MS + 5000) == [None]
    assert world.take(make.worsened(crash[2], T0_MS + 9000, "critical"), T0_MS + 9000) == "market_wide"
    assert world.take(make.worsened(crash[3], T0_MS + 9500, "critical"), T0_MS + 9500) is None
    alone = T0_MS + 10 * MINUTE_MS
    assert world.hear([make.opened(alone, "low", ticker="T9")], alone) == ["alert"]  # the move is over


def test_one_ticker_with_many_kinds_is_no_move_of_the_market(make: Any) -> None:
    world = Rehearsal(AlertSettings(messages_per_hour=20), watched=1)
    kinds = ("gap", "price_spike", "level_shift", "volume_burst", "vol_shift")
    rising = ("low", "low", "low", "medium", "high")
    events = [make.opened(T0_MS, severity, kind=kind) for kind, severity in zip(kinds, rising, strict=True)]
    assert world.hear(events, T0_MS) == ["alert"] * 5


def test_an_acknowledged_anomaly_is_quiet_until_it_is_over(make: Any) -> None:
    world = Rehearsal(CALM)
    event = make.opened()
    assert world.take(event, T0_MS) == "alert"
    order = Mute(T0_MS + 4 * HOUR_MS, "AAPL", "price_spike", acknowledged=event.anomaly.id)
    world.book.mutes[order.scope] = order
    assert world.take(make.worsened(event, T0_MS + 1000, "critical"), T0_MS + 1000) is None
    end = T0_MS + 20 * MINUTE_MS
    assert world.take(make.ended(event, end), end) == "back_to_normal"
    assert world.book.mutes == {}


def test_a_test_goes_out_whatever_is_quiet_and_again_at_once(make: Any) -> None:
    world = Rehearsal(
        AlertSettings(tickers={"AAPL": "silent"}, quiet_hours=QuietHours(start=time(14), end=time(16)))
    )
    world.book.mutes["*#*"] = Mute(T0_MS + HOUR_MS)
    for n in range(2):
        event = make.opened(T0_MS + n, "low", ticker="TEST", source="test")
        assert world.take(event, T0_MS + n) == "alert"


def test_what_is_off_is_never_told_and_what_is_silent_waits(make: Any) -> None:
    world = Rehearsal(AlertSettings(tickers={"AAPL": "off"}, kinds={"price_spike": "silent"}))
    assert world.take(make.opened(severity="critical"), T0_MS) is None
    assert world.waiting() == []
    assert world.take(make.opened(severity="critical", ticker="MSFT"), T0_MS) is None
    assert world.waiting() == [("live", "MSFT", "price_spike")]
