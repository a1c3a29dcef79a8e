"""The table `stock-alerts`: what is remembered of alerts, and the messages made of them.

Items (``pk``, ``sk``), all found by key or by a query of one partition, never by a scan:

======================  ==========================  ======================================================
``alert#<anomaly id>``  ``alert``                   `life.Alert`
``series#<class>#<T>``  ``<kind>``                  `life.Series` of ticker T
``budget``              ``messages``                `life.Budget`
``due``                 ``<due ms>#<series>``       a series whose held anomalies are to be told then
``digest``              ``open``                    the digest that is being put together
``digest#<id>``         ``<series>``                a series' part of a digest
``messages#<day>``      ``<made ms>#<message id>``  a message: pending, publishing (claimed) or sent
``pending``             ``<made ms>#<message id>``  a message that is not known to be sent
======================  ==========================  ======================================================

An event changes its alert, its series and the budget, and makes its message, in one transaction guarded by
their versions: whatever is delivered twice or concurrently has one effect. A message is then claimed for a
while, published, and marked. A crash between publishing and marking lets the claim run out, and the message
is published again: the one window in which it can go out twice (besides SNS, which may repeat one itself).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from consumers.alerts.event import AlertEvent
from consumers.alerts.life import Alert, Budget, Decision, Held, MessageKind, Series, State
from consumers.alerts.texts import Part

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DAY_SECONDS = 86_400
STATE_DAYS = 15
"""The queues keep events for 14 days; a redelivery must find what became of its alert."""
MESSAGE_DAYS = 90

_T = TypeVar("_T")
_Item = dict[str, Any]


class ConflictError(Exception):
    """Someone else changed the same alert, series or budget in between: load again and decide anew."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message to people.

    Attributes:
        id: what it is about; the same event or digest has the same.
        made_ms: when it was decided, epoch ms UTC.
        event: what it tells of; None for a digest, whose parts are found by its `id`.
    """

    id: str
    kind: MessageKind
    made_ms: int
    event: AlertEvent | None = None

    @classmethod
    def of(cls, kind: MessageKind, event: AlertEvent, made_ms: int) -> Message:
        """The message about an event."""
        return cls(f"{event.anomaly.id}#{event.key}", kind, made_ms, event)

    @property
    def key(self) -> dict[str, Any]:
        """Its place in the table."""
        return {"pk": {"S": f"messages#{day_of(self.made_ms)}"}, "sk": {"S": self._sk}}

    @property
    def pending_key(self) -> dict[str, Any]:
        """Where it is listed until it is sent."""
        return {"pk": {"S": "pending"}, "sk": {"S": self._sk}}

    @property
    def _sk(self) -> str:
        return f"{self.made_ms:013d}#{self.id}"


@dataclass(frozen=True, slots=True)
class Due:
    """A series whose held anomalies are due."""

    sk: str
    source_class: str
    ticker: str
    kind: str


def day_of(ms: int) -> str:
    """The UTC day of a moment."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d}"


class AlertStore:
    """Reads and writes the table. Every method raises botocore's `ClientError` as it comes."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def load(self, event: AlertEvent) -> State:
        """What is remembered that matters for an event, strongly consistent."""
        keys = [_alert_key(event), _series_key(*_series_of(event)), _BUDGET_KEY]
        found = {(item["pk"]["S"], item["sk"]["S"]): item for item in self._batch_get(keys)}
        alert, series, budget = (found.get((key["pk"]["S"], key["sk"]["S"])) for key in keys)
        return State(_state(alert, Alert), _state(series, Series), _state(budget, Budget))

    def commit(self, event: AlertEvent, before: State, decision: Decision, now_ms: int) -> Message | None:
        """Write what was decided, all or nothing.

        Raises:
            ConflictError: `before` is no longer what the table holds.
        """
        after = decision.state
        writes = [_put(_alert_key(event), before.alert, after.alert, now_ms)]
        if after.series != before.series:
            writes.append(_put(_series_key(*_series_of(event)), before.series, after.series, now_ms))
            writes.extend(_due_changes(event, before.series, after.series, now_ms))
        if after.budget != before.budget:
            writes.append(_put(_BUDGET_KEY, before.budget, after.budget, now_ms))
        message = None
        if decision.message is not None:
            message = Message.of(decision.message, event, now_ms)
            writes.extend(_make(message, now_ms))
        self._transact(writes)
        return message

    def claim(self, message: Message, now_ms: int, lease_ms: int) -> bool:
        """Reserve the right to publish a message until the lease ends; False if it is sent or reserved."""
        return self._update(
            message,
            "SET #status = :publishing, lease_until = :until ADD attempts :one",
            "#status = :pending OR (#status = :publishing AND lease_until < :now)",
            {
                ":publishing": {"S": "publishing"},
                ":pending": {"S": "pending"},
                ":until": {"N": str(now_ms + lease_ms)},
                ":now": {"N": str(now_ms)},
                ":one": {"N": "1"},
            },
        )

    def give_back(self, message: Message) -> None:
        """A claimed message was not published: let the next one try at once."""
        self._update(
            message,
            "SET #status = :pending REMOVE lease_until",
            "#status = :publishing",
            {":publishing": {"S": "publishing"}, ":pending": {"S": "pending"}},
        )

    def mark_sent(self, message: Message, subject: str, sns_id: str, now_ms: int) -> None:
        """A message is published."""
        self._update(
            message,
            "SET #status = :sent, sent_ms = :now, subject = :subject, sns_id = :id REMOVE lease_until",
            "attribute_exists(pk)",
            {
                ":sent": {"S": "sent"},
                ":now": {"N": str(now_ms)},
                ":subject": {"S": subject},
                ":id": {"S": sns_id},
            },
        )
        self.forget_pending(message)

    def forget_pending(self, message: Message) -> None:
        """Take a message that is sent off the list of pending ones."""
        self._client.delete_item(TableName=self._table, Key=message.pending_key)

    def is_sent(self, message: Message) -> bool:
        """Whether a message was marked as sent."""
        item = self._get(message.key)
        return item is not None and item["status"]["S"] == "sent"

    def pending(self) -> list[Message]:
        """Messages that are not known to be sent, the oldest first."""
        return [msgspec.json.decode(item["message"]["S"], type=Message) for item in self._query("pending")]

    def messages(self, day: str, after_ms: int = 0) -> Iterator[_Item]:
        """The items of the messages made on a UTC day after a moment, the oldest first."""
        return self._query(f"messages#{day}", after=f"{after_ms + 1:013d}")

    def due(self, now_ms: int) -> Iterator[Due]:
        """Series whose held anomalies are due, the longest waiting first."""
        for item in self._query("due", until=f"{now_ms:013d}#~"):
            yield Due(item["sk"]["S"], item["source_class"]["S"], item["ticker"]["S"], item["kind"]["S"])

    def series(self, due: Due) -> Series:
        """What is remembered of a series, strongly consistent."""
        return _state(self._get(_series_key(due.source_class, due.ticker, due.kind)), Series)

    def budget(self) -> Budget:
        """When the messages of the last hour were made, strongly consistent."""
        return _state(self._get(_BUDGET_KEY), Budget)

    def open_digest(self) -> str | None:
        """The id of the digest that is being put together, if there is one."""
        item = self._get(_OPEN_DIGEST_KEY)
        return None if item is None else str(item["id"]["S"])

    def start_digest(self, now_ms: int) -> str:
        """Begin a digest.

        Raises:
            ConflictError: someone else did.
        """
        digest_id = f"digest-{now_ms}"
        item = {**_OPEN_DIGEST_KEY, "id": {"S": digest_id}, "parts": {"N": "0"}}
        self._transact([{"Put": {"Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}])
        return digest_id

    def move_to_digest(self, digest_id: str, due: Due, before: Series, after: Series, now_ms: int) -> None:
        """Move what a series holds into the open digest.

        Raises:
            ConflictError: the series changed, or the digest is no longer open.
        """
        part = {
            "pk": {"S": f"digest#{digest_id}"},
            "sk": {"S": f"{due.source_class}#{due.ticker}#{due.kind}#{before.version}"},
            "held": {"S": _text(Part(due.source_class, due.ticker, due.kind, before.held or Held()))},
            "expires_at": _expiry(now_ms, MESSAGE_DAYS),
        }
        self._transact(
            [
                _put(_series_key(due.source_class, due.ticker, due.kind), before, after, now_ms),
                {"Delete": {"Key": {"pk": {"S": "due"}, "sk": {"S": due.sk}}}},
                {"Put": {"Item": part}},
                {
                    "Update": {
                        "Key": _OPEN_DIGEST_KEY,
                        "UpdateExpression": "ADD parts :one",
                        "ConditionExpression": "id = :id",
                        "ExpressionAttributeValues": {":one": {"N": "1"}, ":id": {"S": digest_id}},
                    }
                },
            ]
        )

    def finish_digest(self, digest_id: str, before: Budget, after: Budget, now_ms: int) -> None:
        """Make the message of the open digest.

        Raises:
            ConflictError: someone else did, or the budget changed.
        """
        message = Message(digest_id, "digest", now_ms)
        closing = {
            "Key": _OPEN_DIGEST_KEY,
            "ConditionExpression": "id = :id",
            "ExpressionAttributeValues": {":id": {"S": digest_id}},
        }
        budget = _put(_BUDGET_KEY, before, after, now_ms)
        self._transact([{"Delete": closing}, budget, *_make(message, now_ms)])

    def parts(self, digest_id: str) -> Iterator[Part]:
        """The parts of a digest."""
        for item in self._query(f"digest#{digest_id}"):
            yield msgspec.json.decode(item["held"]["S"], type=Part)

    def forget_due(self, due: Due) -> None:
        """Drop an entry whose series holds nothing."""
        self._client.delete_item(TableName=self._table, Key={"pk": {"S": "due"}, "sk": {"S": due.sk}})

    def _get(self, key: _Item) -> _Item | None:
        return self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")

    def _batch_get(self, keys: list[_Item]) -> Iterable[_Item]:
        wanted: Any = {self._table: {"Keys": keys, "ConsistentRead": True}}
        while wanted:
            answer = self._client.batch_get_item(RequestItems=wanted)
            yield from answer["Responses"].get(self._table, [])
            wanted = answer.get("UnprocessedKeys")

    def _query(self, pk: str, *, after: str = "0", until: str = "~") -> Iterator[_Item]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :after AND :until",
            ExpressionAttributeValues={":pk": {"S": pk}, ":after": {"S": after}, ":until": {"S": until}},
            ConsistentRead=True,
        )
        for page in pages:
            yield from page["Items"]

    def _update(self, message: Message, update: str, condition: str, values: _Item) -> bool:
        try:
            self._client.update_item(
                TableName=self._table,
                Key=message.key,
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues=values,
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _transact(self, writes: list[_Item]) -> None:
        for write in writes:
            next(iter(write.values()))["TableName"] = self._table
        try:
            self._client.transact_write_items(TransactItems=writes)  # type: ignore[arg-type]
        except self._client.exceptions.TransactionCanceledException as error:
            codes = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
            if codes & {"ConditionalCheckFailed", "TransactionConflict"}:
                raise ConflictError(str(error)) from error
            raise


_BUDGET_KEY: _Item = {"pk": {"S": "budget"}, "sk": {"S": "messages"}}
_OPEN_DIGEST_KEY: _Item = {"pk": {"S": "digest"}, "sk": {"S": "open"}}


def _series_of(event: AlertEvent) -> tuple[str, str, str]:
    return event.source_class, event.anomaly.ticker, event.anomaly.kind


def _alert_key(event: AlertEvent) -> _Item:
    return {"pk": {"S": f"alert#{event.anomaly.id}"}, "sk": {"S": "alert"}}


def _series_key(source_class: str, ticker: str, kind: str) -> _Item:
    return {"pk": {"S": f"series#{source_class}#{ticker}"}, "sk": {"S": kind}}


def _state(item: _Item | None, type_: type[_T]) -> _T:
    return type_() if item is None else msgspec.json.decode(item["state"]["S"], type=type_)


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _expiry(now_ms: int, days: int) -> _Item:
    return {"N": str(now_ms // 1000 + days * DAY_SECONDS)}


def _put(key: _Item, before: Any, after: Any, now_ms: int) -> _Item:
    item = {
        **key,
        "version": {"N": str(after.version)},
        "state": {"S": _text(after)},
        "expires_at": _expiry(now_ms, STATE_DAYS),
    }
    if before.version == 0:
        return {"Put": {"Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}
    return {
        "Put": {
            "Item": item,
            "ConditionExpression": "version = :before",
            "ExpressionAttributeValues": {":before": {"N": str(before.version)}},
        }
    }


def _due_changes(event: AlertEvent, before: Series, after: Series, now_ms: int) -> Iterator[_Item]:
    if after.due_ms == before.due_ms:
        return
    source_class, ticker, kind = _series_of(event)
    if before.due_ms is not None:
        key = {"pk": {"S": "due"}, "sk": {"S": _due_sk(before.due_ms, source_class, ticker, kind)}}
        yield {"Delete": {"Key": key}}
    if after.due_ms is not None:
        item = {
            "pk": {"S": "due"},
            "sk": {"S": _due_sk(after.due_ms, source_class, ticker, kind)},
            "source_class": {"S": source_class},
            "ticker": {"S": ticker},
            "kind": {"S": kind},
            "expires_at": _expiry(now_ms, STATE_DAYS),
        }
        yield {"Put": {"Item": item}}


def _due_sk(due_ms: int, source_class: str, ticker: str, kind: str) -> str:
    return f"{due_ms:013d}#{source_class}#{ticker}#{kind}"


def _make(message: Message, now_ms: int) -> Iterator[_Item]:
    common = {"message": {"S": _text(message)}, "expires_at": _expiry(now_ms, MESSAGE_DAYS)}
    item: _Item = {**message.key, **common, "status": {"S": "pending"}, "kind": {"S": message.kind}}
    if message.event is not None:
        item |= {
            "ticker": {"S": message.event.anomaly.ticker},
            "anomaly_kind": {"S": message.event.anomaly.kind},
            "severity": {"S": message.event.severity},
            "source": {"S": message.event.anomaly.source},
        }
    yield {"Put": {"Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}
    yield {"Put": {"Item": {**message.pending_key, **common}}}
