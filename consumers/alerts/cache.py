"""What is remembered of alerts that matters for a batch of events, and what changes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from consumers.alerts.model import Incident
from consumers.alerts.places import incident_place
from consumers.alerts.table import Place

_T = TypeVar("_T")


@dataclass
class AlertCache:
    """What is remembered that matters for a batch of events, and what changed of it."""

    _held: dict[Place, tuple[int, object]] = field(default_factory=dict)
    _now: dict[Place, object] = field(default_factory=dict)

    def load(self, place: Place, version: int, state: object) -> None:
        """Remember what the table holds; None of version 0 for nothing."""
        self._held[place] = version, state
        self._now[place] = state

    def has_loaded(self, place: Place) -> bool:
        """Return whether it is known what the table holds there."""
        return place in self._held

    def put(self, place: Place, state: object) -> None:
        """Change what will be written."""
        self._now[place] = state

    def get(self, place: Place, type_: type[_T]) -> _T | None:
        """Return what is there, None for nothing."""
        found = self._now.get(place)
        return found if isinstance(found, type_) else None

    def changed(self) -> Iterator[tuple[Place, int, object, object]]:
        """Yield what changed: its place, the version before, what there was, and what there is now."""
        for place, state in self._now.items():
            version, before = self._held.get(place, (0, None))
            if state != before:
                yield place, version, before, state


def resolve(cache: AlertCache, id_: str) -> Incident | None:
    """Return an incident of a cache, or the one that it was merged into."""
    incident = cache.get(incident_place(id_), Incident)
    while incident is not None and incident.merged_into:
        incident = cache.get(incident_place(incident.merged_into), Incident)
    return incident
