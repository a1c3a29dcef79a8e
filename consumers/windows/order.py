"""Which rows are in the order of time: by the compiled library, else by numpy."""

from __future__ import annotations

import ctypes

import numpy as np

from consumers.stream.library import LIBRARY, Library, address
from consumers.stream.rows import Ints


def rows_that_are_newer(slot: Ints, ts: Ints, last_ts: Ints) -> Ints:
    """Return the rows that are newer than their window's newest tick and than all rows of the window before them.

    Sorted by window, in order within each; a slot below 0 is left out.
    """
    return newer(slot, ts, last_ts) if LIBRARY is None else compiled_newer(slot, ts, last_ts, LIBRARY)


def newer(slot: Ints, ts: Ints, last_ts: Ints) -> Ints:
    """Do what `rows_that_are_newer` does where nothing is compiled."""
    order = np.argsort(slot, kind="stable")
    order = order[np.searchsorted(slot[order], 0) :]
    if not len(order):
        return order
    of, when = slot[order], ts[order] + 1
    run = np.cumsum(np.append(True, of[1:] != of[:-1])).astype(np.int64) << 48
    reached = np.maximum.accumulate(run + when)
    before = run + last_ts[of] + 1
    before[1:] = np.maximum(before[1:], reached[:-1])
    found: Ints = order[run + when > before]
    return found


def compiled_newer(slot: Ints, ts: Ints, last_ts: Ints, library: Library) -> Ints:
    """Return the same as `newer`, by the compiled library."""
    rows, slots = len(slot), len(last_ts)
    order, held, starts = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(slots + 1, np.int64)
    found = library.code.arrange(
        ctypes.c_int64(rows), *map(address, map(np.ascontiguousarray, (slot, ts))),
        ctypes.c_int64(slots), *map(address, (last_ts, starts, held, order)),
    )  # fmt: skip
    return order[:found]
