"""gap: no tick for much longer than usual, noticed when the next one comes.

The limit is learned from the instrument's own pauses (see `tail`). The end of a session is no gap, nor is a pause
that ends at the time of day at which the last one within a session ended (a daily break, a lunch break).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.contracts.detector import DetectorSpec, Facts
from consumers.contracts.wording import duration
from consumers.detectors.engine.signals import DAY_MS, SESSION_BREAK_MS, is_near
from consumers.detectors.engine.tail import ASSUMED_TICKS, FELL, FIRST_EXCESS, FIRST_HIGH, learned
from producers.simulation.distortion import Distortion

if TYPE_CHECKING:
    from consumers.detectors.engine.signals import Signals
    from consumers.detectors.engine.state import State

# The reach; pauses that are no gap however regular the ticks are, as a poll or two may get lost; what is assumed.
TAIL = (13.0, 4.0, FIRST_HIGH, FIRST_EXCESS)
# A break of at least this length is remembered by the time of day at which it ends, to this precision.
LONG_BREAK_MS, SAME_TIME_MS = 30.0 * 60_000.0, 20.0 * 60_000.0


def score(s: State, x: Signals) -> tuple[float, float, float, float]:
    """Return (score, seconds without a tick, usual seconds, how many more are still normal)."""
    within = x.pause if x.pause < SESSION_BREAK_MS else 0.0
    ratio = within / x.pace
    limit, s.pause_high, s.pause_excess = learned(
        ratio, (s.pause_high, s.pause_excess, *TAIL), FELL, x.age + ASSUMED_TICKS
    )
    judged = ratio if x.warm else 0.0
    if x.pause >= LONG_BREAK_MS:
        daily = (s.break_time > 0.0) & is_near(x.time + 1.0, s.break_time, SAME_TIME_MS)
        # The first break of a week, after clocks have changed: it ends when the session began the day before.
        first = abs(x.ts - s.session_ts - DAY_MS) < SAME_TIME_MS
        judged = 0.0 if daily | first else judged
        s.break_time = x.time + 1.0 if x.pause < SESSION_BREAK_MS else s.break_time
    usual = s.pace * 0.001
    return judged / limit * 2.5, x.pause * 0.001, usual, (limit - 1.0) * usual


def window(s: State, x: Signals) -> dict[str, Any]:
    """Return what the pause was compared with."""
    del s
    return {"unit": "seconds", "ticks": int(min(x.age, 50.0))}


def _sentence(facts: Facts) -> str:
    return (
        f"sent no tick for {duration(facts.value)}, where one every {duration(facts.expected)} is usual"
        f" and up to {duration(facts.expected + facts.tolerance)} is normal"
    )


DETECTOR = DetectorSpec(
    kind="gap",
    label="Gap",
    summary="no tick for much longer than usual",
    score=score,
    window=window,
    sentence=_sentence,
    over="ticks come as usual again",
    distortion=Distortion(kind="gap", seconds=150.0, is_silent=True),
    fields={
        "pause_high": "98 % quantile of a pause in usual pauses, less its first value",
        "pause_excess": "mean excess over it, less its first value",
        "break_time": "ms of the UTC day at which the last long pause within a session ended, plus one",
    },
    has_direction=False,
    concerns="feed",
)
