"""The rolling z-score for many symbols at once, behind the interface of `consumers.detectors.engine.engine`."""

from __future__ import annotations

import numpy as np
from zscore import LEAST_VARIANCE, LIMIT, WINDOW

from consumers.detectors.engine.engine import KINDS, Transition
from consumers.detectors.engine.ticks import Floats, Integers, Ticks

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
    found: list[Transition] = []
    for rows in _rounds(ticks.slot):
        slots = ticks.slot[rows]
        after = states[_COUNT:, slots]
        for place, z in _round(states, slots, after, ticks.price[rows]):
            found.append(_transition(ticks, int(rows[place]), z))
        states[_COUNT:, slots] = after
    found.sort(key=lambda transition: transition.row)
    return found


def _rounds(slot: Integers) -> list[Integers]:
    """Return ticks, given by their slots in time order, in rounds: round k holds every symbol's k-th tick."""
    order = np.argsort(slot, kind="stable")
    first = np.flatnonzero(np.diff(slot[order], prepend=-1))
    counts = np.diff(first, append=len(slot))
    turn = np.arange(len(slot)) - np.repeat(first, counts)
    return np.split(order[np.argsort(turn, kind="stable")], np.cumsum(np.bincount(turn))[:-1])


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
