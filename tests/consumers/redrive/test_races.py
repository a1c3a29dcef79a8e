"""Two redrives at one gap: an anomaly that one of them announced belongs to a tick that a backfill block holds."""

from __future__ import annotations

import random
from itertools import chain

import pytest

from consumers.contracts.anomaly import iso_ms
from consumers.contracts.counts import TickCounts
from tests.consumers import kit

START_MS = 1_795_000_000_000
SPIKE_MS = START_MS + 300_000
SPIKE = kit.Sent(kit.payload([("AAPL", SPIKE_MS, 120.0, 119.99, 120.01)]), "5000", SPIKE_MS + 50)
NEWER = kit.Sent(
    kit.payload([("AAPL", SPIKE_MS + 1, 100.0, 99.99, 100.01)], "by-hand"),
    "7000",
    SPIKE_MS + 51,
    "AAPL",
    "shardId-000000000001",
)


@pytest.fixture
def gap() -> kit.Memory:
    """A stock that is known well; what came at the time of `SPIKE` was discarded."""
    rng, price, sent, memory = random.Random(2), 100.0, [], kit.Memory()
    for second in (*range(300), *range(301, 310)):
        price = round(price * (1 + rng.gauss(0, 2e-4)), 2)
        ts = START_MS + 1000 * second
        row = ("AAPL", ts, price, round(price - 0.01, 2), round(price + 0.01, 2))
        sent.append(kit.Sent(kit.payload([row]), str(1000 + second), ts + 50))
    consumer = kit.consumer(memory, partitions=1)
    consumer.consume(kit.event(sent[:300]), 1 << 62)
    later = [kit.Sent(of.data, str(9000 + i), of.arrival_ms) for i, of in enumerate(sent[300:])]
    consumer.consume(kit.event(later), 1 << 62)
    assert not memory.anomalies
    return memory


def held(memory: kit.Memory) -> TickCounts:
    return kit.counts(chain.from_iterable(memory.backfill_blocks.values()))


@pytest.mark.parametrize("call", range(14))
def test_who_loses_the_race_for_a_backfill_block_has_announced_nothing(gap: kit.Memory, call: int) -> None:
    faults, done = kit.Faults(), [False]
    one, other = gap.redrive(faults, partitions=1), gap.redrive(partitions=1)

    def other_redrive() -> None:
        if faults.calls == call and not done[0]:
            done[0] = True
            other.batch(kit.kinesis([NEWER]))

    faults.before_call = other_redrive
    report = one.batch(kit.kinesis([SPIKE]))
    if not done[0]:
        other.batch(kit.kinesis([NEWER]))
    of_spike = [of for of in gap.anomalies.values() if of.timestamp.startswith(iso_ms(SPIKE_MS))]
    assert bool(of_spike) == bool(report.counts.in_windows)
    assert held(gap).ticks_in == 2
    assert gap.contradictions == []


@pytest.mark.parametrize("how", ["crash", "crash-after"])
@pytest.mark.parametrize("call", range(14))
def test_effects_that_a_redrive_left_out_are_written_by_the_next(
    gap: kit.Memory, call: int, how: str
) -> None:
    whole = gap.copy()
    whole.redrive(partitions=1).batch(kit.kinesis([SPIKE]))
    assert whole.anomalies
    try:
        gap.redrive(kit.Faults({call: how}), partitions=1).batch(kit.kinesis([SPIKE]))
    except kit.Crash:
        gap.redrive(partitions=1).batch(kit.kinesis([SPIKE]))
    assert (gap.anomalies, gap.events, gap.backfill_blocks) == (
        whole.anomalies,
        whole.events,
        whole.backfill_blocks,
    )
