"""A run of the lake: takes in what is new since the last one.

Ticks and bars come from the blocks, which are what counts: of each partition those after the last that was taken in,
and the backfill blocks of redrives that were not. A row names its block (ticks) or is the only one of its minute
(bars), so that a block that is taken in again replaces its own rows. The other tables are small and change: a day of
theirs is written whole, as it is now, every time that something of it may have changed, and once a day for all days
that are younger than `KEPT_DAYS`.

The order makes every step safe to repeat: first the days are put, each at once, then how far the lake is.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from consumers.lake import parquet, rows
from consumers.lake.tables import TABLES, LakeTable, TableName, object_key
from consumers.windows import restore

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.alerts.store import AlertStore
    from consumers.contracts.anomaly import Anomaly
    from consumers.lake.bucket import LakeBucket, LakeState
    from consumers.windows.block import Block
    from consumers.windows.ports import BlockStore, SnapshotStore
    from consumers.windows.state import Step

KEPT_DAYS = 60
"""So long a day of incidents, deliveries and feedback is read anew; stock-alerts keeps them longer than that."""
MAX_ROWS = 4_000_000
"""Ticks that are taken in at once: some 600 MB of disk."""
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_encode = msgspec.json.Encoder().encode
logger = logging.getLogger(__name__)


class LateBlocks(Protocol):
    """The backfill blocks that there are."""

    def listed(self, partition: int) -> dict[int, list[Block]]:
        """Return those of a partition, in order, by the block that they go on from."""


class AnomalyDays(Protocol):
    """The anomalies by day."""

    def found_on(self, day: str) -> Iterator[Anomaly]:
        """Yield those of a UTC day."""


@dataclass(frozen=True)
class LakePorts:
    """From where a run reads, and where it writes."""

    blocks: BlockStore
    late: LateBlocks
    snapshots: SnapshotStore
    anomalies: AnomalyDays
    alerts: AlertStore
    bucket: LakeBucket
    now_ms: Callable[[], int]


@dataclass
class LakeReport:
    """What a run did: the rows of the objects that it wrote, and whether it took in all that there was."""

    blocks: int = 0
    late_blocks: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    is_done: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return it for the log."""
        return asdict(self)


class Lake:
    """Takes in what is new, until it is done or the time is up.

    Parameters
    ----------
    partitions
        Of the stream.
    """

    def __init__(self, partitions: int, ports: LakePorts) -> None:
        self._partitions = range(partitions)
        self._ports = ports

    def run(self, until_ms: int) -> LakeReport:
        """Take in what is new; begin nothing after `until_ms` (epoch ms UTC).

        Raises
        ------
        IOFailedError
            A read or a write failed, or another run was faster. The next run goes on from here.
        LakeFileError
            A file cannot be read or written.
        """
        report, state = LakeReport(), self._ports.bucket.state()
        while self._merge_blocks(state, report):
            if self._ports.now_ms() >= until_ms:
                report.is_done = False
                return report
        self._refresh(state, until_ms, report)
        self._ports.bucket.save(state)
        return report

    def _merge_blocks(self, state: LakeState, report: LakeReport) -> bool:
        """Take in some of the blocks that are new; return whether there may be more."""
        with Days() as days:
            for partition in self._partitions:
                self._live(partition, state, days, report)
                self._late(partition, state, days, report)
            if not days.count:
                return False
            today = _day(self._ports.now_ms())
            for place, file in days.files.items():
                self._merge(place, file, report)
                state.days[place.day] = today
            self._ports.bucket.save(state)
            return days.is_full

    def _live(self, partition: int, state: LakeState, days: Days, report: LakeReport) -> None:
        blocks = self._ports.blocks
        after, last = state.blocks.get(partition, 0), blocks.last(partition)
        if last is None or last.number == after:
            return
        # Where a partition was quiet for so long that all blocks went, they begin at 1 again.
        after = after if last.number > after else 0
        for step in restore.followed(blocks, self._ports.snapshots, partition, after):
            if days.is_full:
                return
            days.add("ticks", rows.tick_rows(step, f"{partition}/{step.block.number}", late=False))
            days.add("bars", rows.bar_rows(step))
            state.blocks[partition] = step.block.number
            report.blocks += 1

    def _late(self, partition: int, state: LakeState, days: Days, report: LakeReport) -> None:
        listed = self._ports.late.listed(partition)
        there = {f"{partition}/{gap}+{block.number}" for gap, blocks in listed.items() for block in blocks}
        taken = {name for name in state.late if name.startswith(f"{partition}/")}
        for gap, blocks in listed.items():
            names = [f"{partition}/{gap}+{block.number}" for block in blocks]
            if taken.issuperset(names) or days.is_full:
                continue
            for name, step in zip(names, self._late_steps(gap, blocks), strict=False):
                if name not in taken:
                    days.add("ticks", rows.tick_rows(step, name, late=True))
                    report.late_blocks += 1
            taken.update(names)
        others = [name for name in state.late if not name.startswith(f"{partition}/")]
        state.late = sorted([*others, *taken & there])

    def _late_steps(self, gap: int, blocks: Sequence[Block]) -> Iterator[Step]:
        try:
            yield from restore.followed_late(self._ports.blocks, self._ports.snapshots, gap, blocks)
        except restore.GoneError as error:
            logger.error("late ticks stay out of the lake", extra={"gap": gap, "reason": str(error)})

    def _merge(self, place: Place, file: Path, report: LakeReport) -> None:
        table, key = TABLES[place.table], object_key(*place)
        if table.name == "bars":  # a minute can come anew where the clock of the stream was set back
            _write_rows(file, rows.newest_rows(_read_rows(file), table.key))
        before = file.with_suffix(".before")
        etag = self._ports.bucket.fetch(key, before)
        self._put(table, key, file, report, before=before if etag else None, etag=etag, digest="")

    def _refresh(self, state: LakeState, until_ms: int, report: LakeReport) -> None:
        """Write anew the days of the tables that are small and change."""
        now_ms = self._ports.now_ms()
        today, yesterday = _day(now_ms), _day(now_ms - DAY_MS)
        state.days[today] = today
        oldest = _day(now_ms - KEPT_DAYS * DAY_MS)
        state.days = {day: came for day, came in state.days.items() if came >= oldest}
        for day, came in sorted(state.days.items(), reverse=True):
            if came < yesterday and state.swept == today:
                continue
            if self._ports.now_ms() >= until_ms:
                report.is_done = False
                return
            self._write_whole(day, now_ms, report)
        state.swept = today

    def _write_whole(self, day: str, now_ms: int, report: LakeReport) -> None:
        alerts, (first_ms, last_ms) = self._ports.alerts, _span(day)
        sources: dict[TableName, Iterable[rows.Row]] = {
            "anomalies": rows.anomaly_rows(self._ports.anomalies.found_on(day)),
            "incidents": rows.incident_rows(alerts.incidents(first_ms, last_ms), now_ms),
            "deliveries": rows.delivery_rows(alerts.messages(first_ms, last_ms)),
            "feedback": rows.feedback_rows(alerts.feedback(first_ms, last_ms)),
        }
        for name, found in sources.items():
            with TemporaryDirectory() as folder:
                file = Path(folder) / f"{name}.jsonl"
                count, digest = _write_rows(file, found)
                key = object_key(name, day)
                there = self._ports.bucket.head(key)
                if (there.digest if there else None) != (digest if count or there else None):
                    self._put(
                        TABLES[name], key, file, report, before=None, etag=there and there.etag, digest=digest
                    )

    def _put(
        self,
        table: LakeTable,
        key: str,
        file: Path,
        report: LakeReport,
        *,
        before: Path | None,
        etag: str | None,
        digest: str,
    ) -> None:
        made = file.with_suffix(".parquet")
        count = parquet.write(table, file, before, made)
        self._ports.bucket.put(key, made, instead_of=etag, digest=digest)
        report.rows[key] = count


class Place(NamedTuple):
    """Where rows belong: the object of a day, or of an hour of it."""

    table: TableName
    day: str
    hour: int | None


class Days:
    """Rows by table and day (ticks: and hour), in files that go with it."""

    def __init__(self) -> None:
        self.files: dict[Place, Path] = {}
        self.count = 0

    def __enter__(self) -> Days:
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(TemporaryDirectory()))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def is_full(self) -> bool:
        """Whether no more should be added."""
        return self.count >= MAX_ROWS

    def add(self, table: TableName, found: Iterable[rows.Row]) -> None:
        """Add rows to the days and hours of their times."""
        when = "ts" if table == "ticks" else "minute_ms"
        by_hour: dict[int, list[bytes]] = defaultdict(list)
        for row in found:
            by_hour[row[when] // HOUR_MS].append(_encode(row))
            self.count += 1
        for number, lines in by_hour.items():
            place = Place(table, _day(number * HOUR_MS), number % 24 if table == "ticks" else None)
            file = self.files.setdefault(place, self._folder / f"{len(self.files)}.jsonl")
            with file.open("ab") as opened:
                opened.write(b"\n".join(lines) + b"\n")


def _write_rows(file: Path, found: Iterable[rows.Row]) -> tuple[int, str]:
    """Write rows into a file; return how many, and the digest of the file."""
    count, digest = 0, hashlib.sha256()
    with file.open("wb") as opened:
        for row in found:
            line = _encode(row) + b"\n"
            opened.write(line)
            digest.update(line)
            count += 1
    return count, digest.hexdigest()


def _read_rows(file: Path) -> Iterator[rows.Row]:
    with file.open("rb") as lines:
        yield from map(msgspec.json.decode, list(lines))


def _day(ms: int) -> str:
    return str((datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).date())


def _span(day: str) -> tuple[int, int]:
    """Return the first and the last millisecond of a UTC day."""
    first_ms = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000
    return first_ms, first_ms + DAY_MS - 1
