"""The rolling z-score for many symbols at once, behind the interface of `consumers.detectors.engine.engine`."""

from __future__ import annotations

import numpy as np
from zscore import LEAST_VARIANCE, LIMIT, WINDOW

from consumers.detectors.engine.ticks import Floats, Ticks
from consumers.detectors.engine.engine import KINDS, Transition
from consumers.detectors.engine.plan import Integers, plan_rounds

DETECTOR_VERSION = 1
STATE_FIELDS = (*(f"price_{i}" for i in range(WINDOW)), "count", "anchor", "total", "squares")
_COUNT, _ANCHOR, _TOTAL, _SQUARES = range(WINDOW, WINDOW + 4)
_KIND = KINDS[0]


def new_states(n: int) -> Floats:
    """States of `n` symbols never seen."""
    return np.zeros((len(STATE_FIELDS), n))


def apply(states: Floats, ticks: Ticks, thresholds: Floats) -> list[Transition]:
    """Judge ticks in order, move `states` (changed in place), answer each tick that is an anomaly."""
    del thresholds
    plan = plan_rounds(ticks.slot)
    found: list[Transition] = []
    after = states[_COUNT:, plan.slots]
    price = ticks.price[plan.rows]
    for start, stop in zip(plan.starts, plan.starts[1:], strict=False):
        width = stop - start
        for place, z in _round(states, plan.slots[:width], after[:, :width], price[start:stop]):
            found.append(_transition(ticks, int(plan.rows[start + place]), z))
    states[_COUNT:, plan.slots] = after
    found.sort(key=lambda transition: transition.row)
    return found


def _round(states: Floats, slots: Integers, after: Floats, price: Floats) -> list[tuple[int, float]]:
    """Judge one tick of each of many symbols; answers the places and scores of the anomalies."""
    count, anchor, total, squares = after
    np.copyto(anchor, price, where=count == 0.0)
    value = price - anchor
    prices, at = states.reshape(-1), count.astype(np.int64) % WINDOW * states.shape[1] + slots
    oldest = prices[at]  # 0.0 where the window is not full
    mean = total / WINDOW
    variance = squares / WINDOW - mean * mean
    sound = (count >= WINDOW) & (variance > LEAST_VARIANCE)
    z = np.abs(value - mean) / np.sqrt(np.where(sound, variance, 1.0))
    prices[at] = value
    count += 1.0
    total += value - oldest
    squares += value * value - oldest * oldest
    hits = np.flatnonzero(sound & (z > LIMIT))
    return list(zip(hits.tolist(), z[hits].tolist(), strict=True))


def _transition(ticks: Ticks, row: int, z: float) -> Transition:
    return Transition(
        change="opened",
        row=row,
        kind=_KIND,
        severity="low",
        score=z,
        threshold=LIMIT,
        value=float(ticks.price[row]),
        expected=0.0,
        tolerance=1.0,
        direction="none",
        opened_ts=int(ticks.ts[row]),
        window={"unit": "price", "ticks": WINDOW},
        note="",
    )
