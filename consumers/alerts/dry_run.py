"""The notifier over a table in memory: which messages a run of events would have led to, with none sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from consumers.alerts.decision import ContextOf
from consumers.alerts.event import AlertEvent
from consumers.alerts.model import MINUTE_MS, Message
from consumers.alerts.notifier import Notifier, no_context
from consumers.alerts.settings import AlertSettings
from consumers.alerts.store import AlertStore
from consumers.alerts.table import MemoryTable


@dataclass
class DryRun:
    """A notifier that sends nothing, with a clock of its own.

    Attributes
    ----------
    watched
        Tickers on the watch list.
    now_ms
        The time, epoch ms UTC.
    messages
        Those that would have been sent, the oldest first.
    context
        See `decision.ContextOf`.
    """

    settings: AlertSettings = field(default_factory=AlertSettings)
    watched: int = 0
    now_ms: int = 0
    messages: list[Message] = field(default_factory=list)
    store: AlertStore = field(default_factory=lambda: AlertStore(MemoryTable()))
    context: ContextOf = no_context

    def __post_init__(self) -> None:
        self._notifier = Notifier(
            self.store,
            self._send,
            dead_letter=lambda _message, _delivery: None,
            clock=lambda: self.now_ms,
            watched=lambda: self.watched,
            context=self.context,
        )

    def handle(self, events: Sequence[AlertEvent], now_ms: int) -> list[Message | None]:
        """Take a batch of events in; return the message that each led to at once."""
        self.now_ms = now_ms
        return [one.message for one in self._notifier.handle(events, self.settings)]

    def sweep(self, now_ms: int) -> None:
        """Do what is due."""
        self.now_ms = now_ms
        self._notifier.sweep(self.settings)

    def live_through(self, events: Iterable[AlertEvent], then_ms: int = 0) -> None:
        """Take events at their times, with the sweep of every minute, until nothing waits and `then_ms` have passed.

        Those of one moment come of one poll, and are taken together.
        """
        moment = attrgetter("at_ms")
        for now_ms, together in groupby(sorted(events, key=moment), key=moment):
            self._sweep_until(now_ms)
            self.handle(list(together), now_ms)
        end_ms = self.now_ms + then_ms
        while next(self.store.due(end_ms), None) is not None and self.now_ms < end_ms:
            self._sweep_until(self.now_ms + MINUTE_MS)

    def _sweep_until(self, end_ms: int) -> None:
        """Sweep at the minutes at which something is due; at the others a sweep finds nothing."""
        while (first := next(self.store.due(end_ms), None)) is not None:
            due_ms = max(int(first[1][1].partition("#")[0]), self.now_ms + 1)
            minute_ms = -(-due_ms // MINUTE_MS) * MINUTE_MS
            if minute_ms > end_ms:
                break
            self.sweep(minute_ms)
        self.now_ms = max(self.now_ms, end_ms)

    def _send(self, channel: str, message: Message, settings: AlertSettings) -> str:
        del settings
        if channel == message.channels[0]:
            self.messages.append(message)
        return "dry run"
