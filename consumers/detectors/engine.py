"""Run the nine detectors over ticks: `apply(states, ticks, thresholds)` -> transitions of episodes.

Round k handles every symbol's k-th tick of the call. Rounds of many symbols run on arrays, rounds of few
on plain floats; both execute the same source with the same bits (see `namespace`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumers.detectors import price_spike
from consumers.detectors.kinds import KINDS
from consumers.detectors.namespace import FLOATS
from consumers.detectors.state import EPISODE_FIELDS, SIGNAL_FIELDS, STATE_FIELDS, State

__all__ = [
    "DETECTOR_VERSION",
    "KINDS",
    "SEVERITIES",
    "STATE_FIELDS",
    "Ticks",
    "Transition",
    "apply",
    "new_states",
]

DETECTOR_VERSION = 1
SEVERITIES: tuple[str, ...] = ("low", "medium", "high", "critical")
REARM_TICKS = 15.0

Floats = NDArray[np.float64]


class Ticks(NamedTuple):
    """Ticks as columns of equal length; NaN in bid, ask and day_volume means unknown.

    `slot` is the symbol's column in the states. The ticks of one slot are in order with growing `ts`.
    """

    slot: NDArray[np.int64]
    ts: NDArray[np.int64]
    price: Floats
    bid: Floats
    ask: Floats
    day_volume: Floats


class Transition(NamedTuple):
    """An episode opened, escalated or ended at tick `row` of the call."""

    change: str
    row: int
    kind: str
    severity: str
    score: float
    threshold: float
    value: float
    expected: float
    spread_of_expected: float
    direction: str
    opened_ts: int
    window: dict[str, Any]
    note: str


def new_states(n: int) -> Floats:
    """States of `n` symbols never seen: zeros of shape (len(STATE_FIELDS), n)."""
    return np.zeros((len(STATE_FIELDS), n))


def apply(states: Floats, ticks: Ticks, thresholds: Floats, scores: Floats | None = None) -> list[Transition]:
    """Score `ticks` in order, move `states` (changed in place), answer what opened, escalated and ended.

    `thresholds` has shape (9, symbols); `scores`, if given, shape (9, ticks), is filled.
    """
    found: list[Transition] = []
    for row in range(len(ticks.slot)):
        slot = int(ticks.slot[row])
        column = states[:, slot].tolist()
        state = State()
        for name, value in zip(SIGNAL_FIELDS, column, strict=False):
            setattr(state, name, value)
        ts = float(ticks.ts[row])
        reading = price_spike.score(FLOATS, state, ts, float(ticks.price[row]))
        values = [getattr(state, name) for name in SIGNAL_FIELDS]
        episodes = dict(zip(EPISODE_FIELDS, column[len(SIGNAL_FIELDS) :], strict=True))
        if scores is not None:
            scores[:, row] = 0.0
            scores[0, row] = reading[0]
        found += _episode("price_spike", episodes, state, reading, float(thresholds[0, slot]), row, ts)
        states[:, slot] = values + list(episodes.values())
    return found


def _episode(
    kind: str,
    episodes: dict[str, float],
    state: State,
    reading: tuple[float, float, float, float],
    threshold: float,
    row: int,
    ts: float,
) -> list[Transition]:
    score, value, expected, spread = reading
    level, severity = episodes[f"{kind}_level"], _severity(score)
    if score >= threshold:
        episodes[f"{kind}_hot"] = state.count
        change = "opened" if level == 0.0 else "escalated"
        if severity <= level:
            return []
        if level == 0.0:
            episodes[f"{kind}_opened"] = ts
        episodes[f"{kind}_level"] = severity
    elif level > 0.0 and state.count - episodes[f"{kind}_hot"] >= REARM_TICKS:
        change, severity = "ended", level
        episodes[f"{kind}_level"] = 0.0
    else:
        return []
    direction = "up" if value > expected else "down" if value < expected else "none"
    window = {"ticks": min(int(state.count), 240), "unit": "return"}
    opened = int(episodes[f"{kind}_opened"])
    return [
        Transition(
            change, row, kind, SEVERITIES[int(severity) - 1], score, threshold, value, expected, spread, direction,
            opened, window, "",
        )
    ]  # fmt: skip


def _severity(score: float) -> float:
    return 1.0 + (score >= 4.0) + (score >= 6.0) + (score >= 10.0)
