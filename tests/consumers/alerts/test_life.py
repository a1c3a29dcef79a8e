"""The life of an alert as laws, over random events with duplicates, disorder, failed publishes and crashes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from consumers.alerts.dry_run import Rehearsal, Rehearsed
from consumers.alerts.event import AlertEvent
from consumers.alerts.model import HOUR_MS, Mute
from consumers.alerts.settings import AlertSettings, MarketWide, QuietHours
from consumers.contracts.anomaly import SEVERITIES, Anomaly, anomaly_id, iso_ms, sort_key

T0_MS = 1_795_530_600_000
MINUTE_MS = 60_000
CALM = AlertSettings(messages_per_hour=1000)


def _anomaly(ticker: str, kind: str, ts_ms: int, severity: str, source: str, *, late: bool) -> Anomaly:
    return Anomaly(
        id=anomaly_id(ticker, ts_ms, kind, source),
        source=source,
        ticker=ticker,
        timestamp=sort_key(ts_ms, kind, source),
        date=iso_ms(ts_ms)[:10],
        kind=kind,
        severity=severity,
        score=3.0,
        threshold=2.5,
        value=1.0,
        expected=0.5,
        tolerance=0.1,
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
            world.hear([event], at)
    return world


def _obey(world: Rehearsal, waiting: list[tuple[int, Mute]], now_ms: int) -> None:
    while waiting and waiting[0][0] <= now_ms:
        _, mute = waiting.pop(0)
        world.book.mutes[mute.scope] = mute


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
    classes = {event.anomaly.id: event.origin for _, event in story}
    for class_ in ("live", "replay"):
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
                assert anomalies[id_].origin != "replay"


@given(_stories())
def test_the_first_of_a_ticker_and_kind_is_told_as_it_arrives(story: list[tuple[int, AlertEvent]]) -> None:
    first: dict[tuple[str, str], tuple[int, str]] = {}
    for at, event in story:
        live = not event.anomaly.late and event.origin == "live"
        if live and event.change == "detected":
            first.setdefault((event.origin, event.anomaly.ticker), (at, event.anomaly.id))
    world = _live_through(story, CALM)
    at_once = {(m.at_ms, m.about) for m in world.messages if m.kind in {"alert", "escalation"}}
    told = {id_: m.at_ms for m in world.messages for id_ in m.anomalies}
    for at, anomaly in first.values():
        # an escalation that overtook its anomaly, or of one that was late, told it or its like before
        assert (at, anomaly) in at_once or told[anomaly] <= at or any(m_at <= at for m_at, _ in at_once)


@given(
    st.lists(st.tuples(st.integers(0, 7200), st.sampled_from(SEVERITIES)), max_size=20),
    st.sampled_from([2, 3, 6, 10]),
    st.sampled_from([None, MarketWide(share=0.2, at_least=2)]),
)
def test_nothing_new_waits_longer_than_the_rest_of_the_hour_shared_out(
    openings: list[tuple[int, str]], cap: int, market: MarketWide | None
) -> None:
    """Of a ticker of which nothing is known yet; what is told at once in between puts its digest off."""
    rules = AlertSettings(messages_per_hour=cap, market_wide=market, cooldown_minutes=1440)
    story = [
        (T0_MS + 1000 * second, _opened(T0_MS + 1000 * second, severity, ticker=f"T{n}"))
        for n, (second, severity) in enumerate(sorted(openings))
    ]
    world = _live_through(story, rules, watched=0 if market is None else 25)
    told = {id_: message.at_ms for message in world.messages for id_ in message.anomalies}
    at_once = [message.at_ms for message in world.messages if message.kind != "digest"]
    most_at_once = cap - 1 if market else cap - max(1, cap // 3)
    space_ms, in_all_ms = HOUR_MS // (cap - most_at_once + 1), HOUR_MS - HOUR_MS // (cap - cap // 2 + 1)
    for at, event in story:
        told_ms = told[event.anomaly.id]
        last_ms = max((one for one in at_once if one <= told_ms), default=at)
        assert told_ms - max(at, last_ms) <= space_ms + MINUTE_MS  # a sweep runs every minute
        assert told_ms - at <= in_all_ms + MINUTE_MS


@given(_stories(), st.randoms(use_true_random=False))
def test_held_is_counted_whatever_the_order(story: list[tuple[int, AlertEvent]], random: Any) -> None:
    """Disorder beyond delays: any order of the events counts each anomaly once."""
    events = [event for _, event in story if event.change == "detected"]
    random.shuffle(events)
    world = _world()
    now_ms = T0_MS + 60 * MINUTE_MS
    for event in events:
        world.take(event, now_ms)
    held = sum(series.held.anomalies for series in world.book.series.values() if series.held)
    assert held + len(world.messages) == len({event.anomaly.id for event in events})
