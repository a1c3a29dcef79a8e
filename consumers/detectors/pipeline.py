"""One tick through all detectors, for one symbol (floats) or for many (arrays)."""

from __future__ import annotations

from types import ModuleType
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

if TYPE_CHECKING:
    from consumers.detectors.namespace import Namespace, Number
    from consumers.detectors.state import State

# score, value, expected, spread of expected
Reading: TypeAlias = "tuple[Number, Number, Number, Number]"

# in the order of KINDS
DETECTORS: tuple[ModuleType, ...] = (
    price_spike, level_shift, bad_tick, volume_burst, spread_blowout, frozen_feed, gap, vol_shift, slow_drift,
)  # fmt: skip


def step(xp: Namespace, s: State, tick: tuple[Any, ...]) -> tuple[signals.Signals, tuple[Reading, ...]]:
    """Judge one tick against the state, then let the state learn it.

    Answers the signals and, in the order of KINDS, (score, value, expected, spread of expected).
    """
    x = signals.observe(xp, s, tick, frozen_feed.run_limit(xp, s))
    # First, because the others must not judge a price that is not believed.
    bad = bad_tick.score(xp, s, x)
    readings = (
        price_spike.score(xp, s, x),
        level_shift.score(xp, s, x),
        bad,
        volume_burst.score(xp, s, x),
        spread_blowout.score(xp, s, x),
        frozen_feed.score(xp, s, x),
        gap.score(xp, s, x),
        vol_shift.score(xp, s, x),
        slow_drift.score(xp, s, x),
    )
    signals.learn(xp, s, x)
    return x, readings
