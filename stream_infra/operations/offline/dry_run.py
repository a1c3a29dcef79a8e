"""Which alerts recorded ticks would have led to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from consumers.alerts.dry_run import DryRun
from consumers.alerts.event import AlertEvent
from consumers.alerts.model import Incident, Message
from consumers.alerts.settings import AlertSettings
from consumers.stream.thresholds import Threshold, ThresholdError
from producers.recorded_lines import RecordingError
from stream_infra.operations.errors import InputError
from stream_infra.operations.offline.history import RecordedHistory
from stream_infra.operations.offline.market import RecordedMarket
from stream_infra.operations.recordings import RejectedRows

DAY_MS, HOUR_MS = 86_400_000, 3_600_000


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
    times = [message.made_ms for message in notifier.messages]
    return DryRunReport(
        tickers=history.tickers,
        ticks=history.ticks,
        events=events,
        messages=notifier.messages,
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
