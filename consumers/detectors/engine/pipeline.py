"""One tick through all detectors, for one symbol (floats) or for many (arrays)."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from consumers.contracts.detector import DetectorSpec
from consumers.contracts.kinds import REGISTRY
from consumers.detectors.engine import signals
from consumers.detectors.engine.inline import for_floats
from consumers.detectors.engine.namespace import ARRAYS, FLOATS

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.detectors.engine.namespace import Namespace, Number
    from consumers.detectors.engine.state import State

# score, value, expected, tolerance
Reading: TypeAlias = "tuple[Number, Number, Number, Number]"
# A row of Columns against a state, which it moves on: the signals and, in the order of KINDS, the readings.
Step: TypeAlias = "Callable[[State, tuple[Any, ...]], tuple[signals.Signals, tuple[Reading, ...]]]"

DETECTORS: tuple[DetectorSpec, ...] = tuple(registered.spec for registered in REGISTRY.values())


def _step(xp: Namespace, shared: Any, detectors: tuple[DetectorSpec, ...]) -> Step:
    observe, learn = shared.observe, shared.learn
    score_all = _score_all([spec.score for spec in detectors])

    def step(s: State, tick: tuple[Any, ...]) -> tuple[signals.Signals, tuple[Reading, ...]]:
        x = observe(xp, s, tick)
        readings = score_all(xp, s, x)
        # Last, so that no tick is judged by what it taught.
        learn(xp, s, x)
        return x, readings

    return step


def _score_all(scores: list[Callable[..., Reading]]) -> Callable[..., tuple[Reading, ...]]:
    """Return a function that calls each score in turn; a loop would cost floats a tenth of a tick."""
    names = [f"score_{place}" for place in range(len(scores))]
    calls = " ".join(f"{name}(xp, s, x)," for name in names)
    by_name = dict(zip(names, scores, strict=True))
    found: Callable[..., tuple[Reading, ...]] = eval(f"lambda xp, s, x: ({calls})", by_name)  # noqa: S307
    return found


def _for_floats(spec: DetectorSpec) -> DetectorSpec:
    """Return the detector with its score as its module has it when compiled for floats."""
    floats = for_floats(sys.modules[spec.score.__module__])
    return replace(spec, score=getattr(floats, spec.score.__name__))


def step_of(detectors: tuple[DetectorSpec, ...], *, is_compiled: bool = False) -> Step:
    """Return the step of one tick through these detectors: on arrays, or compiled for floats."""
    if is_compiled:
        return _step(FLOATS, for_floats(signals), tuple(_for_floats(spec) for spec in detectors))
    return _step(ARRAYS, signals, detectors)


step_arrays = step_of(DETECTORS)
step_floats = step_of(DETECTORS, is_compiled=True)
