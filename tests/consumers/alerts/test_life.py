"""The life of an alert as laws, over random events with duplicates, disorder, failed publishes and crashes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.alerts.event import AlertEvent, began_ms
from consumers.alerts.rehearsal import Rehearsal, Rehearsed
from consumers.alerts.settings import AlertSettings, MarketWide, QuietHours
from consumers.alerts.state import HOUR_MS, Mute
from consumers.anomaly import SEVERITIES, Anomaly, anomaly_id, iso_ms, sort_key

T0_MS = 1_795_530_600_000
MINUTE_MS = 60_000
CALM = AlertSettings(messages_per_hour=1000)


def _anomaly(ticker: str, kind: str, ts_ms: int, severity: str, source: str, *, late: bool) -> Anomaly:
    return Anomaly(
        id=anomaly_id(ticker, ts_ms, kind),
        source=source,
        ticker=ticker,
        timestamp=sort_key(ts_ms, kind),
        date=iso_ms(ts_ms)[:10],
        kind=kind,
        severity=severity,
        score=3.0,
        threshold=2.5,
        value=1.0,
        expected=0.5,
        spread_of_expected=0.1,
        direction="up",
        late=late,
        explanation="",
        window={},
    )


def _opened(
    ts_ms: int = T0_MS,
    severity: str = "medium",
    *,
    ticker: str = "AAPL",
    source: str = "alpaca",
    late: bool = False,
) -> AlertEvent:
    return AlertEvent(
        "detected", _anomaly(ticker, "gap", ts_ms, severity, source, late=late), ts_ms, severity
    )


def _worse(event: AlertEvent, at_ms: int, severity: str) -> AlertEvent:
    return replace(event, change="escalated", at_ms=at_ms, severity=severity)


def _over(event: AlertEvent, at_ms: int) -> AlertEvent:
    return replace(event, change="ended", at_ms=at_ms, duration_seconds=(at_ms - event.at_ms) / 1000)


def _world(rules: AlertSettings = CALM, watched: int = 0) -> Rehearsal:
    return Rehearsal(rules, watched)


def _live(world: Rehearsal, event: AlertEvent, now_ms: int) -> str | None:
    """Note and take, as the function does with each batch."""
    world.note([event], now_ms)
    return world.take(event, now_ms)


def _digests(world: Rehearsal) -> list[Rehearsed]:
    return [message for message in world.messages if message.kind == "digest"]


_EVENTS = st.builds(
    _opened,
    st.integers(0, 40).map(lambda n: T0_MS + n * 30_000),
    st.sampled_from(SEVERITIES),
    ticker=st.sampled_from(["AAPL", "MSFT", "NVDA"]),
    source=st.sampled_from(["alpaca", "alpaca", "replay-1"]),
    late=st.sampled_from([False, False, False, True]),
)


@st.composite
def _stories(draw: st.DrawFn) -> list[tuple[int, AlertEvent]]:
    """Arrivals of events: openings, escalations and ends, delayed, repeated and out of order."""
    story: list[tuple[int, AlertEvent]] = []
    opened = draw(st.lists(_EVENTS, max_size=25, unique_by=lambda event: event.anomaly.id))
    for event in opened:
        life = [event]
        life += [
            _worse(event, event.at_ms + draw(st.integers(1, 600_000)), severity)
            for severity in SEVERITIES[event.rank + 1 :]
            if draw(st.booleans())
        ]
        if draw(st.booleans()):
            life.append(_over(event, event.at_ms + draw(st.integers(1, 1_200_000))))
        for one in life:
            delays = draw(st.lists(st.integers(0, 3 * MINUTE_MS), min_size=1, max_size=3))
            story += [(one.at_ms + delay, one) for delay in delays]
    return sorted(story, key=lambda arrival: arrival[0])


@dataclass(frozen=True)
class Life:
    """A world after a story, and the orders that were in force: when each was given, and the mute."""

    world: Rehearsal
    orders: tuple[tuple[int, Mute], ...] = ()

    def muted(self, at_ms: int, ticker: str, kind: str) -> bool:
        """Whether an order held this back; a newer order of the same scope replaces the older."""
        in_force = {mute.scope: mute for given, mute in self.orders if given <= at_ms}
        return any(mute.until_ms > at_ms and mute.covers(ticker, kind) for mute in in_force.values())


def _live_through(
    story: list[tuple[int, AlertEvent]],
    rules: AlertSettings,
    orders: tuple[tuple[int, Mute], ...] = (),
    watched: int = 0,
) -> Rehearsal:
    world = _world(rules, watched)
    next_sweep, waiting = T0_MS, list(orders)
    end = max((at for at, _ in story), default=T0_MS) + 8 * HOUR_MS
    for at, event in [*story, (end, None)]:
        while next_sweep <= at:
            _obey(world, waiting, next_sweep)
            world.sweep(next_sweep)
            next_sweep += MINUTE_MS
        _obey(world, waiting, at)
        if event is not None:
            _live(world, event, at)
    return world


def _obey(world: Rehearsal, waiting: list[tuple[int, Mute]], now_ms: int) -> None:
    while waiting and waiting[0][0] <= now_ms:
        _, mute = waiting.pop(0)
        world.mutes[mute.scope] = mute


_RULES = st.builds(
    AlertSettings,
    messages_per_hour=st.sampled_from([2, 3, 6, 1000]),
    cooldown_minutes=st.sampled_from([1, 5, 15]),
    tickers=st.dictionaries(
        st.sampled_from(["AAPL", "MSFT", "NVDA"]), st.sampled_from(["silent", "off"]), max_size=2
    ),
    quiet_hours=st.sampled_from(
        [
            None,
            QuietHours(start=time(14, 40), end=time(15, 10), time_zone="UTC"),
            QuietHours(start=time(14, 35), end=time(16), time_zone="UTC", unless="none"),
        ]
    ),
    market_wide=st.sampled_from([None, MarketWide(share=0.5, at_least=2), MarketWide(share=1, at_least=3)]),
)
_ORDERS = st.lists(
    st.builds(
        lambda minute, minutes, ticker, kind: (
            T0_MS + minute * MINUTE_MS,
            Mute(T0_MS + (minute + minutes) * MINUTE_MS, ticker, kind),
        ),
        st.integers(0, 40),
        st.integers(1, 90),
        st.sampled_from([None, "AAPL", "NVDA"]),
        st.sampled_from([None, "gap"]),
    ),
    max_size=3,
).map(lambda orders: tuple(sorted(orders, key=lambda order: order[0])))


@given(_stories(), _RULES, _ORDERS)
def test_every_anomaly_is_in_exactly_one_message_or_one_counted_digest(
    story: list[tuple[int, AlertEvent]], rules: AlertSettings, orders: tuple[tuple[int, Mute], ...]
) -> None:
    world = _live_through(story, rules, orders, watched=3)
    wanted = {
        event.anomaly.id
        for _, event in story
        if event.change != "ended" and rules.mode(event.anomaly.ticker, "gap") != "off"
    }
    told = Counter(anomaly for message in world.messages for anomaly in message.anomalies)
    assert told == dict.fromkeys(wanted, 1)
    for digest in _digests(world):
        count = len(digest.anomalies)
        told_text = f"{count:,} more anomal" if count else "Changes"
        assert digest.texts.email.startswith(told_text)
    assert world.waiting() == []


@given(_stories(), _RULES, _ORDERS)
def test_never_two_messages_for_one_change(
    story: list[tuple[int, AlertEvent]], rules: AlertSettings, orders: tuple[tuple[int, Mute], ...]
) -> None:
    world = _live_through(story, rules, orders, watched=3)
    count = Counter((message.kind, message.about) for message in world.messages)
    once = {"alert", "back_to_normal", "digest"}
    assert all(times == 1 for (kind, _), times in count.items() if kind in once)
    assert all(times <= len(SEVERITIES) for times in count.values())


@given(_stories(), _RULES, _ORDERS)
def test_no_hour_has_more_messages_than_the_cap(
    story: list[tuple[int, AlertEvent]], rules: AlertSettings, orders: tuple[tuple[int, Mute], ...]
) -> None:
    messages = _live_through(story, rules, orders, watched=3).messages
    classes = {event.anomaly.id: event.source_class for _, event in story}
    for class_ in ("real", "replay"):
        times = [m.at_ms for m in messages if class_ == (classes.get(m.about) or m.about.split("-")[1])]
        for start in times:
            assert sum(start <= at < start + HOUR_MS for at in times) <= rules.messages_per_hour


@given(_stories(), _RULES, _ORDERS)
def test_nothing_is_sent_while_it_is_muted_silent_or_night(
    story: list[tuple[int, AlertEvent]], rules: AlertSettings, orders: tuple[tuple[int, Mute], ...]
) -> None:
    world = _live_through(story, rules, orders, watched=3)
    life = Life(world, orders)
    anomalies = {event.anomaly.id: event.anomaly for _, event in story}
    for message in world.messages:
        quiet = rules.quiet_hours is not None and rules.quiet_hours.end_ms(message.at_ms) is not None
        if message.kind == "digest":
            assert not quiet
            assert not any(
                mute.scope == "*#*" and given <= message.at_ms < mute.until_ms
                for given, mute in life.orders
                if life.muted(message.at_ms, "any", "any")
            )
        elif quiet:
            assert rules.quiet_hours is not None
            assert rules.quiet_hours.unless == "critical"
            assert "CRITICAL" in message.texts.subject or message.kind == "back_to_normal"
        about = [message.about] if message.kind != "digest" else []
        for id_ in {*about, *message.anomalies}:
            ticker = anomalies[id_].ticker
            assert not life.muted(message.at_ms, ticker, "gap")
            assert rules.mode(ticker, "gap") == "on" or message.kind == "digest"


@given(_stories(), _RULES)
def test_late_and_replayed_anomalies_are_in_digests_only(
    story: list[tuple[int, AlertEvent]], rules: AlertSettings
) -> None:
    world = _live_through(story, rules, watched=3)
    anomalies = {event.anomaly.id: event for _, event in story}
    for message in world.messages:
        if message.kind != "digest":
            for id_ in {message.about, *message.anomalies}:
                assert not anomalies[id_].anomaly.late
                assert anomalies[id_].source_class != "replay"


@given(_stories())
def test_the_first_of_a_ticker_and_kind_is_told_as_it_arrives(story: list[tuple[int, AlertEvent]]) -> None:
    first: dict[tuple[str, str], tuple[int, str]] = {}
    for at, event in story:
        live = not event.anomaly.late and event.source_class == "real"
        if live and event.change == "detected":
            first.setdefault((event.source_class, event.anomaly.ticker), (at, event.anomaly.id))
    world = _live_through(story, CALM)
    at_once = {(m.at_ms, m.about) for m in world.messages if m.kind in {"alert", "escalation"}}
    told = {id_: m.at_ms for m in world.messages for id_ in m.anomalies}
    for at, anomaly in first.values():
        # an escalation that overtook its anomaly, or of one that was late, told it or its like before
        assert (at, anomaly) in at_once or told[anomaly] <= at or any(m_at <= at for m_at, _ in at_once)


@given(_stories(), st.randoms(use_true_random=False))
def test_held_is_counted_whatever_the_order(story: list[tuple[int, AlertEvent]], random: Any) -> None:
    """Disorder beyond delays: any order of the events counts each anomaly once."""
    events = [event for _, event in story if event.change == "detected"]
    random.shuffle(events)
    world = _world()
    now_ms = T0_MS + 60 * MINUTE_MS
    for event in events:
        world.take(event, now_ms)
    held = sum(series.held.anomalies for series in world.series.values() if series.held)
    assert held + len(world.messages) == len({event.anomaly.id for event in events})


def test_what_is_worse_breaks_through_the_cooldown_and_leaves_the_digest() -> None:
    world = _world()
    assert world.take(_opened(severity="medium"), T0_MS) == "alert"
    second = _opened(T0_MS + 1000, "medium")
    assert world.take(second, T0_MS + 1000) is None
    assert world.take(_worse(second, T0_MS + 5000, "medium"), T0_MS + 5000) is None
    assert world.take(_worse(second, T0_MS + 9000, "critical"), T0_MS + 9000) == "escalation"
    assert world.take(_opened(T0_MS + 10_000, "high"), T0_MS + 10_000) is None
    world.sweep(T0_MS + 15 * MINUTE_MS + 9000)
    (digest,) = _digests(world)
    assert len(digest.anomalies) == 1


def test_an_escalation_that_overtakes_its_anomaly_is_the_one_message() -> None:
    world = _world()
    event = _opened()
    assert world.take(_worse(event, T0_MS + 10, "high"), T0_MS + 10) == "escalation"
    assert world.take(event, T0_MS + 20) is None
    assert world.series["real", "AAPL", "gap"].held is None


def test_a_series_is_armed_again_by_a_cooldown_without_anomalies() -> None:
    world = _world()
    assert world.take(_opened(), T0_MS) == "alert"
    later = T0_MS + 15 * MINUTE_MS
    assert world.take(_opened(later - 1), later - 1) is None
    world.sweep(later)
    assert world.take(_opened(later + 1), later + 1) is None  # the digest began another cooldown
    world.sweep(later + 15 * MINUTE_MS)
    quiet = later + 31 * MINUTE_MS
    assert world.take(_opened(quiet), quiet) == "alert"


@pytest.mark.parametrize(("seconds", "message"), [(59, None), (60, "back_to_normal")])
def test_the_end_of_what_lasted_is_told(seconds: int, message: str | None) -> None:
    world = _world()
    event = _opened()
    world.take(event, T0_MS)
    end = T0_MS + seconds * 1000
    assert world.take(_over(event, end), end) == message
    assert world.take(_over(event, end), end) is None


def test_the_end_of_what_was_not_told_is_not_told() -> None:
    world = _world()
    world.take(_opened(), T0_MS)
    second = _opened(T0_MS + 1)
    world.take(second, T0_MS + 1)
    assert world.take(_over(second, T0_MS + HOUR_MS // 2), T0_MS + HOUR_MS // 2) is None


def test_the_last_place_of_the_hour_is_a_digests() -> None:
    world = _world(AlertSettings(messages_per_hour=3))
    sent = [world.take(_opened(severity="critical", ticker=f"T{n}"), T0_MS + n) for n in range(10)]
    assert sent == ["alert", "alert", *[None] * 8]
    world.sweep(T0_MS + 15 * MINUTE_MS + 10)
    assert len(_digests(world)[0].anomalies) == 8
    world.take(_opened(T0_MS + 20 * MINUTE_MS, ticker="NEW"), T0_MS + 20 * MINUTE_MS)
    world.sweep(T0_MS + 40 * MINUTE_MS)
    assert len(_digests(world)) == 1  # no place: it stays held
    world.sweep(T0_MS + HOUR_MS)
    assert len(_digests(world)) == 2


def test_a_place_is_kept_for_what_is_high_and_one_for_what_is_critical() -> None:
    world = _world(AlertSettings(messages_per_hour=6))
    severities = ["medium"] * 4 + ["high"] * 2 + ["critical"] * 2
    events = [_opened(T0_MS, severity, ticker=f"T{n}") for n, severity in enumerate(severities)]
    told = [world.take(event, T0_MS) == "alert" for event in events]
    assert told == [True, True, True, False, True, False, True, False]


def test_what_is_learned_too_late_is_no_news() -> None:
    world = _world()
    assert world.take(_opened(), T0_MS + 16 * MINUTE_MS) is None
    assert world.series["real", "AAPL", "gap"].held is not None


def test_late_ones_do_not_silence_live_ones() -> None:
    world = _world()
    world.take(_opened(T0_MS - 1, "critical", late=True), T0_MS)
    world.sweep(T0_MS + 16 * MINUTE_MS)
    assert len(_digests(world)) == 1
    now_ms = T0_MS + 17 * MINUTE_MS
    assert world.take(_opened(now_ms, "low"), now_ms) == "alert"


@settings(max_examples=20)
@given(st.integers(1, 60))
def test_a_digest_names_the_worst_and_counts_the_rest(count: int) -> None:
    world = _world()
    world.take(_opened(T0_MS - 1, "critical"), T0_MS)
    for n in range(count):
        world.take(_opened(T0_MS + n, SEVERITIES[n % 4]), T0_MS + n)
    held = world.series["real", "AAPL", "gap"].held
    assert held is not None
    assert held.anomalies == count
    assert [sample.rank for sample in held.samples] == sorted((n % 4 for n in range(count)), reverse=True)[:3]
    assert (held.first_ms, held.last_ms) == (T0_MS, T0_MS + count - 1)
    assert all(began_ms(sample.anomaly) >= T0_MS for sample in held.samples)


def test_a_market_wide_move_is_one_alert_with_the_singles_under_it() -> None:
    world = _world(AlertSettings(), watched=10)
    crash = [_opened(T0_MS + n, "high", ticker=f"T{n}") for n in range(10)]
    world.note(crash, T0_MS + 20)  # a batch of the queue
    sent = [world.take(event, T0_MS + 20 + n) for n, event in enumerate(crash)]
    assert sent == ["market_wide", *[None] * 9]
    (message,) = world.messages
    assert set(message.anomalies) == {event.anomaly.id for event in crash}
    assert message.texts.subject.startswith("HIGH: market-wide, 10 of 10 tickers within a minute (T0, T1,")
    assert world.waiting() == []


def test_singles_that_arrive_one_by_one_are_merged_from_the_share_on() -> None:
    world = _world(AlertSettings(), watched=10)
    sent = [_live(world, _opened(T0_MS + n, "high", ticker=f"T{n}"), T0_MS + n) for n in range(10)]
    assert sent == ["alert"] * 3 + ["market_wide"] + [None] * 6
    assert len(world.waiting()) == 6


def test_what_is_worse_than_the_market_wide_alert_breaks_through_it() -> None:
    world = _world(AlertSettings(), watched=5)
    crash = [_opened(T0_MS + n, "medium", ticker=f"T{n}") for n in range(4)]
    world.note(crash, T0_MS + 10)
    assert [world.take(event, T0_MS + 10) for event in crash] == ["market_wide", None, None, None]
    assert _live(world, _opened(T0_MS + 5000, "low", ticker="T4"), T0_MS + 5000) is None
    assert world.take(_worse(crash[2], T0_MS + 9000, "critical"), T0_MS + 9000) == "market_wide"
    assert world.take(_worse(crash[3], T0_MS + 9500, "critical"), T0_MS + 9500) is None
    alone = T0_MS + 10 * MINUTE_MS
    assert _live(world, _opened(alone, "low", ticker="T9"), alone) == "alert"  # the move is over


def test_one_ticker_with_many_kinds_is_no_move_of_the_market() -> None:
    world = _world(AlertSettings(messages_per_hour=20), watched=1)
    kinds = ("gap", "price_spike", "level_shift", "volume_burst", "vol_shift")
    events = [
        AlertEvent("detected", _anomaly("AAPL", kind, T0_MS, "low", "alpaca", late=False), T0_MS, "low")
        for kind in kinds
    ]
    assert [_live(world, event, T0_MS) for event in events] == ["alert"] * 5


def test_an_acknowledged_anomaly_is_quiet_until_it_is_over() -> None:
    world = _world()
    event = _opened()
    assert world.take(event, T0_MS) == "alert"
    order = Mute(T0_MS + 4 * HOUR_MS, "AAPL", "gap", acknowledged=event.anomaly.id)
    world.mutes[order.scope] = order
    assert world.take(_worse(event, T0_MS + 1000, "critical"), T0_MS + 1000) is None
    end = T0_MS + 20 * MINUTE_MS
    assert world.take(_over(event, end), end) == "back_to_normal"
    assert world.mutes == {}


def test_a_test_goes_out_whatever_is_quiet_and_again_at_once() -> None:
    world = _world(
        AlertSettings(tickers={"AAPL": "silent"}, quiet_hours=QuietHours(start=time(14), end=time(16)))
    )
    world.mutes["*#*"] = Mute(T0_MS + HOUR_MS)
    for n in range(2):
        event = _opened(T0_MS + n, "low", ticker="TEST", source="test")
        assert world.take(event, T0_MS + n) == "alert"


def test_what_is_off_is_never_told_and_what_is_silent_waits() -> None:
    world = _world(AlertSettings(tickers={"AAPL": "off"}, kinds={"gap": "silent"}))
    assert world.take(_opened(severity="critical"), T0_MS) is None
    assert world.waiting() == []
    assert world.take(_opened(severity="critical", ticker="MSFT"), T0_MS) is None
    assert world.waiting() == [("real", "MSFT", "gap")]
