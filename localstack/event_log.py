"""The events of the bus in the order in which they came, numbered, for whoever follows them at `/events`.

The queue of the front door receives them (see `complement`); the log keeps the last of them over a restart.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections import Counter, deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from localstack.files import append_lines, whole_lines, write_atomically

logger = logging.getLogger(__name__)

KEPT = 10_000
"""Events that somebody who was away can still get."""


class LoggedEvent(NamedTuple):
    """An event of the bus: `n` counts from 1 in its log."""

    n: int
    event_id: str
    detail_type: str
    detail: dict[str, Any]

    @property
    def ticker(self) -> str | None:
        """The ticker that it is about; None where it is about none, or many."""
        found = self.detail["data"].get("ticker")
        return found if isinstance(found, str) else None


class EventLog:
    """The last events, on disk and in memory; safe for one writer and many readers in threads."""

    def __init__(self, path: Path, kept: int = KEPT) -> None:
        self._path, self._kept = path, kept
        self._lock = threading.Lock()
        self.name, self._events = _read(path, kept)
        self._known = {event.event_id for event in self._events}
        self._counts = Counter(map(_labels, self._events))
        self._written = 0
        self.on_add: Callable[[], None] = lambda: None
        """Called after each event, by whoever added it: a thread of its own."""
        self._rewrite()

    @property
    def newest(self) -> int:
        """The number of the newest event; 0 where there is none."""
        return self._events[-1].n if self._events else 0

    def add(self, _delivery: str, event: dict[str, Any]) -> None:
        """Add an event of the bus; the same occurrence a second time changes nothing.

        Raises
        ------
        ValueError, TypeError, KeyError
            If it is none of ours: whoever may put events may put any.
        """
        detail, detail_type = event["detail"], event["detail-type"]
        event_id = detail["metadata"]["event_id"]
        if not isinstance(event_id, str) or not isinstance(detail["data"], dict):
            raise TypeError(f"event_id is {event_id!r:.60}; it must be a text, and data an object")
        if not detail_type.isprintable():  # it is a line of its own for those who follow
            raise ValueError(f"detail-type is {detail_type!r:.60}; must be printable")
        with self._lock:
            if event_id in self._known:
                return
            added = LoggedEvent(self.newest + 1, event_id, detail_type, detail)
            append_lines(self._path, _line(added))
            self._events.append(added)
            self._counts[_labels(added)] += 1
            self._known.add(event_id)
            self._written += 1
            while len(self._events) > self._kept:
                self._known.discard(self._events.popleft().event_id)
            if self._written >= self._kept:
                self._rewrite()
        self.on_add()

    def counts(self) -> dict[tuple[str, str, str], int]:
        """Return how many events came, by detail type, kind and severity ("" where it has none); it only grows."""
        with self._lock:
            return dict(self._counts)

    def id_of(self, event: LoggedEvent) -> str:
        """Return the id by which a follower goes on after an event."""
        return f"{self.name}-{event.n}"

    def after(self, n: int) -> list[LoggedEvent]:
        """Return the events with a greater number than `n` that are kept."""
        if n >= self.newest:
            return []
        with self._lock:
            first = self._events[0].n
            return list(islice(self._events, max(0, n - first + 1), None))

    def number_of(self, id_: str) -> int | None:
        """Return the number in an id, None if it is none of this log, or of one that is not kept any more."""
        name, _, number = id_.rpartition("-")
        if name != self.name or not number.isascii() or not number.isdecimal() or len(number) > 15:
            return None
        n = int(number)
        first = self._events[0].n if self._events else 1
        return n if first - 1 <= n <= self.newest else None

    def _rewrite(self) -> None:
        lines = [json.dumps({"log": self.name}) + "\n", *map(_line, self._events)]
        write_atomically(self._path, "".join(lines))
        self._written = 0


def _labels(event: LoggedEvent) -> tuple[str, str, str]:
    data = event.detail["data"]
    return event.detail_type, str(data.get("kind", "")), str(data.get("severity", ""))


def _line(event: LoggedEvent) -> str:
    return json.dumps(event) + "\n"


def _read(path: Path, kept: int) -> tuple[str, deque[LoggedEvent]]:
    """Return a log's name and its last events; a line that a crash cut off is left out, as the queue has it still.

    One that is damaged otherwise ends the log, and whoever follows sees its new name.
    """
    try:
        lines = [json.loads(line) for line in whole_lines(path)]  # msgspec takes no halves of characters
        if lines:
            events = deque((msgspec.convert(line, LoggedEvent) for line in lines[1:]), maxlen=kept)
            return msgspec.convert(lines[0], dict[str, str])["log"], events
    except (ValueError, KeyError) as error:
        logger.warning("%s is damaged, and begun anew: %r", path, error)
    return secrets.token_hex(4), deque()
