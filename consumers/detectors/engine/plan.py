"""In which order the ticks of a call run: round k holds every symbol's k-th tick."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


class Plan(NamedTuple):
    """Ticks in rounds; within a round, symbols by falling number of ticks, so that round k + 1 is a prefix of k."""

    slots: Integers  # the symbols' columns in the states, by falling number of ticks
    counts: Integers  # and their numbers of ticks
    rows: Integers  # the ticks of the call in this order
    place: Integers  # of each ordered tick: its symbol's position in `slots`
    turn: Integers  # and its round
    widths: list[int]  # symbols in each round, falling
    starts: list[int]  # where each round starts in `rows`, and where the last one ends
    before: Integers  # of each ordered tick: where its predecessor is in (one row per slot, ordered ticks)
    last: Integers  # of each slot: where its last tick is in `rows`
    by_place: Integers  # where the ticks are in `rows`, symbol after symbol, each in order


def plan_rounds(slot: Integers) -> Plan:
    """Order ticks, given by their slots in time order."""
    every_count = np.bincount(slot)
    slots = np.flatnonzero(every_count)
    slots = slots[np.argsort(-every_count[slots], kind="stable")]
    counts = every_count[slots]
    position = np.empty(len(every_count), np.int64)
    position[slots] = np.arange(len(slots))
    index = position[slot]

    widths = np.bincount(counts - 1)[::-1].cumsum()[::-1]
    starts = np.concatenate(([0], np.cumsum(widths)))
    by_symbol = np.argsort(index, kind="stable")
    turn = np.arange(len(slot)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = np.repeat(np.arange(len(slots)), counts)
    by_place = starts[turn] + place
    rows = np.empty(len(slot), np.int64)
    rows[by_place] = by_symbol
    ordered_turn = np.repeat(np.arange(len(widths)), widths)
    ordered_place = np.arange(len(slot)) - starts[ordered_turn]
    previous = np.concatenate(([len(slots)], widths[:-1]))
    before = np.arange(len(slot)) + len(slots) - previous[ordered_turn]
    last = starts[counts - 1] + np.arange(len(slots))
    return Plan(
        slots,
        counts,
        rows,
        ordered_place,
        ordered_turn,
        widths.tolist(),
        starts.tolist(),
        before,
        last,
        by_place,
    )


def running_count(plan: Plan, flag: NDArray[np.bool_]) -> Integers:
    """Of each ordered tick: how many ticks of its symbol, itself included, have the flag so far in this call."""
    total = np.cumsum(flag[plan.by_place])
    start = np.cumsum(plan.counts) - plan.counts
    earlier = np.concatenate(([0], total))[start]
    answer = np.empty(len(flag), np.int64)
    answer[plan.by_place] = total - np.repeat(earlier, plan.counts)
    return answer
