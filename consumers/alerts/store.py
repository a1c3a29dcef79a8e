"""Reads and writes what is remembered of alerts: incidents, silences, messages, deliveries.

Items of the table `stock-alerts` (``pk``, ``sk``), all found by key or by a query of one partition, never by a scan:

=====================  ===============================  ====================================================
``anomaly#<id>``       ``record``                       `model.AnomalyRecord`
``group#<origin>``     ``<subject>``                    ids of the newest incidents of the group
``incidents#<day>``    ``<first ms>#<id>``              `model.Incident`
``due``                ``<due ms>#<incident id>``       an incident that a sweep has to look at then
``moves#<origin>``     ``<ms>#<anomaly id>``            `model.Move`s of a batch
``silence``            ``<scope>``                      `model.Silence`
``acknowledged``       ``<incident id>``                an incident that somebody acknowledged
``link``               ``key``                          the key that signs links in messages
``link``               ``used#<action>#<message id>``   a link that was used
``feedback#<day>``     ``<first ms>#<incident>#<ms>``   `feedback.Feedback`, by the day of its incident
``digest``             ``<origin>#<channels>``          `model.Digest` that is being put together
``digested``           ``<origin>#<channels>``          until when digests sent at once count, ms UTC
``messages#<day>``     ``<made ms>#<id>``               `model.Message`
``messages#<day>``     ``<made ms>#<id>#><channel>``    `model.Delivery` of it
``pending``            ``<made ms>#<id>#><channel>``    `Pending`: a delivery that is not known to be done
``turn``               ``<channel>``                    `message_store.Turn`: who sends to it now
=====================  ===============================  ====================================================

A batch of events changes incidents and makes messages in one transaction guarded by their versions: whatever is
delivered twice or concurrently has one effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import msgspec

from consumers.alerts import incidents
from consumers.alerts.cache import AlertCache
from consumers.alerts.event import AlertEvent
from consumers.alerts.feedback import Feedback
from consumers.alerts.links import KEY_BYTES, LinkError
from consumers.alerts.message_store import MessageStore, new_message
from consumers.alerts.model import (
    FEED,
    MARKET,
    Acknowledgement,
    AnomalyRecord,
    Digest,
    Incident,
    Message,
    Move,
    Silence,
)
from consumers.alerts.places import (
    digest_place,
    expiry,
    feedback_place,
    group_place,
    incident_place,
    record_place,
)
from consumers.alerts.policy import WIDE_MS, group_of
from consumers.alerts.table import AlertTable, ConflictError, Delete, Place, Put, decode, encode
from consumers.contracts.anomaly import iso_ms
from producers.errors import MonitorError

FEEDBACK_DAYS = 400
MOVES_DAYS = 1
ATTEMPTS = 5
"""Tries to acknowledge an incident against events that change it meanwhile."""
KEY_DAYS = 3650
BATCHES = 100
"""Batches that the search for incidents over many tickers looks at, the newest first."""


class ResolvedError(MonitorError):
    """An incident is resolved: there is nothing to acknowledge."""


class AlertStore(MessageStore):
    """Reads and writes the table. Errors of the table are raised as they come."""

    def __init__(self, table: AlertTable) -> None:
        super().__init__(table)
        self._newest: dict[Place, str] = {}

    def load(self, events: Sequence[AlertEvent]) -> AlertCache:
        """Return what is remembered that matters for events; strongly consistent."""
        cache = AlertCache(self._table)
        groups = {
            group_place(event.origin, subject)
            for event in events
            for subject in (group_of(event), MARKET, FEED)
        }
        records = [record_place(event.anomaly.id) for event in events]
        new = [incidents.opened(event, event.anomaly.ticker).id for event in events]
        # The newest incidents of before, which mostly are those of now: one read instead of two.
        before = [id_ for place, id_ in self._newest.items() if place in groups]
        types: dict[Place, type[object]] = dict.fromkeys(groups, str) | dict.fromkeys(records, AnomalyRecord)
        cache.load(types | dict.fromkeys(map(incident_place, [*new, *before]), Incident))
        self._newest = {place: ids.split()[0] for place in groups if (ids := cache.get(place, str))}
        known = [one.incident for place in records if (one := cache.get(place, AnomalyRecord)) is not None]
        cache.load_incidents([*self._newest.values(), *known, *new])
        return cache

    def load_moves(self, origin: str, since_ms: int, until_ms: int) -> list[Move]:
        """Return moves of batches whose first event is of that time."""
        items = self._table.query(
            f"moves#{origin}", after=f"{since_ms:013d}", until=f"{until_ms:013d}~", newest=BATCHES
        )
        return [move for item in items for move in msgspec.json.decode(item.body, type=list[Move])]

    def commit(
        self, cache: AlertCache, messages: Iterable[Message], now_ms: int, moves: Iterable[Move] = ()
    ) -> None:
        """Write what changed, all or nothing, with the messages that were made, pending.

        Raises
        ------
        ConflictError
            The table no longer holds what was loaded.
        TooManyWritesError
            More than one transaction takes; decide about fewer events at once.
        """
        writes = [*cache.changes(now_ms)]
        for message in messages:
            writes += new_message(message, now_ms)
        together: dict[tuple[str, int], list[Move]] = {}
        for move in sorted(moves, key=lambda one: one.at_ms):
            together.setdefault((move.origin, move.at_ms // WIDE_MS), []).append(move)
        for found in together.values():  # whoever looks around an anomaly finds them by the first's time
            place = f"moves#{found[0].origin}", f"{found[0].at_ms:013d}#{found[0].anomaly}"
            writes.append(Put(place, encode(found), expiry(now_ms, MOVES_DAYS)))
        if writes:
            self._table.write(writes)

    def silences(self) -> list[Silence]:
        """Return all silences, ended ones for a day too."""
        return [decode(item.body, Silence) for item in self._table.query("silence")]

    def put_silence(self, silence: Silence, link: str = "") -> None:
        """Silence, in place of a silence of the same scope. See `acknowledge` for `link` and its error."""
        made = Put(("silence", silence.scope), encode(silence), expiry(silence.until_ms, 1))
        self._write_once([made], link, silence.until_ms)

    def put_feedback(self, said: Feedback, link: str = "") -> None:
        """Remember what a person said of an incident, beside what was said before.

        See `acknowledge` for `link` and its error.
        """
        place = feedback_place(said.incident, said.at_ms)
        made = Put(place, encode(said), expiry(said.at_ms, FEEDBACK_DAYS))
        self._write_once([made], link, said.at_ms)

    def feedback_of(self, incident_id: str) -> list[Feedback]:
        """Return what was said of an incident, the oldest first."""
        pk, first = feedback_place(incident_id, 0)
        until = feedback_place(incident_id, 10**13 - 1)[1]
        return [decode(item.body, Feedback) for item in self._table.query(pk, after=first, until=until)]

    def feedback(self, since_ms: int, until_ms: int) -> Iterator[Feedback]:
        """Yield what was said of incidents that began in a span (epoch ms UTC), by their beginning."""
        for item in self._of_days("feedback", since_ms, until_ms):
            yield decode(item.body, Feedback)

    def link_key(self, now_ms: int, random_bytes: Callable[[int], bytes]) -> bytes:
        """Return the key that signs links, made of random bytes by whoever needs it first."""
        place = "link", "key"
        while (found := self._read(place, str)) is None:
            with suppress(ConflictError):  # another one made it
                key = encode(random_bytes(KEY_BYTES).hex())
                self._table.write([Put(place, key, expiry(now_ms, KEY_DAYS), 0)])
        return bytes.fromhex(found[0])

    def delete_silence(self, scope: str) -> bool:
        """Forget a silence; return whether there was one."""
        place = "silence", scope
        there = bool(self._table.read([place]))
        if there:
            self._table.write([Delete(place)])
        return there

    def cache(self, ids: Iterable[str]) -> AlertCache:
        """Return what is remembered of incidents, and of those into which they were merged."""
        cache = AlertCache(self._table)
        cache.load_incidents(ids)
        return cache

    def incident(self, id_: str) -> Incident | None:
        """Return an incident, or the one that it was merged into; None for nothing."""
        return self.cache([id_]).resolve(id_)

    def incident_of(self, anomaly_id: str) -> Incident | None:
        """Return the incident that an anomaly belongs to; None if it is not known."""
        found = self._read(record_place(anomaly_id), AnomalyRecord)
        return found and self.incident(found[0].incident)

    def incidents(self, since_ms: int, until_ms: int) -> Iterator[Incident]:
        """Yield incidents that began in a span (epoch ms UTC, both ends included), the oldest first."""
        for item in self._of_days("incidents", since_ms, until_ms):
            incident = decode(item.body, Incident)
            if not incident.merged_into:
                yield incident

    def acknowledge(
        self, id_: str, known: Acknowledgement | None, now_ms: int, link: str = ""
    ) -> Incident | None:
        """Acknowledge an incident at the severity that it has reached, or take that back with None.

        Parameters
        ----------
        link
            What a link in a message allows once (`links.Grant.use`); "" for none.

        Returns
        -------
        Incident | None
            The incident as it is then; None where no incident of that id is known.

        Raises
        ------
        ConflictError
            The incident changed all the while.
        LinkError
            The link was used.
        ResolvedError
            It is over: nothing more of it is sent anyway.
        """
        for _ in range(ATTEMPTS):
            cache = self.cache([id_])
            if (incident := cache.resolve(id_)) is None:
                return None
            if known is not None and incident.resolved_ms is not None:
                over = f"incident {incident.id} was resolved at {iso_ms(incident.resolved_ms)}"
                raise ResolvedError(f"{over}: there is nothing to acknowledge")
            known = known and replace(known, rank=incident.peak)
            # The next sweep finds what is due; what waits for a digest is known already.
            waiting = incident.waiting if known is None else None
            after = replace(incident, acknowledgement=known, waiting=waiting, due_ms=now_ms)
            cache.put(incident_place(after.id), after)
            index = "acknowledged", after.id
            listed = (
                Delete(index) if known is None else Put(index, encode(after.id), expiry(known.until_ms, 1))
            )
            with suppress(ConflictError):
                self._write_once([*cache.changes(now_ms), listed], link, now_ms)
                return after
        raise ConflictError(f"incident {id_} changes all the while")

    def _write_once(self, writes: list[Put | Delete], link: str, now_ms: int) -> None:
        """Write with the note that a link was used, if it was one; a second use of it is a `LinkError`."""
        used = "link", f"used#{link}"
        try:
            self._table.write([*writes, *([Put(used, encode(link), expiry(now_ms, 2), 0)] if link else [])])
        except ConflictError:
            if link and self._table.read([used]):
                raise LinkError("the link was used", "one that was not used before") from None
            raise

    def acknowledged(self, now_ms: int) -> list[Incident]:
        """Return the incidents that are acknowledged at `now_ms`."""
        found = self._incidents(decode(item.body, str) for item in self._table.query("acknowledged"))
        return [one for one in found if one.state(now_ms) == "acknowledged"]

    def due(self, until_ms: int) -> Iterator[tuple[str, Place]]:
        """Yield ids of incidents that are due by then (epoch ms UTC), the first first, and where that is listed."""
        for item in self._table.query("due", until=f"{until_ms:013d}~"):
            yield decode(item.body, str), item.place

    def unresolved(self, origin: str, subjects: Iterable[str]) -> list[Incident]:
        """Return the incidents of these subjects that go on; late ones are none of them.

        An incident that is not resolved is always listed as due, at the latest when it times out.
        """
        groups = {f"{origin}-{subject}" for subject in subjects}
        listed = (decode(item.body, str) for item in self._table.query("due"))
        found = self._incidents(id_ for id_ in sorted(set(listed)) if id_.rpartition("-")[0] in groups)
        return [one for one in found if one.resolved_ms is None and not one.merged_into]

    def _incidents(self, ids: Iterable[str]) -> list[Incident]:
        ids = list(ids)
        return [one for one in map(self.cache(ids).incident, ids) if one is not None]

    def open_digests(self) -> list[tuple[Digest, int]]:
        """Return the digests that are being put together, with their versions."""
        return [(decode(item.body, Digest), item.version) for item in self._table.query("digest")]

    def finish_digest(self, digest: Digest, version: int, now_ms: int) -> None:
        """Make the message of a digest and close it.

        Raises
        ------
        ConflictError
            Someone else did, or added to it: it is of another version by now.
        """
        place = digest_place(digest.origin, digest.channels)
        self._table.write([Delete(place, version), *new_message(digest.message(now_ms), now_ms)])
