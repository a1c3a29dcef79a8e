"""volume_burst: the volume of three ticks against its usual size and its own heavy tail.

The square root tames the tail of volumes. Peaks over threshold (Pickands 1975; SPOT, Siffer et al. 2017): the
98 % quantile of the ratio to the mean is tracked, and the mean excess over it; the limit is where an
exponential tail leaves exp(-4) of those 2 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.contracts.detector import DetectorSpec, Facts
from consumers.contracts.wording import number, times
from consumers.detectors.engine.signals import VOLUME_TICKS
from producers.simulation.distortion import Distortion

if TYPE_CHECKING:
    from consumers.detectors.engine.namespace import Namespace, Number
    from consumers.detectors.engine.signals import Signals
    from consumers.detectors.engine.state import State

CLIP = 2.0  # a square root teaches the mean at most this many means
QUANTILE, STEP = 0.98, 0.02
ROSE, FELL = 1.0 + QUANTILE * STEP, 1.0 - (1.0 - QUANTILE) * STEP
EXCESS_CLIP = 6.0
TAIL = 4.0
LEAST_RATIO = 2.0  # twice the usual square root, four times the usual volume
LEAST_ROOT = 1e-9


def score(xp: Namespace, s: State, x: Signals) -> tuple[Number, Number, Number, Number]:
    """Return (score, shares a tick over three ticks, usual shares a tick, how many more are still normal)."""
    where, maximum, minimum = xp.where, xp.maximum, xp.minimum
    larger = maximum(s.volume_fast, s.volume)
    usual = maximum(larger, LEAST_ROOT)
    ratio = x.volume_recent / usual
    high = s.volume_high + 1.0
    excess = s.volume_excess + 1.0
    limit = maximum(high + TAIL * excess, LEAST_RATIO)
    # A tick that comes after a silence carries the volume of several.
    judged = x.volume_judged / (usual * x.root_lapse)

    over = ratio > high
    s.volume_high = high * where(over, ROSE, FELL) - 1.0
    taught = minimum(ratio - high, EXCESS_CLIP * excess) - excess
    s.volume_excess = s.volume_excess + where(over, taught, 0.0) * STEP
    cap = CLIP * s.volume + x.open_volume
    s.volume = s.volume + x.gain_volume * (minimum(x.volume_root, cap) - s.volume)
    cap = CLIP * larger + x.open_volume
    s.volume_fast = s.volume_fast + x.gain_volume_fast * (minimum(x.volume_root, cap) - s.volume_fast)
    expected = usual * usual
    return judged / limit * 2.5, x.volume_recent * x.volume_recent, expected, expected * (limit * limit - 1.0)


def window(s: State, x: Signals) -> dict[str, Any]:
    """Return what the volume was compared with."""
    del s
    return {"unit": "shares", "ticks": int(min(x.age, VOLUME_TICKS)), "over_ticks": 3}


def _sentence(facts: Facts) -> str:
    over, of = facts.window["over_ticks"], facts.window["ticks"]
    return (
        f"traded {facts.value:,.0f} shares a tick over {over} ticks, {times(facts)} the usual"
        f" {number(facts.expected)} of the last {of} ticks"
    )


DETECTOR = DetectorSpec(
    kind="volume_burst",
    label="Volume burst",
    summary="the volume of three ticks against its usual size and its own heavy tail",
    score=score,
    window=window,
    sentence=_sentence,
    over="volume is usual again",
    distortion=Distortion(kind="volume_burst", seconds=30.0, volume_factor=40.0),
    fields={
        "volume": "mean square root of a tick's volume over some 250 ticks that traded",
        "volume_fast": "the same over some 30",
        "volume_high": "98 % quantile of the ratio to that mean, less one",
        "volume_excess": "mean excess of the ratio over that quantile, less one",
    },
    may_follow_halt=True,
)
