"""A day and a night of quotes through the detector and the notifier, in memory, and the lake over it."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import duckdb
from botocore.exceptions import ClientError

from consumers.alerts.feedback import feedback_of
from consumers.contracts.anomaly import Anomaly
from consumers.lake.bucket import LakeBucket
from consumers.lake.run import DAY_MS, Lake, LakePorts, LakeReport
from consumers.lake.tables import TABLES
from consumers.windows.block import Block
from consumers.windows.ports import BlockStore
from producers.partitions import partition_of
from stream_infra.operations.offline.dry_run import DryRun
from tests.consumers import kit
from tests.consumers.alerts.bench import received

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIDNIGHT_MS = 1_795_564_800_000  # 2026-11-25T00:00:00Z
SECONDS = 400
START_MS = MIDNIGHT_MS - SECONDS // 2 * 1000
FIRST, SECOND = "2026-11-24", "2026-11-25"
SYMBOLS = [f"S{i}" for i in range(6)]
DISCARDED = range(150, 160)
"""Seconds whose records the mapping gave up; prices jump in them, and come back by a redrive."""
NEVER = 1 << 62


def records() -> list[list[kit.Sent]]:
    """The records of each second: one for each partition, and now and then one of a replay."""
    rng = random.Random(7)
    price = {symbol: 50.0 + i for i, symbol in enumerate(SYMBOLS)}
    seconds: list[list[kit.Sent]] = []
    for second in range(SECONDS):
        ts = START_MS + second * 1000
        of_second = []
        for partition in range(2):
            rows: list[kit.Row] = []
            for symbol in (s for s in SYMBOLS if partition_of(s, 2) == partition):
                price[symbol] = round(price[symbol] * (1 + rng.gauss(0, 2e-4)), 2)
                jump = 1.04 if (second in DISCARDED and second % 3 == 0) or second == 320 else 1.0
                p = round(price[symbol] * jump, 2)
                bid = round(p - 0.01, 2) if second % 7 else None
                rows.append((symbol, ts, p, bid, round(p + 0.01, 2), 100 * second))
            sources = ("alpaca", "replay-monday") if second % 20 == 0 else ("alpaca",)
            for n, source in enumerate(sources):
                sequence = str(1_000_000 + 100 * second + 10 * partition + n)
                of_second.append(
                    kit.Sent(kit.payload(rows, source), sequence, ts + 40 + partition, str(partition))
                )
        seconds.append(of_second)
    return seconds


SENT = records()


class MemoryS3:
    """Objects of a bucket, with conditional writes; `faults` decides before and after each write."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.faults = kit.Faults()

    def copy(self) -> MemoryS3:
        copied = MemoryS3()
        copied.objects = dict(self.objects)
        return copied

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803  boto3's names
        return {**self.head_object(Bucket=Bucket, Key=Key), "Body": io.BytesIO(self.objects[Key][0])}

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: ARG002, N803
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"ETag": self._etag(Key), "Metadata": self.objects[Key][1]}

    def put_object(
        self,
        *,
        Bucket: str,  # noqa: ARG002, N803
        Key: str,  # noqa: N803
        Body: Any,  # noqa: N803
        IfMatch: str | None = None,  # noqa: N803
        IfNoneMatch: str | None = None,  # noqa: N803
        Metadata: dict[str, str] | None = None,  # noqa: N803
    ) -> None:
        body = Body if isinstance(Body, bytes) else Body.read()

        def put() -> None:
            there = self._etag(Key) if Key in self.objects else None
            if (IfMatch is not None and there != IfMatch) or (IfNoneMatch == "*" and there is not None):
                raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")
            self.objects[Key] = body, Metadata or {}

        self.faults.around(put)

    def _etag(self, key: str) -> str:
        return hashlib.sha256(self.objects[key][0]).hexdigest()


@dataclass
class Day:
    """What the detector and the notifier keep, and a lake over it."""

    memory: kit.Memory = field(default_factory=kit.Memory)
    alerts: DryRun = field(default_factory=DryRun)
    s3: MemoryS3 = field(default_factory=MemoryS3)
    now_ms: int = MIDNIGHT_MS + SECONDS * 1000
    oldest_block: int = 0

    def __post_init__(self) -> None:
        self._consumer = kit.consumer(self.memory)
        self._told: set[str] = set()

    def consume(self, sent: list[list[kit.Sent]], seconds_at_once: int = 10) -> None:
        """Let the detector take records, some seconds in a batch."""
        for start in range(0, len(sent), seconds_at_once):
            batch = [record for second in sent[start : start + seconds_at_once] for record in second]
            assert self._consumer.consume(kit.event(batch), NEVER).failed_sequence is None

    def notify(self) -> None:
        """Let the notifier take the events that it does not know, and people say what they think of the incidents."""
        new = [event for id_, event in self.memory.events.items() if id_ not in self._told]
        self._told |= {event.event_id for event in new}
        self.alerts.live_through(map(received, new), then_ms=3_600_000)
        for n, incident in enumerate(self.alerts.store.incidents(START_MS, self.now_ms)):
            for said_ms, useful in ((1, n % 3 > 0), (2, n % 2 > 0)):
                said = feedback_of(incident, useful=useful, by="me", at_ms=self.now_ms + said_ms)
                assert said is not None
                self.alerts.store.put_feedback(said)

    def run(self, until_ms: int = NEVER) -> LakeReport:
        """Run the lake once, in a new process."""
        ports = self.memory.ports()
        outside = LakePorts(
            blocks=_Blocks(ports.blocks, self.oldest_block),
            late=_LateBlocks(self.memory),
            snapshots=ports.snapshots,
            anomalies=_AnomalyDays(self.memory),
            alerts=self.alerts.store,
            bucket=LakeBucket(cast("S3Client", self.s3), "data"),
            now_ms=lambda: self.now_ms,
        )
        return Lake(2, outside).run(until_ms)

    def counts(self) -> dict[str, int]:
        """How many rows there must be, by table: what the blocks counted, and what the tables hold."""
        blocks = [block for of in self.memory.blocks.values() for block in of]
        blocks += [block for of in self.memory.backfill_blocks.values() for block in of]
        span = (START_MS - DAY_MS, self.now_ms + DAY_MS)
        store = self.alerts.store
        return {
            "ticks": sum(counts.in_windows for block in blocks for counts in block.sources.values()),
            "bars": len(self.memory.bars),
            "anomalies": len(self.memory.anomalies),
            "incidents": len(list(store.incidents(*span))),
            "deliveries": sum(len(message.deliveries) for message in store.messages(*span)),
            "feedback": len(list(store.feedback(*span))),
        }

    def write(self, folder: Path) -> None:
        """Write the objects of the lake into a folder, by their keys."""
        for key, (body, _) in self.s3.objects.items():
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            (folder / key).write_bytes(body)


@dataclass
class _Blocks:
    """The blocks from the `oldest` on: those before it are gone."""

    blocks: BlockStore
    oldest: int

    def last(self, partition: int) -> Block | None:
        return self.blocks.last(partition)

    def get(self, partition: int, number: int) -> Block | None:
        return self.blocks.get(partition, number) if number >= self.oldest else None

    def after(self, partition: int, number: int) -> Iterator[Block]:
        return self.blocks.after(partition, max(number, self.oldest - 1))

    def put(self, block: Block) -> None:
        raise AssertionError(f"the lake only reads, and puts {block}")


@dataclass
class _LateBlocks:
    memory: kit.Memory

    def listed(self, partition: int) -> dict[int, list[Block]]:
        return {gap: blocks for (of, gap), blocks in self.memory.backfill_blocks.items() if of == partition}


@dataclass
class _AnomalyDays:
    memory: kit.Memory

    def found_on(self, day: str) -> Iterator[Anomaly]:
        return (anomaly for anomaly in self.memory.anomalies.values() if anomaly.date == day)


def rows_in(folder: Path) -> dict[str, int]:
    """Return how many rows each table has, and that none is there twice."""
    views(folder)
    found: dict[str, int] = {}
    for name, table in TABLES.items():
        columns = ", ".join(f'"{column}"' for column in table.columns)
        once = f"SELECT DISTINCT {columns} FROM {name}"  # noqa: S608
        (counted,) = database().execute(f"SELECT count(*) FROM {name}").fetchall()  # noqa: S608
        assert [counted] == database().execute(f"SELECT count(*) FROM ({once})").fetchall(), f"{name}: twice"  # noqa: S608
        found[name] = counted[0]
    return found


def views(folder: Path) -> None:
    """Let the database know the tables of a lake in a folder."""
    for name in TABLES:
        file = (
            f"'{folder}/lake/{name}/*/*.parquet', hive_partitioning = true, hive_types = {{'date': VARCHAR}}"
        )
        database().execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet({file})")  # noqa: S608


@cache
def database() -> duckdb.DuckDBPyConnection:
    """Return the database of the tests, which holds nothing but views."""
    return duckdb.connect()
