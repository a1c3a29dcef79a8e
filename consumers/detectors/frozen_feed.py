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
from consumers.detectors.engine.tail import FELL, FIRST_EXCESS, FIRST_HIGH, learned, limit_of
from producers.simulation.distortion import Distortion

if TYPE_CHECKING:
    from consumers.detectors.engine.signals import Signals
    from consumers.detectors.engine.state import State

RARITY = 13.8  # -ln of that probability
SHORTEST_RUN = 6.0
# The reach, the least limit, and what is assumed of the tail. Of runs without change, in mean ones; trades come in
# clusters, and look alike in them.
RUNS, TRADES = (9.0, 0.0, FIRST_HIGH, FIRST_EXCESS), (12.0, SHORTEST_RUN, FIRST_HIGH, 0.35)
# After k changes the distribution of a run is wider by 1 + FEW_1 / k + FEW_2 / k**2; the mean is over so many runs, and
# the tail learns from each as it would after so many.
FEW_1, FEW_2, UNKNOWN, MEAN_RUNS, TAIL_RUNS = 7.0, 32.0, 1e9, 100.0, 950.0


def score(s: State, x: Signals) -> tuple[float, float, float, float]:
    """Return (score, ticks of the run, usual run, how much longer a run is still normal)."""
    s.changes += 0.0 if x.unchanged else 1.0
    longest, limit, found = s.run, SHORTEST_RUN, 0.0
    if x.unchanged | (s.run > 0.0):
        mean = max(s.run_mean, 1.0)
        likely = max((RARITY / 2.0) * (2.0 * mean - 1.0), limit_of((s.run_high, s.run_excess, *RUNS)) * mean)
        seen = s.changes - 1.0  # the first tick of all is none
        some = max(seen, 1.0)
        few = 1.0 + (FEW_1 + FEW_2 / some) / some if seen > 0.0 else UNKNOWN
        limit = max(likely * few, SHORTEST_RUN)
        longest = s.run + 1.0 if x.unchanged else 0.0
        found = longest / limit
        s.frozen = 1.0 if found >= 1.0 else 0.0
        if not x.unchanged:
            run = min(s.run, limit)
            s.run_mean += (run - s.run_mean) / min(some, MEAN_RUNS)
            _, s.run_high, s.run_excess = learned(
                run / mean, (s.run_high, s.run_excess, *RUNS), FELL, TAIL_RUNS
            )
        s.run = longest
    usual = s.run_mean
    if x.repeated | (s.repeats > 0.0):
        ended = x.traded & (not x.repeated)
        s.repeats, other, s.repeats_high, s.repeats_excess = _trades(
            x, x.repeated, ended, (s.repeats, s.repeats_high, s.repeats_excess)
        )
        if s.repeats / other > found:
            longest, limit, found = s.repeats, other, s.repeats / other
    if x.strayed | (s.strays > 0.0):
        s.strays, other, s.strays_high, s.strays_excess = _trades(
            x, x.strayed, x.requoted, (s.strays, s.strays_high, s.strays_excess)
        )
        if s.strays / other > found:
            longest, limit, found = s.strays, other, s.strays / other
    return (found if x.warm else 0.0) * 2.5, longest, usual, limit - usual


def _trades(
    x: Signals, goes_on: bool, ended: bool, run: tuple[float, float, float]
) -> tuple[float, float, float, float]:
    """Return a run of trades, its limit, and the tail of such runs, which an ended one moves on."""
    length = run[0] if ended else 0.0
    fell = FELL if length > 0.0 else 1.0
    limit, high, excess = learned(length, (run[1], run[2], *TRADES), fell, TAIL_RUNS)
    lasted = min(x.pause / x.pace, 1.0)
    return run[0] + lasted if goes_on else 0.0 if ended else run[0], limit, high, excess


def window(s: State, x: Signals) -> dict[str, Any]:
    """Return what the run was compared with."""
    found: dict[str, Any] = {"unit": "ticks", "ticks": int(min(x.age, 200.0))}
    if x.repeated and s.repeats >= s.strays:
        return {**found, "run": "repeated trades"}
    if x.strayed:
        return {**found, "run": "stale quotes"}
    return {**found, "run": "unchanged", "seconds": (x.ts - s.changed_ts) / 1000.0}


def _sentence(facts: Facts) -> str:
    limit = f"{facts.expected + facts.tolerance:,.0f} or more is too many for chance"
    run = facts.window.get("run")
    if run == "repeated trades":
        return f"has repeated one trade with its quotes for {facts.value:,.0f} usual pauses; {limit}"
    if run == "stale quotes":
        return f"has traded outside of unchanged quotes for {facts.value:,.0f} usual pauses; {limit}"
    return (
        f"has had the same price, quotes and volume for {facts.value:,.0f} ticks"
        f" ({duration(facts.window['seconds'])}); {limit}"
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
        "changes": "ticks that changed something",
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
