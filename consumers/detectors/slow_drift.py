"""slow_drift: many small steps the same way, by a two-sided CUSUM (Page 1954) of clipped returns.

Returns (of the middle of the quotes where they are known, which does not bounce between bid and ask) are divided
by their root mean square and clipped, so that no single jump looks like a drift.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

from consumers.contracts.detector import DetectorSpec, Facts
from consumers.contracts.wording import percent
from consumers.detectors.engine.signals import SLOW_TICKS
from producers.simulation.distortion import Distortion

if TYPE_CHECKING:
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


def score(s: State, x: Signals) -> tuple[float, float, float, float]:
    """Return (score, return since the drift began, 0, root mean square return of a tick)."""
    deviation = max(sqrt(s.variance), LEAST_DEVIATION)
    # Where one side of the spread is far away, the middle is no price.
    change = (x.middle_change if x.tracked & (x.spread <= WIDE * s.spread) else x.change) / x.root_lapse
    step = max(min(change / deviation, CLIP), -CLIP)
    moved = (change != 0.0) & (x.age >= WARMUP_TICKS) & (not x.new_session)
    step, slack = step if moved else 0.0, SLACK if moved else LEAK
    base = s.last_price if s.last_price > 0.0 else x.price
    rising, falling = s.up > 0.0, s.down > 0.0
    s.up_from = s.up_from if rising else base
    s.up_since = s.up_since if rising else x.age
    s.down_from = s.down_from if falling else base
    s.down_since = s.down_since if falling else x.age
    s.up = min(max(s.up + step - slack, 0.0), MOST)
    s.down = min(max(s.down - step - slack, 0.0), MOST)

    square = change * change
    cap = max(SQUARE_CLIP * s.variance, s.move * s.move) + x.open_ * x.open_
    gain = x.gain_slow if change != 0.0 else 0.0
    s.variance += gain * (min(square, cap) - s.variance)
    origin = s.up_from if s.up > s.down else s.down_from
    price = x.price if x.believed else base
    value = price / (origin if origin > 0.0 else 1.0) - 1.0
    return max(s.up, s.down) * (2.5 / OPERATING_SUM), value, 0.0, deviation


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
