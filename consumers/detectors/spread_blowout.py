"""spread_blowout: the bid-ask spread, held for three ticks, against its usual width.

The smallest of the last three spreads ignores single quotes that blink.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.detectors.columns import SPREAD_TICKS

if TYPE_CHECKING:
    from consumers.detectors.namespace import Namespace, Number
    from consumers.detectors.signals import Signals
    from consumers.detectors.state import State

OPERATING_RATIO = 6.0
CLIP = 3.0  # a spread teaches the mean at most this many means
LEAST_SPREAD = 1e-9


def score(xp: Namespace, s: State, x: Signals) -> tuple[Number, Number, Number, Number]:
    """Answer (score, smallest relative spread of three ticks, usual spread, how much more is still normal)."""
    usual = xp.maximum(s.spread, LEAST_SPREAD)
    cap = CLIP * s.spread + x.open_spread
    s.spread = s.spread + x.gain_spread * (xp.minimum(x.spread, cap) - s.spread)
    held = x.spread_held
    return held / usual * (2.5 / OPERATING_RATIO), held, usual, (OPERATING_RATIO - 1.0) * usual


def window(s: State, x: Signals) -> dict[str, Any]:
    """What the spread was compared with."""
    del s
    return {"unit": "spread", "ticks": int(min(x.age, SPREAD_TICKS)), "over_ticks": 3}
