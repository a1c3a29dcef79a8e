# ruff: noqa: T201 - it prints a report
"""Messages an hour before and after noise control, on violent sessions put together from real recordings.

Ten tickers, each with a dated public event (payrolls, FOMC, a split, ...), moved in time so that the events fall on
one day, within the hour, or into one minute; then `stock-monitor alerts dry-run`'s own code. The recordings are not
part of the repository: they lie in ../shared/exam/open, or where --recordings says.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from consumers.alerts.model import HIGH, Message
from consumers.alerts.policy import is_inhibited
from consumers.alerts.settings import AlertSettings, parse
from consumers.contracts.anomaly import AnomalyKey
from stream_infra.operations.offline import dry_run
from stream_infra.operations.offline.dry_run import DryRunReport

ROOT = Path(__file__).resolve().parents[2]
MINUTE_MS, DAY_MS = 60_000, 86_400_000
TOGETHER_MS = round(datetime(2024, 1, 10, 14, tzinfo=UTC).timestamp() * 1000)
"""Where the events are moved to; a Wednesday, hours of the New York session."""


@dataclass(frozen=True)
class Dated:
    """A dated event in a session: from when until when (epoch ms UTC) an anomaly is a hit, as in the exam."""

    ticker: str
    what: str
    since_ms: int
    until_ms: int


@dataclass(frozen=True)
class Recording:
    """A recording's ticks, and its dated events."""

    name: str
    rows: list[dict[str, str]]
    events: list[Dated]


@dataclass(frozen=True)
class Told:
    """When a dated event was found and told, epoch ms UTC; None for never."""

    dated: Dated
    found_ms: int | None
    told_ms: int | None

    @property
    def wait_minutes(self) -> float:
        """From its first anomaly to the first message about its incident."""
        if self.found_ms is None or self.told_ms is None:
            return float("inf")
        return (self.told_ms - self.found_ms) / MINUTE_MS


@dataclass(frozen=True)
class Session:
    """A session, what it would have led to, and what became of its dated events."""

    name: str
    report: DryRunReport
    told: list[Told]

    def urgent_waits_ms(self) -> list[float]:
        """From each event by which an incident got to be high or critical, or from high to critical, to its message.

        Infinite where there is none. What a misprint explains is no news: it is not counted.
        """
        reached: dict[str, int] = {}
        waits = []
        for event in sorted(self.report.events, key=lambda one: one.at_ms):
            id_ = self.report.incident_of[event.anomaly.id]
            incident = self.report.incidents[id_]
            is_worse = event.change != "ended" and event.rank > reached.get(id_, HIGH - 1)
            if is_worse and not is_inhibited(event.anomaly, incident):
                reached[id_] = event.rank
                sent = (
                    message.made_ms - event.at_ms
                    for message in self.report.messages
                    if message.kind in {"opened", "escalated"} and message.made_ms >= event.at_ms
                    if message.incident and message.incident.peak >= event.rank
                    if id_ in _about(message, self.report)
                )
                waits.append(min(sent, default=float("inf")))
        return waits

    def row(self) -> dict[str, str | float]:
        """Its figures."""
        report, most = self.report, max(hour.before for hour in self.report.hours)
        urgent = self.urgent_waits_ms()
        return {
            "session": self.name,
            "tickers": len(report.tickers),
            "anomalies": report.anomalies,
            "changes": report.changes,
            "incidents": len(report.incidents),
            "in_an_incident": sum(one.anomalies for one in report.incidents.values()),
            "messages": len(report.messages),
            "before": most,
            "after": report.busiest,
            "median": median([hour.after for hour in report.hours if hour.before]),
            "dated": len(self.told),
            "in_a_message": sum(one.told_ms is not None for one in self.told),
            "at_once": sum(one.wait_minutes == 0 for one in self.told),
            "longest_wait_minutes": max(one.wait_minutes for one in self.told),
            "urgent": len(urgent),
            "urgent_longest_wait_seconds": max(urgent) / 1000,
        }


def load(folder: Path) -> list[Recording]:
    """The recordings of a folder with their dated events."""
    return [_recording(path) for path in sorted(folder.glob("real_*.csv.gz"))]


def _recording(path: Path) -> Recording:
    case = json.loads(path.with_name(path.name.replace(".csv.gz", ".json")).read_text())
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    events = [
        Dated(
            rows[0]["symbol"],
            event["sub"],
            int(rows[event["start"]]["ts"]),
            int(rows[event["end"] + case["grace"]]["ts"]),
        )
        for event in case["events"]
    ]
    return Recording(path.name.removesuffix(".gz"), rows, events)


EVERYTHING_AT_ONCE = parse('{"routes": [{"notify": "at_once"}]}')
"""What one who watches few tickers may set: low and medium ones do not wait for a digest either."""


def as_recorded(recordings: list[Recording], settings: AlertSettings) -> Session:
    """The recordings at their own times."""
    return _run("as recorded", [(recording, 0) for recording in recordings], settings)


def sessions(recordings: list[Recording], settings: AlertSettings) -> list[Session]:
    """As they were recorded; then all on one day, one after the other within the hour, and at the same minute."""
    made = [as_recorded(recordings, settings)]
    first, second = _casts(recordings)
    shifts: list[tuple[str, Callable[[int, Dated], int]]] = [
        ("one day", lambda _, event: (TOGETHER_MS // DAY_MS - event.since_ms // DAY_MS) * DAY_MS),
        ("one every 5 minutes", lambda n, event: _to_minute(event, 5 * n)),
        ("one every 2 minutes", lambda n, event: _to_minute(event, 2 * n)),
        ("one minute", lambda _, event: _to_minute(event, 0)),
    ]
    for name, shift in shifts:
        for number, cast in enumerate((first, second), 1):
            moved = [(recording, shift(n, event)) for n, (recording, event) in enumerate(cast)]
            made.append(_run(f"{name} ({number})", moved, settings))
    return made


def _to_minute(event: Dated, minutes: int) -> int:
    return TOGETHER_MS - event.since_ms // MINUTE_MS * MINUTE_MS + minutes * MINUTE_MS


def _casts(recordings: list[Recording]) -> tuple[list[tuple[Recording, Dated]], ...]:
    """Each ticker once, with the first of its dated events, and with the last."""
    by_ticker: dict[str, list[tuple[Recording, Dated]]] = {}
    for recording in recordings:
        for event in recording.events:
            by_ticker.setdefault(event.ticker, []).append((recording, event))
    return [found[0] for found in by_ticker.values()], [found[-1] for found in by_ticker.values()]


def _run(name: str, moved: list[tuple[Recording, int]], settings: AlertSettings) -> Session:
    with tempfile.TemporaryDirectory() as folder:
        files = [_write(Path(folder), recording, shift_ms) for recording, shift_ms in moved]
        report = dry_run.run(files, settings, "2.5")
    assert not report.rejected.count, report.rejected.first
    dated = [
        Dated(event.ticker, event.what, event.since_ms + shift_ms, event.until_ms + shift_ms)
        for recording, shift_ms in moved
        for event in recording.events
    ]
    return Session(name, report, [_told(event, report) for event in dated])


def _write(folder: Path, recording: Recording, shift_ms: int) -> Path:
    path = folder / recording.name
    with path.open("w", newline="") as file:
        rows = csv.DictWriter(file, list(recording.rows[0]))
        rows.writeheader()
        rows.writerows({**row, "ts": int(row["ts"]) + shift_ms} for row in recording.rows)
    return path


def _told(event: Dated, report: DryRunReport) -> Told:
    """When the event was found, and the first message from then on about an incident of its anomalies."""
    found: dict[str, int] = {}
    for id_ in report.incident_of:
        key = AnomalyKey.parse(id_)
        if key.ticker == event.ticker and event.since_ms <= key.ts_ms <= event.until_ms:
            found[id_] = key.ts_ms
    first = min(found.values(), default=None)
    incidents = {report.incident_of[id_] for id_ in found}
    told = [
        message.made_ms
        for message in report.messages
        if message.kind != "resolved" and first is not None and message.made_ms >= first
        if _about(message, report) & incidents
    ]
    return Told(event, first, min(told, default=None))


def _about(message: Message, report: DryRunReport) -> set[str]:
    """The incidents that a message tells of, as they are in the end: one may have been merged since."""
    told = message.digest.listed if message.digest is not None else (message.incident,)
    return {report.incident_of[one.id] for incident in told if incident for one in incident.samples}


def table(made: Sequence[Session]) -> str:
    """The figures as a table of Markdown."""
    head = (
        "session",
        "changes",
        "incidents",
        "messages",
        "an hour, one a change",
        "an hour, sent, at most / median",
    )
    dated = "dated events in a message", "at once", "longest wait", "critical and high", "longest wait"
    lines = [_line([*head, *dated]), "|---" * 11 + "|"]
    for row in (session.row() for session in made):
        cells = [str(row[name]) for name in ("session", "changes", "incidents", "messages", "before")]
        cells.append(f"{row['after']} / {row['median']:g}")
        told = f"{row['in_a_message']} of {row['dated']}"
        cells += [told, str(row["at_once"]), f"{row['longest_wait_minutes']:.0f} min"]
        lines += [_line([*cells, str(row["urgent"]), f"{row['urgent_longest_wait_seconds']:g} s"])]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def hours(session: Session) -> str:
    """Messages of the busy hours of a session, as a table of Markdown."""
    lines = ["| hour (UTC) | one a change | sent |", "|---|---|---|"]
    lines += [
        f"| {datetime.fromtimestamp(hour.start_ms / 1000, UTC):%H:%M} | {hour.before} | {hour.after} |"
        for hour in session.report.hours
        if hour.start_ms // DAY_MS == TOGETHER_MS // DAY_MS and hour.before + hour.after
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    default = ROOT.parent / "shared" / "exam" / "open"
    parser.add_argument("--recordings", type=Path, default=default, help="the folder of the recordings")
    parser.add_argument("--at-once", action="store_true", help="send low and medium ones at once, too")
    parser.add_argument("--json", action="store_true", help="for programs")
    arguments = parser.parse_args()
    recordings = load(arguments.recordings)
    if not recordings:
        print(
            f"No recordings in {arguments.recordings}: name their folder with --recordings", file=sys.stderr
        )
        return 2
    made = sessions(recordings, EVERYTHING_AT_ONCE if arguments.at_once else AlertSettings())
    if arguments.json:
        calm = as_recorded(recordings, EVERYTHING_AT_ONCE)
        print(json.dumps({"sessions": [session.row() for session in made], "at_once": calm.row()}))
        return 0
    print(table(made))
    for session in made[1:3]:
        print(f"\n{session.name}:\n\n{hours(session)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
