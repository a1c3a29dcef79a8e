"""price_spike: one tick's return against a robust scale of returns.

Statistic: |r| / (scale * sqrt(time in usual pauses)). The scale is the geometric mean of two exponentially
weighted mean absolute returns with Huber's clipping, floored by the size of usual moves (see `signals`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.contracts.detector import DetectorSpec, Facts
from consumers.contracts.wording import against_returns, moved
from consumers.detectors.engine.signals import SLOW_TICKS
from producers.simulation.distortion import Distortion

if TYPE_CHECKING:
    from consumers.detectors.engine.namespace import Namespace, Number
    from consumers.detectors.engine.signals import Signals
    from consumers.detectors.engine.state import State

# Scales of a return at score 2.5: with the heavy tails of returns about one tick in ten thousand goes beyond.
OPERATING_SCALES = 10.0


def score(xp: Namespace, s: State, x: Signals) -> tuple[Number, Number, Number, Number]:
    """Return (score, return, 0, scale of a return over the same time)."""
    del s
    judged = xp.where(x.warm & xp.negate(x.new_session), x.size, 0.0)
    return judged / x.scale * (2.5 / OPERATING_SCALES), x.change, 0.0, x.scale


def window(s: State, x: Signals) -> dict[str, Any]:
    """Return what the return was compared with."""
    del s
    return {"unit": "return", "ticks": int(min(x.age, SLOW_TICKS))}


def _sentence(facts: Facts) -> str:
    return f"{moved(facts.value)} in one tick, {against_returns(facts)}"


DETECTOR = DetectorSpec(
    kind="price_spike",
    label="Price spike",
    summary="one tick's return against a robust scale of returns",
    score=score,
    window=window,
    sentence=_sentence,
    over="moves are of usual size again",
    distortion=Distortion(kind="price_spike", seconds=8.0, move="jump"),
    may_follow_halt=True,
    is_feigned_by_misprints=True,
)
