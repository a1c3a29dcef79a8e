"""What a tick says by itself and against the ticks just before it: computed for all ticks of a call at once.

Nothing here depends on a recursion, so each column is a handful of operations on whole arrays. Element by
element they are the same operations for any batch, so their bits do not depend on how ticks are batched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumers.detectors.engine.plan import running_count
from consumers.detectors.engine.signals import (
    DAY_MS,
    FAST_TICKS,
    SLOW_TICKS,
    SPREAD_TICKS,
    VOLUME_FAST_TICKS,
    VOLUME_TICKS,
)
from consumers.detectors.engine.state import MEMORY, MEMORY_FIELDS

if TYPE_CHECKING:
    from consumers.detectors.engine.plan import Plan

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]

# Outside of this range a price is a fault of the feed, and squares and ratios would overflow.
LOWEST_PRICE, HIGHEST_PRICE = 1e-9, 1e12
HIGHEST_VOLUME = 1e15
# No verdict on prices, volumes and spreads before so many ticks, known volumes, known spreads.
WARMUP_TICKS = 60.0
# The first ticks teach without a clip: there is nothing yet to clip at.
UNCLIPPED_TICKS = 20.0
UNCLIPPED = 1e30


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


class Columns(NamedTuple):
    """Columns in the order of the plan, free of NaN. "Relative" means divided by the price."""

    ts: Floats  # ms
    time: Floats  # ms of the UTC day
    age: Floats  # ticks of the symbol before this one
    warm: Flags  # enough of them for a verdict
    valid: Flags  # the price could be a price
    price: Floats  # 0 where not valid
    quoted: Flags  # bid and ask are known and could be prices
    bid: Floats  # 0 where not quoted
    ask: Floats
    crossed: Floats  # relative depth by which the bid exceeds the ask, else 0
    outside: Floats  # relative distance of the price from the quotes around it, else 0
    tracked: Flags  # this tick and the one before have sound quotes
    middle_change: Floats  # return of their middle, 0 where not tracked
    pause: Floats  # ms since the tick before, 0 for the first
    unchanged: Flags  # price, quotes and volume are those of the tick before
    open_: Floats  # UNCLIPPED while the symbol is new, else 0
    gain_slow: Floats  # weights of this tick in exponentially weighted means
    gain_fast: Floats
    spread: Floats  # relative; 0 where unknown, locked or crossed
    spread_held: Floats  # the smallest of this and the two ticks before; 0 before the warm-up
    gain_spread: Floats  # 0 where the spread is unknown
    open_spread: Floats
    volume_root: Floats  # square root of this tick's volume, 0 where unknown
    volume_recent: Floats  # mean of this square root and the two before; 0 until a baseline is there
    volume_judged: Floats  # the same, 0 before the warm-up
    gain_volume: Floats  # 0 where nothing was traded
    gain_volume_fast: Floats
    open_volume: Floats


def read_columns(states: Floats, plan: Plan, ticks: Ticks) -> Columns:
    """Read ticks in the plan's order (NaN: unknown; comparisons with it are false); move the memory on."""
    ts, price = ticks.ts[plan.rows], ticks.price[plan.rows]
    bid, ask, day_volume = ticks.bid[plan.rows], ticks.ask[plan.rows], ticks.day_volume[plan.rows]
    memory = dict(zip(MEMORY_FIELDS, states[MEMORY, plan.slots], strict=True))

    def before(name: str, column: Floats) -> Floats:
        return np.concatenate((memory[name], column))[plan.before]

    def keep(name: str, column: Floats) -> None:
        states[MEMORY_FIELDS.index(name), plan.slots] = column[plan.last]

    time_ms = ts.astype(np.float64)
    age = memory["count"][plan.place] + plan.turn
    pause = np.where(age > 0.0, time_ms - before("last_ts", time_ms), 0.0)
    warm = age >= WARMUP_TICKS

    valid = (price >= LOWEST_PRICE) & (price <= HIGHEST_PRICE)
    price = np.where(valid, price, 0.0)
    quoted = (bid >= LOWEST_PRICE) & (bid <= HIGHEST_PRICE) & (ask >= LOWEST_PRICE) & (ask <= HIGHEST_PRICE)
    bid, ask = np.where(quoted, bid, 0.0), np.where(quoted, ask, 0.0)
    base = np.where(valid, price, np.where(quoted, ask, 1.0))
    width = (ask - bid) / base
    spread = np.where(width > 0.0, width, 0.0)
    low, high = np.where(bid < ask, bid, ask), np.where(bid < ask, ask, bid)
    above, below = (price - high) / base, (low - price) / base
    beyond = np.where(above > below, above, below)

    sound = quoted & (bid < ask)
    middle = np.where(sound, (bid + ask) * 0.5, 0.0)
    middle_before = before("seen_middle", middle)
    tracked = sound & (middle_before > 0.0)
    middle_change = np.where(tracked, middle / np.where(tracked, middle_before, 1.0) - 1.0, 0.0)

    total = np.where((day_volume >= 0.0) & (day_volume <= HIGHEST_VOLUME), day_volume + 1.0, 0.0)
    total_before = before("seen_volume", total)
    known = (total_before > 0.0) & (total >= total_before)
    volume = np.where(known, total - total_before, 0.0)
    root = np.sqrt(volume)
    root_1 = before("volume_1", root)
    root_2 = before("volume_2", root_1)
    recent = (root + root_1 + root_2) / 3.0
    traded = volume > 0.0
    volumes = memory["volumes"][plan.place] + running_count(plan, traded)

    spread_1 = before("spread_1", spread)
    spread_2 = before("spread_2", spread_1)
    held = np.where(spread < spread_1, spread, spread_1)
    held = np.where(held < spread_2, held, spread_2)
    spreads = memory["spreads"][plan.place] + running_count(plan, spread > 0.0)

    unchanged = (
        (age > 0.0)
        & (price == before("seen_price", price))
        & (bid == before("seen_bid", bid))
        & (ask == before("seen_ask", ask))
        & ~traded
    )
    for name, column in (
        ("count", age + 1.0), ("last_ts", time_ms), ("seen_price", price), ("seen_bid", bid), ("seen_ask", ask),
        ("seen_middle", middle),
        ("seen_volume", total), ("spreads", spreads), ("spread_1", spread), ("spread_2", spread_1),
        ("volumes", volumes), ("volume_1", root), ("volume_2", root_1),
    ):  # fmt: skip
        keep(name, column)

    learned = known & (volumes > UNCLIPPED_TICKS)
    return Columns(
        ts=time_ms,
        time=(ts % DAY_MS).astype(np.float64),
        age=age,
        warm=warm,
        valid=valid,
        price=price,
        quoted=quoted,
        bid=bid,
        ask=ask,
        crossed=np.where(width < 0.0, -width, 0.0),
        outside=np.where(valid & quoted & (beyond > 0.0), beyond, 0.0),
        tracked=tracked,
        middle_change=middle_change,
        pause=pause,
        unchanged=unchanged,
        open_=_open(age),
        gain_slow=_gain(age + 1.0, SLOW_TICKS),
        gain_fast=_gain(age + 1.0, FAST_TICKS),
        spread=spread,
        spread_held=np.where(warm & (spreads > WARMUP_TICKS), held, 0.0),
        gain_spread=np.where(spread > 0.0, _gain(spreads, SPREAD_TICKS), 0.0),
        open_spread=_open(spreads),
        volume_root=root,
        volume_recent=np.where(learned, recent, 0.0),
        volume_judged=np.where(learned & warm & (volumes > WARMUP_TICKS), recent, 0.0),
        gain_volume=np.where(traded, _gain(volumes, VOLUME_TICKS), 0.0),
        gain_volume_fast=np.where(traded, _gain(volumes, VOLUME_FAST_TICKS), 0.0),
        open_volume=_open(volumes),
    )


def _gain(count: Floats, window: float) -> Floats:
    return 1.0 / np.minimum(np.maximum(count, 1.0), window)


def _open(count: Floats) -> Floats:
    return np.where(count < UNCLIPPED_TICKS, UNCLIPPED, 0.0)
