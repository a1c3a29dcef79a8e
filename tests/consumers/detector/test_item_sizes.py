"""No name that a producer invents makes an item larger than DynamoDB takes: a partition never stops for good."""

from __future__ import annotations

import hashlib
import random

import pytest

from consumers.contracts.counts import TickCounts
from consumers.stores.charts import unpack_quotes
from consumers.stores.windows import block_to_item
from consumers.stream.thresholds import ThresholdVersion
from consumers.windows.block import Block
from consumers.windows.state import MAX_TOTALS, OTHER_SOURCES
from tests.consumers import kit

START_MS = 1_795_000_000_000
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-items
LARGEST_ITEM = 400 * 1024


def item_bytes(block: Block) -> int:
    sizes = [
        len(name) + len(str(next(iter(of.values()))))
        for name, of in block_to_item(block).items()
        if "B" not in of
    ]
    return sum(sizes) + len("columns") + len(block.packed)


def names(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [hashlib.sha256(rng.randbytes(8)).hexdigest() for _ in range(count)]


@pytest.mark.parametrize("key", [None, "x" * 16])
def test_thousands_of_sources_make_blocks_that_fit(key: str | None) -> None:
    memory = kit.Memory()
    memory.versions = [ThresholdVersion(1, 0, '{"default": 2.5' + " " * 4000 + "}")]
    consumer, sources = kit.consumer(memory, partitions=1), names(2000, 1)
    for at in range(0, len(sources), 250):
        part = sources[at : at + 250]
        payloads = [kit.payload([("AAPL", START_MS + at + i, 50.0)], name) for i, name in enumerate(part)]
        sent = kit.Sent(kit.aggregate(payloads), str(1000 + at), START_MS + at, key or f"key {at}")
        assert consumer.consume(kit.event([sent]), 1 << 62).failed_sequence is None
    counts = sum((c for block in memory.blocks[0] for c in block.sources.values()), TickCounts())
    assert counts.ticks_in == len(sources)
    last = memory.blocks[0][-1]
    assert len(last.totals) <= MAX_TOTALS + 1
    assert OTHER_SOURCES in last.totals
    assert sum(last.totals.values(), TickCounts()) == counts
    assert max(map(item_bytes, memory.blocks[0])) < LARGEST_ITEM


def test_a_block_filled_in_every_way_fits() -> None:
    memory = kit.Memory()
    memory.versions = [ThresholdVersion(1, 0, '{"default": 2.5' + " " * 4000 + "}")]
    consumer, rng = kit.consumer(memory, partitions=1), random.Random(2)
    for of in range(3):
        sources = names(100, of)
        records = []
        for i, source in enumerate(sources[:60]):
            rows = [
                (hashlib.sha256(rng.randbytes(8)).hexdigest()[:16].upper(), START_MS + i, rng.uniform(1, 999))
                for _ in range(300)
            ]
            records.append(kit.Sent(kit.payload(rows, source), str(1000 * of + i), START_MS + i, f"{i:016d}"))
        assert consumer.consume(kit.event(records), 1 << 62).failed_sequence is None
    assert max(map(item_bytes, memory.blocks[0])) < LARGEST_ITEM
    assert max(len(block.packed) for block in memory.blocks[0]) > 200 * 1024


def test_the_last_quotes_of_many_symbols_are_split() -> None:
    memory, rng = kit.Memory(), random.Random(3)
    symbols = sorted({name[:16].upper() for name in names(13_000, 4)})
    sent = []
    for at in range(0, len(symbols), 2500):
        rows = [
            (
                symbol,
                START_MS + at,
                price := rng.uniform(1, 999),
                price - rng.random(),
                price + rng.random(),
                at + 1,
            )
            for symbol in symbols[at : at + 2500]
        ]
        sent.append(kit.Sent(kit.payload(rows), str(1000 + at), START_MS + at))
    report = kit.consumer(memory, partitions=1).consume(kit.event(sent), 1 << 62)
    assert report.failed_sequence is None
    later = kit.Sent(kit.payload([(symbols[0], START_MS + 20_000, 50.0)]), "99999", START_MS + 20_000)
    assert kit.consumer(memory, partitions=1).consume(kit.event([later]), 1 << 62).failed_sequence is None
    packed = [of for _, of in memory.quotes.values()]
    assert {quote.symbol for of in packed for quote in unpack_quotes(of)} == set(symbols)
    assert max(map(len, packed)) < LARGEST_ITEM
