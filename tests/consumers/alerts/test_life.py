"""The life of an alert as laws, over random events with duplicates, disorder, failed publishes and crashes."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.alerts.event import AlertEvent, began_ms
from consumers.alerts.life import HOUR_MS, Alert, Budget, Held, Series, State, close, decide
from consumers.alerts.settings import AlertSettings
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


@dataclass
class World:
    """The notifier's bookkeeping in memory: the store's transactions, without the store."""

    rules: AlertSettings = CALM
    alerts: dict[str, Alert] = field(default_factory=dict)
    series: dict[tuple[str, str, str], Series] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    messages: list[tuple[int, str, str]] = field(default_factory=list)
    """When, kind, and the anomaly's id or the digest."""
    digests: list[list[Held]] = field(default_factory=list)
    waiting: dict[tuple[str, str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    digested: list[str] = field(default_factory=list)
    """Which anomalies the counts stand for, as an onlooker keeps it from how the counts change."""

    def take(self, event: AlertEvent, now_ms: int) -> str | None:
        key = (event.source_class, event.anomaly.ticker, event.anomaly.kind)
        before = State(
            self.alerts.get(event.anomaly.id, Alert()), self.series.get(key, Series()), self.budget
        )
        decision = decide(event, before, now_ms, self.rules)
        self.alerts[event.anomaly.id] = decision.state.alert
        self.series[key], self.budget = decision.state.series, decision.state.budget
        self._note(key, event.anomaly.id, _count(before.series), _count(decision.state.series))
        if decision.message:
            self.messages.append((now_ms, decision.message, event.anomaly.id))
        return decision.message

    def _note(self, key: tuple[str, str, str], anomaly: str, before: int, after: int) -> None:
        if after > before:
            assert anomaly not in self.waiting[key]
            self.waiting[key].add(anomaly)
        elif after < before:
            self.waiting[key].remove(anomaly)

    def sweep(self, now_ms: int) -> None:
        due = [
            key
            for key, series in self.series.items()
            if series.due_ms is not None and series.due_ms <= now_ms
        ]
        budget = self.budget.take(now_ms, self.rules.messages_per_hour)
        if not due or budget is None:
            return
        self.budget = budget
        held = [self.series[key].held for key in due]
        self.digests.append([one for one in held if one is not None])
        for key in due:
            assert _count(self.series[key]) == len(self.waiting[key])
            self.digested += self.waiting.pop(key, set())
            self.series[key] = close(self.series[key], now_ms, self.rules)
        self.messages.append((now_ms, "digest", f"{len(self.digests)}"))


def _count(series: Series) -> int:
    return series.held.anomalies if series.held else 0


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


def _live_through(story: list[tuple[int, AlertEvent]], rules: AlertSettings) -> World:
    world = World(rules)
    next_sweep = T0_MS
    end = max((at for at, _ in story), default=T0_MS) + 4 * HOUR_MS
    for at, event in [*story, (end, None)]:
        while next_sweep <= at:
            world.sweep(next_sweep)
            next_sweep += MINUTE_MS
        if event is not None:
            world.take(event, at)
    return world


_RULES = st.builds(
    AlertSettings,
    messages_per_hour=st.sampled_from([2, 3, 6, 1000]),
    cooldown_minutes=st.sampled_from([1, 5, 15]),
)


@given(_stories(), _RULES)
def test_every_anomaly_is_in_exactly_one_message_or_one_counted_digest(
    story: list[tuple[int, AlertEvent]], rules: AlertSettings
) -> None:
    world = _live_through(story, rules)
    known = {event.anomaly.id for _, event in story if event.change != "ended"}
    told = {about for _, kind, about in world.messages if kind in {"alert", "escalation"}}
    assert told | set(world.digested) == known
    assert len(world.digested) == len(set(world.digested))
    assert sum(held.anomalies for digest in world.digests for held in digest) == len(world.digested)
    alerts = {about for _, kind, about in world.messages if kind == "alert"}
    assert not alerts & set(world.digested)  # an escalation may follow on what a digest told


@given(_stories(), _RULES)
def test_never_two_messages_for_one_change(story: list[tuple[int, AlertEvent]], rules: AlertSettings) -> None:
    world = _live_through(story, rules)
    single = Counter(message[1:] for message in world.messages if message[1] in {"alert", "back_to_normal"})
    assert all(count == 1 for count in single.values())
    escalations = Counter(about for _, kind, about in world.messages if kind == "escalation")
    assert all(count <= len(SEVERITIES) for count in escalations.values())


@given(_stories(), _RULES)
def test_no_hour_has_more_messages_than_the_cap(
    story: list[tuple[int, AlertEvent]], rules: AlertSettings
) -> None:
    times = [at for at, *_ in _live_through(story, rules).messages]
    for start in times:
        assert sum(start <= at < start + HOUR_MS for at in times) <= rules.messages_per_hour


@given(_stories(), _RULES)
def test_late_and_replayed_anomalies_are_in_digests_only(
    story: list[tuple[int, AlertEvent]], rules: AlertSettings
) -> None:
    world = _live_through(story, rules)
    anomalies = {event.anomaly.id: event for _, event in story}
    for _, kind, about in world.messages:
        if kind != "digest":
            assert not anomalies[about].anomaly.late
            assert anomalies[about].source_class != "replay"


@given(_stories())
def test_nothing_is_held_for_ever(story: list[tuple[int, AlertEvent]]) -> None:
    world = _live_through(story, AlertSettings())
    assert all(series.held is None and series.due_ms is None for series in world.series.values())


@given(_stories(), st.randoms(use_true_random=False))
def test_held_is_counted_whatever_the_order(story: list[tuple[int, AlertEvent]], random: Any) -> None:
    """Disorder beyond delays: any order of the events counts each anomaly once."""
    events = [event for _, event in story if event.change == "detected"]
    random.shuffle(events)
    world = World()
    now_ms = T0_MS + 60 * MINUTE_MS
    for event in events:
        world.take(event, now_ms)
    held = sum(series.held.anomalies for series in world.series.values() if series.held)
    assert held + len(world.messages) == len({event.anomaly.id for event in events})


def test_what_is_worse_breaks_through_the_cooldown_and_leaves_the_digest() -> None:
    world = World()
    assert world.take(_opened(severity="medium"), T0_MS) == "alert"
    second = _opened(T0_MS + 1000, "medium")
    assert world.take(second, T0_MS + 1000) is None
    assert world.take(_worse(second, T0_MS + 5000, "medium"), T0_MS + 5000) is None
    assert world.take(_worse(second, T0_MS + 9000, "critical"), T0_MS + 9000) == "escalation"
    assert world.take(_opened(T0_MS + 10_000, "high"), T0_MS + 10_000) is None
    world.sweep(T0_MS + 15 * MINUTE_MS + 9000)
    ((held,),) = world.digests
    assert held.anomalies == 1


def test_an_escalation_that_overtakes_its_anomaly_is_the_one_message() -> None:
    world = World()
    event = _opened()
    assert world.take(_worse(event, T0_MS + 10, "high"), T0_MS + 10) == "escalation"
    assert world.take(event, T0_MS + 20) is None
    assert world.series["real", "AAPL", "gap"].held is None


def test_a_series_is_armed_again_by_a_cooldown_without_anomalies() -> None:
    world = World()
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
    world = World()
    event = _opened()
    world.take(event, T0_MS)
    end = T0_MS + seconds * 1000
    assert world.take(_over(event, end), end) == message
    assert world.take(_over(event, end), end) is None


def test_the_end_of_what_was_not_told_is_not_told() -> None:
    world = World()
    world.take(_opened(), T0_MS)
    second = _opened(T0_MS + 1)
    world.take(second, T0_MS + 1)
    assert world.take(_over(second, T0_MS + HOUR_MS // 2), T0_MS + HOUR_MS // 2) is None


def test_the_last_place_of_the_hour_is_a_digests() -> None:
    world = World(AlertSettings(messages_per_hour=3))
    sent = [world.take(_opened(ticker=f"T{n}"), T0_MS + n) for n in range(10)]
    assert sent == ["alert", "alert", *[None] * 8]
    world.sweep(T0_MS + 15 * MINUTE_MS + 10)
    assert sum(held.anomalies for held in world.digests[0]) == 8
    world.take(_opened(T0_MS + 20 * MINUTE_MS, ticker="NEW"), T0_MS + 20 * MINUTE_MS)
    world.sweep(T0_MS + 40 * MINUTE_MS)
    assert len(world.digests) == 1  # no place: it stays held
    world.sweep(T0_MS + HOUR_MS)
    assert len(world.digests) == 2


def test_what_is_learned_too_late_is_no_news() -> None:
    world = World()
    assert world.take(_opened(), T0_MS + 16 * MINUTE_MS) is None
    assert world.series["real", "AAPL", "gap"].held is not None


def test_late_ones_do_not_silence_live_ones() -> None:
    world = World()
    world.take(_opened(T0_MS - 1, "critical", late=True), T0_MS)
    world.sweep(T0_MS + 16 * MINUTE_MS)
    assert len(world.digests) == 1
    now_ms = T0_MS + 17 * MINUTE_MS
    assert world.take(_opened(now_ms, "low"), now_ms) == "alert"


@settings(max_examples=20)
@given(st.integers(1, 60))
def test_a_digest_names_the_worst_and_counts_the_rest(count: int) -> None:
    world = World()
    world.take(_opened(T0_MS - 1, "critical"), T0_MS)
    for n in range(count):
        world.take(_opened(T0_MS + n, SEVERITIES[n % 4]), T0_MS + n)
    held = world.series["real", "AAPL", "gap"].held
    assert held is not None
    assert held.anomalies == count
    assert [sample.rank for sample in held.samples] == sorted((n % 4 for n in range(count)), reverse=True)[:3]
    assert (held.first_ms, held.last_ms) == (T0_MS, T0_MS + count - 1)
    assert all(began_ms(sample.anomaly) >= T0_MS for sample in held.samples)
