"""Kinesis events as Lambda delivers them, and the detector's ports in memory, which fail on demand."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NotRequired, TypedDict, TypeVar

from aws_kinesis_agg import MAGIC
from aws_kinesis_agg.aggregator import RecordAggregator

from consumers.contracts.anomaly import Anomaly
from consumers.contracts.charts import Bar
from consumers.contracts.counts import TickCounts
from consumers.contracts.errors import IOFailedError
from consumers.contracts.events import Event
from consumers.detector.invocation import Consumer
from consumers.detector.ports import Ports
from consumers.redrive.ports import RedrivePorts
from consumers.redrive.redrive import Redrive
from consumers.stores.charts import bars_pk
from consumers.stream.records import KinesisRecord, Quarantined, records_of
from consumers.stream.thresholds import ThresholdHistory, ThresholdVersion
from consumers.windows.block import Block
from consumers.windows.ports import BlockExistsError
from producers.quote_batch import QuoteBatch, encode

_T = TypeVar("_T")
_K = TypeVar("_K")
Row = Sequence[str | float | None]
"""symbol, ts, price[, bid, ask, day volume]"""


class KinesisPart(TypedDict):
    """What Lambda says of a record's place on the stream."""

    kinesisSchemaVersion: NotRequired[str]
    partitionKey: str
    sequenceNumber: str
    data: str
    approximateArrivalTimestamp: float


class LambdaRecord(TypedDict):
    """A record of an event from a stream."""

    kinesis: KinesisPart
    eventID: str
    eventSource: NotRequired[str]
    eventVersion: NotRequired[str]
    eventName: NotRequired[str]
    awsRegion: NotRequired[str]
    eventSourceARN: NotRequired[str]


LambdaEvent = dict[str, list[LambdaRecord]]

SHARD = "shardId-000000000000"


def quote_batch(rows: Sequence[Row], source: str = "alpaca") -> QuoteBatch:
    """Return a batch of rows."""
    columns = list(zip(*((*row, *(None,) * (6 - len(row))) for row in rows), strict=True))
    symbol, ts, price, bid, ask = (list(column) for column in columns[:5])
    volume = [None if of is None else float(of) for of in columns[5]]
    return QuoteBatch(source, symbol, ts, price, bid, ask, volume, [None] * len(rows), [])


def payload(rows: Sequence[Row], source: str = "alpaca") -> bytes:
    return encode(quote_batch(rows, source))


def aggregate(payloads: Sequence[bytes], key: str = "0") -> bytes:
    """A KPL aggregate, made by the package that producers use."""
    aggregator = RecordAggregator()
    for of in payloads:
        assert aggregator.add_user_record(key, of) is None
    data: bytes = aggregator.clear_and_get().get_contents()[2]
    return data


def aggregate_of_message(message: bytes) -> bytes:
    """Magic, message and the right digest: an aggregate as far as the digest rule goes."""
    return bytes(MAGIC) + message + hashlib.md5(message).digest()  # noqa: S324


@dataclass(frozen=True)
class Sent:
    """A record on the stream."""

    data: bytes
    sequence: str
    arrival_ms: int
    key: str = "0"
    shard: str = SHARD


def event(records: Sequence[Sent]) -> LambdaEvent:
    """The event with which Lambda delivers records of a stream."""
    return {
        "Records": [
            {
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": record.key,
                    "sequenceNumber": record.sequence,
                    "data": base64.b64encode(record.data).decode(),
                    "approximateArrivalTimestamp": record.arrival_ms / 1000,
                },
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventID": f"{record.shard}:{record.sequence}",
                "eventName": "aws:kinesis:record",
                "awsRegion": "us-east-1",
                "eventSourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/stock-quotes",
            }
            for record in records
        ]
    }


def counts(blocks: Iterable[Block]) -> TickCounts:
    """Return what blocks count, of all sources together."""
    return sum((of for block in blocks for of in block.sources.values()), TickCounts())


def kinesis(records: Sequence[Sent]) -> list[KinesisRecord]:
    """Return records as the detector reads them."""
    return records_of(event(records))


class Crash(BaseException):
    """The process is gone, as after a kill or a time-out."""


class Faults:
    """Decides before and after every I/O call whether it fails; `plan` maps a call's number to how."""

    def __init__(self, plan: dict[int, str] | None = None) -> None:
        self.plan = dict(plan or {})
        self.calls = 0
        self.before_call: Callable[[], None] = lambda: None

    def around(self, call: Callable[[], _T]) -> _T:
        self.before_call()
        how = self.plan.pop(self.calls, None)
        self.calls += 1
        if how == "fail":
            raise IOFailedError("injected before the call")
        if how == "crash":
            raise Crash
        result = call()
        if how == "lost":
            raise IOFailedError("injected after the call: the answer was lost")
        if how == "crash-after":
            raise Crash
        return result


@dataclass
class Memory:
    """What lies outside, in memory; survives every process."""

    blocks: dict[int, list[Block]] = field(default_factory=dict)
    backfill_blocks: dict[tuple[int, int], list[Block]] = field(default_factory=dict)
    snapshots: dict[tuple[int, int], bytes] = field(default_factory=dict)
    anomalies: dict[tuple[str, str], Anomaly] = field(default_factory=dict)
    bars: dict[tuple[str, str, int], Bar] = field(default_factory=dict)
    quotes: dict[tuple[str, int, int], tuple[int, bytes]] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    quarantine: dict[tuple[str, str, int, int], Quarantined] = field(default_factory=dict)
    attempts: dict[tuple[str, str], int] = field(default_factory=dict)
    versions: list[ThresholdVersion] = field(default_factory=lambda: [ThresholdVersion(1, 0, "2.5")])
    rules: list[ThresholdVersion] = field(default_factory=list)
    bar_items: dict[tuple[str, int], frozenset[str]] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)
    written_anew: list[tuple[int, int]] = field(default_factory=list)
    """From and to which minute (ms) a clock that was ahead dated ticks: bars of theirs are not compared.

    The chart keeps the newer bar of a minute: the right one, but for a minute that the clock left and came back to.
    """

    def copy(self) -> Memory:
        copied = {name: type(of)(of) for name, of in vars(self).items()}
        for name in ("blocks", "backfill_blocks"):
            copied[name] = {key: list(blocks) for key, blocks in getattr(self, name).items()}
        return Memory(**copied)

    def ports(self, faults: Faults | None = None) -> Ports:
        """The ports of one process."""
        faults = faults or Faults()
        return Ports(
            blocks=_Blocks(self, faults),
            snapshots=_Snapshots(self, faults),
            anomalies=_Anomalies(self, faults),
            charts=_Charts(self, faults),
            bus=_Bus(self, faults),
            quarantine=_Quarantine(self, faults),
            thresholds=_Thresholds(self, faults),
            attempts=_Attempts(self, faults),
        )

    def redrive(self, faults: Faults | None = None, partitions: int = 2) -> Redrive:
        """A redrive by another process."""
        faults = faults or Faults()
        ports = self.ports(faults)
        outside = RedrivePorts(
            blocks=ports.blocks,
            backfill_blocks=_BackfillBlocks(self, faults),
            snapshots=ports.snapshots,
            anomalies=ports.anomalies,
            bus=ports.bus,
            quarantine=ports.quarantine,
            thresholds=ports.thresholds,
        )
        return Redrive(partitions, outside)

    def keep(self, where: dict[_K, _T], key: _K, value: _T) -> None:
        """Keep what must be the same each time it is written."""
        if where.setdefault(key, value) != value:
            self.contradictions.append(f"{key}: {where[key]} and {value}")


@dataclass
class _Port:
    memory: Memory
    faults: Faults


class _Blocks(_Port):
    def last(self, partition: int) -> Block | None:
        return self.faults.around(lambda: next(reversed(self.memory.blocks.get(partition, [])), None))

    def get(self, partition: int, number: int) -> Block | None:
        blocks = self.memory.blocks.get(partition, [])
        return self.faults.around(lambda: blocks[number - 1] if 0 < number <= len(blocks) else None)

    def after(self, partition: int, number: int) -> Iterator[Block]:
        yield from self.faults.around(lambda: self.memory.blocks.get(partition, [])[number:])

    def put(self, block: Block) -> None:
        self.faults.around(lambda: self._put(block))

    def _put(self, block: Block) -> None:
        blocks = self.memory.blocks.setdefault(block.partition, [])
        if len(blocks) >= block.number:
            if blocks[block.number - 1] != block:
                raise BlockExistsError
            return
        assert block.number == len(blocks) + 1, "a gap between blocks"
        assert all(counts.balance() for counts in block.sources.values())
        blocks.append(block)


class _BackfillBlocks(_Port):
    def after(self, partition: int, number: int) -> Iterator[Block]:
        yield from self.faults.around(lambda: [*self.memory.backfill_blocks.get((partition, number), [])])

    def put(self, number: int, block: Block) -> None:
        self.faults.around(lambda: self._put(number, block))

    def _put(self, number: int, block: Block) -> None:
        blocks = self.memory.backfill_blocks.setdefault((block.partition, number), [])
        at = block.number - number - 1
        if at < len(blocks):
            if blocks[at] != block:
                raise BlockExistsError
            return
        assert at == len(blocks), "a gap between backfill blocks"
        blocks.append(block)


class _Snapshots(_Port):
    def get(self, partition: int, number: int) -> bytes | None:
        return self.faults.around(lambda: self.memory.snapshots.get((partition, number)))

    def put(self, partition: int, number: int, data: bytes) -> None:
        self.faults.around(lambda: self.memory.snapshots.update({(partition, number): data}))


class _Anomalies(_Port):
    def put(self, anomalies: Sequence[Anomaly]) -> None:
        for anomaly in anomalies:  # one call each: a batch may fail in the middle
            key = (anomaly.ticker, anomaly.timestamp)
            self.faults.around(partial(self.memory.keep, self.memory.anomalies, key, anomaly))

    def put_late(self, anomalies: Sequence[Anomaly]) -> list[Anomaly]:
        return [anomaly for anomaly in anomalies if self.faults.around(partial(self._put_late, anomaly))]

    def _put_late(self, anomaly: Anomaly) -> bool:
        kept = self.memory.anomalies.setdefault((anomaly.ticker, anomaly.timestamp), anomaly)
        if kept.late and kept != anomaly:
            self.memory.contradictions.append(f"{kept} and {anomaly}")
        return kept.late


class _Charts(_Port):
    def put_bars(
        self, bars: Sequence[tuple[str, str, Bar]], reached: Mapping[str, int], arrival_ms: int, windows: int
    ) -> None:
        assert arrival_ms > 0
        assert windows > 0
        puts: dict[tuple[str, int], frozenset[str]] = {}
        for origin, symbol, bar in bars:
            key = (origin, symbol, bar.minute_ms)
            is_compared = not any(a <= bar.minute_ms <= b for a, b in self.memory.written_anew)
            self.faults.around(partial(self.memory.keep, self.memory.bars if is_compared else {}, key, bar))
            if is_compared and bar.minute_ms >= reached.get(origin, 0):
                item = bars_pk(origin, symbol), bar.minute_ms
                puts[item] = puts.get(item, frozenset()) | {symbol}
        for item, symbols in puts.items():  # an item is put with all that is ever put into it
            self.faults.around(partial(self.memory.keep, self.memory.bar_items, item, symbols))

    def put_quotes(self, origin: str, block: Block, part: int, as_of_ms: int, packed: bytes) -> None:
        assert as_of_ms >= 0
        self.faults.around(lambda: self._put_quotes((origin, block.partition, part), block.number, packed))

    def _put_quotes(self, key: tuple[str, int, int], number: int, packed: bytes) -> None:
        if number >= self.memory.quotes.get(key, (0, b""))[0]:
            self.memory.quotes[key] = (number, packed)


class _Bus(_Port):
    def put(self, events: Sequence[Event]) -> None:
        for of in events:
            self.faults.around(partial(self.memory.keep, self.memory.events, of.event_id, of))


class _Quarantine(_Port):
    def put(self, entries: Sequence[Quarantined]) -> None:
        for entry in entries:
            key = (entry.shard, entry.sequence, entry.partition, entry.index)
            self.faults.around(partial(self.memory.quarantine.update, {key: entry}))


class _Thresholds(_Port):
    def history(self) -> ThresholdHistory:
        return self.faults.around(lambda: ThresholdHistory(self.memory.versions, self.memory.rules))


class _Attempts(_Port):
    def begin(self, shard: str, sequence: str) -> int:
        key = (shard, sequence)
        self.faults.around(lambda: self.memory.attempts.update({key: self.memory.attempts.get(key, 0) + 1}))
        return self.memory.attempts[key]

    def end(self, shard: str, sequence: str) -> None:
        self.faults.around(lambda: self.memory.attempts.update({(shard, sequence): 0}))


class Processes:
    """Runs invocations of two processes at once; `turns` says whose turn is the next I/O call."""

    def __init__(self, turns: Sequence[bool]) -> None:
        self._turns = list(turns)
        self._condition = threading.Condition()
        self._running = [True, True]
        self._whose = 0
        self.errors: list[BaseException] = []

    def run(
        self, first: tuple[Faults, Callable[[], object]], second: tuple[Faults, Callable[[], object]]
    ) -> None:
        threads = []
        for me, (faults, work) in enumerate((first, second)):
            faults.before_call = partial(self._pause, me)
            threads.append(threading.Thread(target=self._work, args=(me, work)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=600)
            assert not thread.is_alive()
        if self.errors:
            raise self.errors[0]

    def _work(self, me: int, work: Callable[[], object]) -> None:
        try:
            with self._condition:
                self._await_turn(me)
            work()
        except Crash:
            pass
        except BaseException as error:  # noqa: BLE001  handed to the thread that started this one
            self.errors.append(error)
        finally:
            with self._condition:
                self._running[me] = False
                self._whose = 1 - me
                self._condition.notify_all()

    def _pause(self, me: int) -> None:
        with self._condition:
            if self._whose == me and self._running[1 - me] and self._turns:
                self._whose = int(self._turns.pop()) if self._running[1 - me] else me
            self._condition.notify_all()
            self._await_turn(me)

    def _await_turn(self, me: int) -> None:
        mine = self._condition.wait_for(lambda: self._whose == me or not self._running[1 - me], timeout=600)
        assert mine, "the other process does not hand over"


NOW_MS = 1_795_500_000_000


def consumer(memory: Memory, faults: Faults | None = None, partitions: int = 2) -> Consumer:
    """A new process."""
    return Consumer(partitions, memory.ports(faults), lambda: NOW_MS)
