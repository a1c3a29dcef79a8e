"""level_shift: a jump that stays, confirmed two ticks later; or a session that opens at another level.

The jump is measured in scales of a return before it. Confirmation tells a shift from a spike or a bad tick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.contracts.detector import DetectorSpec, Facts
from consumers.contracts.wording import against_returns, moved, percent
from consumers.detectors.engine.signals import SLOW_TICKS
from consumers.detectors.engine.tail import limit_of
from consumers.detectors.price_spike import OPENING_FACTOR, TAIL
from producers.simulation.distortion import Distortion

if TYPE_CHECKING:
    from consumers.detectors.engine.signals import Signals
    from consumers.detectors.engine.state import State

CONFIRMED_AFTER = 2.0  # ticks
# A jump of fewer scales than this is not followed up: it is far from any limit.
CANDIDATE_SCALES = 4.0
# A session may open this far away from the last one: beyond it lies a split, a merger, or a fault.
OVERNIGHT_RETURN = 0.2


# Ratios at which companies split their shares.
SPLITS: tuple[tuple[int, int], ...] = (
    (3, 2), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1), (10, 1), (15, 1), (20, 1), (25, 1), (30, 1),
    (50, 1),
)  # fmt: skip
SPLIT_TOLERANCE = 0.03  # the overnight move on top of the split


def score(s: State, x: Signals) -> tuple[float, float, float, float]:
    """Return (score, return since before the jump, 0, scale of a return)."""
    jump = x.warm & ((x.size > CANDIDATE_SCALES * x.scale) | x.new_session)
    waiting = s.shift_age > 0.0
    if not (jump | waiting):
        return 0.0, 0.0, 0.0, x.scale
    due = (s.shift_age >= CONFIRMED_AFTER) & x.believed
    moved = x.price / s.shift_from - 1.0 if due else 0.0
    # What the price added after the jump is no part of it.
    kept = min(abs(moved), s.shift_size)
    overnight = x.warm & x.new_session
    value = x.change if overnight else moved
    judged = x.size if overnight else kept
    scale = s.shift_scale if due else x.scale
    limit = OVERNIGHT_RETURN if overnight else s.shift_limit * scale if due else scale

    if jump & (not (waiting | x.new_session)):
        s.shift_age, s.shift_from, s.shift_size, s.shift_scale = 1.0, s.last_price, x.size, x.scale
        spike_limit = limit_of((s.spike_high, s.spike_excess, *TAIL))
        s.shift_limit = spike_limit * (OPENING_FACTOR if x.opening else 1.0)
    else:
        s.shift_age = s.shift_age + 1.0 if waiting & (s.shift_age < CONFIRMED_AFTER) else 0.0
    return judged / limit * 2.5, value, 0.0, scale


def window(s: State, x: Signals) -> dict[str, Any]:
    """Return what the new level was compared with."""
    del s
    return {"unit": "return", "ticks": int(min(x.age, SLOW_TICKS)), "overnight": bool(x.new_session)}


def _sentence(facts: Facts) -> str:
    if facts.window.get("overnight"):
        side = "above" if facts.value > 0.0 else "below"
        return f"opened {percent(facts.value)} {side} the last session's close"
    return f"{moved(facts.value)} and stayed there, {against_returns(facts)}"


def note(s: State, x: Signals) -> str:
    """Return the split that a session opened with, or an empty string."""
    del s
    return split_of(1.0 + x.change) if x.new_session else ""


def split_of(factor: float) -> str:
    """Name the split that multiplies a price by `factor`, or return an empty string."""
    for new, old in SPLITS:
        if abs(factor * new / old - 1.0) <= SPLIT_TOLERANCE:
            return f"{new}:{old} split"
        if abs(factor * old / new - 1.0) <= SPLIT_TOLERANCE:
            return f"{old}:{new} reverse split"
    return ""


DETECTOR = DetectorSpec(
    kind="level_shift",
    label="Level shift",
    summary="a jump that stays, or a session that opens at another level",
    score=score,
    window=window,
    sentence=_sentence,
    over="no further jump followed",
    distortion=Distortion(kind="level_shift", seconds=240.0, move="shift"),
    fields={
        "shift_age": "ticks since the jump that awaits confirmation, 0 = none",
        "shift_from": "price before that jump",
        "shift_size": "absolute return of that jump",
        "shift_scale": "scale of a return at that jump",
        "shift_limit": "limit of a spike at that jump, in scales",
    },
    may_follow_halt=True,
    note=note,
    is_feigned_by_misprints=True,
)
