"""Reads and writes messages and what became of them in each channel: the rows `messages` and `pending` of the table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar

from consumers.alerts.model import Delivery, Message, Pending
from consumers.alerts.places import (
    days_between,
    delivery_place,
    expiry,
    message_place,
    pending_place,
)
from consumers.alerts.table import AlertTable, ConflictError, Delete, Item, Place, Put, decode, encode

MESSAGE_DAYS = 90
"""More than the longest silence, so that what it defers is still sent."""
TURN_MS = 15_000
"""A turn runs out after so long, longer than a send takes: whoever had it was killed."""
ATTEMPTS = 5
"""Tries to take a turn, or to note that there is more, while others do."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message and what became of it in each channel."""

    message: Message
    deliveries: tuple[Delivery, ...]

    @property
    def status(self) -> str:
        """Return "sent" where every channel took it, "failed" where one never will, else "pending"."""
        states = {delivery.status for delivery in self.deliveries}
        if "failed" in states:
            return "failed"
        return "sent" if states == {"sent"} else "pending"

    @property
    def sent_ms(self) -> int:
        """When the first channel took it, epoch ms UTC; 0 if none did."""
        return min((delivery.sent_ms for delivery in self.deliveries if delivery.sent_ms), default=0)


@dataclass(frozen=True, slots=True)
class Turn:
    """Who sends to a channel, until the turn runs out (epoch ms UTC)."""

    by: str
    until_ms: int


_FREE = Turn("", 0)


class MessageStore:
    """Reads and writes messages and deliveries. Errors of the table are raised as they come."""

    def __init__(self, table: AlertTable) -> None:
        self._table = table

    def put_message(self, message: Message, now_ms: int) -> None:
        """Make a message; one of the same id and time is a `ConflictError`."""
        self._table.write(list(new_message(message, now_ms)))

    def message(self, id_: str, made_ms: int) -> Message | None:
        """Return a message by its id and when it was made; None once it has expired."""
        found = self._read(message_place(id_, made_ms), Message)
        return found and found[0]

    def messages(self, since_ms: int, until_ms: int) -> Iterator[StoredMessage]:
        """Yield messages made in a span (epoch ms UTC, both ends included), the oldest first."""
        items = self._of_days("messages", since_ms, until_ms)
        for key, (message, *deliveries) in groupby(items, lambda item: item.place[1].partition("#>")[0]):
            if message.place[1] == key:  # else it has expired, before its deliveries
                found = tuple(decode(item.body, Delivery) for item in deliveries)
                yield StoredMessage(decode(message.body, Message), found)

    def _of_days(self, name: str, since_ms: int, until_ms: int) -> Iterator[Item]:
        """Yield the items of partitions by day whose sort keys begin with a moment of a span."""
        for day in days_between(since_ms, until_ms):
            after, until = f"{max(since_ms, 0):013d}", f"{until_ms:013d}~"
            yield from self._table.query(f"{name}#{day}", after=after, until=until)

    def pending(self, since_ms: int = 0) -> Iterator[Pending]:
        """Yield deliveries of messages made since then that are not known to be done, the oldest first."""
        for item in self._table.query("pending", after=f"{since_ms:013d}"):
            yield decode(item.body, Pending)

    def take_turn(self, channel: str, by: str, now_ms: int) -> int:
        """Return the number of the turn if nobody else sends to a channel; else 0, and whoever does knows of more."""
        place = "turn", channel
        for _ in range(ATTEMPTS):
            turn, number = self._read(place, Turn) or (_FREE, 0)
            is_free = turn.until_ms <= now_ms
            after = Turn(by, now_ms + TURN_MS) if is_free else turn
            with suppress(ConflictError):
                self._table.write([Put(place, encode(after), expiry(now_ms, 1), number)])
                return number + 1 if is_free else 0
        return 0

    def end_turn(self, channel: str, by: str, number: int, now_ms: int) -> int:
        """End a turn; return its new number where it goes on, as others made something for the channel meanwhile."""
        place = "turn", channel
        try:
            self._table.write([Put(place, encode(_FREE), expiry(now_ms, 1), number)])
        except ConflictError:
            turn, number = self._read(place, Turn) or (_FREE, 0)
            return number if turn.by == by else 0
        return 0

    def delivery(self, pending: Pending) -> tuple[Delivery, int] | None:
        """Return a delivery and its version; None once it has expired."""
        return self._read(delivery_place(pending), Delivery)

    def undone(self, listed: Iterable[Pending]) -> list[Pending]:
        """Return those deliveries that neither were sent nor failed for good."""
        places = {delivery_place(pending): pending for pending in listed}
        found = self._table.read(places)
        states = {place: decode(item.body, Delivery).status for place, item in found.items()}
        return [of for place, of in places.items() if states.get(place) in {"pending", "sending"}]

    def put_delivery(self, pending: Pending, delivery: Delivery, version: int, now_ms: int) -> None:
        """Write a delivery over that version of it; what is done is no longer pending.

        Raises
        ------
        ConflictError
            It is of another version by now.
        """
        writes: list[Put | Delete] = [
            Put(delivery_place(pending), encode(delivery), expiry(now_ms, MESSAGE_DAYS), version)
        ]
        if delivery.status in {"sent", "failed"}:
            writes.append(Delete(pending_place(pending)))
        self._table.write(writes)

    def reopen(self, pending: Pending, now_ms: int) -> None:
        """Let a delivery that failed for good be tried again; one that is done or expired stays as it is."""
        found = self.delivery(pending)
        if found is not None and found[0].status == "failed":
            delivery, version = found
            again = replace(delivery, status="pending", next_ms=now_ms)
            expires_at = expiry(now_ms, MESSAGE_DAYS)
            self._table.write(
                [
                    Put(delivery_place(pending), encode(again), expires_at, version),
                    Put(pending_place(pending), encode(pending), expires_at),
                ]
            )

    def forget(self, place: Place) -> None:
        """Drop an entry that lists what is no longer so."""
        self._table.write([Delete(place)])

    def _read(self, place: Place, type_: type[_T]) -> tuple[_T, int] | None:
        """Return what is at a place, and its version."""
        item = self._table.read([place]).get(place)
        return None if item is None else (decode(item.body, type_), item.version)


def new_message(message: Message, now_ms: int) -> Iterator[Put | Delete]:
    """Yield the writes of a message and of its deliveries, all pending."""
    expires_at = expiry(now_ms, MESSAGE_DAYS)
    yield Put(message_place(message.id, message.made_ms), encode(message), expires_at, 0)
    for channel in message.channels:
        pending = Pending(message.id, message.made_ms, channel)
        yield Put(delivery_place(pending), encode(Delivery(channel)), expires_at, 0)
        yield Put(pending_place(pending), encode(pending), expires_at)
