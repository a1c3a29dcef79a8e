"""What is remembered of alerts that matters for a batch of events, and what changes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from consumers.alerts.model import AnomalyRecord, Incident
from consumers.alerts.places import due_place, expiry, incident_place
from consumers.alerts.table import AlertTable, Delete, Place, Put, decode, encode

RECORD_DAYS = 15
"""The queues keep events for 14 days; a redelivery must find what became of its anomaly."""
INCIDENT_DAYS = 90
_T = TypeVar("_T")


class AlertCache:
    """What the table holds, and what it is to hold. What is not there yet is read, strongly consistent."""

    def __init__(self, table: AlertTable) -> None:
        self._table = table
        self._held: dict[Place, tuple[int, object]] = {}
        self._now: dict[Place, object] = {}

    def load(self, types: Mapping[Place, type[object]]) -> None:
        """Read many at once, but for those that were read before."""
        new = {place: type_ for place, type_ in types.items() if place not in self._held}
        found = self._table.read(new) if new else {}
        for place, type_ in new.items():
            item = found.get(place)
            self._held[place] = (0, None) if item is None else (item.version, decode(item.body, type_))
            self._now[place] = self._held[place][1]

    def load_incidents(self, ids: Iterable[str]) -> None:
        """Read many incidents at once, and those into which they were merged."""
        ids = list(ids)
        self.load(dict.fromkeys(map(incident_place, ids), Incident))
        found = map(self.incident, ids)
        if merged := {one.merged_into for one in found if one is not None and one.merged_into}:
            self.load_incidents(merged)

    def get(self, place: Place, type_: type[_T]) -> _T | None:
        """Return what is there, None for nothing."""
        self.load({place: type_})
        found = self._now[place]
        return found if isinstance(found, type_) else None

    def incident(self, id_: str) -> Incident | None:
        """Return an incident as it is, though it was merged into another."""
        return self.get(incident_place(id_), Incident)

    def resolve(self, id_: str) -> Incident | None:
        """Return an incident, or the one that it was merged into."""
        incident = self.incident(id_)
        while incident is not None and incident.merged_into:
            incident = self.incident(incident.merged_into)
        return incident

    def put(self, place: Place, state: object) -> None:
        """Change what will be written."""
        self._held.setdefault(place, (0, None))
        self._now[place] = state

    def changes(self, now_ms: int) -> Iterator[Put | Delete]:
        """Yield the writes of what changed; an incident is listed as due when it says so, and no longer when not."""
        for place, state in self._now.items():
            version, before = self._held[place]
            if state == before:
                continue
            days = RECORD_DAYS if isinstance(state, AnomalyRecord) else INCIDENT_DAYS
            yield Put(place, encode(state), expiry(now_ms, days), version)
            listed_ms = before.due_ms if isinstance(before, Incident) else None
            if isinstance(state, Incident) and state.due_ms != listed_ms:
                if listed_ms is not None:
                    yield Delete(due_place(listed_ms, state.id))
                if state.due_ms is not None:
                    due = due_place(state.due_ms, state.id)
                    yield Put(due, encode(state.id), expiry(now_ms, INCIDENT_DAYS))
