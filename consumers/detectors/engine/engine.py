"""Run all detectors over ticks: `apply(states, ticks, thresholds)` -> transitions of episodes.

Round k handles every symbol's k-th tick of the call. Rounds of many symbols run on arrays, rounds of few on
plain floats; both execute the same source with the same bits (see `namespace`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from consumers.contracts.kinds import KINDS
from consumers.detectors.engine.columns import Columns, Floats, Ticks, read_columns
from consumers.detectors.engine.episodes import SEVERITIES, Change, advance_many, advance_one
from consumers.detectors.engine.notes import note_of
from consumers.detectors.engine.pipeline import DETECTORS, Reading, step_arrays, step_floats
from consumers.detectors.engine.plan import Plan, plan_rounds
from consumers.detectors.engine.signals import Signals
from consumers.detectors.engine.state import EPISODES, RECURSIVE, RECURSIVE_FIELDS, STATE_FIELDS, State

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
# Rounds of fewer symbols run faster on floats than on arrays.
NARROW = 28


class Transition(NamedTuple):
    """An episode opened, escalated or ended at tick `row` of the call."""

    change: str  # opened | escalated | ended
    row: int
    kind: str
    severity: str
    score: float
    threshold: float
    value: float
    expected: float
    tolerance: float
    direction: str  # up | down | none
    opened_ts: int  # ms
    window: dict[str, Any]
    note: str


def new_states(n: int) -> Floats:
    """States of `n` symbols never seen: zeros of shape (len(STATE_FIELDS), n)."""
    return np.zeros((len(STATE_FIELDS), n))


def apply(states: Floats, ticks: Ticks, thresholds: Floats, scores: Floats | None = None) -> list[Transition]:
    """Score `ticks` in order, move `states` (changed in place), answer what opened, escalated and ended.

    Parameters
    ----------
    states
        Shape (len(STATE_FIELDS), symbols).
    thresholds
        Shape (kinds, symbols), in the order of KINDS.
    scores
        If given, shape (9, ticks), filled.

    Returns
    -------
    list[Transition]
        In the order of the ticks, kinds in the order of KINDS.
    """
    if len(ticks.slot) == 0:
        return []
    plan = plan_rounds(ticks.slot)
    call = _Call(plan, read_columns(states, plan, ticks), thresholds, scores, [])
    wide = sum(width >= NARROW for width in plan.widths)
    if wide:
        _wide_rounds(states, call, wide)
    if wide < len(plan.widths):
        _narrow_rounds(states, call, wide)
    call.found.sort(key=lambda transition: (transition.row, KINDS.index(transition.kind)))
    return call.found


class _Call(NamedTuple):
    """What `apply` was called with, in the order of the plan, and what it has found so far."""

    plan: Plan
    columns: Columns
    thresholds: Floats
    scores: Floats | None
    found: list[Transition]


def _wide_rounds(states: Floats, call: _Call, wide: int) -> None:
    """Run the first `wide` rounds on arrays."""
    plan = call.plan
    width = plan.widths[0]
    recursive, episodes = states[RECURSIVE, plan.slots], states[EPISODES, plan.slots]
    limits = call.thresholds[:, plan.slots]
    s = State()
    for name, line in zip(RECURSIVE_FIELDS, recursive, strict=True):
        setattr(s, name, line)
    judged = np.empty((len(KINDS), width))
    for start, stop in zip(plan.starts[:wide], plan.starts[1:], strict=False):
        if stop - start < width:
            for name, line in zip(RECURSIVE_FIELDS, recursive, strict=True):
                value = getattr(s, name)
                line[:width] = value
                setattr(s, name, value[: stop - start])
            width = stop - start
            judged = np.empty((len(KINDS), width))
        x, readings = step_arrays(s, tuple(column[start:stop] for column in call.columns))
        for line, reading in zip(judged, readings, strict=True):
            line[:] = reading[0]
        rows = plan.rows[start:stop]
        if call.scores is not None:
            call.scores[:, rows] = judged
        for change in advance_many(episodes[:, :width], judged, limits[:, :width], x.ts, x.age):
            i = change.column
            call.found.append(
                _transition(
                    change,
                    row=int(rows[i]),
                    reading=_scalars(readings[change.kind], i),
                    threshold=float(limits[change.kind, i]),
                    seen=(_pick(s, State(), i), _pick(x, Signals(), i)),
                )
            )
    for name, line in zip(RECURSIVE_FIELDS, recursive, strict=True):
        line[:width] = getattr(s, name)
    states[RECURSIVE, plan.slots] = recursive
    states[EPISODES, plan.slots] = episodes


def _scalars(reading: Reading, i: int) -> tuple[float, ...]:
    return tuple(float(part[i]) if isinstance(part, np.ndarray) else part for part in reading)


def _pick(source: Any, target: Any, i: int) -> Any:
    """The scalars of symbol `i` out of a State or Signals of arrays."""
    for name in source.__slots__:
        setattr(target, name, getattr(source, name)[i].item())
    return target


def _narrow_rounds(states: Floats, call: _Call, wide: int) -> None:
    """Run the rounds from `wide` on, symbol by symbol, on floats."""
    plan, found = call.plan, call.found
    n_signals = len(RECURSIVE_FIELDS)
    first = plan.starts[wide]
    by_slot = plan.by_place[plan.by_place >= first]
    counts = [count - wide for count in plan.counts.tolist() if count > wide]
    rows = plan.rows[by_slot].tolist()
    ticks = zip(*(column[by_slot].tolist() for column in call.columns), strict=True)
    slots = plan.slots[: len(counts)]
    every_limit = call.thresholds[:, slots].T.tolist()
    after = states[RECURSIVE.start :, slots].T.tolist()
    kept: list[list[float]] = []
    start = 0
    for place, count in enumerate(counts):
        limits, values = every_limit[place], after[place]
        lowest = min(limits)
        s, episodes = State(), values[n_signals:]
        for name, value in zip(RECURSIVE_FIELDS, values, strict=False):
            setattr(s, name, value)
        still = not any(episodes)
        for row, tick in zip(rows[start : start + count], ticks, strict=False):
            x, readings = step_floats(s, tick)
            judged = [reading[0] for reading in readings]
            if call.scores is not None:
                kept.append(judged)
            if still and max(judged) < lowest:
                continue
            changes = advance_one(episodes, judged, limits, x.ts, x.age)
            found.extend(
                _transition(
                    change,
                    row=row,
                    reading=readings[change.kind],
                    threshold=limits[change.kind],
                    seen=(s, x),
                )
                for change in changes
            )
            still = not any(episodes)
        start += count
        after[place] = [getattr(s, name) for name in RECURSIVE_FIELDS] + episodes
    if call.scores is not None:
        call.scores[:, rows] = np.array(kept).T
    states[RECURSIVE.start :, slots] = np.array(after).T


def _transition(
    change: Change, *, row: int, reading: tuple[float, ...], threshold: float, seen: tuple[State, Signals]
) -> Transition:
    score, value, expected, tolerance = reading
    spec = DETECTORS[change.kind]
    return Transition(
        change=change.change,
        row=row,
        kind=spec.kind,
        severity=SEVERITIES[int(change.level) - 1],
        score=score,
        threshold=threshold,
        value=value,
        expected=expected,
        tolerance=tolerance,
        direction=_direction(value, expected) if spec.has_direction else "none",
        opened_ts=int(change.opened),
        window=spec.window(*seen),
        note=note_of(spec, *seen),
    )


def _direction(value: float, expected: float) -> str:
    return "up" if value > expected else "down" if value < expected else "none"
