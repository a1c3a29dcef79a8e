"""Who loses the race for a block has announced nothing: an anomaly belongs to a tick that is in a window."""

from __future__ import annotations

import random

import pytest

from consumers.contracts.anomaly import iso_ms
from consumers.contracts.errors import IOFailedError
from consumers.detector.invocation import Consumer
from tests.consumers import kit

START_MS = 1_795_000_000_000


@pytest.fixture
def quiet() -> kit.Memory:
    """A stock that is known well."""
    rng, price, sent, memory = random.Random(2), 100.0, [], kit.Memory()
    for second in range(300):
        price = round(price * (1 + rng.gauss(0, 2e-4)), 2)
        ts = START_MS + 1000 * second
        row = ("AAPL", ts, price, round(price - 0.01, 2), round(price + 0.01, 2))
        sent.append(kit.Sent(kit.payload([row]), str(1000 + second), ts + 50))
    kit.consumer(memory, partitions=1).consume(kit.event(sent), 1 << 62)
    assert not memory.anomalies
    return memory


SPIKE_MS = START_MS + 300_000
SPIKE = kit.Sent(
    kit.payload([("AAPL", START_MS + 300_000, 120.0, 119.99, 120.01)]), "5000", START_MS + 300_050
)
NEWER = kit.Sent(
    kit.payload([("AAPL", START_MS + 300_001, 100.0, 99.99, 100.01)], "by-hand"),
    "7000",
    START_MS + 300_051,
    "AAPL",
    "shardId-000000000001",
)


@pytest.mark.parametrize("call", range(12))
def test_an_anomaly_belongs_to_a_tick_in_a_window(quiet: kit.Memory, call: int) -> None:
    faults, done = kit.Faults(), [False]
    one, other = kit.consumer(quiet, faults, partitions=1), kit.consumer(quiet, partitions=1)

    def other_shard() -> None:
        if faults.calls == call and not done[0]:
            done[0] = True
            other.consume(kit.event([NEWER]), 1 << 62)

    faults.before_call = other_shard
    report = one.consume(kit.event([SPIKE]), 1 << 62)
    announced = [of for of in quiet.anomalies.values() if of.timestamp.startswith(iso_ms(SPIKE_MS))]
    assert report.counts.in_windows == int(bool(announced))
    assert len(quiet.events) >= len(quiet.anomalies)
    assert quiet.contradictions == []


def test_effects_that_a_crash_left_out_are_written_by_whoever_comes_next(quiet: kit.Memory) -> None:
    calls = kit.Faults()
    kit.consumer(quiet.copy(), calls, partitions=1).consume(kit.event([SPIKE]), 1 << 62)
    for call in range(calls.calls):
        memory = quiet.copy()
        with pytest.raises(kit.Crash):
            kit.consumer(memory, kit.Faults({call: "crash-after"}), partitions=1).consume(
                kit.event([SPIKE]), 1 << 62
            )
        kit.consumer(memory, partitions=1).consume(kit.event([SPIKE]), 1 << 62)
        assert memory.anomalies
        assert {of.correlation_id for of in memory.events.values()} == {
            of.id for of in memory.anomalies.values()
        }


def test_a_partition_goes_on_when_effects_fail_for_longer_than_a_record_lives(quiet: kit.Memory) -> None:
    class Refusing:
        def put(self, events: object) -> None:
            raise IOFailedError(f"the bus is gone: {events}")

    now_ms = START_MS + 301_000
    ports = quiet.ports()._replace(bus=Refusing())
    consumer = Consumer(1, ports, lambda: now_ms)
    assert consumer.consume(kit.event([SPIKE]), 1 << 62).failed_sequence == "5000"
    assert consumer.consume(kit.event([SPIKE]), 1 << 62).failed_sequence == "5000"
    now_ms += 6 * 3_600_000
    assert consumer.consume(kit.event([SPIKE]), 1 << 62).failed_sequence is None
