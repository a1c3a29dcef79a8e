"""Thresholds as the array that detection compares scores with: apart, as the API does without NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from consumers.contracts.kinds import KINDS
from consumers.stream.rows import Floats, split_key
from consumers.stream.thresholds import Threshold


def table(threshold: Threshold, keys: Sequence[str]) -> Floats:
    """Return the thresholds of all kinds for the windows `keys`, shape (len(KINDS), len(keys))."""
    column = np.array([threshold.kinds.get(kind, threshold.default) for kind in KINDS])
    found = np.broadcast_to(column[:, np.newaxis], (len(column), len(keys)))
    if threshold.tickers:
        found = found.copy()
        for slot, key in enumerate(keys):
            of = threshold.tickers.get(split_key(key)[1])
            if isinstance(of, float):
                found[:, slot] = of
            elif of is not None:
                found[:, slot] = [of.get(kind, column[i]) for i, kind in enumerate(KINDS)]
    return found
