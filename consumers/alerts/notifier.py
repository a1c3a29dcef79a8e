"""From events to incidents to messages: decides with `policy`, remembers in the store, delivers to channels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import islice
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from consumers.alerts import incidents
from consumers.alerts.cache import AlertCache
from consumers.alerts.context import Context
from consumers.alerts.decision import ContextOf, Decision, Handled
from consumers.alerts.delivery import DeadLetter, Deliverer, Run, Send
from consumers.alerts.event import AlertEvent, AlertTest
from consumers.alerts.model import MINUTE_MS, Digest, Incident, Message, Pending
from consumers.alerts.pictures import PicturePorts, add_pictures
from consumers.alerts.places import digest_place, incident_place
from consumers.alerts.policy import Due, Policy, sent_at_once
from consumers.alerts.settings import AlertSettings
from consumers.alerts.store import AlertStore
from consumers.alerts.table import ConflictError, Place, TooManyWritesError

ATTEMPTS = 20
"""Tries to commit decisions against concurrent ones: of a batch, then of each of its events alone."""
INCIDENTS_A_SWEEP = 500
"""Due incidents that one sweep looks at (about 10 ms each); the next sweep goes on."""
INCIDENTS_A_WRITE = 25
SENDS_A_SWEEP = 200
"""Tries that one sweep makes of each channel, so that the backlog of one keeps back no other."""
SWEEP_MS = 40_000
"""After so long a sweep tries no more sends: the function has a minute."""
_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep did: sends that were accepted, incidents that it read, and errors that it met on its way."""

    sent: int
    incidents: int
    errors: tuple[Exception, ...] = ()


def no_context(_event: AlertEvent, _incident: Incident, _settings: AlertSettings) -> Context:
    """Return none: what reads no bars knows nothing of the market."""
    return Context(why="bars were not read")


class Notifier:
    """Takes events in, and sweeps once a minute.

    Parameters
    ----------
    send, dead_letter, run, owner
        See `delivery.Deliverer`.
    clock
        Returns the time now, epoch ms UTC.
    watched
        Returns how many tickers are on the watch list; 0 if that is not known.
    pause
        Waits a short, growing, random time before the try of the given number.
    context
        See `decision.ContextOf`.
    pictures
        Draws and adds pictures to messages; None where there are none.
    """

    def __init__(
        self,
        store: AlertStore,
        send: Send,
        *,
        dead_letter: DeadLetter,
        clock: Callable[[], int],
        watched: Callable[[], int] = lambda: 0,
        pause: Callable[[int], None] = lambda _attempt: None,
        run: Run = map,
        owner: str = "",
        context: ContextOf = no_context,
        pictures: PicturePorts | None = None,
    ) -> None:
        self._context = context
        self._pictures = pictures
        self._store = store
        self._clock = clock
        self._watched = watched
        self._pause = pause
        self._deliverer = Deliverer(store, send, dead_letter, clock, run, pause, owner)

    def handle(self, events: Sequence[AlertEvent], settings: AlertSettings) -> list[Handled]:
        """Take a batch of events in, each once however often it comes, and send their messages.

        An event with an error has to come again, to the same effect. A message that could not be sent is pending: a
        sweep sends it, or the event if it comes again before.
        """
        policy = cache(partial(self._policy, settings))  # of one moment, however often it is decided anew
        handled = self._together(
            events,
            lambda some: self._decision(some, policy()).handle(some),
            lambda event, error: Handled(event, error=error),
        )
        made = [one.message for one in handled if one.message is not None]
        if made:
            self._deliverer.deliver(made, policy())
        if unsettled := [one.event for one in handled if one.is_unsettled]:
            try:
                made = self._retrying(lambda: self._widen(unsettled, policy()))
                self._deliverer.deliver(made, policy())
            except (ConflictError, TooManyWritesError, ClientError, BotoCoreError) as error:
                handled = [replace(one, error=error) if one.is_unsettled else one for one in handled]
        if again := list(dict.fromkeys(pending for one in handled for pending in one.again)):
            try:
                for pending in self._store.undone(again):
                    self._deliverer.again(pending, policy())
            except (ConflictError, ClientError, BotoCoreError) as error:
                return [replace(one, error=error) if one.again else one for one in handled]
        return handled

    def test(self, request: AlertTest, settings: AlertSettings) -> int:
        """Send a test to every channel; return how many took it. A request that comes again changes nothing."""
        message = Message(f"test-{request.id}", "test", request.at_ms, settings.channel_names)
        try:
            self._store.put_message(message, self._clock())
        except ConflictError:
            return 0
        return self._deliverer.deliver([message], self._policy(settings))

    def reopen(self, pending: Pending) -> None:
        """Let a delivery that is a dead letter be tried again by the next sweep."""
        self._store.reopen(pending, self._clock())

    def sweep(self, settings: AlertSettings) -> Sweep:
        """Do what is due, and send what is pending. What fails stays due or pending, and stops nothing else."""
        policy = self._policy(settings)
        errors: list[Exception] = []
        due = list(islice(self._store.due(policy.now_ms), INCIDENTS_A_SWEEP))
        for start in range(0, len(due), INCIDENTS_A_WRITE):
            done = self._together(
                due[start : start + INCIDENTS_A_WRITE],
                lambda some: self._do_due(some, policy),
                lambda _listed, error: error,
            )
            errors += [one for one in done if isinstance(one, Exception)]
            self._deliverer.deliver([one for one in done if isinstance(one, Message)], policy)
        if len(due) < INCIDENTS_A_SWEEP:
            self._guarded(errors, partial(self._finish_digests, policy.now_ms))
        sent, until_ms = 0, policy.now_ms + SWEEP_MS
        tries: Counter[str] = Counter()
        for pending in self._store.pending():
            if self._clock() >= until_ms:
                break
            if tries[pending.channel] >= SENDS_A_SWEEP:
                continue
            tries[pending.channel] += 1
            sent += self._guarded(errors, partial(self._deliverer.again, pending, policy)) or False
        if self._pictures is not None and self._clock() < until_ms:  # after all messages
            add = partial(add_pictures, self._store, self._pictures, settings, self._clock, policy.suppresses)
            self._guarded(errors, add)
        return Sweep(sent, len(due), tuple(errors))

    @staticmethod
    def _guarded(errors: list[Exception], action: Callable[[], _T]) -> _T | None:
        try:
            return action()
        except (ConflictError, ClientError, BotoCoreError) as error:
            errors.append(error)
            return None

    def _policy(self, settings: AlertSettings) -> Policy:
        return Policy(settings, self._clock(), tuple(self._store.silences()))

    def _decision(self, events: Sequence[AlertEvent], policy: Policy) -> Decision:
        known = self._store.load(events)
        return Decision(self._store, known, policy, self._watched, self._context)

    def _widen(self, events: Sequence[AlertEvent], policy: Policy) -> list[Message]:
        return self._decision(events, policy).widen(events)

    def _do_due(self, listed: Sequence[tuple[str, Place]], policy: Policy) -> list[Message | Exception]:
        """Do what is due of incidents, listed by id and where that is listed; return the messages."""
        cache = self._store.cache(id_ for id_, _ in listed)
        messages: list[Message] = []
        for id_, place in listed:
            incident = cache.incident(id_)
            if incident is None:
                self._store.forget(place)
                continue
            what = policy.what_is_due(incident)
            after, message = self._done(what, incident, cache, policy)
            messages += [message] if message is not None else []
            due_ms = policy.due_ms(after)
            if what is None and due_ms is not None:  # it has to wait
                due_ms = max(due_ms, policy.now_ms + MINUTE_MS)
            cache.put(incident_place(id_), replace(after, due_ms=due_ms))
        self._store.commit(cache, messages, policy.now_ms)
        return [*messages]

    def _done(
        self, what: Due | None, incident: Incident, cache: AlertCache, policy: Policy
    ) -> tuple[Incident, Message | None]:
        """Return an incident after what was due is done, with the message about it if there is one."""
        if what is None:
            return incident, None
        if what == "timeout":
            return incidents.timed_out(incident), None
        if what == "released":
            news = incident.waiting
            assert news is not None  # noqa: S101  for what is released
            incident, kind = sent_at_once(incident, news.rank)
            return incidents.with_message(kind, incident, news.channels, policy.now_ms)
        if what == "digest":
            channels = policy.digest_channels(incident)
            place = digest_place(incident.origin, channels)
            # Two functions may begin digests in one millisecond, but no two about one incident.
            began = Digest(incident.origin, channels, f"digest-{incident.next_id}")
            digest = cache.get(place, Digest) or began
            cache.put(place, digest.with_incident(incident))
            return incidents.with_notification(incident, what, digest.id, channels, policy.now_ms), None
        if channels := policy.recipients(what, incident):
            return incidents.with_message(what, incident, channels, policy.now_ms)
        return replace(incident, end_notified=True), None

    def _finish_digests(self, now_ms: int) -> None:
        for digest, version in self._store.open_digests():
            self._store.finish_digest(digest, version, now_ms)

    def _together(
        self,
        items: Sequence[_T],
        change: Callable[[Sequence[_T]], list[_R]],
        failed: Callable[[_T, Exception], _R],
    ) -> list[_R]:
        """Change what belongs to items together; where that fails each alone, so that one stops no other."""
        try:
            return self._retrying(lambda: change(items))
        except BotoCoreError as error:  # no answer: one by one there would be none either
            return [failed(one, error) for one in items]
        except (ConflictError, TooManyWritesError, ClientError) as error:
            if len(items) == 1:
                return [failed(items[0], error)]
            return [done for one in items for done in self._together([one], change, failed)]

    def _retrying(self, change: Callable[[], _T]) -> _T:
        for attempt in range(1, ATTEMPTS):
            try:
                return change()
            except ConflictError:
                self._pause(attempt)
        return change()
