"""From events to incidents to messages: decides with `policy`, remembers in the store, delivers to channels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from consumers.alerts import incidents, policy
from consumers.alerts.delivery import DeadLetter, Deliverer, Run, Send
from consumers.alerts.event import AlertEvent, AlertTest
from consumers.alerts.model import (
    MINUTE_MS,
    AnomalySummary,
    Digest,
    Incident,
    Message,
    MessageKind,
    Move,
    Record,
    Silence,
)
from consumers.alerts.settings import AlertSettings
from consumers.alerts.store import (
    AlertCache,
    AlertStore,
    digest_place,
    group_of,
    group_place,
    incident_place,
    record_place,
    resolve,
)
from consumers.alerts.table import ConflictError, Place, TooManyWritesError
from consumers.contracts.kinds import is_misprint

ATTEMPTS = 8
"""Tries to commit decisions against concurrent ones: of a batch, then of each of its events alone."""
MERGED = 20
"""Incidents of one ticker that one over many takes in as it opens; the others stay for themselves."""
INCIDENTS_A_SWEEP = 500
"""Due incidents that one sweep looks at (about 10 ms each); the next sweep goes on."""
INCIDENTS_A_WRITE = 25
SENDS_A_SWEEP = 200
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep did: sends that were taken, incidents that it looked at, and errors that it met on its way."""

    sent: int
    incidents: int
    errors: tuple[Exception, ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an event: the message it led to, or the error with which it has to come again."""

    event: AlertEvent
    message: Message | None = None
    error: Exception | None = None


class Notifier:
    """Takes events in, and sweeps once a minute.

    Parameters
    ----------
    send, dead_letter, run
        See `delivery.Deliverer`.
    clock
        Returns the time now, epoch ms UTC.
    watched
        Returns how many tickers are on the watch list; 0 if that is not known.
    pause
        Waits a short, growing, random time before the try of the given number.
    """

    def __init__(
        self,
        store: AlertStore,
        send: Send,
        *,
        dead_letter: DeadLetter,
        clock: Callable[[], int],
        watched: Callable[[], int],
        pause: Callable[[int], None],
        run: Run = map,
    ) -> None:
        self._store = store
        self._clock = clock
        self._watched = watched
        self._pause = pause
        self._deliverer = Deliverer(store, send, dead_letter, clock, run)

    def take(self, events: Sequence[AlertEvent], settings: AlertSettings) -> list[Taken]:
        """Take a batch of events in, each once however often it comes, and send their messages.

        Of an event with an error nothing was changed. A message that could not be sent is pending: a sweep sends it.
        """
        taken = self._decided(events, settings)
        self._deliverer.deliver((one.message for one in taken if one.message is not None), settings)
        return taken

    def test(self, request: AlertTest, settings: AlertSettings) -> int:
        """Send a test to every channel; return how many took it. A request that comes again changes nothing."""
        message = Message(f"test-{request.id}", "test", request.at_ms, settings.channel_names)
        try:
            self._store.put_message(message, self._clock())
        except ConflictError:
            return 0
        return self._deliverer.deliver([message], settings)

    def sweep(self, settings: AlertSettings) -> Sweep:
        """Do what is due, and send what is pending. What fails stays due or pending, and stops nothing else."""
        now_ms = self._clock()
        silences = tuple(self._store.silences())
        errors: list[Exception] = []
        due = list(islice(self._store.due(now_ms), INCIDENTS_A_SWEEP))
        for listed in _chunks(due, INCIDENTS_A_WRITE):
            self._guarded(errors, partial(self._do_due, listed, silences, now_ms, settings))
        if len(due) < INCIDENTS_A_SWEEP and not settings.is_muted(now_ms, -1):
            self._guarded(errors, partial(self._finish_digests, now_ms))
        sent = 0
        for pending in islice(self._store.pending(), SENDS_A_SWEEP):
            message = self._store.message(pending.message_id, pending.made_ms)
            if message is None or not _is_kept_back(message, silences, now_ms, settings):
                again = partial(self._deliverer.again, pending, settings)
                sent += self._guarded(errors, again) or False
        return Sweep(sent, len(due), tuple(errors))

    @staticmethod
    def _guarded(errors: list[Exception], action: Callable[[], _T]) -> _T | None:
        try:
            return action()
        except (ConflictError, ClientError, BotoCoreError) as error:
            errors.append(error)
            return None

    def _decided(self, events: Sequence[AlertEvent], settings: AlertSettings) -> list[Taken]:
        try:
            return self._retrying(lambda: self._decide(events, settings))
        except BotoCoreError as error:  # no answer: one by one there would be none either
            return [Taken(event, error=error) for event in events]
        except (ConflictError, TooManyWritesError, ClientError) as error:
            if len(events) == 1:
                return [Taken(events[0], error=error)]
            return [taken for event in events for taken in self._decided([event], settings)]

    def _decide(self, events: Sequence[AlertEvent], settings: AlertSettings) -> list[Taken]:
        decision = _Decision(self._store, self._store.load(events), self._clock(), settings, self._watched)
        order = sorted(events, key=lambda event: (event.at_ms, not is_misprint(event.anomaly.kind)))
        decision.look_around(order)
        for event in order:
            decision.take(event)
        messages = decision.commit()
        return [Taken(event, messages.get(id(event))) for event in events]

    def _do_due(
        self,
        listed: list[tuple[str, Place]],
        silences: Sequence[Silence],
        now_ms: int,
        settings: AlertSettings,
    ) -> None:
        def attempt() -> list[Message]:
            cache = AlertCache()
            self._store.load_incidents(cache, [id_ for id_, _ in listed])
            messages = []
            for id_, place in listed:
                incident = cache.get(incident_place(id_), Incident)
                if incident is None or incident.due_ms is None or f"{incident.due_ms:013d}" not in place[1]:
                    self._store.forget(place)
                    continue
                what = policy.what_is_due(incident, silences, now_ms, settings)
                after, message = self._done(what, incident, cache, now_ms, settings)
                messages += [message] if message is not None else []
                due_ms = policy.due_ms(after, settings) if what is not None else now_ms + MINUTE_MS
                cache.put(incident_place(id_), replace(after, due_ms=due_ms))
            self._store.commit(cache, messages, now_ms)
            return messages

        self._deliverer.deliver(self._retrying(attempt), settings)

    def _done(
        self,
        what: policy.Due | None,
        incident: Incident,
        cache: AlertCache,
        now_ms: int,
        settings: AlertSettings,
    ) -> tuple[Incident, Message | None]:
        """Return an incident after what was due is done, with the message about it if there is one."""
        if what == "timeout":
            return incidents.timed_out(incident), None
        if what == "resolved" and not policy.is_end_worth_telling(incident, settings):
            return replace(incident, end_told=True), None
        if what == "digest" and incident.waiting is not None:
            channels = incident.waiting.channels
            digest = self._store.load_digest(cache, incident.origin, channels)
            digest = digest or Digest(incident.origin, channels, now_ms)
            digest = digest.with_line(incidents.line_of(incident, now_ms))
            cache.put(digest_place(incident.origin, channels), digest)
            return policy.noted(incident, "digest", _digest_id(digest), channels, now_ms), None
        if what in {"resolved", "repeated"}:
            return _with_message(what, incident, incident.channels, now_ms)
        return incident, None

    def _finish_digests(self, now_ms: int) -> None:
        for digest, version in self._store.open_digests():
            message = Message(_digest_id(digest), "digest", now_ms, digest.channels, digest=digest)
            self._store.finish_digest(digest, version, message, now_ms)

    def _retrying(self, change: Callable[[], _T]) -> _T:
        for attempt in range(1, ATTEMPTS):
            try:
                return change()
            except ConflictError:
                self._pause(attempt)
        return change()


class _Decision:
    """What a batch of events leads to, decided on what was remembered before it."""

    def __init__(
        self,
        store: AlertStore,
        cache: AlertCache,
        now_ms: int,
        settings: AlertSettings,
        watched: Callable[[], int],
    ) -> None:
        self._store = store
        self._cache = cache
        self._now_ms = now_ms
        self._settings = settings
        self._watched = watched
        self._around: dict[str, list[Move]] = defaultdict(list)
        self._moves: list[tuple[AlertEvent, Move]] = []
        self._news: dict[str, list[tuple[MessageKind, AlertEvent, tuple[str, ...]]]] = {}

    def look_around(self, events: Sequence[AlertEvent]) -> None:
        """Find the anomalies around those of the batch, so that the first of many knows that the market moves."""
        new = [event for event in events if self._may_be_wide(event)]
        spans: dict[str, list[int]] = defaultdict(list)
        for event in new:
            spans[event.origin].append(event.at_ms)
        for origin, times in spans.items():
            first_ms, last_ms = min(times) - policy.WIDE_MS, max(times) + policy.WIDE_MS
            self._around[origin] = self._store.load_moves(origin, first_ms - policy.WIDE_MS, last_ms)
        for event in new:
            subject = policy.subject_of(event.anomaly.kind)
            self._around[event.origin].append(Move(event.anomaly.ticker, subject or "", event.at_ms, ""))

    def take(self, event: AlertEvent) -> None:
        """Take an event into its incident; one that was taken before changes nothing."""
        record = self._cache.get(record_place(event.anomaly.id), Record)
        if record is not None and event.key in record.seen:
            return
        incident = self._incident(event) if record is None else resolve(self._cache, record.incident)
        if incident is None:  # it expired
            incident = incidents.opened(event, event.anomaly.ticker)
        incident, record = incidents.absorb(event, incident, record, self._now_ms)
        incident, kind, way = policy.decide(
            event, incident, self._cache.silences, self._now_ms, self._settings
        )
        if kind is not None:
            self._news.setdefault(incident.id, []).append((kind, event, way.channels))
        self._cache.put(record_place(event.anomaly.id), record)
        self._put(incident)

    def commit(self) -> dict[int, Message]:
        """Write what was decided, all or nothing; return the messages by the `id` of the event that is the news.

        What a batch brings of one incident is one message, which tells all of it. Raises as `AlertStore.commit` does.
        """
        messages: dict[int, Message] = {}
        for id_, news in self._news.items():
            incident = self._cache.get(incident_place(id_), Incident)
            assert incident is not None  # noqa: S101  it was put there with its news
            cause = news[-1][1]  # the worst: news exceeds what was told
            channels = tuple(dict.fromkeys(channel for *_, channels in news for channel in channels))
            incident, messages[id(cause)] = _with_message(
                news[0][0], incident, channels, self._now_ms, cause.anomaly
            )
            self._put(incident)
        self._store.commit(self._cache, messages.values(), self._now_ms, self._moves)
        return messages

    def _put(self, incident: Incident) -> None:
        due_ms = policy.due_ms(incident, self._settings)
        self._cache.put(incident_place(incident.id), replace(incident, due_ms=due_ms))

    def _may_be_wide(self, event: AlertEvent) -> bool:
        anomaly = event.anomaly
        return (
            self._settings.market_wide is not None
            and policy.subject_of(anomaly.kind) is not None
            and self._cache.get(record_place(anomaly.id), Record) is None
            and policy.is_fresh(event, self._now_ms, self._settings)
            and not policy.is_silenced(self._cache.silences, anomaly.ticker, anomaly.kind, self._now_ms)
        )

    def _incident(self, event: AlertEvent) -> Incident:
        """Return the incident that a new anomaly belongs to."""
        if self._may_be_wide(event):
            subject = policy.subject_of(event.anomaly.kind) or ""
            incident = self._wide(event, subject) or self._own(event)
            self._moves.append((event, Move(event.anomaly.ticker, subject, event.at_ms, incident.id)))
            return incident
        return self._own(event)

    def _own(self, event: AlertEvent) -> Incident:
        return self._newest(event, group_of(event)) or self._open(
            event, group_of(event), event.anomaly.ticker
        )

    def _wide(self, event: AlertEvent, subject: str) -> Incident | None:
        moves, watched = self._around[event.origin], self._watched()
        moving = policy.is_wide(event, moves, watched, self._settings)
        incident = self._newest(event, subject)
        if moving and incident is None:
            incident = self._open(event, subject, subject, watched)
            for single in self._singles(event, subject, moves):
                incident, left = incidents.merged(incident, single)
                self._put(left)
        if moving and incident is not None:
            until_ms = max(incident.wide_until_ms, event.at_ms + policy.WIDE_MS)
            return replace(incident, wide_until_ms=until_ms)
        return incident

    def _singles(self, event: AlertEvent, subject: str, moves: Iterable[Move]) -> list[Incident]:
        """Return the incidents of single tickers that began with the move."""
        near = [
            move
            for move in moves
            if move.subject == subject and abs(move.at_ms - event.at_ms) <= policy.WIDE_MS
        ]
        ids = list(dict.fromkeys(move.incident for move in near if move.incident))[-MERGED:]
        self._store.load_incidents(self._cache, ids)
        found = (self._cache.get(incident_place(id_), Incident) for id_ in ids)
        began_ms = event.at_ms - policy.WIDE_MS
        return [
            one
            for one in found
            if one is not None and not one.is_wide and not one.merged_into and one.opened_ms >= began_ms
        ]

    def _newest(self, event: AlertEvent, group: str) -> Incident | None:
        """Return the newest incident of a group if the event belongs to it."""
        id_ = self._cache.get(group_place(event.origin, group), str)
        incident = None if id_ is None else self._cache.get(incident_place(id_), Incident)
        return incident if incident is not None and policy.joins(incident, event.anomaly.began_ms) else None

    def _open(self, event: AlertEvent, group: str, subject: str, watched: int = 0) -> Incident:
        incident = incidents.opened(event, subject, watched)
        self._store.load_incidents(self._cache, [incident.id])
        held = resolve(self._cache, incident.id)
        if held is not None:
            return held  # of the same moment: disorder made another one the newest, or it was merged
        self._cache.put(group_place(event.origin, group), incident.id)
        return incident


def _with_message(
    kind: MessageKind,
    incident: Incident,
    channels: tuple[str, ...],
    now_ms: int,
    cause: AnomalySummary | None = None,
) -> tuple[Incident, Message]:
    """Return an incident with a message about it."""
    id_ = f"{incident.id}#{incident.sequence + 1}"
    incident = policy.noted(incident, kind, id_, channels, now_ms)
    return incident, Message(id_, kind, now_ms, channels, incident, cause or incident.samples[0])


def _digest_id(digest: Digest) -> str:
    return f"digest-{digest.origin}-{'-'.join(digest.channels)}-{digest.started_ms}"


def _is_kept_back(
    message: Message, silences: Sequence[Silence], now_ms: int, settings: AlertSettings
) -> bool:
    """Return whether a silence or a mute timing forbids to send a pending message now."""
    if message.kind == "test":
        return False
    rank = -1 if message.incident is None else message.incident.peak
    cause = message.cause
    silenced = cause is not None and policy.is_silenced(silences, cause.ticker, cause.kind, now_ms)
    return silenced or settings.is_muted(now_ms, rank)


def _chunks(found: list[_T], size: int) -> Iterator[list[_T]]:
    for start in range(0, len(found), size):
        yield found[start : start + size]
