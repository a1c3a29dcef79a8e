"""The tail of a statistic, learned for each instrument: peaks over threshold (Pickands 1975; SPOT, Siffer 2017).

The 98 % quantile of a statistic is tracked by stochastic approximation, and beside it the mean excess over it. A
limit is `quantile + reach * mean excess`: an exponential tail passes it with probability 2 % * exp(-reach). Tails of
markets are heavier, but the mean excess holds their weight: for a generalised Pareto tail of any usual index the
99.9 % quantile is three to three and a half mean excesses beyond the 98 % quantile. A value beyond the limit teaches
no more than one at the limit. A state holds both less their first values, so that a new one is zero.
"""

from __future__ import annotations

QUANTILE, STEP = 0.98, 0.05
VOLUME_STEP = 0.025  # volumes repeat themselves less than returns do
VOLUME_ROSE, VOLUME_FELL = 1.0 + QUANTILE * VOLUME_STEP, 1.0 - (1.0 - QUANTILE) * VOLUME_STEP
ROSE, FELL = 1.0 + QUANTILE * STEP, 1.0 - (1.0 - QUANTILE) * STEP
# What is assumed before anything is learned; the statistics are about one on a usual tick, and so the least quantile.
FIRST_HIGH, FIRST_EXCESS = 2.0, 0.5
LEAST_HIGH = 1.0
# Exceedances over which the mean excess is averaged, and how many the first excess counts as.
EXCEEDANCES, ASSUMED = 400.0, 12.0
