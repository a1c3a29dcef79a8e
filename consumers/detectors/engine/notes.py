"""What there is to say of a transition beyond its numbers: what its detector notes, or a halt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.detectors.engine.signals import SESSION_BREAK_MS

if TYPE_CHECKING:
    from consumers.contracts.detector import DetectorSpec
    from consumers.detectors.engine.signals import Signals
    from consumers.detectors.engine.state import State

LEAST_HALT_MS = 5.0 * 60_000.0


def note_of(spec: DetectorSpec, s: State, x: Signals) -> str:
    """Return what the detector notes of this tick, the halt before it, or an empty string."""
    if spec.note is not None and (own := spec.note(s, x)):
        return own
    halted = max(LEAST_HALT_MS, 8.0 * s.pace) <= x.waited < SESSION_BREAK_MS
    return f"after a halt of {x.waited / 60_000.0:.0f} min" if halted and spec.may_follow_halt else ""
