"""From events to messages: decides with `life`, remembers in the store, publishes to the topic."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from botocore.exceptions import BotoCoreError, ClientError

from consumers.alerts import policy
from consumers.alerts.cache import Book
from consumers.alerts.event import AlertEvent
from consumers.alerts.items import Due, Message, message_id
from consumers.alerts.model import Alert, Decision, Move, Mute, State
from consumers.alerts.rendering.compose import Post, compose
from consumers.alerts.settings import AlertSettings
from consumers.alerts.store import AlertStore, ConflictError, TooManyWritesError
from producers.origin import Origin

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

LEASE_MS = 120_000
"""How long a claim of a message lasts: twice the function's timeout, so that its owner is surely gone."""
ATTEMPTS = 8
"""Tries to commit decisions against concurrent ones: of a batch, then of each of its events alone."""
LOOKED_UP = 100
"""Moves whose alerts a market-wide alert looks up, the worst first: what one BatchGetItem takes."""
SERIES_A_SWEEP = 500
"""Series that one sweep moves into a digest (about 20 ms each); the next sweep goes on."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep did: messages published, and series that were moved into a digest."""

    published: int
    series: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an event: whether its message was published now, or the error with which it has to come again."""

    event: AlertEvent
    published: bool = False
    error: Exception | None = None


class Notifier:
    """Takes events and closes digests.

    Args:
        clock: the time now, epoch ms UTC.
        watched: how many tickers are on the watch list; 0 if that is not known.
        pause: waits a short, growing, random time before the try of the given number.
    """

    def __init__(
        self,
        store: AlertStore,
        sns: SNSClient,
        topic_arn: str,
        *,
        dashboard_url: str,
        clock: Callable[[], int],
        watched: Callable[[], int],
        pause: Callable[[int], None],
    ) -> None:
        self._store = store
        self._sns = sns
        self._topic_arn = topic_arn
        self._dashboard_url = dashboard_url
        self._clock = clock
        self._watched = watched
        self._pause = pause

    def note(self, events: Iterable[AlertEvent], settings: AlertSettings) -> None:
        """Remember events before they are taken, so that the first of many finds that the market moves.

        Raises:
            ClientError, BotoCoreError: of the table.
        """
        now_ms = self._clock()
        moves: dict[str, list[Move]] = {}
        for event in events:
            if event.change == "detected" and policy.may_be_told_at_once(event, now_ms, settings):
                moves.setdefault(event.origin, []).append(Move.of(event))
        if settings.market_wide is not None and moves:
            self._store.note_moves(moves, now_ms)

    def take(self, events: Sequence[AlertEvent], settings: AlertSettings) -> list[Taken]:
        """Take a batch of events in, each once however often it comes, and publish their messages.

        Of an event with an error nothing was changed, or, if publishing failed, its message is pending: it is
        published when the event is taken again, or by a sweep.
        """
        try:
            messages = self._retrying(lambda: self._decide(events, settings))
        except BotoCoreError as error:  # no answer: one by one there would be none either
            return [Taken(event, error=error) for event in events]
        except (ConflictError, TooManyWritesError, ClientError) as error:
            if len(events) == 1:
                return [Taken(events[0], error=error)]
            return [taken for event in events for taken in self.take([event], settings)]
        return [self._tell(event, message) for event, message in zip(events, messages, strict=True)]

    def _tell(self, event: AlertEvent, message: Message | None) -> Taken:
        try:
            return Taken(event, published=message is not None and self._deliver(message))
        except (ClientError, BotoCoreError) as error:
            return Taken(event, error=error)

    def sweep(self, settings: AlertSettings) -> Sweep:
        """Publish what is pending and tell what is due.

        Raises:
            ConflictError, ClientError, BotoCoreError: as `take`; what was not done waits for the next sweep.
        """
        now_ms = self._clock()
        mutes = tuple(self._store.mutes())
        series = self._close_due(now_ms, mutes, settings)
        published, errors = 0, []
        for message in self._store.pending():
            if _is_held_back(message, mutes, now_ms, settings):
                continue
            try:
                published += self._deliver(message)
            except (ClientError, BotoCoreError) as error:
                errors.append(error)  # raised below: one message that cannot go must not hold up the others
        if errors:
            raise errors[0]
        return Sweep(published, series)

    def _decide(self, events: Sequence[AlertEvent], settings: AlertSettings) -> list[Message | None]:
        """The message of each event, all of them written down, pending."""
        now_ms = self._clock()
        before = self._store.load(events)
        after = before.copy()
        messages: list[Message | None] = []
        made: list[Message] = []

        @cache
        def around(origin: str, minute: int) -> list[Move]:
            since_ms = (minute - 1) * policy.MINUTE_MS
            return self._store.load_moves(origin, since_ms, since_ms + 3 * policy.MINUTE_MS, now_ms)

        for event in events:
            state = after.state(event)
            if event.key in state.alert.seen:
                messages.append(self._made_before(event, state, made, now_ms, settings))
                continue
            decision = policy.decide(event, state, now_ms, settings)
            if decision.asks_for_moves:
                moves = around(event.origin, event.at_ms // policy.MINUTE_MS)
                state = self._with_moves(event, state, moves, (before, after), settings)
                decision = policy.decide(event, state, now_ms, settings)
            after.remember(event, state, decision)
            messages.append(_message(event, decision, now_ms))
            made += filter(None, messages[-1:])
        self._store.commit(before, after, made, now_ms)
        return messages

    def _with_moves(
        self,
        event: AlertEvent,
        state: State,
        moves: list[Move],
        books: tuple[Book, Book],
        settings: AlertSettings,
    ) -> State:
        watched = self._watched()
        near = [move for move in moves if abs(move.at_ms - event.at_ms) <= policy.MINUTE_MS]
        if not policy.is_wide(event.anomaly.ticker, near, watched, settings):
            return replace(state, moves=())
        known = books[1].alerts
        found = self._store.load_alerts(move.id for move in near[:LOOKED_UP] if move.id not in known)
        for book in books:
            book.alerts |= found
        told = Alert(fate="told")  # those beyond only count; they cannot be told by this alert
        return replace(state, watched=watched, moves=tuple((move, known.get(move.id, told)) for move in near))

    def _made_before(
        self, event: AlertEvent, state: State, made: list[Message], now_ms: int, settings: AlertSettings
    ) -> Message | None:
        made_ms = state.alert.made_ms.get(event.key)
        if made_ms is None or any(message.id == message_id(event) for message in made):
            return None  # it never had a message, or gets it from its twin in this batch
        stored = self._store.message(message_id(event), made_ms)
        if stored is None or _is_held_back(stored.message, state.mutes, now_ms, settings):
            return None  # a sweep publishes it when the mute is over
        return stored.message

    def _close_due(self, now_ms: int, mutes: tuple[Mute, ...], settings: AlertSettings) -> int:
        if policy.digests_held_back(mutes, now_ms, settings):
            return 0  # what is held stays held, and due
        return sum(self._close_class(class_, now_ms, mutes, settings) for class_ in get_args(Origin))

    def _close_class(self, origin: str, now_ms: int, mutes: tuple[Mute, ...], settings: AlertSettings) -> int:
        held = list(islice(self._unmuted(origin, mutes, now_ms), SERIES_A_SWEEP + 1))
        digest_id = self._store.open_digest(origin)
        if digest_id is None and (not held or held[0].due_ms > now_ms):
            return 0
        if self._store.budget(origin).take_digest(now_ms, settings.messages_per_hour) is None:
            return 0
        digest_id = digest_id or self._store.start_digest(origin, now_ms)
        # What is not due yet goes along: another digest for it soon would be one message more.
        for due in held[:SERIES_A_SWEEP]:
            self._move(digest_id, due, now_ms, settings)
        if len(held) <= SERIES_A_SWEEP:
            finish = partial(self._finish, origin, digest_id, now_ms, settings.messages_per_hour)
            self._retrying(finish)
        return min(len(held), SERIES_A_SWEEP)

    def _unmuted(self, origin: str, mutes: tuple[Mute, ...], now_ms: int) -> Iterator[Due]:
        for due in self._store.held(origin):
            if not policy.is_muted(mutes, due.ticker, due.kind, now_ms):
                yield due

    def _move(self, digest_id: str, due: Due, now_ms: int, settings: AlertSettings) -> None:
        def move() -> None:
            series = self._store.series(due)
            if series.held is None:
                self._store.forget_due(due)
            else:
                closed = policy.close(series, now_ms, settings)
                self._store.move_to_digest(digest_id, due, series, closed, now_ms)

        self._retrying(move)

    def _finish(self, origin: str, digest_id: str, now_ms: int, places: int) -> None:
        before = self._store.budget(origin)
        after = before.take_digest(now_ms, places)
        if after is None or self._store.open_digest(origin) != digest_id:
            return  # no place any more: the next sweep goes on; or another sweep finished it
        self._store.finish_digest(origin, digest_id, before, after, now_ms)

    def _retrying(self, change: Callable[[], _T]) -> _T:
        for attempt in range(1, ATTEMPTS):
            try:
                return change()
            except ConflictError:
                self._pause(attempt)
        return change()

    def _deliver(self, message: Message) -> bool:
        now_ms = self._clock()
        if not self._store.claim(message, now_ms, LEASE_MS):
            if self._store.is_sent(message):
                self._store.forget_pending(message)
            return False
        with ExitStack() as unless_published:
            unless_published.callback(self._store.give_back, message)
            post = compose(message, self._store.parts, self._dashboard_url)
            sns_id = self._publish(post)
            unless_published.pop_all()
        self._store.mark_sent(message, post.texts.subject, sns_id, self._clock())
        return True

    def _publish(self, post: Post) -> str:
        # Email and SMS have texts of their own; what programs subscribe (SQS, HTTPS, Lambda) gets all as JSON.
        body = {
            "default": json.dumps({**asdict(post.texts), "message": post.about}, ensure_ascii=False),
            "email": post.texts.email,
            "sms": post.texts.sms,
        }
        attributes: dict[str, Any] = {name: _attribute(values) for name, values in post.attributes.items()}
        attributes["AWS.SNS.SMS.SMSType"] = _attribute(["Transactional"])
        answer = self._sns.publish(
            TopicArn=self._topic_arn,
            Subject=post.texts.subject,
            Message=json.dumps(body, ensure_ascii=False),
            MessageStructure="json",
            MessageAttributes=attributes,
        )
        return answer["MessageId"]


def _message(event: AlertEvent, decision: Decision, now_ms: int) -> Message | None:
    if decision.message is None:
        return None
    return Message(message_id(event), decision.message, now_ms, event, decision.market)


def _is_held_back(message: Message, mutes: tuple[Mute, ...], now_ms: int, settings: AlertSettings) -> bool:
    if message.event is None:
        return policy.digests_held_back(mutes, now_ms, settings)
    return policy.is_held_back(message.event, mutes, now_ms, settings)


def _attribute(values: list[str]) -> dict[str, str]:
    if len(values) == 1:
        return {"DataType": "String", "StringValue": values[0]}
    return {"DataType": "String.Array", "StringValue": json.dumps(values)}
