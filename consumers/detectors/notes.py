"""What can be told of a transition beyond its numbers: a split, a halt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.detectors.signals import SESSION_BREAK_MS

if TYPE_CHECKING:
    from consumers.detectors.signals import Signals
    from consumers.detectors.state import State

# Ratios at which companies split their shares.
SPLITS: tuple[tuple[int, int], ...] = (
    (3, 2), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1), (10, 1), (15, 1), (20, 1), (25, 1), (30, 1),
    (50, 1),
)  # fmt: skip
SPLIT_TOLERANCE = 0.03  # the overnight move on top of the split
LEAST_HALT_MS = 5.0 * 60_000.0


def note_of(kind: str, s: State, x: Signals) -> str:
    """Name the split or the halt before this tick, or answer an empty string."""
    if kind == "level_shift" and x.new_session:
        return split_of(1.0 + x.change)
    halted = max(LEAST_HALT_MS, 8.0 * s.pace) <= x.waited < SESSION_BREAK_MS
    if halted and kind in {"price_spike", "level_shift", "bad_tick", "volume_burst", "spread_blowout"}:
        return f"after a halt of {x.waited / 60_000.0:.0f} min"
    return ""


def split_of(factor: float) -> str:
    """Name the split that multiplies a price by `factor`, or answer an empty string."""
    for new, old in SPLITS:
        if abs(factor * new / old - 1.0) <= SPLIT_TOLERANCE:
            return f"{new}:{old} split"
        if abs(factor * old / new - 1.0) <= SPLIT_TOLERANCE:
            return f"{old}:{new} reverse split"
    return ""
