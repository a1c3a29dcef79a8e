"""From events to messages: decides with `life`, remembers in the store, publishes to the topic."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from consumers.alerts import life, texts
from consumers.alerts.event import AlertEvent
from consumers.alerts.items import Due, Message
from consumers.alerts.settings import AlertSettings
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
_SINGLE = {"alert": texts.alert, "escalation": texts.escalation, "back_to_normal": texts.back_to_normal}


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
        pause: Callable[[int], None],
    ) -> None:
        self._store = store
        self._sns = sns
        self._topic_arn = topic_arn
        self._dashboard_url = dashboard_url
        self._clock = clock
        self._pause = pause

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
        series = self._close_due(self._clock(), settings)
        published, errors = 0, []
        for message in self._store.pending():
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
            return _made_before(event, state.alert)
        decision = life.decide(event, state, now_ms, settings)
        return self._store.commit(event, state, decision, now_ms)

    def _close_due(self, now_ms: int, settings: AlertSettings) -> int:
        places = settings.messages_per_hour
        digest_id = self._store.open_digest()
        if self._store.budget().take(now_ms, places) is None:
            return 0  # what is held stays held, and due
        moved = 0
        for due in self._store.due(now_ms):
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
        attributes: dict[str, list[str]] = {
            "ticker": [event.anomaly.ticker],
            "kind": [event.anomaly.kind],
            "severity": [event.severity],
            "source": [event.anomaly.source],
            "message": [message.kind],
        }
        about = {"id": message.id, "kind": message.kind, "anomaly": to_json(event.anomaly)}
        return _Post(about, _SINGLE[message.kind](event, self._dashboard_url), attributes)


def _made_before(event: AlertEvent, alert: life.Alert) -> Message | None:
    made_ms = alert.made_ms.get(event.key)
    return None if made_ms is None else Message.of(_kind(event), event, made_ms)


def _kind(event: AlertEvent) -> life.MessageKind:
    return {"detected": "alert", "escalated": "escalation", "ended": "back_to_normal"}[event.change]  # type: ignore[return-value]


def _digest(message: Message, parts: Iterable[Part], dashboard_url: str) -> _Post:
    """The worst parts are listed and the others counted, in memory that does not grow with their number."""
    kept: list[tuple[int, int, int, Part]] = []
    seen: dict[str, dict[str, None]] = {"ticker": {}, "kind": {}, "severity": {}, "source": {}}
    count = anomalies = 0
    for part in parts:
        count += 1
        anomalies += part.held.anomalies
        worst = part.held.samples[0].rank if part.held.samples else -1
        entry = (worst, part.held.anomalies, -count, part)
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
