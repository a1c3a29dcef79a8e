"""slow_drift: many small steps the same way, by a two-sided CUSUM (Page 1954) of clipped returns.

Returns (of the middle of the quotes where they are known, which does not bounce between bid and ask) are divided
by their root mean square and clipped, so that no single jump looks like a drift.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.contracts.detector import DetectorSpec, Facts
from consumers.contracts.wording import percent
from consumers.detectors.engine.signals import SLOW_TICKS
from producers.simulation.distortion import Distortion

if TYPE_CHECKING:
    from consumers.detectors.engine.namespace import Namespace, Number
    from consumers.detectors.engine.signals import Signals
    from consumers.detectors.engine.state import State

OPERATING_SUM = 8.8
CLIP, SLACK = 0.8, 0.22  # in root mean squares of a move
# A tick without a move takes so much off, so that a drift ends where the price stands still.
LEAK = 0.005
MOST = 4.0 * OPERATING_SUM
WARMUP_TICKS = 150.0
SQUARE_CLIP = 9.0
LEAST_DEVIATION = 2e-6
WIDE = 5.0  # usual spreads


def score(xp: Namespace, s: State, x: Signals) -> tuple[Number, Number, Number, Number]:
    """Return (score, return since the drift began, 0, root mean square return of a tick)."""
    where, maximum, minimum = xp.where, xp.maximum, xp.minimum
    deviation = maximum(xp.sqrt(s.variance), LEAST_DEVIATION)
    # Where one side of the spread is far away, the middle is no price.
    change = where(x.tracked & (x.spread <= WIDE * s.spread), x.middle_change, x.change) / x.root_lapse
    step = maximum(minimum(change / deviation, CLIP), -CLIP)
    moved = (change != 0.0) & (x.age >= WARMUP_TICKS) & xp.negate(x.new_session)
    step, slack = where(moved, step, 0.0), where(moved, SLACK, LEAK)
    base = where(s.last_price > 0.0, s.last_price, x.price)
    rising, falling = s.up > 0.0, s.down > 0.0
    s.up_from = where(rising, s.up_from, base)
    s.up_since = where(rising, s.up_since, x.age)
    s.down_from = where(falling, s.down_from, base)
    s.down_since = where(falling, s.down_since, x.age)
    s.up = minimum(maximum(s.up + step - slack, 0.0), MOST)
    s.down = minimum(maximum(s.down - step - slack, 0.0), MOST)

    square = change * change
    cap = maximum(SQUARE_CLIP * s.variance, s.move * s.move) + x.open_
    gain = where(change != 0.0, x.gain_slow, 0.0)
    s.variance = s.variance + gain * (minimum(square, cap) - s.variance)
    origin = where(s.up > s.down, s.up_from, s.down_from)
    price = where(x.believed, x.price, base)
    value = price / where(origin > 0.0, origin, 1.0) - 1.0
    return maximum(s.up, s.down) * (2.5 / OPERATING_SUM), value, 0.0, deviation


def window(s: State, x: Signals) -> dict[str, Any]:
    """Return over how many ticks the price has drifted."""
    since = s.up_since if s.up > s.down else s.down_since
    return {"unit": "return", "ticks": int(SLOW_TICKS), "over_ticks": int(x.age - since + 1.0)}


def _sentence(facts: Facts) -> str:
    over, of = facts.window["over_ticks"], facts.window["ticks"]
    way = "up" if facts.value > 0.0 else "down"
    return (
        f"has drifted {percent(facts.value)} {way} over {over} ticks, in small steps that are too"
        f" often the same way for chance (a step of {percent(facts.tolerance)} is usual over {of} ticks)"
    )


DETECTOR = DetectorSpec(
    kind="slow_drift",
    label="Slow drift",
    summary="many small steps the same way, by a two-sided CUSUM",
    score=score,
    window=window,
    sentence=_sentence,
    over="its steps go both ways again",
    distortion=Distortion(kind="slow_drift", seconds=240.0, move="drift"),
    fields={
        "variance": "mean square of a return that is not zero, outliers clipped",
        "up": "CUSUM of upward returns",
        "up_from": "price where it left zero",
        "up_since": "number of that tick",
        "down": "CUSUM of downward returns",
        "down_from": "price where it left zero",
        "down_since": "number of that tick",
    },
)
