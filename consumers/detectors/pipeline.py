"""One tick through all detectors, for one symbol (floats) or for many (arrays)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from consumers.detectors import (
    bad_tick,
    frozen_feed,
    gap,
    level_shift,
    price_spike,
    signals,
    slow_drift,
    spread_blowout,
    vol_shift,
    volume_burst,
)
from consumers.detectors.inline import for_floats
from consumers.detectors.namespace import ARRAYS

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from consumers.detectors.namespace import Namespace, Number
    from consumers.detectors.state import State

# score, value, expected, spread of expected
Reading: TypeAlias = "tuple[Number, Number, Number, Number]"
# A row of Columns against a state, which it moves on: the signals and, in the order of KINDS, the readings.
Step: TypeAlias = "Callable[[State, tuple[Any, ...]], tuple[signals.Signals, tuple[Reading, ...]]]"

# in the order of KINDS
DETECTORS: tuple[ModuleType, ...] = (
    price_spike, level_shift, bad_tick, volume_burst, spread_blowout, frozen_feed, gap, vol_shift, slow_drift,
)  # fmt: skip


def _step(xp: Namespace, shared: Any, detectors: tuple[Any, ...]) -> Step:
    observe, learn, run_limit = (
        shared.observe,
        shared.learn,
        detectors[DETECTORS.index(frozen_feed)].run_limit,
    )
    spike, shift, bad, burst, blowout, frozen, silence, volatility, drift = (
        detector.score for detector in detectors
    )

    def step(s: State, tick: tuple[Any, ...]) -> tuple[signals.Signals, tuple[Reading, ...]]:
        x = observe(xp, s, tick, run_limit(xp, s))
        # First, because the others must not judge a price that is not believed.
        bad_reading = bad(xp, s, x)
        readings = (
            spike(xp, s, x),
            shift(xp, s, x),
            bad_reading,
            burst(xp, s, x),
            blowout(xp, s, x),
            frozen(xp, s, x),
            silence(xp, s, x),
            volatility(xp, s, x),
            drift(xp, s, x),
        )
        # Last, so that no tick is judged by what it taught.
        learn(xp, s, x)
        return x, readings

    return step


step_arrays = _step(ARRAYS, signals, DETECTORS)
step_floats = _step(ARRAYS, for_floats(signals), tuple(for_floats(detector) for detector in DETECTORS))
