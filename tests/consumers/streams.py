"""Streams of every sort of record, deterministic by their seed, for the tests of the one invariant."""

from __future__ import annotations

import random
from functools import cache

from consumers.contracts.charts import MINUTE_MS
from producers.partitions import partition_of
from tests.consumers import kit

PARTITIONS = 2
START_MS = 1_795_000_000_000
# One source of a class: two of them at once would write bars of the same ticker and minute, and the last one wins.
SOURCES = ("alpaca", "alpaca", "simulated", "replay-a")
POISON = (
    b"not json",
    b"\x00" * 1000,
    b'{"v":9}',
    b"",
    b'{"v":1,"source":"alpaca","symbol":["A","B"],"ts":[1],"price":[1]}',
)
FEW, MANY = 8, 200


class Stream:
    """Makes a stream of records, deterministic by its seed."""

    def __init__(self, seed: int, symbols: int) -> None:
        self.rng = random.Random(seed)
        self.symbols = [f"S{i}" for i in range(symbols)]
        self.price = {(s, of): 50.0 + i for i, s in enumerate(self.symbols) for of in SOURCES}
        self.volume = dict.fromkeys(self.symbols, 0)
        self.now = START_MS
        self.right_ms: int | None = None
        self.misdated: list[tuple[int, int]] = []
        """The first and the last minute (ms) in which a clock that was ahead dated ticks."""
        self.records: list[kit.Sent] = []
        self.sequence = 49_590_338_271_490_256_608_559_692_538_361_571_095

    def add(self, data: bytes, partition: int) -> None:
        self.sequence += self.rng.randint(1, 9)
        key = "by-hand" if self.rng.random() < 0.1 else str(partition)
        self.records.append(kit.Sent(data, str(self.sequence), self.now + 40, key))

    def rows(self, partition: int, source: str, most: int) -> list[kit.Row]:
        rng = self.rng
        mine = [s for s in self.symbols if partition_of(s, PARTITIONS) == partition]
        most = len(mine) if len(mine) > FEW and rng.random() < 0.4 else most
        return [self.row(s, source) for s in rng.sample(mine, rng.randint(1, min(most, len(mine))))]

    def row(self, symbol: str, source: str) -> kit.Row:
        rng = self.rng
        price = self.price[symbol, source]
        price = round(price * (1 + rng.gauss(0, 2e-4)), rng.choice((2, 2, 2, 4, 12)))
        if rng.random() < 0.03:
            price = round(price * rng.choice((0.5, 0.9, 0.97, 1.03, 1.2)), 2)
        self.price[symbol, source] = price
        self.volume[symbol] += rng.randint(0, 500)
        if rng.random() < 0.02:
            price = rng.choice((0.0, -1.0, price * 100))
        bid, ask = (round(price - 0.01, 2), round(price + 0.01, 2)) if rng.random() < 0.8 else (None, None)
        return symbol, self.now, price, bid, ask, self.volume[symbol] if rng.random() < 0.9 else None

    def quotes(self, most: int = 3) -> None:
        """One record of new quotes."""
        rng = self.rng
        partition, source = rng.randrange(PARTITIONS), rng.choice(SOURCES)
        payloads = []
        for _ in range(rng.randint(1, 3)):
            self.now += rng.choice((0, 0, 900, 1000, 1000, 5000, 40_000)) + 1
            payloads.append(kit.payload(self.rows(partition, source, most), source))
        if rng.random() < 0.1:
            payloads.insert(rng.randrange(len(payloads)), rng.choice(POISON))
        plain = len(payloads) == 1 and rng.random() < 0.5
        self.add(payloads[0] if plain else kit.aggregate(payloads), partition)

    def record(self) -> None:
        """One record of any sort."""
        sort = self.rng.random()
        if sort < 0.1 and self.records:
            again = self.rng.choice(self.records[-5:])
            self.add(again.data, int(again.key) if again.key.isdecimal() else 0)
        elif sort < 0.15:
            self.add(self.rng.choice(POISON), self.rng.randrange(PARTITIONS))
        elif sort < 0.17:
            ahead = (self.symbols[0], self.now + 60_000, 50.0)
            self.add(kit.payload([ahead, self.row(self.symbols[1], "alpaca")]), 0)
        elif sort < 0.19:
            self.now += 26 * 3_600_000  # over night, and long enough for windows of a replay to be dropped
        elif sort < 0.21:
            self.turn_clock()
        else:
            self.quotes()

    def turn_clock(self) -> None:
        """Set the clock of the stream and its producers ahead, or right again."""
        if self.right_ms is None:
            self.right_ms = self.now
            self.now += self.rng.choice((30_000, 90_000, 86_400_000))
        else:
            self.misdated.append((self.right_ms // MINUTE_MS * MINUTE_MS, self.now))
            self.now, self.right_ms = self.right_ms + 5000, None


@cache
def warmed() -> tuple[kit.Memory, Stream]:
    """An outside in which eight symbols are known well, and the stream that got it there."""
    stream = Stream(seed=1, symbols=FEW)
    for _ in range(250):
        stream.now += 1000
        for partition in range(PARTITIONS):
            rows = [
                stream.row(s, "alpaca") for s in stream.symbols if partition_of(s, PARTITIONS) == partition
            ]
            stream.add(kit.payload(rows), partition)
    memory = kit.Memory()
    consumer, newest = kit.consumer(memory), len(stream.records) - PARTITIONS
    for records in (
        stream.records[:newest],
        stream.records[newest:],
    ):  # what is stored ends in a snapshot and a block
        assert consumer.consume(kit.event(records), 1 << 62).failed_sequence is None
    return memory, stream


def continued(warm_stream: Stream, seed: int, symbols: int, kind: type[Stream] = Stream) -> Stream:
    """A stream that goes on where the warm one ended, in which more symbols may join."""
    stream = kind(seed, symbols)
    stream.price.update({key: of for key, of in warm_stream.price.items() if key[1] == "alpaca"})
    stream.volume.update(warm_stream.volume)
    stream.now, stream.sequence = warm_stream.now, warm_stream.sequence
    return stream
