"""spread_blowout: the bid-ask spread, held for three ticks, against its usual width.

The smallest of the last three spreads ignores single quotes that blink. A spread that widens at the time of day at
which it did on a day before is no anomaly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.contracts.detector import DetectorSpec, Facts
from consumers.contracts.wording import percent, times
from consumers.detectors.engine.signals import SPREAD_TICKS, is_near
from consumers.detectors.engine.tail import FIRST_EXCESS, FIRST_HIGH, learned
from producers.simulation.distortion import Distortion

if TYPE_CHECKING:
    from consumers.detectors.engine.signals import Signals
    from consumers.detectors.engine.state import State

# The reach; usual spreads below which none is wide; what is assumed of the tail.
TAIL = (6.0, 3.0, FIRST_HIGH, FIRST_EXCESS)
CLIP = 3.0  # a spread teaches the mean at most this many means
LEAST_SPREAD = 1e-9
# From this part of the limit on a spread is wide. Where it is so at the same time each day (the roll of
# currencies, an auction), that is usual; a day apart is more than half a day.
WIDE_PART = 0.5
SAME_TIME_MS, OTHER_DAY_MS = 20.0 * 60_000.0, 12.0 * 3_600_000.0


def score(s: State, x: Signals) -> tuple[float, float, float, float]:
    """Return (score, smallest relative spread of three ticks, usual spread, how much more is still normal)."""
    larger = max(s.spread_fast, s.spread)
    usual = max(larger, LEAST_SPREAD)
    held = x.spread_held
    ratio = held / usual
    limit, s.spread_high, s.spread_excess = learned(
        ratio, (s.spread_high, s.spread_excess, *TAIL), x.fell_spread, s.spreads
    )
    cap = CLIP * larger + x.open_spread
    taught = min(x.spread, cap)
    s.spread += x.gain_spread * (taught - s.spread)
    s.spread_fast += x.gain_spread_fast * (taught - s.spread_fast)
    if ratio > WIDE_PART * limit:
        held = _unless_daily(s, x)
    return held / (usual * limit) * 2.5, held, usual, (limit - 1.0) * usual


def _unless_daily(s: State, x: Signals) -> float:
    """Return the held spread, or 0 where it widens at the time of day at which it did on a day before."""
    earlier = (s.wide_ts > 0.0) & (x.ts - s.wide_ts > OTHER_DAY_MS)
    if earlier & is_near(x.time + 1.0, s.wide_time, SAME_TIME_MS):
        return 0.0
    if earlier | (s.wide_ts == 0.0):
        s.wide_ts, s.wide_time = x.ts, x.time + 1.0
    return x.spread_held


def window(s: State, x: Signals) -> dict[str, Any]:
    """Return what the spread was compared with."""
    del s
    return {"unit": "spread", "ticks": int(min(x.age, SPREAD_TICKS)), "over_ticks": 3}


def _sentence(facts: Facts) -> str:
    over, of = facts.window["over_ticks"], facts.window["ticks"]
    return (
        f"has had a bid-ask spread of {percent(facts.value)} or more for {over} ticks, {times(facts)} the usual"
        f" {percent(facts.expected)} of the last {of} ticks"
    )


DETECTOR = DetectorSpec(
    kind="spread_blowout",
    label="Spread blowout",
    summary="the bid-ask spread, held for three ticks, against its usual width",
    score=score,
    window=window,
    sentence=_sentence,
    over="the spread is usual again",
    distortion=Distortion(kind="spread_blowout", seconds=45.0, spread_factor=25.0),
    fields={
        "spread": "mean relative spread",
        "spread_fast": "the same over some 60 spreads",
        "spread_high": "98 % quantile of the ratio to the larger of them, less its first value",
        "spread_excess": "mean excess over it, less its first value",
        "wide_ts": "ms of the tick at which the spread last widened at a new time of day",
        "wide_time": "and that time, ms of the UTC day plus one",
    },
    may_follow_halt=True,
    is_feigned_by_misprints=True,
)
