"""From events to messages: decides with `life`, remembers in the store, publishes to the topic."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from consumers.alerts import life, texts
from consumers.alerts.event import AlertEvent
from consumers.alerts.items import Due, Message, message_id
from consumers.alerts.settings import AlertSettings
from consumers.alerts.state import Alert, MarketMove, Move, Mute
from consumers.alerts.store import AlertStore, ConflictError
from consumers.alerts.texts import Part, Texts
from consumers.anomaly import to_json

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

LEASE_MS = 120_000
"""How long a claim of a message lasts: twice the function's timeout, so that its owner is surely gone."""
ATTEMPTS = 8
"""Tries to commit a decision against concurrent ones before the event goes back to its queue."""
SERIES_A_SWEEP = 500
"""Series that one sweep moves into a digest (about 20 ms each); the next sweep goes on."""
TICKERS = 100
"""Tickers that a digest carries as an attribute for filter policies."""
_T = TypeVar("_T")
_SINGLES = frozenset({"alert", "escalation"})


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep did: messages published, and series that were moved into a digest."""

    published: int
    series: int


@dataclass(frozen=True, slots=True)
class _Post:
    about: dict[str, Any]
    texts: Texts
    attributes: dict[str, list[str]]


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
        moves = [
            (event.source_class, Move.of(event))
            for event in events
            if event.change == "detected" and life.may_be_told_at_once(event, now_ms, settings)
        ]
        if settings.market_wide is not None:
            self._store.note_moves(moves, now_ms)

    def take(self, event: AlertEvent, settings: AlertSettings) -> bool:
        """Take an event in, once however often it comes; True if its message was published now.

        Raises:
            ConflictError: too many concurrent changes; nothing was changed.
            ClientError, BotoCoreError: of the table (nothing was changed) or of the topic (the message is
                pending, and published when the event is taken again or by a sweep).
        """
        message = self._retrying(lambda: self._decide(event, settings))
        return message is not None and self._deliver(message)

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

    def _decide(self, event: AlertEvent, settings: AlertSettings) -> Message | None:
        now_ms = self._clock()
        state = self._store.load(event)
        if event.key in state.alert.seen:
            message = self._made_before(event, state.alert)
            held_back = message and _is_held_back(message, state.mutes, now_ms, settings)
            return None if held_back else message  # a sweep publishes it when the mute is over
        decision = life.decide(event, state, now_ms, settings)
        if decision.message in _SINGLES and settings.market_wide is not None:
            state = replace(state, watched=self._watched(), moves=self._store.load_moves(event, now_ms))
            decision = life.decide(event, state, now_ms, settings)
        return self._store.commit(event, state, decision, now_ms)

    def _made_before(self, event: AlertEvent, alert: Alert) -> Message | None:
        made_ms = alert.made_ms.get(event.key)
        stored = None if made_ms is None else self._store.message(message_id(event), made_ms)
        return None if stored is None else stored.message

    def _close_due(self, now_ms: int, mutes: tuple[Mute, ...], settings: AlertSettings) -> int:
        places = settings.messages_per_hour
        if life.digests_held_back(mutes, now_ms, settings):
            return 0  # what is held stays held, and due
        digest_id = self._store.open_digest()
        if self._store.budget().take(now_ms, places) is None:
            return 0
        moved = 0
        for due in self._store.due(now_ms):
            if muted_until_ms := life.muted_until_ms(mutes, due.ticker, due.kind, now_ms):
                self._postpone(due, muted_until_ms, now_ms)
                continue
            if digest_id is None:
                digest_id = self._store.start_digest(now_ms)
            self._move(digest_id, due, now_ms, settings)
            moved += 1
            if moved == SERIES_A_SWEEP:
                return moved
        if digest_id is None:
            return 0
        self._retrying(lambda: self._finish(digest_id, now_ms, places))
        return moved

    def _postpone(self, due: Due, until_ms: int, now_ms: int) -> None:
        def postpone() -> None:
            series = self._store.series(due)
            if series.held is None:
                self._store.forget_due(due)
            else:
                self._store.postpone(due, series, life.postpone(series, until_ms), now_ms)

        self._retrying(postpone)

    def _move(self, digest_id: str, due: Due, now_ms: int, settings: AlertSettings) -> None:
        def move() -> None:
            series = self._store.series(due)
            if series.held is None:
                self._store.forget_due(due)
            else:
                closed = life.close(series, now_ms, settings)
                self._store.move_to_digest(digest_id, due, series, closed, now_ms)

        self._retrying(move)

    def _finish(self, digest_id: str, now_ms: int, places: int) -> None:
        before = self._store.budget()
        after = before.take(now_ms, places)
        if after is not None:
            self._store.finish_digest(digest_id, before, after, now_ms)

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
        try:
            post = self._post(message)
            sns_id = self._publish(post)
        except BaseException:
            self._store.give_back(message)
            raise
        self._store.mark_sent(message, post.texts.subject, sns_id, self._clock())
        return True

    def _publish(self, post: _Post) -> str:
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

    def _post(self, message: Message) -> _Post:
        event = message.event
        if event is None:
            return _digest(message, self._store.parts(message.id), self._dashboard_url)
        about = {"id": message.id, "kind": message.kind, "anomaly": to_json(event.anomaly)}
        if message.market is not None:
            return _market(message, event, message.market, about, self._dashboard_url)
        attributes: dict[str, list[str]] = {
            "ticker": [event.anomaly.ticker],
            "kind": [event.anomaly.kind],
            "severity": [event.severity],
            "source": [event.anomaly.source],
            "message": [message.kind],
        }
        return _Post(about, texts.SINGLE[message.kind](event, self._dashboard_url), attributes)


def _is_held_back(message: Message, mutes: tuple[Mute, ...], now_ms: int, settings: AlertSettings) -> bool:
    if message.event is None:
        return life.digests_held_back(mutes, now_ms, settings)
    return life.held_back_until_ms(message.event, mutes, now_ms, settings) > 0


def _market(
    message: Message, event: AlertEvent, market: MarketMove, about: dict[str, Any], dashboard_url: str
) -> _Post:
    attributes: dict[str, list[str]] = {
        "ticker": list(market.tickers[:TICKERS]),
        "kind": list(dict.fromkeys(move.kind for move in market.moves)),
        "severity": list(dict.fromkeys(move.severity for move in market.moves)),
        "source": [event.anomaly.source],
        "message": [message.kind],
    }
    return _Post(
        {**about, "market": asdict(market)}, texts.market_wide(event, market, dashboard_url), attributes
    )


def _digest(message: Message, parts: Iterable[Part], dashboard_url: str) -> _Post:
    """The worst parts are listed and the others counted, in memory that does not grow with their number."""
    kept: list[tuple[int, int, int, Part]] = []
    seen: dict[str, dict[str, None]] = {"ticker": {}, "kind": {}, "severity": {}, "source": {}}
    count = anomalies = 0
    for part in parts:
        count += 1
        anomalies += part.held.anomalies
        entry = (part.worst, part.held.anomalies, -count, part)
        (heapq.heappush if len(kept) < texts.LINES else heapq.heappushpop)(kept, entry)
        _note(seen, part)
    listed = [part for *_, part in sorted(kept, key=lambda entry: entry[:3], reverse=True)]
    more = anomalies - sum(part.held.anomalies for part in listed)
    text = texts.digest(listed, dashboard_url, more_parts=count - len(listed), more_anomalies=more)
    attributes = {name: list(values) for name, values in seen.items() if values}
    about = {"id": message.id, "kind": message.kind, "anomalies": anomalies, "series": count}
    return _Post(about, text, {**attributes, "message": ["digest"]})


def _note(seen: dict[str, dict[str, None]], part: Part) -> None:
    if len(seen["ticker"]) < TICKERS:
        seen["ticker"][part.ticker] = None
    seen["kind"][part.kind] = None
    for sample in part.held.samples:
        seen["severity"][sample.severity] = None
        if len(seen["source"]) < TICKERS:
            seen["source"][sample.anomaly.source] = None


def _attribute(values: list[str]) -> dict[str, str]:
    if len(values) == 1:
        return {"DataType": "String", "StringValue": values[0]}
    return {"DataType": "String.Array", "StringValue": json.dumps(values)}
