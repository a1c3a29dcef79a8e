"""level_shift: a jump that stays, confirmed two ticks later; or a session that opens at another level.

The jump is measured in scales of a return before it. Confirmation tells a shift from a spike or a bad tick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.detectors.columns import SLOW_TICKS
from consumers.detectors.price_spike import OPERATING_SCALES

if TYPE_CHECKING:
    from consumers.detectors.namespace import Namespace, Number
    from consumers.detectors.signals import Signals
    from consumers.detectors.state import State

CONFIRMED_AFTER = 2.0  # ticks
# A jump of fewer scales than this is not followed up.
CANDIDATE_SCALES = 4.0
# A session may open this far away from the last one: beyond it lies a split, a merger, or a fault.
OVERNIGHT_RETURN = 0.2


def score(xp: Namespace, s: State, x: Signals) -> tuple[Number, Number, Number, Number]:
    """Answer (score, return since before the jump, 0, scale of a return)."""
    where = xp.where
    jump = x.warm & ((x.size > CANDIDATE_SCALES * x.scale) | x.new_session)
    waiting = s.shift_age > 0.0
    if not xp.any(jump | waiting):
        return 0.0 * x.size, 0.0, 0.0, x.scale
    due = (s.shift_age >= CONFIRMED_AFTER) & x.believed
    moved = where(due, x.price / where(waiting, s.shift_from, 1.0) - 1.0, 0.0)
    # What the price added after the jump is no part of it.
    kept = xp.minimum(xp.absolute(moved), s.shift_size)
    overnight = x.warm & x.new_session
    value = where(overnight, x.change, moved)
    judged = where(overnight, x.size, kept)
    spread = where(overnight, OVERNIGHT_RETURN / OPERATING_SCALES, where(due, s.shift_scale, x.scale))

    armed = jump & xp.negate(waiting | x.new_session)
    s.shift_from = where(armed, s.last_price, s.shift_from)
    s.shift_size = where(armed, x.size, s.shift_size)
    s.shift_scale = where(armed, x.scale, s.shift_scale)
    later = where(waiting & (s.shift_age < CONFIRMED_AFTER), s.shift_age + 1.0, 0.0)
    s.shift_age = where(armed, 1.0, later)
    return judged / spread * (2.5 / OPERATING_SCALES), value, 0.0, spread


def window(s: State, x: Signals) -> dict[str, Any]:
    """What the new level was compared with."""
    del s
    return {"unit": "return", "ticks": int(min(x.age, SLOW_TICKS)), "overnight": bool(x.new_session)}
