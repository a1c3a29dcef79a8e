"""Reads and writes what is remembered of alerts: incidents, silences, messages, deliveries.

Items of the table `stock-alerts` (``pk``, ``sk``), all found by key or by a query of one partition, never by a scan:

=====================  ===============================  ====================================================
``anomaly#<id>``       ``record``                       `model.Record`
``group#<origin>``     ``<subject>``                    id of the newest incident of the group
``incidents#<day>``    ``<first ms>#<id>``              `model.Incident`
``due``                ``<due ms>#<incident id>``       an incident that a sweep has to look at then
``moves#<origin>``     ``<ms>#<anomaly id>``            `model.Move`s of a batch
``silence``            ``<scope>``                      `model.Silence`
``acknowledged``       ``<incident id>``                an incident that somebody acknowledged
``digest``             ``<origin>#<channels>``          `model.Digest` that is being put together
``messages#<day>``     ``<made ms>#<id>``               `model.Message`
``messages#<day>``     ``<made ms>#<id>#><channel>``    `model.Delivery` of it
``pending``            ``<made ms>#<id>#><channel>``    `Pending`: a delivery that is not known to be done
=====================  ===============================  ====================================================

A batch of events changes incidents and makes messages in one transaction guarded by their versions: whatever is
delivered twice or concurrently has one effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import msgspec

from consumers.alerts import incidents
from consumers.alerts.event import AlertEvent
from consumers.alerts.model import (
    FEED,
    MARKET,
    Acknowledgement,
    Delivery,
    Digest,
    Incident,
    Message,
    Move,
    Pending,
    Record,
    Silence,
)
from consumers.alerts.places import (
    days_between,
    delivery_place,
    digest_place,
    due_place,
    expiry,
    group_of,
    group_place,
    incident_place,
    message_place,
    pending_place,
    record_place,
)
from consumers.alerts.table import ConflictError, Delete, Place, Put, Table

RECORD_DAYS = 15
"""The queues keep events for 14 days; a redelivery must find what became of its anomaly."""
INCIDENT_DAYS = MESSAGE_DAYS = 90
"""More than the longest silence, so that what it defers is still sent."""
MOVES_DAYS = 1
BATCHES = 100
"""Batches that the search for incidents over many tickers looks at, the newest first."""

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


@dataclass
class AlertCache:
    """What is remembered that matters for a batch of events, and what changed of it."""

    silences: tuple[Silence, ...] = ()
    moves: dict[str, list[Move]] = field(default_factory=dict)
    _held: dict[Place, tuple[int, object]] = field(default_factory=dict)
    _now: dict[Place, object] = field(default_factory=dict)

    def hold(self, place: Place, version: int, state: object) -> None:
        """Remember what the table holds; None of version 0 for nothing."""
        self._held[place] = version, state
        self._now[place] = state

    def holds(self, place: Place) -> bool:
        """Return whether it is known what the table holds there."""
        return place in self._held

    def put(self, place: Place, state: object) -> None:
        """Change what will be written."""
        self._now[place] = state

    def get(self, place: Place, type_: type[_T]) -> _T | None:
        """Return what is there, None for nothing."""
        found = self._now[place] if place in self._held else self._now.get(place)
        return found if isinstance(found, type_) else None

    def changed(self) -> Iterator[tuple[Place, int, object, object]]:
        """Yield what changed: its place, the version before, what there was, and what there is now."""
        for place, state in self._now.items():
            version, before = self._held.get(place, (0, None))
            if state != before:
                yield place, version, before, state


class AlertStore:
    """Reads and writes the table. Errors of the table are raised as they come."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def load(self, events: Sequence[AlertEvent]) -> AlertCache:
        """Return what is remembered that matters for events; strongly consistent."""
        cache = AlertCache(tuple(self.silences()))
        groups = {
            group_place(event.origin, subject)
            for event in events
            for subject in (group_of(event), MARKET, FEED)
        }
        self._hold(cache, groups, str)
        self._hold(cache, (record_place(event.anomaly.id) for event in events), Record)
        wanted = {cache.get(place, str) for place in groups}
        records = (cache.get(record_place(event.anomaly.id), Record) for event in events)
        known = [one.incident for one in records if one is not None]
        new = [incidents.opened(event, event.anomaly.ticker).id for event in events]
        self.load_incidents(cache, [*filter(None, wanted), *known, *new])
        return cache

    def load_incidents(self, cache: AlertCache, ids: Iterable[str]) -> None:
        """Add incidents to a cache, and those into which they were merged."""
        wanted = {id_ for id_ in ids if not cache.holds(incident_place(id_))}
        self._hold(cache, map(incident_place, wanted), Incident)
        found = (cache.get(incident_place(id_), Incident) for id_ in wanted)
        if further := [one.merged_into for one in found if one is not None and one.merged_into]:
            self.load_incidents(cache, further)

    def load_moves(self, origin: str, since_ms: int, until_ms: int) -> list[Move]:
        """Return moves of batches whose first event is of that time."""
        items = self._table.query(
            f"moves#{origin}", after=f"{since_ms:013d}", until=f"{until_ms:013d}~", newest=BATCHES
        )
        return [move for item in items for move in msgspec.json.decode(item.body, type=list[Move])]

    def commit(
        self,
        cache: AlertCache,
        messages: Iterable[Message],
        now_ms: int,
        moves: Iterable[tuple[AlertEvent, Move]] = (),
    ) -> None:
        """Write what changed, all or nothing, with the messages that were made, pending.

        Raises
        ------
        ConflictError
            The table no longer holds what was loaded.
        TooManyWritesError
            More than one transaction takes; decide about fewer events at once.
        """
        writes: list[Put | Delete] = []
        for place, version, before, state in cache.changed():
            if isinstance(state, Incident):
                held = before if isinstance(before, Incident) else None
                writes += _due_writes(held, state, now_ms)
            days = RECORD_DAYS if isinstance(state, Record) else INCIDENT_DAYS
            writes.append(Put(place, _text(state), expiry(now_ms, days), version))
        for message in messages:
            writes += _new_message(message, now_ms)
        by_origin: dict[str, list[tuple[AlertEvent, Move]]] = {}
        for event, move in moves:
            by_origin.setdefault(event.origin, []).append((event, move))
        for origin, found in by_origin.items():
            first = found[0][0]
            place = f"moves#{origin}", f"{first.at_ms:013d}#{first.anomaly.id}"
            writes.append(Put(place, _text([move for _, move in found]), expiry(now_ms, MOVES_DAYS)))
        if writes:
            self._table.write(writes)

    def silences(self) -> list[Silence]:
        """Return all silences, ended ones for a day too."""
        return [_decode(item.body, Silence) for item in self._table.query("silence")]

    def put_silence(self, silence: Silence) -> None:
        """Silence, in place of a silence of the same scope."""
        place = "silence", silence.scope
        self._table.write([Put(place, _text(silence), expiry(silence.until_ms, 1))])

    def delete_silence(self, scope: str) -> bool:
        """Forget a silence; return whether there was one."""
        place = "silence", scope
        there = bool(self._table.read([place]))
        if there:
            self._table.write([Delete(place)])
        return there

    def incident(self, id_: str) -> Incident | None:
        """Return an incident, or the one that it was merged into; None for nothing."""
        cache = AlertCache()
        self.load_incidents(cache, [id_])
        return resolve(cache, id_)

    def incident_of(self, anomaly_id: str) -> Incident | None:
        """Return the incident that an anomaly belongs to; None if it is not known."""
        found = self._table.read([record_place(anomaly_id)])
        records = [_decode(item.body, Record) for item in found.values()]
        return self.incident(records[0].incident) if records else None

    def incidents(self, since_ms: int, until_ms: int) -> Iterator[Incident]:
        """Yield incidents that began in a span (epoch ms UTC, both ends included), the oldest first."""
        for day in days_between(since_ms, until_ms):
            after, until = f"{max(since_ms, 0):013d}", f"{until_ms:013d}~"
            for item in self._table.query(f"incidents#{day}", after=after, until=until):
                incident = _decode(item.body, Incident)
                if not incident.merged_into:
                    yield incident

    def acknowledge(self, incident: Incident, acknowledgement: Acknowledgement | None, now_ms: int) -> None:
        """Acknowledge an incident, or take that back with None.

        Raises
        ------
        ConflictError
            The incident changed since it was read; try again.
        """
        place, index = incident_place(incident.id), ("acknowledged", incident.id)
        item = self._table.read([place]).get(place)
        if item is None or _decode(item.body, Incident) != incident:
            raise ConflictError(f"incident {incident.id} changed")
        after = replace(incident, acknowledgement=acknowledgement)
        listed = (
            Delete(index)
            if acknowledgement is None
            else Put(index, _text(incident.id), expiry(acknowledgement.until_ms, 1))
        )
        self._table.write([Put(place, _text(after), expiry(now_ms, INCIDENT_DAYS), item.version), listed])

    def acknowledged(self, now_ms: int) -> list[Incident]:
        """Return the incidents that are acknowledged at `now_ms`."""
        ids = [_decode(item.body, str) for item in self._table.query("acknowledged")]
        cache = AlertCache()
        self.load_incidents(cache, ids)
        found = (cache.get(incident_place(id_), Incident) for id_ in ids)
        return [one for one in found if one is not None and one.state(now_ms) == "acknowledged"]

    def due(self, until_ms: int) -> Iterator[tuple[str, Place]]:
        """Yield ids of incidents that are due by then (epoch ms UTC), the first first, and where that is listed."""
        for item in self._table.query("due", until=f"{until_ms:013d}~"):
            yield _decode(item.body, str), item.place

    def forget(self, place: Place) -> None:
        """Drop an entry that lists what is no longer so."""
        self._table.write([Delete(place)])

    def open_digests(self) -> list[tuple[Digest, int]]:
        """Return the digests that are being put together, with their versions."""
        return [(_decode(item.body, Digest), item.version) for item in self._table.query("digest")]

    def load_digest(self, cache: AlertCache, origin: str, channels: tuple[str, ...]) -> Digest | None:
        """Add to a cache the digest that is being put together for these, and return it."""
        place = digest_place(origin, channels)
        if not cache.holds(place):
            self._hold(cache, [place], Digest)
        return cache.get(place, Digest)

    def finish_digest(self, digest: Digest, version: int, message: Message, now_ms: int) -> None:
        """Make the message of a digest and close it.

        Raises
        ------
        ConflictError
            Someone else did, or added to it: it is of another version by now.
        """
        place = digest_place(digest.origin, digest.channels)
        self._table.write([Delete(place, version), *_new_message(message, now_ms)])

    def put_message(self, message: Message, now_ms: int) -> None:
        """Make a message; one of the same id and time is a `ConflictError`."""
        self._table.write(list(_new_message(message, now_ms)))

    def message(self, id_: str, made_ms: int) -> Message | None:
        """Return a message by its id and when it was made; None once it has expired."""
        found = self._table.read([message_place(id_, made_ms)])
        return next((_decode(item.body, Message) for item in found.values()), None)

    def messages(self, since_ms: int, until_ms: int) -> Iterator[StoredMessage]:
        """Yield messages made in a span (epoch ms UTC, both ends included), the oldest first."""
        for day in days_between(since_ms, until_ms):
            message: Message | None = None
            deliveries: list[Delivery] = []
            after, until = f"{max(since_ms, 0):013d}", f"{until_ms:013d}~"
            for item in self._table.query(f"messages#{day}", after=after, until=until):
                if "#>" in item.place[1]:
                    deliveries.append(_decode(item.body, Delivery))
                    continue
                if message is not None:
                    yield StoredMessage(message, tuple(deliveries))
                message, deliveries = _decode(item.body, Message), []
            if message is not None:
                yield StoredMessage(message, tuple(deliveries))

    def pending(self) -> Iterator[Pending]:
        """Yield deliveries that are not known to be done, the oldest first."""
        for item in self._table.query("pending"):
            yield _decode(item.body, Pending)

    def delivery(self, pending: Pending) -> tuple[Delivery, int] | None:
        """Return a delivery and its version; None once it has expired."""
        found = self._table.read([delivery_place(pending)])
        return next(((_decode(item.body, Delivery), item.version) for item in found.values()), None)

    def put_delivery(self, pending: Pending, delivery: Delivery, version: int, now_ms: int) -> None:
        """Write a delivery over that version of it; what is done is no longer pending.

        Raises
        ------
        ConflictError
            It is of another version by now.
        """
        writes: list[Put | Delete] = [
            Put(delivery_place(pending), _text(delivery), expiry(now_ms, MESSAGE_DAYS), version)
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
                    Put(delivery_place(pending), _text(again), expires_at, version),
                    Put(pending_place(pending), _text(pending), expires_at),
                ]
            )

    def forget_pending(self, pending: Pending) -> None:
        """Take a delivery that is done, or whose message expired, off the list of pending ones."""
        self._table.write([Delete(pending_place(pending))])

    def _hold(self, cache: AlertCache, places: Iterable[Place], type_: type[object]) -> None:
        places = list(places)
        found = self._table.read(places)
        for place in places:
            item = found.get(place)
            if item is None:
                cache.hold(place, 0, None)
            else:
                cache.hold(place, item.version, _decode(item.body, type_))


def resolve(cache: AlertCache, id_: str) -> Incident | None:
    """Return an incident of a cache, or the one that it was merged into."""
    incident = cache.get(incident_place(id_), Incident)
    while incident is not None and incident.merged_into:
        incident = cache.get(incident_place(incident.merged_into), Incident)
    return incident


def _due_writes(before: Incident | None, after: Incident, now_ms: int) -> Iterator[Put | Delete]:
    """Yield the writes that list an incident as due when it says so, and no longer when not."""
    listed = None if before is None else before.due_ms
    if listed == after.due_ms:
        return
    if listed is not None:
        yield Delete(due_place(listed, after.id))
    if after.due_ms is not None:
        yield Put(due_place(after.due_ms, after.id), _text(after.id), expiry(now_ms, INCIDENT_DAYS))


def _new_message(message: Message, now_ms: int) -> Iterator[Put | Delete]:
    expires_at = expiry(now_ms, MESSAGE_DAYS)
    yield Put(message_place(message.id, message.made_ms), _text(message), expires_at, 0)
    for channel in message.channels:
        pending = Pending(message.id, message.made_ms, channel)
        yield Put(delivery_place(pending), _text(Delivery(channel)), expires_at, 0)
        yield Put(pending_place(pending), _text(pending), expires_at)


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _decode(text: str, type_: type[_T]) -> _T:
    return msgspec.json.decode(text, type=type_)
