"""The life of an anomaly: a run of ticks that score at or above the threshold is one episode of its kind.

An episode opens at the first such tick, escalates when its severity rises, and ends (so that the kind is armed
again) once the score has stayed below half of the threshold for `REARM_TICKS` ticks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumers.contracts.kinds import REGISTRY
from consumers.detectors.engine.state import HOT, LEVEL, OPENED

Floats = NDArray[np.float64]

# A score of 2.5 is the operating point; the larger, the rarer and the further from normal.
SEVERITIES: tuple[str, ...] = ("low", "medium", "high", "critical")
MEDIUM, HIGH, CRITICAL = 4.0, 6.0, 10.0

STAYS_OPEN = 0.5  # part of the threshold
REARM_TICKS: tuple[float, ...] = tuple(float(registered.spec.rearm_ticks) for registered in REGISTRY.values())


class Change(NamedTuple):
    """What happened to the episode of kind number `kind` at column `column`."""

    change: str
    kind: int
    column: int
    level: float
    opened: float


def level_of(score: float) -> float:
    """Severity of a score as a number from 1 (low) to 4 (critical)."""
    if score < HIGH:
        return 1.0 if score < MEDIUM else 2.0
    return 3.0 if score < CRITICAL else 4.0


def advance_one(
    episodes: list[float], scores: list[float], thresholds: list[float], ts: float, count: float
) -> list[Change]:
    """Move one symbol's episodes (a list in EPISODE_FIELDS' order, changed in place) on by one tick."""
    changes: list[Change] = []
    for kind, (score, threshold) in enumerate(zip(scores, thresholds, strict=True)):
        level = episodes[LEVEL + kind]
        if score >= threshold:
            reached = level_of(score)
            if reached > level:
                if level == 0.0:
                    episodes[OPENED + kind] = ts
                episodes[LEVEL + kind] = reached
                changes.append(
                    Change("escalated" if level else "opened", kind, 0, reached, episodes[OPENED + kind])
                )
            episodes[HOT + kind] = count
        elif level > 0.0:
            if score >= STAYS_OPEN * threshold:
                episodes[HOT + kind] = count
            elif count - episodes[HOT + kind] >= REARM_TICKS[kind]:
                changes.append(Change("ended", kind, 0, level, episodes[OPENED + kind]))
                episodes[LEVEL + kind] = 0.0
                episodes[OPENED + kind] = 0.0
                episodes[HOT + kind] = 0.0
    return changes


def advance_many(
    episodes: Floats, scores: Floats, thresholds: Floats, ts: Floats, count: Floats
) -> list[Change]:
    """Move many symbols' episodes on by one tick each: `advance_one` on arrays (3 * kinds | kinds, symbols)."""
    of_concern = (scores >= thresholds) | (episodes[LEVEL:OPENED] > 0.0)
    if not of_concern.any():
        return []
    concerned = np.flatnonzero(of_concern.any(axis=0))  # few, so that the rest costs next to nothing
    of_these = episodes[:, concerned]
    changes = _advance(
        of_these, scores[:, concerned], thresholds[:, concerned], ts[concerned], count[concerned]
    )
    episodes[:, concerned] = of_these
    return [change._replace(column=int(concerned[change.column])) for change in changes]


def _advance(episodes: Floats, scores: Floats, thresholds: Floats, ts: Floats, count: Floats) -> list[Change]:
    level = episodes[LEVEL:OPENED]
    over = scores >= thresholds
    is_open = level > 0.0
    hot = over | (is_open & (scores >= STAYS_OPEN * thresholds))
    reached = 1.0 + (scores >= MEDIUM) + (scores >= HIGH) + (scores >= CRITICAL)
    rising = over & (reached > level)
    hot_at = episodes[HOT:]
    ending = is_open & ~hot & (count - hot_at >= np.array(REARM_TICKS)[:, None])
    hot_at[:] = np.where(hot, count, hot_at)
    changes: list[Change] = []
    for kind, column in zip(*(index.tolist() for index in np.nonzero(rising | ending)), strict=True):
        opened = float(episodes[OPENED + kind, column])
        before = float(level[kind, column])
        if rising[kind, column]:
            opened = opened if before else float(ts[column])
            after = float(reached[kind, column])
            changes.append(Change("escalated" if before else "opened", kind, column, after, opened))
            episodes[LEVEL + kind, column], episodes[OPENED + kind, column] = after, opened
        else:
            changes.append(Change("ended", kind, column, before, opened))
            episodes[LEVEL + kind, column] = episodes[OPENED + kind, column] = hot_at[kind, column] = 0.0
    return changes
