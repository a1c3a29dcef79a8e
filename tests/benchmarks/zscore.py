"""The rolling z-score of a price against the `WINDOW` prices before it, that all contenders compute.

`Rolling` is the peers' state of one symbol, in plain Python and incremental, so that only the frameworks differ.
`apply` is the same for many symbols at once, behind the interface of the detector's engine.
"""

from __future__ import annotations

from collections import deque
from typing import Any

Json = dict[str, Any]

WINDOW = 64
LIMIT = 6.0  # one tick in some ten thousand
LEAST_VARIANCE = 1e-12


class Rolling:
    """The last prices of a symbol as distances from its first one, with their sum and sum of squares."""

    __slots__ = ("anchor", "prices", "squares", "total")

    def __init__(self, price: float) -> None:
        self.prices: deque[float] = deque()
        self.total = 0.0
        self.squares = 0.0
        self.anchor = price

    def is_anomaly(self, price: float) -> bool:
        """Judge a price against those before it, then take it in."""
        value = price - self.anchor
        prices = self.prices
        found = False
        if len(prices) == WINDOW:
            mean = self.total / WINDOW
            variance = self.squares / WINDOW - mean * mean
            if variance > LEAST_VARIANCE:
                found = abs(value - mean) / variance**0.5 > LIMIT
            oldest = prices.popleft()
            self.total -= oldest
            self.squares -= oldest * oldest
        prices.append(value)
        self.total += value
        self.squares += value * value
        return found


def as_values(state: Json, price: float) -> bool:
    """The same on a state of plain values, as stores that serialise keep it."""
    value = price - state["anchor"]
    prices = state["prices"]
    found = False
    if len(prices) == WINDOW:
        mean = state["total"] / WINDOW
        variance = state["squares"] / WINDOW - mean * mean
        if variance > LEAST_VARIANCE:
            found = abs(value - mean) / variance**0.5 > LIMIT
        oldest = prices.pop(0)
        state["total"] -= oldest
        state["squares"] -= oldest * oldest
    prices.append(value)
    state["total"] += value
    state["squares"] += value * value
    return found


def new_values(price: float) -> Json:
    """The state of plain values before a symbol's first price."""
    return {"prices": [], "total": 0.0, "squares": 0.0, "anchor": price}
