"""price_spike: the return of one tick, or of three, against the instrument's own tail of returns.

Statistic: |r| / (scale * sqrt(time in usual pauses)). The scale is the geometric mean of two exponentially
weighted mean absolute returns with Huber's clipping, floored by the size of usual moves (see `signals`). The limits are
learned (see `tail`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.contracts.detector import DetectorSpec, Facts
from consumers.contracts.wording import against_returns, moved
from consumers.detectors.engine.signals import SLOW_TICKS
from consumers.detectors.engine.tail import ASSUMED_TICKS, FELL, FIRST_EXCESS, FIRST_HIGH, learned
from producers.simulation.distortion import Distortion

if TYPE_CHECKING:
    from consumers.detectors.engine.signals import Signals
    from consumers.detectors.engine.state import State

# The reach; scales below which no return is an anomaly; what is assumed of the tail.
TAIL = (6.8, 6.0, FIRST_HIGH, FIRST_EXCESS)
# So much further from usual is a return in the first minutes of a session before it is an anomaly.
OPENING_FACTOR = 1.5
# The sum of three returns in scales of one: some 1.4 times as many are as rare, as bounces cancel out in it.
THREE_PART = 1.0 / 1.4


def score(s: State, x: Signals) -> tuple[float, float, float, float]:
    """Return (score, return, 0, scale of a return over the same time)."""
    change = 0.0 if x.new_session else x.change
    size = abs(change)
    # What moved during a pause is as large as that pause allows, for the ticks after it too.
    paced = change / x.root_lapse
    since = paced + s.change_1 + s.change_2
    ramp = abs(since) * (THREE_PART * x.root_lapse)
    at_once = size >= ramp
    x.over_ticks = 1.0 if at_once else 3.0
    ratio = (size if at_once else ramp) / x.scale
    s.change_2 = 0.0 if x.new_session else s.change_1
    s.change_1 = paced

    # The opening teaches nothing of the tail.
    taught, fell = 0.0 if x.opening else ratio, 1.0 if x.opening else FELL
    limit, s.spike_high, s.spike_excess = learned(
        taught, (s.spike_high, s.spike_excess, *TAIL), fell, x.age + ASSUMED_TICKS
    )
    limit *= OPENING_FACTOR if x.opening else 1.0
    return (ratio if x.warm else 0.0) / limit * 2.5, x.change if at_once else since, 0.0, x.scale


def window(s: State, x: Signals) -> dict[str, Any]:
    """Return what the return was compared with."""
    del s
    return {"unit": "return", "ticks": int(min(x.age, SLOW_TICKS)), "over_ticks": int(x.over_ticks)}


def _sentence(facts: Facts) -> str:
    over = "one tick" if facts.window.get("over_ticks", 1) == 1 else "three ticks"
    return f"{moved(facts.value)} in {over}, {against_returns(facts)}"


DETECTOR = DetectorSpec(
    kind="price_spike",
    label="Price spike",
    summary="the return of one tick, or of three, against the instrument's own tail of returns",
    score=score,
    window=window,
    sentence=_sentence,
    over="moves are of usual size again",
    distortion=Distortion(kind="price_spike", seconds=8.0, move="jump"),
    fields={
        "change_1": "return of the last tick, divided by the root of its time in usual pauses",
        "change_2": "and of the one before",
        "spike_high": "98 % quantile of a return in scales, less its first value",
        "spike_excess": "mean excess over it, less its first value",
    },
    may_follow_halt=True,
    is_feigned_by_misprints=True,
)
