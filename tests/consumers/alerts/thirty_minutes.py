# ruff: noqa: T201 - it prints a table
"""A first start, watched for 30 simulated minutes: what was injected, what of it was found, and what was sent where.

The simulated market's ten tickers, a quote a second; the half hour before the start is filled in, as `make up` does.
Detectors and notifier are the product's, in one process with a clock that stands still while they work: what the queue
and the functions take on AWS or a laptop comes on top of the delays.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from consumers.alerts import policy
from consumers.alerts.event import AlertEvent
from consumers.alerts.model import HIGH, Incident, Message
from consumers.contracts.anomaly import anomaly_id
from consumers.contracts.kinds import distortions
from consumers.stream.thresholds import Threshold
from producers.quote_batch import Quote
from producers.simulation.injection import DEFAULT_WATCH_LIST, InjectedEvent
from producers.sources.simulated import SimulatedSource
from stream_infra.operations.offline.dry_run import DryRun
from stream_infra.operations.offline.history import RecordedHistory

START_MS = round(datetime(2026, 11, 24, 14, 30, tzinfo=UTC).timestamp() * 1000)
HALF_HOUR_MS = 30 * 60_000
GRACE_MS = 60_000
"""An anomaly this long after an injected one is over still counts as it: its way back, or what is only seen by then."""
SOON_MS = 3_000
BATCH = 10


@dataclass(frozen=True)
class Watched:
    """What happened in the half hour.

    Attributes
    ----------
    events
        All that the detectors announced, of the half hour before as well.
    messages
        All that were sent, digests too.
    """

    injected: list[InjectedEvent]
    events: list[AlertEvent]
    messages: list[Message]
    incident_of: dict[str, Incident]

    def found(self, injected: InjectedEvent) -> list[AlertEvent]:
        """The openings and escalations of an injected anomaly, by time."""
        until_ms = injected.end_ms + GRACE_MS
        return [
            event
            for event in self.events
            if event.anomaly.ticker == injected.symbol
            and event.change != "ended"
            and injected.start_ms <= event.at_ms <= until_ms
        ]

    def at_once(self, id_: str) -> list[Message]:
        """The messages at once about an anomaly's incident."""
        wanted = self.incident_of[id_].id
        return [
            message
            for message in self.messages
            if message.kind in {"opened", "escalated"} and message.incident and message.incident.id == wanted
        ]

    def urgent(self) -> Iterator[AlertEvent]:
        """Yield what people have to hear of at once: high and critical ones that no misprint explains."""
        for event in self.events:
            is_urgent = event.at_ms >= START_MS and event.change != "ended" and event.rank >= HIGH
            if is_urgent and not policy.is_inhibited(event.anomaly, self.incident_of[event.anomaly.id]):
                yield event


def watch() -> Watched:
    """Start, and watch for half an hour; then for two more hours, in which nothing happens but digests."""
    market = SimulatedSource(distortions=distortions())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "quotes.csv"
        _record(file, market)
        found = RecordedHistory([file], Threshold.parse("2.5"), _reject).changes()
        events = [_announced(AlertEvent.of(*change)) for change in found]
    monitor = DryRun(watched=len(DEFAULT_WATCH_LIST))
    past = [event for event in events if event.at_ms < START_MS]
    for first in range(0, len(past), BATCH):
        monitor.handle(past[first : first + BATCH], START_MS)
    monitor.live_through([event for event in events if event.at_ms >= START_MS], then_ms=4 * HALF_HOUR_MS)
    ids = {event.anomaly.id for event in events}
    incidents = {id_: incident for id_ in ids if (incident := monitor.store.incident_of(id_)) is not None}
    injected = market.injected_events(DEFAULT_WATCH_LIST, START_MS, START_MS + HALF_HOUR_MS - GRACE_MS)
    return Watched(injected, events, monitor.messages, incidents)


def _announced(event: AlertEvent) -> AlertEvent:
    """Return an event as of the simulated source."""
    anomaly = event.anomaly
    id_ = anomaly_id(anomaly.ticker, anomaly.began_ms, anomaly.kind, "simulated")
    return replace(event, source="simulated", anomaly=replace(anomaly, id=id_))


def _record(file: Path, market: SimulatedSource) -> None:
    with file.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["ts", "symbol", "price", "bid", "ask", "day_volume"])
        for ts_ms in range(START_MS - HALF_HOUR_MS, START_MS + HALF_HOUR_MS, 1_000):
            for symbol, quote in market.quotes(DEFAULT_WATCH_LIST, ts_ms).items():
                if isinstance(quote, Quote):  # else its trading is halted
                    rows.writerow([ts_ms, symbol, quote.price, quote.bid, quote.ask, quote.day_volume])


def _reject(tick: object) -> None:
    raise AssertionError(f"a tick of ours was rejected: {tick}")


def table(watched: Watched) -> str:
    """The injected anomalies, what was found, and what was sent, as a table of Markdown."""
    lines = ["| injected at | ticker | what | found, after | sent, after its tick |", "|---|---|---|---|---|"]
    for injected in watched.injected:
        found = watched.found(injected)
        seen = ", ".join(
            f"{event.anomaly.kind} {event.anomaly.severity} {(event.at_ms - injected.start_ms) / 1000:.0f} s"
            for event in found
        )
        sent = dict.fromkeys(_sent(watched, event) for event in found)
        cells = (
            _clock(injected.start_ms),
            injected.symbol,
            injected.kind,
            seen or "-",
            "; ".join(sent) or "-",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _sent(watched: Watched, event: AlertEvent) -> str:
    at_once = [
        message
        for message in watched.at_once(event.anomaly.id)
        if event.at_ms <= message.made_ms <= event.at_ms + SOON_MS
        and message.cause
        and message.cause.id == event.anomaly.id
    ]
    if at_once:
        message = at_once[0]
        after = (message.made_ms - event.at_ms) / 1000
        return f"{message.kind}, {'/'.join(message.channels)}, {after:.1f} s"
    incident = watched.incident_of[event.anomaly.id]
    if policy.is_inhibited(event.anomaly, incident):
        return "not sent: a misprint"
    if watched.at_once(event.anomaly.id):
        return "in its incident"
    for message in watched.messages:
        if message.digest and any(one.id == incident.id for one in message.digest.listed):
            return f"digest of {_clock(message.made_ms)}"
    return "not sent"


def _clock(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%H:%M:%S}"


def main() -> int:
    watched = watch()
    print(table(watched))
    found = sum(bool(watched.found(one)) for one in watched.injected)
    print(f"\n{len(watched.injected)} injected, {found} found; {len(watched.messages)} messages:")
    for message in watched.messages:
        about = message.incident.id if message.incident else message.id
        print(f"  {_clock(message.made_ms)} {message.kind} {about}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
