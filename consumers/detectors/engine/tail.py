"""The tail of a statistic, learned for each instrument: peaks over threshold (Pickands 1975; SPOT, Siffer 2017).

The 98 % quantile of a statistic is tracked by stochastic approximation, and beside it the mean excess over it. A
limit is `quantile + reach * mean excess`: an exponential tail passes it with probability 2 % * exp(-reach). Tails of
markets are heavier, but the mean excess holds their weight: for a generalised Pareto tail of any usual index the
99.9 % quantile is three to three and a half mean excesses beyond the 98 % quantile. A value beyond the limit teaches
no more than one at the limit. A state holds both less their first values, so that a new one is zero.
"""

from __future__ import annotations

QUANTILE, STEP = 0.98, 0.025
ROSE, FELL = 1.0 + QUANTILE * STEP, 1.0 - (1.0 - QUANTILE) * STEP
# What is assumed before anything is learned; the statistics are about one on a usual tick, and so the least quantile.
FIRST_HIGH, FIRST_EXCESS = 2.0, 0.5
LEAST_HIGH = 1.0
# Exceedances over which the mean excess is averaged, and how many the first excess counts as; the same in values.
EXCEEDANCES, ASSUMED = 400.0, 12.0
TAIL_TICKS, ASSUMED_TICKS = EXCEEDANCES / (1.0 - QUANTILE), ASSUMED / (1.0 - QUANTILE)


def limit_of(tail: tuple[float, float, float, float, float, float]) -> float:
    """Return the limit of a statistic.

    `tail` is its quantile and mean excess as the state holds them, the reach, the least limit, and what was assumed of
    both.
    """
    return max(tail[0] + tail[4] + tail[2] * (tail[1] + tail[5]), tail[3])


def learned(
    value: float,
    tail: tuple[float, float, float, float, float, float],
    fell: float,
    count: float,
) -> tuple[float, float, float]:
    """Return the limit of a statistic, and its quantile and mean excess moved on by a value of it.

    `fell` is the factor of the quantile where the value does not exceed it, 1 where it is none; `count` how many values
    there were before, of which some 2 % were exceedances.
    """
    limit = limit_of(tail)
    high, excess = tail[0] + tail[4], tail[1]
    moved = high * fell
    if value > high:
        moved = high * ROSE
        weight = 1.0 + min(count, TAIL_TICKS) * (1.0 - QUANTILE)
        excess += (min(value, limit) - high - excess - tail[5]) / weight
    return limit, max(moved, LEAST_HIGH) - tail[4], excess
