"""price_spike: one tick's return against the robust scale of recent returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumers.detectors.namespace import Namespace, Number
    from consumers.detectors.state import State

OPERATING_Z = 10.0
WARMUP_TICKS = 30.0


def score(xp: Namespace, s: State, ts: Number, price: Number) -> tuple[Number, Number, Number, Number]:
    """Answer (score, value, expected, spread of expected) of this tick, then learn from it."""
    price = xp.where(price > 0.0, price, s.last_price)
    s.count = s.count + 1.0
    base = xp.where(s.last_price > 0.0, s.last_price, 1.0)
    change = xp.where(s.last_price > 0.0, price / base - 1.0, 0.0)
    scale = xp.maximum(s.scale, 1e-5)
    z = xp.where(s.count > WARMUP_TICKS, xp.absolute(change) / scale, 0.0)
    step = xp.minimum(xp.absolute(change), 4.0 * scale) * 1.2533 - s.scale
    s.scale = s.scale + step / xp.minimum(s.count, 240.0)
    s.last_price = price
    s.last_ts = ts
    return 2.5 * z / OPERATING_Z, change, 0.0, scale
