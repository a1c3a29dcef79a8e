"""The rolling z-score behind the interface of `consumers.detectors.engine.engine`, compiled as its detectors are."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
from zscore import LIMIT, WINDOW

from consumers.detectors.engine.compiler import FLAGS
from consumers.detectors.engine.engine import KINDS, Transition, extended
from consumers.detectors.engine.ticks import Floats, Ticks
from consumers.stream.library import PLATFORMS, this_platform

__all__ = ["DETECTOR_VERSION", "STATE_FIELDS", "apply", "extended", "new_states"]

DETECTOR_VERSION = 1
STATE_FIELDS = (*(f"price_{i}" for i in range(WINDOW)), "count", "anchor", "total", "squares")
_KIND = KINDS[0]
_SOURCE = Path(__file__).with_name("zscore.c")
_BUILD = Path(__file__).resolve().parents[2] / "build"


def _compiled() -> ctypes.CDLL:
    """Return the library, made where it is not there or of another source."""
    made = _BUILD / "bench" / f"zscore-{this_platform()}.so"
    if not made.exists() or made.stat().st_mtime < _SOURCE.stat().st_mtime:
        made.parent.mkdir(parents=True, exist_ok=True)
        compiler = (_BUILD / "compiler" / "bin" / "python", "-m", "ziglang", "cc", "-target")
        partial = made.with_suffix(".partial")
        command = (*compiler, PLATFORMS[this_platform()], *FLAGS, "-o", partial, _SOURCE)
        subprocess.run(list(map(str, command)), check=True)
        partial.replace(made)
    return ctypes.CDLL(str(made))


_LIBRARY = _compiled()


def new_states(n: int) -> Floats:
    """States of `n` symbols never seen; what one symbol remembers lies together."""
    return np.zeros((n, len(STATE_FIELDS))).T


def apply(states: Floats, ticks: Ticks, thresholds: Floats) -> list[Transition]:
    """Judge ticks in order, move `states` (changed in place), answer each tick that is an anomaly."""
    del thresholds
    assert states.flags.f_contiguous
    slot, price = np.ascontiguousarray(ticks.slot), np.ascontiguousarray(ticks.price)
    scores = np.empty(len(slot))
    _LIBRARY.judge(
        *(ctypes.c_void_p(array.ctypes.data) for array in (states, slot, price)),
        ctypes.c_int64(len(slot)),
        ctypes.c_void_p(scores.ctypes.data),
    )
    return [_transition(ticks, row, float(scores[row])) for row in np.flatnonzero(scores).tolist()]


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
