"""frozen_feed: a run of ticks that change nothing (price, quotes, volume), longer than chance allows.

A run of n unchanged ticks has probability p**n; the limit is where that falls below one in a million, where the
longest usual run is passed by 40 %, and at least eight ticks. A longer run teaches nothing of chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.contracts.detector import DetectorSpec, Facts
from consumers.contracts.wording import duration
from producers.simulation.distortion import Distortion

if TYPE_CHECKING:
    from consumers.detectors.engine.namespace import Namespace, Number
    from consumers.detectors.engine.signals import Signals
    from consumers.detectors.engine.state import State

RARITY = 13.8  # -ln of that probability
PEAK_MARGIN, SHORTEST_RUN = 1.4, 8.0
PRIOR_SAME, SAME_STEP, MOST_SAME = 0.3, 0.005, 0.985
PEAK_FADE, PEAK_GROWTH = 0.998, 1.1


def run_limit(xp: Namespace, s: State) -> Number:
    """Return the length of a run that is not chance, in ticks.

    -ln(p) is taken by its Pade approximant 2 (1 - p) / (1 + p): logarithms differ in their last bits.
    """
    same = s.same + PRIOR_SAME
    rare = (RARITY / 2.0) * (1.0 + same) / (1.0 - same)
    return xp.maximum(rare, xp.maximum(PEAK_MARGIN * s.run_peak, SHORTEST_RUN))


def score(xp: Namespace, s: State, x: Signals) -> tuple[Number, Number, Number, Number]:
    """Return (score, unchanged ticks, usual run, how much longer a run is still normal)."""
    where, maximum, minimum = xp.where, xp.maximum, xp.minimum
    before, same = s.run, s.same + PRIOR_SAME
    s.run = where(x.unchanged, before + 1.0, 0.0)
    # A run that was not chance raises the next limit by this much only.
    longest = minimum(before, x.run_limit * (PEAK_GROWTH / PEAK_MARGIN))
    # Both are zero while the run lasts, and the peak then stays.
    ended = before - minimum(before, s.run)
    s.run_peak = where(ended > 0.0, maximum(PEAK_FADE * s.run_peak, longest), s.run_peak)
    stepped = s.same + (where(x.unchanged, 1.0, 0.0) - same) * SAME_STEP
    s.same = where(s.run < x.run_limit, minimum(stepped, MOST_SAME - PRIOR_SAME), s.same)
    judged = where(x.warm, s.run, 0.0)
    usual = same / (1.0 - same)
    return judged / x.run_limit * 2.5, s.run, usual, x.run_limit - usual


def window(s: State, x: Signals) -> dict[str, Any]:
    """Return what the run was compared with."""
    return {"unit": "ticks", "ticks": int(min(x.age, 200.0)), "seconds": (x.ts - s.changed_ts) / 1000.0}


def _sentence(facts: Facts) -> str:
    return (
        f"has not changed for {facts.value:,.0f} ticks ({duration(facts.window['seconds'])}): price, quotes and"
        f" volume repeat, where {facts.expected + facts.tolerance:,.0f} or more are not chance"
    )


DETECTOR = DetectorSpec(
    kind="frozen_feed",
    label="Frozen feed",
    summary="a run of ticks that change nothing, longer than chance allows",
    score=score,
    window=window,
    sentence=_sentence,
    over="it changes again",
    distortion=Distortion(kind="frozen_feed", seconds=90.0, is_frozen=True),
    fields={
        "run": "ticks without any change",
        "same": "probability that a tick changes nothing, less the prior",
        "run_peak": "longest usual run, fading",
    },
    rearm_ticks=1,
    run_limit=run_limit,
    has_direction=False,
    concerns="feed",
)
