"""Run all detectors over ticks: `apply(states, ticks, thresholds)` -> transitions of episodes.

Round k handles every symbol's k-th tick of the call. Rounds of many symbols run on arrays, rounds of few on
plain floats; both execute the same source with the same bits (see `namespace`).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from consumers.contracts.kinds import KINDS, REGISTRY
from consumers.detectors.engine.check import check
from consumers.detectors.engine.columns import Columns, Floats, Ticks, read_columns
from consumers.detectors.engine.episodes import SEVERITIES, Change, advance_many, advance_one
from consumers.detectors.engine.notes import note_of
from consumers.detectors.engine.pipeline import DETECTORS, step_arrays, step_floats
from consumers.detectors.engine.plan import Plan, plan_rounds
from consumers.detectors.engine.state import EPISODES, RECURSIVE, RECURSIVE_FIELDS, STATE_FIELDS, State

if TYPE_CHECKING:
    from consumers.detectors.engine.signals import Signals

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

DETECTOR_VERSION = 3
# Rounds of fewer symbols run faster on floats than on arrays.
NARROW = 28

check(REGISTRY.values())


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
    """Return states of `n` symbols never seen: zeros of shape (len(STATE_FIELDS), n)."""
    return np.zeros((len(STATE_FIELDS), n))


def apply(states: Floats, ticks: Ticks, thresholds: Floats, scores: Floats | None = None) -> list[Transition]:
    """Score `ticks` in order, move `states` (changed in place), return what opened, escalated and ended.

    Parameters
    ----------
    states
        Shape (len(STATE_FIELDS), symbols).
    thresholds
        Shape (kinds, symbols), in the order of KINDS.
    scores
        If given, shape (kinds, ticks), filled.

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
    recursive, episodes = states[RECURSIVE, plan.slots], states[EPISODES, plan.slots]
    thresholds = call.thresholds[:, plan.slots]
    width = plan.widths[0]
    s = State()
    _load(s, recursive)
    for start, stop in zip(plan.starts[:wide], plan.starts[1:], strict=False):
        if stop - start < width:  # the symbols at the end have no further tick
            recursive[:, :width] = _stored(s, width)
            width = stop - start
            _load(s, recursive[:, :width])
        _wide_round(call, slice(start, stop), s, episodes[:, :width], thresholds[:, :width])
    recursive[:, :width] = _stored(s, width)
    states[RECURSIVE, plan.slots] = recursive
    states[EPISODES, plan.slots] = episodes


def _wide_round(call: _Call, ticks: slice, s: State, episodes: Floats, thresholds: Floats) -> None:
    """Run one tick each of many symbols; `s` and `episodes` move on."""
    rows = call.plan.rows[ticks]
    x, readings = step_arrays(s, tuple(column[ticks] for column in call.columns))
    scores = np.empty(thresholds.shape)
    for line, reading in zip(scores, readings, strict=True):
        line[:] = reading[0]
    if call.scores is not None:
        call.scores[:, rows] = scores
    for change in advance_many(episodes, scores, thresholds, x.ts, x.age):
        i, kind = change.column, change.kind
        picked = tuple(float(part[i]) if isinstance(part, np.ndarray) else part for part in readings[kind])
        seen = _Picked(s, i), _Picked(x, i)
        call.found.append(_transition(change, int(rows[i]), picked, float(thresholds[kind, i]), seen))


def _load(s: State, recursive: Floats) -> None:
    for name, line in zip(RECURSIVE_FIELDS, recursive, strict=True):
        setattr(s, name, line)


def _stored(s: State, width: int) -> Floats:
    # A new array: a detector may have moved one field, a view of what was loaded, into another.
    stored = np.empty((len(RECURSIVE_FIELDS), width))
    for name, line in zip(RECURSIVE_FIELDS, stored, strict=True):
        line[:] = getattr(s, name)
    return stored


class _Picked:
    """The scalars of symbol `i` out of a State or Signals of arrays."""

    def __init__(self, source: State | Signals, i: int) -> None:
        self._source = source
        self._i = i

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._source, name)
        return value[self._i].item() if isinstance(value, np.ndarray) else value


def _narrow_rounds(states: Floats, call: _Call, wide: int) -> None:
    """Run the rounds from `wide` on, symbol by symbol, on floats."""
    plan = call.plan
    by_slot = plan.by_place[plan.by_place >= plan.starts[wide]]
    counts = [count - wide for count in plan.counts.tolist() if count > wide]
    slots = plan.slots[: len(counts)]
    rows = plan.rows[by_slot].tolist()
    ticks = zip(rows, zip(*(column[by_slot].tolist() for column in call.columns), strict=True), strict=True)
    thresholds = call.thresholds[:, slots].T.tolist()
    remembered = states[RECURSIVE.start :, slots].T.tolist()
    scores: list[list[float]] | None = None if call.scores is None else []
    for place, count in enumerate(counts):
        own = islice(ticks, count)
        remembered[place] = _narrow_symbol(remembered[place], thresholds[place], own, scores, call.found)
    if call.scores is not None:
        call.scores[:, rows] = np.array(scores).T
    states[RECURSIVE.start :, slots] = np.array(remembered).T


def _narrow_symbol(
    remembered: list[float],
    thresholds: list[float],
    ticks: Iterable[tuple[int, tuple[Any, ...]]],
    scores: list[list[float]] | None,
    found: list[Transition],
) -> list[float]:
    """Run ticks of one symbol; return what is remembered of it after them: recursions, then episodes."""
    s, episodes = State(), remembered[len(RECURSIVE_FIELDS) :]
    for name, value in zip(RECURSIVE_FIELDS, remembered, strict=False):
        setattr(s, name, value)
    lowest = min(thresholds)
    is_still = not any(episodes)
    for row, tick in ticks:
        x, readings = step_floats(s, tick)
        judged = [reading[0] for reading in readings]
        if scores is not None:
            scores.append(judged)
        if is_still and max(judged) < lowest:
            continue
        for change in advance_one(episodes, judged, thresholds, x.ts, x.age):
            kind = change.kind
            found.append(_transition(change, row, readings[kind], thresholds[kind], (s, x)))
        is_still = not any(episodes)
    return [getattr(s, name) for name in RECURSIVE_FIELDS] + episodes


def _transition(
    change: Change, row: int, reading: tuple[float, ...], threshold: float, seen: tuple[Any, Any]
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
