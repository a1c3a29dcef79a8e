"""Run all detectors over ticks: `apply(states, ticks, thresholds)` -> transitions of episodes.

One loop over the ticks of each symbol: read the tick, let every detector score it, learn, move the episodes on. It runs
compiled (see `library`) where there is a library of these sources, else as the Python that it is, with the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from consumers.contracts.kinds import KINDS, REGISTRY
from consumers.detectors.engine.check import check, score_of
from consumers.detectors.engine.compiled import EpisodeChange, Loop
from consumers.detectors.engine.episodes import CHANGES, ENDED, SEVERITIES, Episode, move_on
from consumers.detectors.engine.signals import DAY_MS, SESSION_BREAK_MS, Signals, learn, read
from consumers.detectors.engine.state import FIELDS, STATE_FIELDS, State
from consumers.detectors.engine.ticks import Floats, Integers, Ticks
from consumers.stream.library import LIBRARY

if TYPE_CHECKING:
    from consumers.contracts.detector import DetectorSpec

__all__ = [
    "DETECTOR_VERSION",
    "KINDS",
    "SEVERITIES",
    "STATE_FIELDS",
    "Ticks",
    "Transition",
    "apply",
    "extended",
    "new_states",
]

DETECTOR_VERSION = 7
# A pause of so long, and of eight usual ones, is named.
LEAST_HALT_MS = 5.0 * 60_000.0
DETECTORS: tuple[DetectorSpec, ...] = tuple(registered.spec for registered in REGISTRY.values())
SCORES = tuple(map(score_of, REGISTRY.values()))

check(REGISTRY.values())
LOOP = None if LIBRARY is None else Loop(LIBRARY)


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
    return np.zeros((n, len(STATE_FIELDS))).T  # what one symbol remembers lies together


def extended(states: Floats, n: int) -> Floats:
    """Return a copy of states with those of `n` more symbols never seen."""
    count = states.shape[1]
    # `concatenate` would spread what one symbol remembers over the array where nothing is added.
    found = np.empty((count + n, len(states))).T
    found[:, :count], found[:, count:] = states, 0.0
    return found


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
    if not len(ticks.slot):
        return []
    order = np.arange(len(ticks.slot))
    if (ticks.slot[1:] < ticks.slot[:-1]).any():
        order = np.argsort(ticks.slot, kind="stable")
    run = _run if LOOP is None else LOOP.run
    found = [
        _transition(kind, change, stop, float(thresholds[kind, ticks.slot[stop.row]]))
        for stop in run(states, ticks, order, thresholds, scores)
        for kind, change in enumerate(stop.changes)
        if change[0]
    ]
    found.sort(key=lambda transition: transition.row)
    return found


def _run(
    states: Floats, ticks: Ticks, order: Integers, thresholds: Floats, scores: Floats | None
) -> Iterator[EpisodeChange]:
    """Run the ticks in `order`, symbol after symbol, uncompiled; yield those that changed an episode."""
    s, x = State(), Signals()
    starts = np.flatnonzero(np.diff(ticks.slot[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        slot = int(ticks.slot[rows[0]])
        held, limits = states[:, slot].tolist(), thresholds[:, slot].tolist()
        for name, value in zip(FIELDS, held, strict=False):
            setattr(s, name, value)
        episodes = [
            Episode(level, opened, hot, float(spec.rearm_ticks))
            for level, opened, hot, spec in zip(
                *np.reshape(held[len(FIELDS) :], (3, -1)).tolist(), DETECTORS, strict=True
            )
        ]
        columns = (column[rows].tolist() for column in ticks[1:])
        for row, (ts, x.price, x.bid, x.ask, x.day_volume) in zip(
            rows.tolist(), zip(*columns, strict=True), strict=True
        ):
            x.ts, x.time = float(ts), float(ts % DAY_MS)
            readings = _step(s, x)
            if scores is not None:
                scores[:, row] = [reading[0] for reading in readings]
            changes = [
                _moved_on(episode, x, reading[0], limit)
                for episode, reading, limit in zip(episodes, readings, limits, strict=True)
            ]
            if any(change[0] for change in changes):
                yield EpisodeChange(row, changes, readings, s, x)
        held = [getattr(s, name) for name in FIELDS]
        states[:, slot] = held + [
            getattr(each, name) for name in ("level", "opened", "hot") for each in episodes
        ]


def _step(s: State, x: Signals) -> Sequence[Sequence[float]]:
    """Run a tick through the detectors; return their readings."""
    read(s, x)
    readings = [score(s, x) for score in SCORES]
    # Last, so that no tick is judged by what it taught.
    learn(s, x)
    return readings


def _moved_on(episode: Episode, x: Signals, score: float, threshold: float) -> Sequence[float]:
    change = move_on(episode, x, score, threshold)
    moved = (change, episode.level, episode.opened)
    if change == ENDED:
        episode.level = episode.opened = episode.hot = 0.0
    return moved


def _transition(kind: int, change: Sequence[float], stop: EpisodeChange, threshold: float) -> Transition:
    score, value, expected, tolerance = stop.readings[kind]
    what, level, opened = change
    spec = DETECTORS[kind]
    return Transition(
        change=CHANGES[int(what)],
        row=stop.row,
        kind=spec.kind,
        severity=SEVERITIES[int(level) - 1],
        score=score,
        threshold=threshold,
        value=value,
        expected=expected,
        tolerance=tolerance,
        direction=_direction(value, expected) if spec.has_direction else "none",
        opened_ts=int(opened),
        window=spec.window(stop.s, stop.x),
        note=_note(spec, stop.s, stop.x),
    )


def _note(spec: DetectorSpec, s: State, x: Signals) -> str:
    """Return what the detector notes of this tick, the halt before it, or an empty string."""
    if spec.note is not None and (own := spec.note(s, x)):
        return own
    halted = max(LEAST_HALT_MS, 8.0 * s.pace) <= x.waited < SESSION_BREAK_MS
    return f"after a halt of {x.waited / 60_000.0:.0f} min" if halted and spec.may_follow_halt else ""


def _direction(value: float, expected: float) -> str:
    return "up" if value > expected else "down" if value < expected else "none"
