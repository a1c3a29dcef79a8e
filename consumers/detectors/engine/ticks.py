"""Ticks as columns of arrays, as blocks and detectors take them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Ticks(NamedTuple):
    """Ticks as columns of equal length; NaN in bid, ask and day_volume means unknown.

    `slot` is the symbol's column in the states. The ticks of one slot are in order with growing `ts`.
    """

    slot: Integers
    ts: Integers  # ms
    price: Floats
    bid: Floats
    ask: Floats
    day_volume: Floats  # shares of the session so far; a decrease starts a new session
