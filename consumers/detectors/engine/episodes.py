"""The life of an anomaly: a run of ticks that score at or above the threshold is one episode of its kind.

An episode opens at the first such tick, escalates when its severity rises, and ends (so that the kind is armed
again) once the score has stayed below half of the threshold for `rearm_ticks` ticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumers.detectors.engine.signals import Signals

# A score of 2.5 is the operating point; the larger, the rarer and the further from normal.
SEVERITIES: tuple[str, ...] = ("low", "medium", "high", "critical")
MEDIUM, HIGH, CRITICAL = 4.0, 6.0, 10.0

STAYS_OPEN = 0.5  # part of the threshold
UNCHANGED, OPENED, ESCALATED, ENDED = 0.0, 1.0, 2.0, 3.0
CHANGES: tuple[str, ...] = ("", "opened", "escalated", "ended")


@dataclass(slots=True)
class Episode:
    """The episode of a kind: its severity from 1 (low) to 4, 0 while the kind is armed."""

    level: float
    opened: float  # ms of the tick that opened it
    hot: float  # number of the last tick that kept it open
    rearm_ticks: float  # of the kind: after so many that did not, it ends


def move_on(e: Episode, x: Signals, score: float, threshold: float) -> float:
    """Move an episode on by a tick, and return what changed. The caller clears one that ended."""
    if score >= threshold:
        e.hot = x.age
        reached = _level_of(score)
        if reached > e.level:
            change = ESCALATED if e.level > 0.0 else OPENED
            e.opened = e.opened if e.level > 0.0 else x.ts
            e.level = reached
            return change
    elif e.level > 0.0:
        if score >= STAYS_OPEN * threshold:
            e.hot = x.age
        elif x.age - e.hot >= e.rearm_ticks:
            return ENDED
    return UNCHANGED


def _level_of(score: float) -> float:
    """Return the severity of a score, from 1 (low) to 4 (critical)."""
    high = 3.0 if score < CRITICAL else 4.0
    return (1.0 if score < MEDIUM else 2.0) if score < HIGH else high
