"""The one invariant: however the stream is delivered, the outcome is that of one pass over it, bit for bit.

A history is a stream (several sources, KPL and plain records, resends, poison, a change of threshold) and
how it is delivered: cuts, redelivery, processes that die, calls that fail before or after they took effect,
answers that get lost, and two processes at work on the same records at once. HISTORIES=10000 takes as many.
"""

from __future__ import annotations

import os
from itertools import chain

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.detector.invocation import Consumer
from consumers.stream.thresholds import ThresholdVersion
from consumers.windows import restore
from tests.consumers import kit
from tests.consumers.streams import FEW, MANY, PARTITIONS, START_MS, Stream, continued, warmed

EXAMPLES = int(os.environ.get("HISTORIES", "500"))


@pytest.fixture(scope="module")
def warm() -> tuple[kit.Memory, Stream]:
    """An outside in which eight symbols are known well, and the stream that got it there."""
    return warmed()


class Delivery:
    """Delivers a stream as Lambda would: from where the answer says, to the end."""

    def __init__(self, memory: kit.Memory, records: list[kit.Sent], data: st.DataObject) -> None:
        self.memory, self.records, self.draw = memory, records, data.draw
        self.process: Consumer | None = None
        self.faults = kit.Faults()
        self.faults_left = 6

    def plan(self) -> dict[int, str]:
        """Where the next invocation's I/O fails."""
        if not self.faults_left or self.draw(st.integers(0, 2)):
            return {}
        self.faults_left -= 1
        how = st.sampled_from(("fail", "lost", "crash", "crash-after"))
        return dict(self.draw(st.dictionaries(st.integers(0, 14), how, max_size=2)))

    def invoke(self, start: int, count: int, plan: dict[int, str]) -> int:
        """One invocation of the current process; answers from where to go on."""
        if self.process is None:
            self.process = kit.consumer(self.memory, self.faults)
        batch = self.records[start : start + count]
        self.faults.calls, self.faults.plan = 0, plan
        try:
            report = self.process.consume(kit.event(batch), 1 << 62)
        except kit.Crash:
            self.process = None
            return start
        if report.failed_sequence is None:
            return start + len(batch)
        return start + [record.sequence for record in batch].index(report.failed_sequence)

    def overlap(self, start: int) -> int:
        """A process that Lambda gave up on is still at work on its records, while another gets them again."""
        back, count = self.draw(st.integers(0, 3)), self.draw(st.integers(1, 8))
        zombie_faults = kit.Faults()
        zombie = kit.consumer(self.memory, zombie_faults)
        batch = self.records[max(0, start - back) : start + count]
        turns = self.draw(st.lists(st.booleans(), max_size=40))
        # Drawn here: what is drawn must not depend on threads.
        retries = [(self.draw(st.integers(1, 8)), self.plan()) for _ in range(self.draw(st.integers(1, 3)))]
        at = [start]

        def retry() -> None:
            for size, plan in retries:
                at[0] = self.invoke(at[0], size, plan)

        kit.Processes(turns).run(
            (zombie_faults, lambda: zombie.consume(kit.event(batch), 1 << 62)), (self.faults, retry)
        )
        self.faults.before_call = lambda: None
        return at[0]

    def run(self) -> None:
        at = 0
        while at < len(self.records):
            what = self.draw(st.sampled_from(("go", "go", "go", "cold", "again", "overlap")))
            if what == "cold":
                self.process = None
            if what == "again":  # delivered once more although all was well
                self.invoke(max(0, at - 4), 4, self.plan())
            count = self.draw(st.integers(1, 12))
            at = self.overlap(at) if what == "overlap" else self.invoke(at, count, self.plan())


def outcome_of(memory: kit.Memory) -> dict[str, object]:
    """What must be the same however the stream was delivered."""
    states = {}
    for partition in range(PARTITIONS):
        state = restore.newest(memory.ports().blocks, memory.ports().snapshots, partition)
        assert np.isfinite(state.detection).all()
        assert not (np.signbit(state.detection) & (state.detection == 0.0)).any()
        states[partition] = (
            state.keys,
            state.last_ts.tobytes(),
            state.touched_hour.tobytes(),
            state.detection.tobytes(),
            state.minutes.tobytes(),
            state.checkpoints,
            state.digests,
        )
    counts = kit.counts(chain.from_iterable(memory.blocks.values()))
    assert memory.contradictions == []
    assert counts.balance()
    return {
        "states": states,
        "anomalies": memory.anomalies,
        "events": memory.events,
        "bars": memory.bars,
        "quarantine": memory.quarantine,
        "in_windows": counts.in_windows,
        "out_of_order": counts.out_of_order,
        "quarantined": counts.quarantined,
    }


def assert_same(one: dict[str, object], other: dict[str, object]) -> None:
    for name, value in one.items():
        assert other[name] == value, name


RULES = (
    '[{"id":"m","when":"moves","value":0.02,"minutes":1},{"id":"d","when":"moves","value":0.05,"minutes":2,'
    '"repeat":"once"},{"id":"s","when":"spread","value":2},{"id":"v","when":"volume","value":2,"repeat":"daily"}]'
)


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_delivery_has_the_outcome_of_one_pass(
    warm: tuple[kit.Memory, Stream], data: st.DataObject
) -> None:
    memory, warm_stream = warm
    symbols = data.draw(st.sampled_from((FEW,) * 11 + (MANY,)))
    stream = continued(warm_stream, data.draw(st.integers(0, 1 << 32)), symbols)
    for _ in range(data.draw(st.integers(1, 25))):
        stream.record()
    changed_ms = START_MS + 250_000 + data.draw(st.integers(0, 30_000))
    versions = [
        ThresholdVersion(1, 0, "2.5"),
        ThresholdVersion(2, changed_ms, data.draw(st.sampled_from(("1.0", "9", "bad")))),
    ]
    once, many = memory.copy(), memory.copy()
    once.written_anew = many.written_anew = stream.misdated
    once.versions = many.versions = versions
    of_rules = data.draw(st.sampled_from((RULES, "[]", "bad", RULES.replace("0.02", "0.03"))))
    once.rules = many.rules = [ThresholdVersion(1, 0, RULES), ThresholdVersion(2, changed_ms, of_rules)]

    kit.consumer(once).consume(kit.event(stream.records), 1 << 62)
    Delivery(many, stream.records, data).run()

    assert_same(outcome_of(once), outcome_of(many))


@pytest.mark.parametrize("how", ["fail", "lost", "crash", "crash-after"])
def test_any_single_call_may_fail(warm: tuple[kit.Memory, Stream], how: str) -> None:
    memory, warm_stream = warm
    stream = continued(warm_stream, 5, MANY)
    for _ in range(8):
        stream.record()

    def deliver(plan: dict[int, str]) -> tuple[dict[str, object], int]:
        after, faults = memory.copy(), kit.Faults(plan)
        process, at = kit.consumer(after, faults), 0
        while at < len(stream.records):
            batch = stream.records[at : at + 4]
            try:
                failed = process.consume(kit.event(batch), 1 << 62).failed_sequence
            except kit.Crash:
                process = kit.consumer(after, faults)
                continue
            at += len(batch) if failed is None else [r.sequence for r in batch].index(failed)
        return outcome_of(after), faults.calls

    undisturbed, calls = deliver({})
    assert undisturbed["anomalies"] != memory.anomalies
    assert calls > 30
    for call in range(calls):
        disturbed, _ = deliver({call: how})
        assert_same(undisturbed, disturbed)
