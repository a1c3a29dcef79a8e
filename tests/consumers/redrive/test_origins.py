"""What is replayed, simulated or live shares no key: none ever stands in the place of another."""

from __future__ import annotations

import random

import pytest

from consumers.contracts.anomaly import AnomalyIdError, AnomalyKey, anomaly_id
from tests.consumers import kit

START_MS = 1_795_000_000_000
JUMP = 320


def records(seconds: range, source: str = "alpaca", *, sequence: int, late_ms: int = 50) -> list[kit.Sent]:
    """A record a second of a quiet stock that jumps once."""
    rng, price, sent = random.Random(3), 100.0, []
    for second in range(seconds.stop):
        price = round(price * (1 + rng.gauss(0, 2e-4)), 2)
        shown = round(price * 1.2, 2) if second == JUMP else price
        ts = START_MS + 1000 * second
        if second in seconds:
            data = kit.payload([("AAA", ts, shown, round(shown - 0.01, 2), round(shown + 0.01, 2))], source)
            sent.append(kit.Sent(data, str(sequence + second), ts + late_ms))
    return sent


def after_a_gap(*, replayed: bool) -> tuple[kit.Memory, list[str]]:
    """What is stored, and the late anomalies, after the batch with the jump was discarded and redriven."""
    memory = kit.Memory()
    consumer = kit.consumer(memory, partitions=1)
    consumer.consume(kit.event(records(range(310), sequence=1000)), 1 << 62)
    consumer.consume(kit.event(records(range(330, 340), sequence=1000)), 1 << 62)
    if replayed:  # somebody replays the recording of that time, to look at it
        replay = records(range(340), "replay-look", sequence=5000, late_ms=400_000)
        consumer.consume(kit.event(replay), 1 << 62)
    gap = records(range(310, 330), sequence=1000)
    done = memory.redrive(partitions=1).batch(kit.kinesis(gap))
    assert memory.contradictions == []
    return memory, done.anomalies


def test_a_replay_takes_no_place_of_what_a_redrive_brings_back() -> None:
    alone, found = after_a_gap(replayed=False)
    beside, found_beside = after_a_gap(replayed=True)
    assert found
    assert found_beside == found
    live = {key: of for key, of in beside.anomalies.items() if of.source == "alpaca"}
    assert live == alone.anomalies
    assert {name: of for name, of in beside.events.items() if "@" not in name} == alone.events
    replayed = [of for of in beside.anomalies.values() if of.source == "replay-look"]
    assert replayed
    assert {of.id for of in replayed}.isdisjoint(of.id for of in live.values())


@pytest.mark.parametrize("source", ["alpaca", "simulated", "replay-look", "replay-look-2"])
def test_an_id_says_what_it_is_about(source: str) -> None:
    id_ = anomaly_id("BRK-B", START_MS, "gap", source)
    key = AnomalyKey.parse(id_)
    assert key == ("BRK-B", START_MS, "gap", "" if source == "alpaca" else source)
    assert anomaly_id(*key) == id_


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AAA",
        "AAA-1-nothing",
        "AAA-01-gap",
        "AAA-1-gap@alpaca",
        "AAA-1-gap@",
        f"AAA-{10**15 - 1}-gap",
        "A" * 999,
    ],
)
def test_what_is_no_id_is_rejected(text: str) -> None:
    with pytest.raises(AnomalyIdError, match=r"no id of an anomaly; must be <ticker>-<epoch ms>-<kind>"):
        AnomalyKey.parse(text)
