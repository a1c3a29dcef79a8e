"""Which alerts recorded ticks would have led to: by the notifier itself, over a table in memory, with none sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from consumers.alerts.decision import ContextOf
from consumers.alerts.event import AlertEvent
from consumers.alerts.model import MINUTE_MS, Incident, Message
from consumers.alerts.notifier import Notifier, no_context
from consumers.alerts.settings import AlertSettings
from consumers.alerts.store import AlertStore
from consumers.alerts.table import MemoryTable
from consumers.stream.thresholds import Threshold, ThresholdError
from producers.recorded_lines import RecordingError
from stream_infra.operations.errors import InputError
from stream_infra.operations.offline.history import RecordedHistory
from stream_infra.operations.offline.market import RecordedMarket
from stream_infra.operations.recordings import RejectedRows

DAY_MS, HOUR_MS = 86_400_000, 3_600_000


@dataclass
class DryRun:
    """The notifier over a table in memory, which sends nothing, with a clock of its own.

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


@dataclass(frozen=True)
class Hour:
    """Messages of an hour: one for every change of an anomaly, and as they would have been sent.

    Attributes
    ----------
    start_ms
        Its beginning, epoch ms UTC.
    """

    start_ms: int
    before: int
    after: int


@dataclass(frozen=True)
class DryRunReport:
    """What a dry run found.

    Attributes
    ----------
    events
        Openings, escalations and ends of anomalies: each would be a message without any grouping.
    busiest
        Most messages in any 60 minutes.
    incident_of
        The id of each anomaly's incident.
    """

    tickers: tuple[str, ...]
    ticks: int
    events: list[AlertEvent]
    messages: list[Message]
    incidents: dict[str, Incident]
    incident_of: dict[str, str]
    hours: list[Hour]
    busiest: int
    rejected: RejectedRows

    @property
    def anomalies(self) -> int:
        """How many began."""
        return sum(event.change == "detected" for event in self.events)

    @property
    def changes(self) -> int:
        """How many events there are."""
        return len(self.events)


def run(files: list[Path], settings: AlertSettings, threshold: str) -> DryRunReport:
    """Detect in recordings, and pass what was found through the notifier.

    Raises
    ------
    InputError
        A file or the threshold cannot be used.
    """
    rejected = RejectedRows()
    try:
        history = RecordedHistory(files, Threshold.parse(threshold), rejected.add)
        market = RecordedMarket(settings)
        events = []
        for change in history.changes(market.add):
            events.append(AlertEvent.of(*change))
            market.read(events[-1])
    except (RecordingError, ThresholdError) as error:
        raise InputError(str(error)) from error
    notifier = DryRun(settings, watched=len(history.tickers), context=market.context)
    notifier.live_through(events, then_ms=2 * DAY_MS)
    found = {id_: notifier.store.incident_of(id_) for id_ in {event.anomaly.id for event in events}}
    # What goes on where the recordings end is not known to go on after it: only what waits is sent then.
    messages = [one for one in notifier.messages if one.kind != "repeated" or one.made_ms <= history.last_ms]
    times = [message.made_ms for message in messages]
    return DryRunReport(
        tickers=history.tickers,
        ticks=history.ticks,
        events=events,
        messages=messages,
        incidents={incident.id: incident for incident in found.values() if incident is not None},
        incident_of={id_: incident.id for id_, incident in found.items() if incident is not None},
        hours=_hours([event.at_ms for event in events], times),
        busiest=_busiest(times),
        rejected=rejected,
    )


def _hours(before: list[int], after: list[int]) -> list[Hour]:
    earlier, later = (Counter(at // HOUR_MS for at in times) for times in (before, after))
    return [Hour(hour * HOUR_MS, earlier[hour], later[hour]) for hour in sorted({*earlier, *later})]


def _busiest(times: list[int]) -> int:
    busiest = first = 0
    for last, at in enumerate(times):  # in the order of time
        while times[first] <= at - HOUR_MS:
            first += 1
        busiest = max(busiest, last - first + 1)
    return busiest
