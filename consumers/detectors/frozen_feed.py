"""frozen_feed: ticks that repeat each other for longer than chance allows.

Three runs are counted: ticks that change nothing (price, quotes, volume); ticks that repeat price, quotes and a volume
(a bar sent again); trades outside of quotes that stand still (stale quotes under a live price). Of the latter two a
tick counts as little as its pause is shorter than usual: one order is often filled by many trades at once.

A run of a process without memory that lasts on average m ticks is longer than n with a probability of some
exp(-2 n / (2 m - 1)); where activity comes in waves, the tail is heavier and learned (see `tail`). The limit is where
either falls below one in a million, and more while few runs were seen: after k changes, the predictive
distribution of a run is wider by some 1 + 7 / k + 32 / k**2. A longer run teaches nothing of chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.contracts.detector import DetectorSpec, Facts
from consumers.contracts.wording import duration
from consumers.detectors.engine.tail import FELL, FIRST_EXCESS, FIRST_HIGH, LEAST_HIGH, ROSE
from producers.simulation.distortion import Distortion

if TYPE_CHECKING:
    from consumers.detectors.engine.namespace import Condition, Namespace, Number
    from consumers.detectors.engine.signals import Signals
    from consumers.detectors.engine.state import State

RARITY = 13.8  # -ln of that probability
REACH = 9.0
SHORTEST_RUN = 7.0
EXCESS_GAIN = 0.05


def score(xp: Namespace, s: State, x: Signals) -> tuple[Number, Number, Number, Number]:
    """Return (score, ticks of the run, usual run, how much longer a run is still normal)."""
    where, maximum, minimum = xp.where, xp.maximum, xp.minimum
    before = s.run
    running = x.unchanged | (before > 0.0)
    longest, limit, found = before, SHORTEST_RUN, 0.0 * before
    if xp.any(running):
        mean = maximum(s.run_mean, 1.0)
        high, excess = s.run_high + FIRST_HIGH, s.run_excess + FIRST_EXCESS
        rare = maximum((RARITY / 2.0) * (2.0 * mean - 1.0), (high + REACH * excess) * mean)
        limit = where(running, maximum(rare * x.few, SHORTEST_RUN), SHORTEST_RUN)
        longest = where(x.unchanged, before + 1.0, 0.0)
        s.run = longest
        found = longest / limit
        s.frozen = where(found >= 1.0, 1.0, 0.0)
        ended = running & xp.negate(x.unchanged)
        if xp.any(ended):
            run = minimum(before, limit)
            s.run_mean = s.run_mean + where(ended, run - s.run_mean, 0.0) * x.gain_run
            ratio = run / mean
            over = ended & (ratio > high)
            s.run_high = maximum(high * where(over, ROSE, where(ended, FELL, 1.0)), LEAST_HIGH) - FIRST_HIGH
            s.run_excess = s.run_excess + where(over, ratio - high - excess, 0.0) * EXCESS_GAIN
    usual = s.run_mean
    repeating = x.repeated | (s.repeats > 0.0)
    if xp.any(repeating):
        ended = x.traded & xp.negate(x.repeated)
        other, s.repeats_high, s.repeats_excess = _learned(
            xp, s.repeats, ended, (s.repeats_high, s.repeats_excess)
        )
        lasted = minimum(x.pause / x.pace, 1.0)
        s.repeats = where(x.repeated, s.repeats + lasted, where(x.traded, 0.0, s.repeats))
        rarer = s.repeats / other > found
        longest, limit = where(rarer, s.repeats, longest), where(rarer, other, limit)
        found = longest / limit
    straying = x.strayed | (s.strays > 0.0)
    if xp.any(straying):
        other, s.strays_high, s.strays_excess = _learned(
            xp, s.strays, x.requoted, (s.strays_high, s.strays_excess)
        )
        lasted = minimum(x.pause / x.pace, 1.0)
        s.strays = where(x.strayed, s.strays + lasted, where(x.requoted, 0.0, s.strays))
        rarer = s.strays / other > found
        longest, limit = where(rarer, s.strays, longest), where(rarer, other, limit)
        found = longest / limit
    return where(x.warm, found, 0.0) * 2.5, longest, usual, limit - usual


def _learned(
    xp: Namespace, run: Number, ended: Condition, tail: tuple[Number, Number]
) -> tuple[Number, Number, Number]:
    """Return the limit of a run of trades, and the tail of such runs, which an `ended` one moves on."""
    where, maximum, minimum = xp.where, xp.maximum, xp.minimum
    high, excess = tail[0] + FIRST_HIGH, tail[1] + FIRST_EXCESS
    limit = maximum(high + REACH * excess, SHORTEST_RUN)
    length = minimum(run, limit)
    ended = ended & (length > 0.0)
    over = ended & (length > high)
    moved = maximum(high * where(over, ROSE, where(ended, FELL, 1.0)), LEAST_HIGH) - FIRST_HIGH
    return limit, moved, tail[1] + where(over, length - high - excess, 0.0) * EXCESS_GAIN


def window(s: State, x: Signals) -> dict[str, Any]:
    """Return what the run was compared with."""
    found: dict[str, Any] = {"unit": "ticks", "ticks": int(min(x.age, 200.0))}
    if x.repeated and s.repeats >= s.strays:
        return {**found, "run": "repeated trades"}
    if x.strayed:
        return {**found, "run": "stale quotes"}
    return {**found, "run": "unchanged", "seconds": (x.ts - s.changed_ts) / 1000.0}


def _sentence(facts: Facts) -> str:
    limit = f"where {facts.expected + facts.tolerance:,.0f} or more are not chance"
    run = facts.window.get("run")
    if run == "repeated trades":
        return f"has repeated a trade, price, quotes and volume, for {facts.value:,.0f} usual pauses, {limit}"
    if run == "stale quotes":
        return f"has traded outside of quotes that stand still for {facts.value:,.0f} usual pauses, {limit}"
    return (
        f"has not changed for {facts.value:,.0f} ticks ({duration(facts.window['seconds'])}): price, quotes and"
        f" volume repeat, {limit}"
    )


DETECTOR = DetectorSpec(
    kind="frozen_feed",
    label="Frozen feed",
    summary="ticks, trades or quotes that repeat for longer than chance allows",
    score=score,
    window=window,
    sentence=_sentence,
    over="it changes again",
    distortion=Distortion(kind="frozen_feed", seconds=90.0, is_frozen=True),
    fields={
        "run": "ticks without any change",
        "run_mean": "mean length of runs that ended",
        "run_high": "98 % quantile of the ratio to that mean, less its first value",
        "run_excess": "mean excess over it, less its first value",
        "repeats": "trades that repeated the one before them",
        "repeats_high": "98 % quantile of such runs, less its first value",
        "repeats_excess": "mean excess over it, less its first value",
        "strays": "trades outside of quotes that stand still",
        "strays_high": "98 % quantile of such runs, less its first value",
        "strays_excess": "mean excess over it, less its first value",
    },
    rearm_ticks=1,
    has_direction=False,
    concerns="feed",
)
