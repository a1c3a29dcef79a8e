"""The rolling z-score for many symbols at once, behind the interface of `consumers.detectors.engine`."""

from __future__ import annotations

import numpy as np

from consumers.detectors.columns import Floats, Ticks
from consumers.detectors.engine import KINDS, Transition
from consumers.detectors.plan import plan_rounds
from zscore import LEAST_VARIANCE, LIMIT, WINDOW

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
    for start, stop in zip(plan.starts, plan.starts[1:], strict=False):
        rows = plan.rows[start:stop]
        for row, z in _round(states, plan.slots[: stop - start], rows, ticks.price[rows]):
            found.append(_transition(ticks, row, z))
    found.sort(key=lambda transition: transition.row)
    return found


def _round(states: Floats, slots: Floats, rows: Floats, price: Floats) -> list[tuple[int, float]]:
    """Judge one tick of each of many symbols."""
    count, anchor, total, squares = states[_COUNT:, slots]
    anchor = np.where(count == 0.0, price, anchor)
    value = price - anchor
    full = count >= WINDOW
    place = (count % WINDOW).astype(np.int64)
    oldest = states[place, slots]  # 0.0 where the window is not full
    mean = total / WINDOW
    variance = squares / WINDOW - mean * mean
    sound = full & (variance > LEAST_VARIANCE)
    z = np.abs(value - mean) / np.sqrt(np.where(sound, variance, 1.0))
    states[place, slots] = value
    states[_COUNT:, slots] = (
        count + 1.0,
        anchor,
        total - oldest + value,
        squares - oldest * oldest + value * value,
    )
    hits = np.flatnonzero(sound & (z > LIMIT))
    return list(zip(rows[hits].tolist(), z[hits].tolist(), strict=True))


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
        spread_of_expected=1.0,
        direction="none",
        opened_ts=int(ticks.ts[row]),
        window={"unit": "price", "ticks": WINDOW},
        note="",
    )
