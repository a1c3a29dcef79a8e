"""volume_burst: the volume of three ticks against its usual size and its own heavy tail.

The square root tames the tail of volumes. Only ticks that trade are counted: many ticks of a quiet instrument do
not, and zeros say nothing of how large a volume may be. The limit is learned (see `tail`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.contracts.detector import DetectorSpec, Facts
from consumers.contracts.wording import number, times
from consumers.detectors.engine.signals import VOLUME_TICKS
from consumers.detectors.engine.tail import FIRST_EXCESS, FIRST_HIGH, LEAST_HIGH, ROSE
from producers.simulation.distortion import Distortion

if TYPE_CHECKING:
    from consumers.detectors.engine.namespace import Namespace, Number
    from consumers.detectors.engine.signals import Signals
    from consumers.detectors.engine.state import State

REACH = 4.8
CLIP = 2.0  # a square root teaches the mean at most this many means
LEAST_RATIO = 1.5
LEAST_ROOT = 1e-9


def score(xp: Namespace, s: State, x: Signals) -> tuple[Number, Number, Number, Number]:
    """Return (score, shares a tick over three ticks, usual shares a tick, how many more are still normal)."""
    where, maximum, minimum = xp.where, xp.maximum, xp.minimum
    usual = maximum(s.volume, LEAST_ROOT)
    ratio = x.volume_recent / usual
    high, excess = s.volume_high + FIRST_HIGH, s.volume_excess + FIRST_EXCESS
    limit = maximum(high + REACH * excess, LEAST_RATIO)
    over = ratio > high
    s.volume_high = maximum(high * where(over, ROSE, x.fell_volume), LEAST_HIGH) - FIRST_HIGH
    taught = minimum(ratio, limit) - high - excess
    s.volume_excess = s.volume_excess + where(over, taught, 0.0) * x.gain_tail_volume
    cap = CLIP * s.volume + x.open_volume
    s.volume = s.volume + x.gain_volume * (minimum(x.volume_root, cap) - s.volume)
    expected = usual * usual
    # A tick that comes after a silence carries the volume of several.
    judged = where(x.volume_warm, ratio, 0.0) / (limit * x.root_lapse)
    return judged * 2.5, x.volume_recent * x.volume_recent, expected, expected * (limit * limit - 1.0)


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
        "volume": "mean square root of a tick's volume over some 60 ticks that traded",
        "volume_high": "98 % quantile of the ratio to that mean, less its first value",
        "volume_excess": "mean excess over it, less its first value",
    },
    may_follow_halt=True,
)
