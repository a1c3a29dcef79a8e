"""What a batch of events leads to: which incidents they belong to, and which messages are made of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from consumers.alerts import incidents
from consumers.alerts.cache import AlertCache
from consumers.alerts.context import Context
from consumers.alerts.event import AlertEvent
from consumers.alerts.model import (
    HOUR_MS,
    AnomalyRecord,
    Digest,
    Incident,
    Message,
    MessageKind,
    Move,
    Pending,
)
from consumers.alerts.places import digested_place, first_ms_of, group_place, incident_place, record_place
from consumers.alerts.policy import WIDE_MS, Policy, group_of, joins, near, subject_of
from consumers.alerts.settings import AlertSettings
from consumers.alerts.store import AlertStore
from consumers.contracts.kinds import RULE, is_misprint

ContextOf = Callable[[AlertEvent, Incident, AlertSettings], Context]
"""Returns what the market did at the moment of an event, for its incident; raises nothing of a store's."""
DIGEST_USES_MS = HOUR_MS // 4
DIGESTS_AT_ONCE = 8
"""So many digests are sent at once, and then one for each time that passed of the length above."""
MERGED = 20
"""Incidents of one ticker that one over many takes in as it opens; the others stay for themselves."""
NEWEST = 10
"""Incidents of a group to which an anomaly may belong, however late its event comes."""
AMID_MS = 10_000
"""For so long after the last look, nobody looks whether an incident over many tickers goes on: a flood has no time."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of an event: the message it led to, or the error with which it has to come again.

    Attributes
    ----------
    again
        What it led to when it came before.
    is_unsettled
        Its incident needs another look, once it is written: see `Decision.widen`.
    """

    event: AlertEvent
    message: Message | None = None
    error: Exception | None = None
    again: tuple[Pending, ...] = ()
    is_unsettled: bool = False


@dataclass
class Decision:
    """What a batch of events leads to, decided on what was remembered before it.

    Attributes
    ----------
    watched
        Returns how many tickers are on the watch list; 0 if that is not known.
    """

    store: AlertStore
    cache: AlertCache
    policy: Policy
    watched: Callable[[], int]
    context: ContextOf
    _around: dict[str, list[Move]] = field(default_factory=lambda: defaultdict(list))
    _moves: list[Move] = field(default_factory=list)
    _news: dict[str, list[tuple[MessageKind, AlertEvent, tuple[str, ...]]]] = field(default_factory=dict)
    _minor: list[tuple[str, AlertEvent]] = field(default_factory=list)
    _opened: set[str] = field(default_factory=set)

    def handle(self, events: Sequence[AlertEvent]) -> list[Handled]:
        """Take a batch of events into their incidents, and write what that leads to, all or nothing.

        Raises as `AlertStore.commit` does.
        """
        order = sorted(events, key=lambda event: (event.at_ms, not is_misprint(event.anomaly.kind)))
        new = [event for event in order if self._record(event) is None and self.policy.may_be_wide(event)]
        self._query_around(event for event in new if not self._is_amid(event))
        for event in new:  # so that the first of many knows that the market moves
            self._around[event.origin].append(_move(event, ""))
        again = {id(event): self._handle(event) for event in order}
        messages, unsettled = self._commit(), self._unsettled(events)
        return [
            Handled(
                event,
                messages.get(id(event)),
                again=again[id(event)],
                is_unsettled=event in unsettled,
            )
            for event in events
        ]

    def _query_around(self, events: Iterable[AlertEvent]) -> None:
        spans: dict[str, list[int]] = defaultdict(list)
        for event in events:
            spans[event.origin].append(event.at_ms)
        for origin, times in spans.items():
            first_ms, last_ms = min(times) - WIDE_MS, max(times) + WIDE_MS
            self._around[origin] = self.store.load_moves(origin, first_ms - WIDE_MS, last_ms)

    def _handle(self, event: AlertEvent) -> tuple[Pending, ...]:
        """Take an event into its incident; return what it led to if it was handled before, which changes nothing."""
        record = self._record(event)
        if record is not None and event.key in record.seen:
            return self._made_before(record)
        incident = self._incident(event) if record is None else self.cache.resolve(record.incident)
        if record is not None and incident is not None and _carries_on(event, incident):
            self._put(incidents.handed_over(incident))
            incident, new = incidents.absorb(event, self._own(event), None, self.policy.now_ms)
            record = replace(new, seen=record.seen | new.seen)
        else:
            incident = incident or incidents.opened(event, event.anomaly.ticker)  # it expired
            incident, record = incidents.absorb(event, incident, record, self.policy.now_ms)
        self.cache.put(record_place(event.anomaly.id), record)
        self._notify(event, incident)
        return ()

    def widen(self, events: Sequence[AlertEvent]) -> list[Message]:
        """Take incidents of single tickers into one over many, for events that were handled, and write that.

        Notifiers that work at once do not see each other's anomalies, so each of them may see too few of them. Whoever
        looks again after its own were written sees all that were written before: of two, one sees the other's.
        """
        self._query_around(events)
        for event in events:
            before = self._of(event)
            if before is None:
                continue
            self._around[event.origin].append(_move(event, before.id))
            wide = before if before.is_wide else self._wide(event)
            if wide is None or (wide := self._with_singles(event, wide)) == before:
                continue
            if wide.anomalies:  # none where each belongs to what began before the move
                self._notify(event, wide)
        return list(self._commit().values())

    def _notify(self, event: AlertEvent, incident: Incident) -> None:
        incident, kind, channels = self.policy.decide(event, incident)
        if kind is not None or incident.context is None:
            incident = replace(incident, context=self.context(event, incident, self.policy.settings))
        if kind == "digest":
            self._minor.append((incident.id, event))
        elif kind is not None:
            self._news.setdefault(incident.id, []).append((kind, event, channels))
        self._put(incident)

    def _commit(self) -> dict[int, Message]:
        """Write what was decided; return the messages by the `id` of the event that is the news.

        What a batch brings of one incident is one message, which tells all of it.
        """
        messages: dict[int, Message] = {}
        for id_, news in self._news.items():
            incident = self.cache.incident(id_)
            assert incident is not None  # noqa: S101  it was put there with its news
            cause = news[-1][1]  # the worst: news exceeds what people were notified of
            channels = tuple(dict.fromkeys(channel for *_, channels in news for channel in channels))
            incident, messages[id(cause)] = incidents.with_message(
                news[0][0], incident, channels, self.policy.now_ms, cause.anomaly
            )
            self._put(incident)
        self._first_digests(messages)
        self.store.commit(self.cache, messages.values(), self.policy.now_ms, self._moves)
        return messages

    def _first_digests(self, messages: dict[int, Message]) -> None:
        """Make digests of the minor news where few were sent at once lately."""
        digests: dict[tuple[str, tuple[str, ...]], tuple[Digest, AlertEvent]] = {}
        for incident_id, event in self._minor:
            incident = self.cache.incident(incident_id)
            if incident is None or incident.waiting is None:
                continue  # sent at once, merged, or in such a digest by now
            key = incident.origin, self.policy.digest_channels(incident)
            if key not in digests:
                place = digested_place(*key)
                used_ms = max(self.cache.get(place, int) or 0, self.policy.now_ms) + DIGEST_USES_MS
                if used_ms > self.policy.now_ms + DIGESTS_AT_ONCE * DIGEST_USES_MS:
                    continue
                self.cache.put(place, used_ms)
                # Functions that work at once may begin digests in one millisecond, but no two about one incident.
                digests[key] = Digest(*key, f"digest-{incident.next_id}"), event
            digest, first = digests[key]
            digests[key] = digest.with_incident(incident), first
            now_ms = self.policy.now_ms
            self._put(incidents.with_notification(incident, "digest", digest.id, digest.channels, now_ms))
        for digest, first in digests.values():
            messages[id(first)] = digest.message(self.policy.now_ms)

    def _unsettled(self, events: Iterable[AlertEvent]) -> list[AlertEvent]:
        """Return the events that need another look: in an incident of a single ticker, or in a new one over many."""
        known = [(event, self._of(event)) for event in events if self.policy.may_be_wide(event)]
        return [event for event, of in known if of is not None and (not of.is_wide or of.id in self._opened)]

    def _made_before(self, record: AnomalyRecord) -> tuple[Pending, ...]:
        of = self.cache.incident(record.incident), self.cache.resolve(record.incident)
        made = {one.message_id: one for incident in of if incident for one in incident.notifications}
        return tuple(
            Pending(one.message_id, one.made_ms, channel)
            for one in made.values()
            if one.kind in {"opened", "escalated"}
            for channel in one.channels
        )

    def _record(self, event: AlertEvent) -> AnomalyRecord | None:
        return self.cache.get(record_place(event.anomaly.id), AnomalyRecord)

    def _of(self, event: AlertEvent) -> Incident | None:
        """Return the incident that an event was taken into."""
        record = self._record(event)
        return None if record is None else self.cache.resolve(record.incident)

    def _put(self, incident: Incident) -> None:
        due_ms = self.policy.due_ms(incident)
        self.cache.put(incident_place(incident.id), replace(incident, due_ms=due_ms))

    def _incident(self, event: AlertEvent) -> Incident:
        """Return the incident that a new anomaly belongs to."""
        if not self.policy.may_be_wide(event):
            return self._own(event)
        incident = self._wide(event) or self._own(event)
        self._moves.append(_move(event, incident.id))
        return incident

    def _own(self, event: AlertEvent) -> Incident:
        group, ticker = group_of(event), event.anomaly.ticker
        is_rule = event.anomaly.kind == RULE  # whoever made it wants to know each time
        return (None if is_rule else self._newest(event, group)) or self._open(event, group, ticker)

    def _wide(self, event: AlertEvent) -> Incident | None:
        """Return the incident over many tickers that an event belongs to or opens; None for none."""
        watched, subject = self.watched(), subject_of(event.anomaly.kind)
        moving = self.policy.is_wide(event, self._around[event.origin], watched)
        incident = self._newest(event, subject)
        if moving and incident is None:
            incident = self._with_singles(event, self._open(event, subject, subject, watched))
            self._opened.add(incident.id)
        if moving and incident is not None:
            until_ms = max(incident.wide_until_ms, event.at_ms + WIDE_MS)
            return replace(incident, wide_until_ms=until_ms)
        return incident

    def _with_singles(self, event: AlertEvent, wide: Incident) -> Incident:
        """Return an incident with those of single tickers that began with the move."""
        moves = near(event, self._around[event.origin])
        ids = list(dict.fromkeys(move.incident for move in reversed(moves) if move.incident))[:MERGED]
        self.cache.load_incidents(ids)
        began_ms = event.at_ms - WIDE_MS
        for id_ in ids:
            single = self.cache.incident(id_)
            if single and not single.is_wide and not single.merged_into and single.opened_ms >= began_ms:
                wide, left = incidents.merged(wide, single)
                self._put(left)
        return wide

    def _is_amid(self, event: AlertEvent) -> bool:
        """Return whether an event belongs to an incident over many tickers that takes in what follows for a while."""
        wide = self._newest(event, subject_of(event.anomaly.kind))
        return wide is not None and event.at_ms <= wide.wide_until_ms - WIDE_MS + AMID_MS

    def _newest(self, event: AlertEvent, group: str) -> Incident | None:
        """Return the newest incident of a group if the event belongs to it; events in disorder may belong to others."""
        for id_ in self._ids(event, group):
            incident = self.cache.incident(id_)
            if incident is not None and joins(incident, event.anomaly.began_ms):
                return incident
            if event.anomaly.began_ms > first_ms_of(id_):
                return None  # in order, as most are
        return None

    def _ids(self, event: AlertEvent, group: str) -> list[str]:
        return (self.cache.get(group_place(event.origin, group), str) or "").split()

    def _open(self, event: AlertEvent, group: str, subject: str, watched: int = 0) -> Incident:
        incident = incidents.opened(event, subject, watched)
        held = self.cache.resolve(incident.id)
        if held is not None:
            return held  # of the same moment, which was merged, or is no longer among the newest
        ids = sorted({incident.id, *self._ids(event, group)}, key=first_ms_of, reverse=True)
        self.cache.put(group_place(event.origin, group), " ".join(ids[:NEWEST]))
        return incident


def _move(event: AlertEvent, incident: str) -> Move:
    anomaly = event.anomaly
    return Move(event.origin, anomaly.id, anomaly.ticker, subject_of(anomaly.kind), event.at_ms, incident)


def _carries_on(event: AlertEvent, incident: Incident) -> bool:
    """Return whether live quotes make worse what began in a backfill: of that nobody is notified, of this they are."""
    return incident.origin == "backfill" and event.origin != "backfill" and event.change != "ended"
