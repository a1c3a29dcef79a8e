"""In which order the ticks of a call run: round k holds every symbol's k-th tick."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


class Plan(NamedTuple):
    """Ticks in rounds; within a round, symbols by falling number of ticks, so that round k + 1 is a prefix of k."""

    slots: Integers  # the symbols' columns in the states, by falling number of ticks
    rows: Integers  # the ticks of the call in this order
    place: Integers  # of each ordered tick: its symbol's position in `slots`
    turn: Integers  # and its round
    widths: list[int]  # symbols in each round, falling
    starts: list[int]  # where each round starts in `rows`, and where the last one ends
    before: Integers  # of each ordered tick: where its predecessor is in (one row per slot, ordered ticks)
    last: Integers  # of each slot: where its last tick is in `rows`


def plan_rounds(slot: Integers) -> Plan:
    """Order ticks, given by their slots in time order."""
    slots, index, counts = np.unique(slot, return_inverse=True, return_counts=True)
    falling = np.argsort(-counts, kind="stable")
    position = np.empty_like(falling)
    position[falling] = np.arange(len(falling))
    by_slot = np.argsort(index, kind="stable")
    turn = np.empty(len(slot), np.int64)
    turn[by_slot] = np.arange(len(slot)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = position[index]
    rows = np.argsort(turn * len(slots) + place, kind="stable")
    place, turn = place[rows], turn[rows]
    widths = np.bincount(turn)
    starts = np.concatenate(([0], np.cumsum(widths)))
    previous = np.concatenate(([0], widths[:-1]))
    before = np.arange(len(slot)) + np.where(turn > 0, len(slots) - previous[turn], 0)
    last = starts[counts[falling] - 1] + np.arange(len(slots))
    return Plan(slots[falling], rows, place, turn, widths.tolist(), starts.tolist(), before, last)


def running_count(plan: Plan, flag: NDArray[np.bool_]) -> Integers:
    """Of each ordered tick: how many ticks of its symbol, itself included, have the flag so far in this call."""
    by_slot = np.argsort(plan.place, kind="stable")
    total = np.cumsum(flag[by_slot])
    counts = np.bincount(plan.place)
    start = np.cumsum(counts) - counts
    earlier = np.concatenate(([0], total))[start]
    answer = np.empty(len(flag), np.int64)
    answer[by_slot] = total - np.repeat(earlier, counts)
    return answer
