"""The items of the table `stock-alerts`: their keys and their contents. Pure.

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
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from consumers.alerts.event import AlertEvent
from consumers.alerts.life import MessageKind, Series

Item = dict[str, Any]
DAY_SECONDS = 86_400
STATE_DAYS = 15
"""The queues keep events for 14 days; a redelivery must find what became of its alert."""
MESSAGE_DAYS = 90

_T = TypeVar("_T")


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


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that went out: when (epoch ms UTC), and its subject."""

    id: str
    kind: MessageKind
    sent_ms: int
    subject: str


def days_between(first_ms: int, last_ms: int) -> list[str]:
    """The UTC days of a span, both ends included."""
    return [day_of(day * 86_400_000) for day in range(first_ms // 86_400_000, last_ms // 86_400_000 + 1)]


def day_of(ms: int) -> str:
    """The UTC day of a moment."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d}"


BUDGET_KEY: Item = {"pk": {"S": "budget"}, "sk": {"S": "messages"}}
OPEN_DIGEST_KEY: Item = {"pk": {"S": "digest"}, "sk": {"S": "open"}}


def series_of(event: AlertEvent) -> tuple[str, str, str]:
    """Class of sources, ticker and kind: what more of the same is told by."""
    return event.source_class, event.anomaly.ticker, event.anomaly.kind


def alert_key(event: AlertEvent) -> Item:
    """Key of what is remembered of an event's anomaly."""
    return {"pk": {"S": f"alert#{event.anomaly.id}"}, "sk": {"S": "alert"}}


def series_key(source_class: str, ticker: str, kind: str) -> Item:
    """Key of what is remembered of a series."""
    return {"pk": {"S": f"series#{source_class}#{ticker}"}, "sk": {"S": kind}}


def state_of(item: Item | None, type_: type[_T]) -> _T:
    """The state in an item, or a new one where there is no item."""
    return type_() if item is None else msgspec.json.decode(item["state"]["S"], type=type_)


def text_of(value: object) -> str:
    """A value as JSON text."""
    return msgspec.json.encode(value).decode()


def expiry(now_ms: int, days: int) -> Item:
    """The attribute for time to live, that many days from now."""
    return {"N": str(now_ms // 1000 + days * DAY_SECONDS)}


def put_state(key: Item, before: Any, after: Any, now_ms: int) -> Item:
    """The write of a state for a transaction, refused unless the table holds `before`."""
    item = {
        **key,
        "version": {"N": str(after.version)},
        "state": {"S": text_of(after)},
        "expires_at": expiry(now_ms, STATE_DAYS),
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


def due_changes(event: AlertEvent, before: Series, after: Series, now_ms: int) -> Iterator[Item]:
    """The writes that list a series as due when its state says so, and no longer when not."""
    if after.due_ms == before.due_ms:
        return
    source_class, ticker, kind = series_of(event)
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
            "expires_at": expiry(now_ms, STATE_DAYS),
        }
        yield {"Put": {"Item": item}}


def _due_sk(due_ms: int, source_class: str, ticker: str, kind: str) -> str:
    return f"{due_ms:013d}#{source_class}#{ticker}#{kind}"


def make_message(message: Message, now_ms: int) -> Iterator[Item]:
    """The writes that make a message, pending."""
    common = {"message": {"S": text_of(message)}, "expires_at": expiry(now_ms, MESSAGE_DAYS)}
    item: Item = {**message.key, **common, "status": {"S": "pending"}, "kind": {"S": message.kind}}
    if message.event is not None:
        item |= {
            "ticker": {"S": message.event.anomaly.ticker},
            "anomaly_kind": {"S": message.event.anomaly.kind},
            "severity": {"S": message.event.severity},
            "source": {"S": message.event.anomaly.source},
        }
    yield {"Put": {"Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}
    yield {"Put": {"Item": {**message.pending_key, **common}}}
