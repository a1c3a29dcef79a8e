"""Which alerts recorded ticks would have led to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from consumers.alerts.dry_run import Rehearsal, Rehearsed, rehearse
from consumers.alerts.settings import AlertSettings
from consumers.stream.thresholds import Threshold, ThresholdError
from producers.sources.replay import RejectedTick, ReplayError
from stream_infra.operations.errors import InputError
from stream_infra.operations.offline.history import History

HOUR_MS = 3_600_000
SHOWN_REFUSALS = 5


@dataclass(frozen=True)
class Hour:
    """Messages of an hour: one for every change of an anomaly, and as they would have been sent.

    Attributes:
        start_ms: its beginning, epoch ms UTC.
    """

    start_ms: int
    before: int
    after: int


@dataclass(frozen=True)
class DryRun:
    """What a dry run found.

    Attributes:
        changes: openings, escalations and ends of anomalies: the messages without any noise control.
        busiest: most messages in any 60 minutes.
        refused: rows that could not be used, and the first reasons.
    """

    tickers: tuple[str, ...]
    ticks: int
    anomalies: int
    changes: int
    messages: list[Rehearsed]
    hours: list[Hour]
    busiest: int
    refused: int
    reasons: list[str]


def run(files: list[Path], settings: AlertSettings, threshold: str) -> DryRun:
    """Detect, and live through what was found.

    Raises:
        InputError: a file or the threshold cannot be used.
    """
    refused: list[RejectedTick] = []
    count = Counter[str]()

    def refuse(tick: RejectedTick) -> None:
        count["refused"] += 1
        if len(refused) < SHOWN_REFUSALS:
            refused.append(tick)

    try:
        history = History(files, Threshold.parse(threshold), refuse)
        events = list(history.events())
    except (ReplayError, ThresholdError) as error:
        raise InputError(str(error)) from error
    rehearsal = Rehearsal(settings, watched=len(history.tickers))
    rehearse(events, rehearsal)
    times = [message.at_ms for message in rehearsal.messages]
    return DryRun(
        tickers=history.tickers,
        ticks=history.ticks,
        anomalies=sum(event.change == "detected" for event in events),
        changes=len(events),
        messages=rehearsal.messages,
        hours=_hours([event.at_ms for event in events], times),
        busiest=_busiest(times),
        refused=count["refused"],
        reasons=[str(tick) for tick in refused],
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
