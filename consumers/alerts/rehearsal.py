"""The notifier in memory: which messages a run of events would have led to, with none sent. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import get_args

from consumers.alerts import life, texts
from consumers.alerts.event import AlertEvent
from consumers.alerts.items import series_of
from consumers.alerts.settings import AlertSettings
from consumers.alerts.state import Alert, Budget, Decision, Market, MessageKind, Move, Mute, Series, State
from consumers.alerts.texts import Part, Texts
from producers.sources import SourceClass

SWEEP_MS = 60_000
"""The rule that closes digests runs every minute."""
MOVES_KEPT_MS = 2 * life.MINUTE_MS

SeriesKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A message that would have been sent.

    Attributes:
        at_ms: when, epoch ms UTC.
        anomalies: ids of the anomalies that this message is the first to tell.
    """

    at_ms: int
    kind: MessageKind
    about: str
    anomalies: tuple[str, ...]
    texts: Texts


@dataclass
class Rehearsal:
    """Takes events and sweeps as the notifier does; `messages` are those that would have been sent.

    Attributes:
        watched: tickers on the watch list; 0 if that is not known.
        mutes: orders in force; acknowledgements end as they do in the table.
    """

    settings: AlertSettings
    watched: int = 0
    dashboard_url: str = ""
    mutes: dict[str, Mute] = field(default_factory=dict)
    messages: list[Rehearsed] = field(default_factory=list)
    alerts: dict[str, Alert] = field(default_factory=dict)
    series: dict[SeriesKey, Series] = field(default_factory=dict)
    budgets: dict[str, Budget] = field(default_factory=lambda: defaultdict(Budget))
    _markets: dict[str, Market] = field(default_factory=dict)
    _moves: dict[str, dict[str, Move]] = field(default_factory=lambda: defaultdict(dict))
    _waiting: dict[SeriesKey, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))

    def note(self, events: Iterable[AlertEvent], now_ms: int) -> None:
        """As `Notifier.note`."""
        for event in events:
            if event.change == "detected" and life.may_be_told_at_once(event, now_ms, self.settings):
                moves = self._moves[event.source_class]
                moves[event.anomaly.id] = Move.of(event)
                oldest = [id_ for id_, move in moves.items() if move.at_ms < event.at_ms - MOVES_KEPT_MS]
                for id_ in oldest:
                    del moves[id_]

    def take(self, event: AlertEvent, now_ms: int) -> MessageKind | None:
        """As `Notifier.take`: the kind of the message that goes out at once, if any."""
        before = self._state(event, now_ms)
        decision = life.decide(event, before, now_ms, self.settings)
        self._remember(event, before, decision)
        if decision.message is not None:
            self.messages.append(self._message(event, decision, before, now_ms))
        return decision.message

    def sweep(self, now_ms: int) -> None:
        """As `Notifier.sweep`."""
        mutes = tuple(self.mutes.values())
        if life.digests_held_back(mutes, now_ms, self.settings):
            return
        for class_ in get_args(SourceClass):
            self._sweep_class(class_, mutes, now_ms)

    def _sweep_class(self, source_class: str, mutes: tuple[Mute, ...], now_ms: int) -> None:
        held = [key for key in self.waiting() if key[0] == source_class]
        ready = [key for key in held if not life.is_muted(mutes, key[1], key[2], now_ms)]
        is_due = any((self.series[key].due_ms or 0) <= now_ms for key in ready)
        budget = self.budgets[source_class].take(now_ms, self.settings.messages_per_hour)
        if is_due and budget is not None:
            self.budgets[source_class] = budget
            self.messages.append(self._digest(ready, now_ms))

    def waiting(self) -> list[SeriesKey]:
        """Series that hold something for a digest: class of sources, ticker, kind."""
        return [key for key, series in self.series.items() if series.held is not None]

    def _state(self, event: AlertEvent, now_ms: int) -> State:
        class_, ticker, kind = series_of(event)
        mutes = [mute for mute in self.mutes.values() if mute.until_ms > now_ms]
        moves = [
            (move, self.alerts.get(move.id, Alert()))
            for move in self._moves[class_].values()
            if not any(mute.covers(move.ticker, move.kind) for mute in mutes)
        ]
        return State(
            alert=self.alerts.get(event.anomaly.id, Alert()),
            series=self.series.get((class_, ticker, kind), Series()),
            budget=self.budgets[class_],
            market=self._markets.get(class_, Market()),
            mutes=tuple(mute for mute in mutes if mute.covers(ticker, kind)),
            watched=self.watched,
            moves=tuple(moves),
        )

    def _remember(self, event: AlertEvent, before: State, decision: Decision) -> None:
        key, after = series_of(event), decision.state
        self.alerts[event.anomaly.id] = after.alert
        self.series[key], self.budgets[key[0]] = after.series, after.budget
        self._markets[key[0]] = after.market
        for mute in before.mutes:
            if mute not in after.mutes:
                del self.mutes[mute.scope]
        if decision.market is not None:
            self.alerts.update({move.id: alert for move, alert in after.moves})
        self._count(key, event.anomaly.id, before.series, after.series)

    def _count(self, key: SeriesKey, anomaly_id: str, before: Series, after: Series) -> None:
        change = _held(after) - _held(before)
        if change > 0:
            self._waiting[key][anomaly_id] = None
        elif change < 0:
            self._waiting[key].pop(anomaly_id)

    def _message(self, event: AlertEvent, decision: Decision, before: State, now_ms: int) -> Rehearsed:
        assert decision.message is not None  # noqa: S101  the caller asked
        waits = before.alert.fate == "held" and before.alert.digest == before.series.digest
        first = before.alert.fate == "" or waits
        told = [event.anomaly.id] if first and event.change != "ended" else []
        if decision.market is not None:
            told += [move.id for move, _ in decision.state.moves]
            text = texts.market_wide(event, decision.market, self.dashboard_url)
        else:
            text = texts.SINGLE[decision.message](event, self.dashboard_url)
        return Rehearsed(now_ms, decision.message, event.anomaly.id, tuple(told), text)

    def _digest(self, ready: list[SeriesKey], now_ms: int) -> Rehearsed:
        parts: list[Part] = []
        told: list[str] = []
        for key in ready:
            series = self.series[key]
            assert series.held is not None  # noqa: S101  what is due holds something
            parts.append(Part(*key, series.held))
            told += self._waiting.pop(key, {})
            self.series[key] = life.close(series, now_ms, self.settings)
        parts.sort(key=lambda part: (part.worst, part.held.anomalies), reverse=True)
        listed = parts[: texts.LINES]
        more = sum(part.held.anomalies for part in parts[texts.LINES :])
        text = texts.digest(
            listed, self.dashboard_url, more_parts=len(parts) - len(listed), more_anomalies=more
        )
        return Rehearsed(now_ms, "digest", f"digest-{ready[0][0]}-{now_ms}", tuple(told), text)


def rehearse(events: Iterable[AlertEvent], rehearsal: Rehearsal) -> None:
    """Live through events in the order of their times, with the sweep of every minute, to the end of what is held.

    The notifier hears of each event when it happens.
    """
    now_ms = next_sweep_ms = 0
    for event in sorted(events, key=lambda event: event.at_ms):
        now_ms = event.at_ms
        next_sweep_ms = next_sweep_ms or now_ms + SWEEP_MS
        while next_sweep_ms <= now_ms:
            rehearsal.sweep(next_sweep_ms)
            next_sweep_ms = _following(rehearsal, next_sweep_ms, now_ms)
        rehearsal.note([event], now_ms)
        rehearsal.take(event, now_ms)
    while rehearsal.waiting():
        rehearsal.sweep(next_sweep_ms)
        next_sweep_ms += SWEEP_MS


def as_live(event: AlertEvent) -> AlertEvent:
    """The event as it would have been when it happened: of a real source, and not late."""
    return replace(event, anomaly=replace(event.anomaly, source="rehearsal", late=False))


def _following(rehearsal: Rehearsal, sweep_ms: int, now_ms: int) -> int:
    """The next sweep that may find something: none does while nothing waits."""
    if rehearsal.waiting():
        return sweep_ms + SWEEP_MS
    return sweep_ms + SWEEP_MS * max(1, (now_ms - sweep_ms) // SWEEP_MS + 1)


def _held(series: Series) -> int:
    return series.held.anomalies if series.held else 0
