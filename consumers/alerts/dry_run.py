"""The notifier in memory: which messages a run of events would have led to, with none sent. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import get_args

from consumers.alerts import policy
from consumers.alerts.cache import Book
from consumers.alerts.event import AlertEvent
from consumers.alerts.items import SeriesKey, series_of
from consumers.alerts.model import Alert, Budget, Decision, MessageKind, Move, Mute, Series, State
from consumers.alerts.rendering import texts
from consumers.alerts.rendering.texts import Part, Texts
from consumers.alerts.settings import AlertSettings
from producers.origin import Origin

SWEEP_MS = 60_000
"""The rule that closes digests runs every minute."""
MOVES_KEPT_MS = 2 * policy.MINUTE_MS


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
        book: what is remembered; its mutes are the orders in force.
    """

    settings: AlertSettings
    watched: int = 0
    dashboard_url: str = ""
    messages: list[Rehearsed] = field(default_factory=list)
    book: Book = field(default_factory=Book)
    _moves: dict[str, dict[str, Move]] = field(default_factory=lambda: defaultdict(dict))
    _waiting: dict[SeriesKey, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))

    def hear(self, events: Sequence[AlertEvent], now_ms: int) -> list[MessageKind | None]:
        """Note and take the events of a batch."""
        self.note(events, now_ms)
        return [self.take(event, now_ms) for event in events]

    def note(self, events: Iterable[AlertEvent], now_ms: int) -> None:
        """As `Notifier.note`."""
        for event in events:
            if event.change == "detected" and policy.may_be_told_at_once(event, now_ms, self.settings):
                moves = self._moves[event.origin]
                moves[event.anomaly.id] = Move.of(event)
                oldest = [id_ for id_, move in moves.items() if move.at_ms < event.at_ms - MOVES_KEPT_MS]
                for id_ in oldest:
                    del moves[id_]

    def take(self, event: AlertEvent, now_ms: int) -> MessageKind | None:
        """As `Notifier.take`: the kind of the message that goes out at once, if any."""
        before = replace(self.book.state(event), watched=self.watched, moves=self._moves_of(event, now_ms))
        decision = policy.decide(event, before, now_ms, self.settings)
        self.book.remember(event, before, decision)
        self._count(series_of(event), event.anomaly.id, before.series, decision.state.series)
        if decision.message is not None:
            self.messages.append(self._message(event, decision, before, now_ms))
        return decision.message

    def sweep(self, now_ms: int) -> None:
        """As `Notifier.sweep`."""
        mutes = tuple(self.book.mutes.values())
        if policy.digests_held_back(mutes, now_ms, self.settings):
            return
        for class_ in get_args(Origin):
            self._sweep_class(class_, mutes, now_ms)

    def _sweep_class(self, origin: str, mutes: tuple[Mute, ...], now_ms: int) -> None:
        held = [key for key in self.waiting() if key[0] == origin]
        ready = [key for key in held if not policy.is_muted(mutes, key[1], key[2], now_ms)]
        is_due = any((self.book.series[key].due_ms or 0) <= now_ms for key in ready)
        budget = self.book.budgets.get(origin, Budget())
        after = budget.take_digest(now_ms, self.settings.messages_per_hour)
        if is_due and after is not None:
            self.book.budgets[origin] = after
            self.messages.append(self._digest(ready, now_ms))

    def waiting(self) -> list[SeriesKey]:
        """Series that hold something for a digest: origin, ticker, kind."""
        return [key for key, series in self.book.series.items() if series.held is not None]

    def _moves_of(self, event: AlertEvent, now_ms: int) -> tuple[tuple[Move, Alert], ...]:
        mutes = [mute for mute in self.book.mutes.values() if mute.until_ms > now_ms]
        return tuple(
            (move, self.book.alerts.get(move.id, Alert()))
            for move in self._moves[event.origin].values()
            if not any(mute.covers(move.ticker, move.kind) for mute in mutes)
        )

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
            told += [move.id for move, _ in decision.state.moves or ()]
            text = texts.market_wide(event, decision.market, self.dashboard_url)
        else:
            text = texts.SINGLE[decision.message](event, self.dashboard_url)
        return Rehearsed(now_ms, decision.message, event.anomaly.id, tuple(told), text)

    def _digest(self, ready: list[SeriesKey], now_ms: int) -> Rehearsed:
        parts: list[Part] = []
        told: list[str] = []
        for key in ready:
            series = self.book.series[key]
            assert series.held is not None  # noqa: S101  what is due holds something
            parts.append(Part(*key, series.held))
            told += self._waiting.pop(key, {})
            self.book.series[key] = policy.close(series, now_ms, self.settings)
        parts.sort(key=lambda part: (part.worst, part.held.anomalies), reverse=True)
        listed = parts[: texts.LINES]
        more = sum(part.held.anomalies for part in parts[texts.LINES :])
        text = texts.digest(
            listed, self.dashboard_url, more_parts=len(parts) - len(listed), more_anomalies=more
        )
        return Rehearsed(now_ms, "digest", f"digest-{ready[0][0]}-{now_ms}", tuple(told), text)


def rehearse(events: Iterable[AlertEvent], rehearsal: Rehearsal) -> None:
    """Live through events in the order of their times, with the sweep of every minute, to the end of what is held.

    The notifier hears of each event when it happens, and of those of one moment, which come of one poll, together.
    """
    next_sweep_ms = 0
    for now_ms, together in groupby(sorted(events, key=_moment), key=_moment):
        next_sweep_ms = next_sweep_ms or now_ms + SWEEP_MS
        while next_sweep_ms <= now_ms:
            rehearsal.sweep(next_sweep_ms)
            next_sweep_ms = _following(rehearsal, next_sweep_ms, now_ms)
        rehearsal.hear(list(together), now_ms)
    while rehearsal.waiting():
        rehearsal.sweep(next_sweep_ms)
        next_sweep_ms += SWEEP_MS


def _moment(event: AlertEvent) -> int:
    return event.at_ms


def _following(rehearsal: Rehearsal, sweep_ms: int, now_ms: int) -> int:
    """The next sweep that may find something: none does while nothing waits."""
    if rehearsal.waiting():
        return sweep_ms + SWEEP_MS
    return sweep_ms + SWEEP_MS * max(1, (now_ms - sweep_ms) // SWEEP_MS + 1)


def _held(series: Series) -> int:
    return series.held.anomalies if series.held else 0
