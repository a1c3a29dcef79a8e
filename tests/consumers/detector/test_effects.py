"""Effects are known before their block is put, and take no longer than an invocation has."""

from __future__ import annotations

import pytest

from consumers.detector import commit
from consumers.detector.effects import Effects
from consumers.stream.thresholds import Threshold, ThresholdError
from consumers.windows.partition import PartitionState
from consumers.windows.state import Step
from tests.consumers import kit

START_MS = 1_795_000_000_000


@pytest.mark.parametrize("number", ["1" + "0" * 310, "1" + "0" * 5000, "1e400", "-1" + "0" * 400])
def test_a_number_too_long_for_a_float_is_a_threshold_error(number: str) -> None:
    for text in (number, f'{{"kinds": {{"gap": {number}}}}}'):
        with pytest.raises(ThresholdError):
            Threshold.parse(text)


def test_what_cannot_be_told_of_a_tick_leaves_no_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence that raises must not stop its partition for good: bisecting finds the record, as ever."""

    def broken(_step: Step) -> Effects:
        raise ZeroDivisionError("a sentence of somebody's detector")

    memory = kit.Memory()
    row = ("AAPL", START_MS, 100.0, 99.9, 100.1)
    monkeypatch.setattr(commit, "effects_of", broken)
    with pytest.raises(ZeroDivisionError):
        kit.consumer(memory, partitions=1).consume(
            kit.event([kit.Sent(kit.payload([row]), "1000", START_MS)]), 1 << 62
        )
    assert not memory.blocks
    monkeypatch.undo()
    report = kit.consumer(memory, partitions=1).consume(
        kit.event([kit.Sent(kit.payload([row]), "1000", START_MS)]), 1 << 62
    )
    assert report.failed_sequence is None
    assert report.counts.in_windows == 1


def test_a_block_has_no_more_effects_than_an_invocation_can_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minute bars of a year in one batch: each is a call of its own, so the block takes part of the rows."""
    seen: list[Step] = []
    fitting = commit.fitting

    def noting(state: PartitionState, *of: object) -> Step:
        step = fitting(state, *of)  # type: ignore[arg-type]
        seen.append(step)
        return step

    monkeypatch.setattr(commit, "fitting", noting)
    monkeypatch.setattr(commit, "MAX_EFFECT_CALLS", 50)
    rows = [("AAPL", START_MS + minute * 60_000, 100.0 + minute % 7) for minute in range(400)]
    memory = kit.Memory()
    kit.consumer(memory, partitions=1).consume(
        kit.event([kit.Sent(kit.payload(rows), "1000", START_MS + 400 * 60_000)]), 1 << 62
    )
    assert sum(len(step.rows) for step in seen) == 400
    assert max(len(step.closed) for step in seen) <= 50
