"""The items of the table `stock-alerts`: their keys and their contents. Pure.

Items (``pk``, ``sk``), all found by key or by a query of one partition, never by a scan:

======================  ==========================  ======================================================
``alert#<anomaly id>``  ``alert``                   `state.Alert`
``series#<class>#<T>``  ``<kind>``                  `state.Series` of ticker T
``budget``              ``<class>``                 `state.Budget`
``market#<class>``      ``state``                   `state.Market`
``moves#<class>``       ``<at ms>#<anomaly id>``    `state.Move`s of a batch, for market-wide alerts
``mute``                ``<scope>``                 `state.Mute`
``due#<class>``         ``<due ms>#<T>#<kind>``     a series whose held anomalies are to be told then
``digest``              ``<class>``                 the digest that is being put together
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
from consumers.alerts.model import MarketMove, MessageKind, Move, Mute, Series

Item = dict[str, Any]
SeriesKey = tuple[str, str, str]
"""Class of sources, ticker and kind: what more of the same is told by."""
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
        market: what else a market-wide alert tells.
    """

    id: str
    kind: MessageKind
    made_ms: int
    event: AlertEvent | None = None
    market: MarketMove | None = None

    @property
    def key(self) -> Item:
        """Its place in the table."""
        return message_key(self.id, self.made_ms)

    @property
    def pending_key(self) -> Item:
        """Where it is listed until it is sent."""
        return {"pk": {"S": "pending"}, "sk": self.key["sk"]}


@dataclass(frozen=True, slots=True)
class Due:
    """A series that holds something, listed by when it is due."""

    sk: str
    origin: str
    ticker: str
    kind: str

    @property
    def due_ms(self) -> int:
        """When it is to be told, epoch ms UTC."""
        return int(self.sk.partition("#")[0])

    @property
    def key(self) -> Item:
        """Its place in the table."""
        return due_key(self.origin, self.sk)


@dataclass(frozen=True, slots=True)
class Stored:
    """A message and what became of it.

    Attributes:
        status: pending, publishing (claimed), or sent.
        subject, sent_ms, sns_id: of the email, when (epoch ms UTC), and SNS's id; "" and 0 until it is sent.
        attempts: how often it was claimed.
    """

    message: Message
    status: str
    subject: str
    sent_ms: int
    sns_id: str
    attempts: int

    @classmethod
    def of(cls, item: Item) -> Stored:
        """What an item of the table holds."""
        return cls(
            message=msgspec.json.decode(item["message"]["S"], type=Message),
            status=item["status"]["S"],
            subject=item.get("subject", {}).get("S", ""),
            sent_ms=int(item.get("sent_ms", {}).get("N", "0")),
            sns_id=item.get("sns_id", {}).get("S", ""),
            attempts=int(item.get("attempts", {}).get("N", "0")),
        )


def days_between(first_ms: int, last_ms: int) -> list[str]:
    """The UTC days of a span, both ends included."""
    return [day_of(day * 86_400_000) for day in range(first_ms // 86_400_000, last_ms // 86_400_000 + 1)]


def day_of(ms: int) -> str:
    """The UTC day of a moment."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d}"


def budget_key(origin: str) -> Item:
    """Key of the messages of the last hour about an origin."""
    return {"pk": {"S": "budget"}, "sk": {"S": origin}}


def open_digest_key(origin: str) -> Item:
    """Key of the digest of an origin that is being put together."""
    return {"pk": {"S": "digest"}, "sk": {"S": origin}}


def due_key(origin: str, sk: str) -> Item:
    """Key of an entry that lists a series as due."""
    return {"pk": {"S": f"due#{origin}"}, "sk": {"S": sk}}


def message_id(event: AlertEvent) -> str:
    """The id of the message about an event."""
    return f"{event.anomaly.id}#{event.key}"


def message_key(id_: str, made_ms: int) -> Item:
    """Key of a message by its id and when it was made."""
    return {"pk": {"S": f"messages#{day_of(made_ms)}"}, "sk": {"S": f"{made_ms:013d}#{id_}"}}


def series_of(event: AlertEvent) -> SeriesKey:
    """The series that an event belongs to."""
    return event.origin, event.anomaly.ticker, event.anomaly.kind


def alert_key(anomaly_id: str) -> Item:
    """Key of what is remembered of an anomaly."""
    return {"pk": {"S": f"alert#{anomaly_id}"}, "sk": {"S": "alert"}}


def market_key(origin: str) -> Item:
    """Key of what is remembered of market-wide alerts."""
    return {"pk": {"S": f"market#{origin}"}, "sk": {"S": "state"}}


def mute_key(scope: str) -> Item:
    """Key of a mute."""
    return {"pk": {"S": "mute"}, "sk": {"S": scope}}


def mute_item(mute: Mute) -> Item:
    """A mute; it is forgotten a day after it ended."""
    return {**mute_key(mute.scope), "mute": {"S": text_of(mute)}, "expires_at": expiry(mute.until_ms, 1)}


def moves_item(origin: str, moves: list[Move], now_ms: int) -> Item:
    """The moves of a batch, under the newest; market-wide alerts look at those of a minute."""
    newest = max(moves, key=lambda move: (move.at_ms, move.id))
    return {
        "pk": {"S": f"moves#{origin}"},
        "sk": {"S": f"{newest.at_ms:013d}#{newest.id}"},
        "moves": {"S": text_of(moves)},
        "expires_at": expiry(now_ms, 1),
    }


def series_key(origin: str, ticker: str, kind: str) -> Item:
    """Key of what is remembered of a series."""
    return {"pk": {"S": f"series#{origin}#{ticker}"}, "sk": {"S": kind}}


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


def due_changes(series: SeriesKey, before: Series, after: Series, now_ms: int) -> Iterator[Item]:
    """The writes that list a series as due when its state says so, and no longer when not."""
    if after.due_ms == before.due_ms:
        return
    origin, ticker, kind = series
    if before.due_ms is not None:
        yield {"Delete": {"Key": due_key(origin, _due_sk(before.due_ms, ticker, kind))}}
    if after.due_ms is not None:
        item = {
            **due_key(origin, _due_sk(after.due_ms, ticker, kind)),
            "origin": {"S": origin},
            "ticker": {"S": ticker},
            "kind": {"S": kind},
            "expires_at": expiry(now_ms, STATE_DAYS),
        }
        yield {"Put": {"Item": item}}


def _due_sk(due_ms: int, ticker: str, kind: str) -> str:
    return f"{due_ms:013d}#{ticker}#{kind}"


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
