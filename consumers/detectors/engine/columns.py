"""What a tick says by itself and against the ticks just before it: computed for all ticks of a call at once.

Nothing here depends on a recursion, so each column is a handful of operations on whole arrays. Element by
element they are the same operations for any batch, so their bits do not depend on how ticks are batched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumers.detectors.engine.plan import running_count
from consumers.detectors.engine.signals import (
    COLUMN_FIELDS,
    DAY_MS,
    FAST_TICKS,
    SLOW_TICKS,
    SPREAD_FAST_TICKS,
    SPREAD_TICKS,
    VOLUME_TICKS,
)
from consumers.detectors.engine.state import MEMORY_FIELDS, VOLUME_MEMORY
from consumers.detectors.engine.tail import ASSUMED, EXCEEDANCES, FELL, QUANTILE, VOLUME_FELL

if TYPE_CHECKING:
    from consumers.detectors.engine.plan import Plan

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]

# Outside of this range a price has no return, and squares and ratios would overflow.
LOWEST_PRICE, HIGHEST_PRICE = 1e-15, 1e12
HIGHEST_VOLUME = 1e15
# No verdict on prices, volumes and spreads before so many ticks, known volumes, known spreads.
WARMUP_TICKS = 60.0
# The first ticks teach without a clip: there is nothing yet to clip at.
UNCLIPPED_TICKS = 20.0
UNCLIPPED = 1e30


# A tail is learned from some four hundred exceedances of its quantile (see `tail`); what is assumed before any is
# learned counts as much as twelve.
TAIL_TICKS = EXCEEDANCES / (1.0 - QUANTILE)
ASSUMED_TICKS = ASSUMED / (1.0 - QUANTILE)


# After k changes, the predictive distribution of a run without change is wider by some 1 + 7 / k + 32 / k**2; its mean
# is over some hundred of them.
FEW_1, FEW_2 = 7.0, 32.0
RUNS, UNKNOWN = 100.0, 1e9


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


Columns = tuple[NDArray[Any], ...]
"""Columns of ticks in the order of the plan and of `COLUMN_FIELDS`, free of NaN."""


def read_columns(states: Floats, plan: Plan, ticks: Ticks) -> Columns:
    """Read ticks in the plan's order (NaN: unknown; comparisons with it are false); move the memory on."""
    memory = _Memory(states, plan)
    columns = _clock(memory, plan, ticks.ts[plan.rows])
    columns |= _quotes(memory, ticks.price[plan.rows], ticks.bid[plan.rows], ticks.ask[plan.rows])
    columns |= _volumes(memory, ticks.day_volume[plan.rows], columns["warm"])
    columns |= _spreads(memory, columns["spread"], columns["warm"])
    columns |= _runs(memory, columns)
    return tuple(columns[name] for name in COLUMN_FIELDS)


class _Memory:
    """What is remembered of the ticks before those of the call, and how to remember the last of these.

    Parameters
    ----------
    states
        Shape (len(STATE_FIELDS), symbols); changed in place.
    plan
        The order of the ticks of the call.
    """

    def __init__(self, states: Floats, plan: Plan) -> None:
        self._states = states
        self._plan = plan

    def of(self, name: str) -> Floats:
        """Return a field as it was before the call, of each tick's symbol."""
        line: Floats = self._line(name)[self._plan.place]
        return line

    def before(self, name: str, column: Floats) -> Floats:
        """Return of each tick what `column` holds for the tick before it; keep that of the last ones."""
        line = self._line(name)
        self.keep(name, column)
        earlier: Floats = np.concatenate((line, column))[self._plan.before]
        return earlier

    def count(self, name: str, flag: Flags) -> Floats:
        """Return the running number of ticks with the flag, itself included; keep that of the last ones."""
        counted = self.of(name) + running_count(self._plan, flag)
        self.keep(name, counted)
        return counted

    def keep(self, name: str, column: Floats) -> None:
        """Remember the column's value of each symbol's last tick."""
        self._states[MEMORY_FIELDS.index(name), self._plan.slots] = column[self._plan.last]

    def _line(self, name: str) -> Floats:
        line: Floats = self._states[MEMORY_FIELDS.index(name), self._plan.slots]
        return line


def _clock(memory: _Memory, plan: Plan, ts: Integers) -> dict[str, NDArray[Any]]:
    time_ms = ts.astype(np.float64)
    age = memory.of("count") + plan.turn
    memory.keep("count", age + 1.0)
    return {
        "ts": time_ms,
        "time": (ts % DAY_MS).astype(np.float64),
        "age": age,
        "warm": age >= WARMUP_TICKS,
        "pause": np.where(age > 0.0, time_ms - memory.before("last_ts", time_ms), 0.0),
        "open_": _open(age),
        "gain_slow": _gain(age + 1.0, SLOW_TICKS),
        "gain_fast": _gain(age + 1.0, FAST_TICKS),
        "gain_tail": _gain_tail(age),
    }


def _quotes(memory: _Memory, price: Floats, bid: Floats, ask: Floats) -> dict[str, NDArray[Any]]:
    valid = (price >= LOWEST_PRICE) & (price <= HIGHEST_PRICE)
    shown = np.where(np.isfinite(price) & (price != 0.0), price, 0.0)
    price, bid, ask = _price_or_zero(price), _price_or_zero(bid), _price_or_zero(ask)
    both, quoted = (bid > 0.0) & (ask > 0.0), (bid > 0.0) | (ask > 0.0)
    # Relative to the quotes where they are known: a misprint must not make its spread look wide.
    middle = (bid + ask) * np.where(both, 0.5, 1.0)
    base = np.where(quoted, middle, np.where(valid, price, 1.0))
    width = np.where(both, ask - bid, 0.0) / base
    beyond = _beyond(price, bid, ask) / base

    sound = both & (bid < ask)
    middle = np.where(sound, middle, 0.0)
    middle_before = memory.before("seen_middle", middle)
    tracked = sound & (middle_before > 0.0)
    requoted = (bid != memory.before("seen_bid", bid)) | (ask != memory.before("seen_ask", ask))
    return {
        "valid": valid,
        "price": price,
        "shown": shown,
        "quoted": quoted,
        "bid": bid,
        "ask": ask,
        "wide": np.where(sound, ask - bid, 0.0) / np.where(both, bid, 1.0),
        "crossed": np.where(width < 0.0, -width, 0.0),
        "outside": np.where(valid & quoted & (beyond > 0.0), beyond, 0.0),
        "tracked": tracked,
        "middle_change": np.where(tracked, middle / np.where(tracked, middle_before, 1.0) - 1.0, 0.0),
        "spread": np.where(width > 0.0, width, 0.0),
        "requoted": requoted,
        "same": (shown == memory.before("seen_price", shown)) & ~requoted,
    }


def _beyond(price: Floats, bid: Floats, ask: Floats) -> Floats:
    """Return how far a price lies outside of its quotes (0 = unknown); zero or less within."""
    crossed = (ask > 0.0) & (bid > ask)
    low, high = np.where(crossed, ask, bid), np.where(crossed, bid, np.where(ask > 0.0, ask, HIGHEST_PRICE))
    return np.maximum(price - high, low - price)


def _price_or_zero(price: Floats) -> Floats:
    return np.where((price >= LOWEST_PRICE) & (price <= HIGHEST_PRICE), price, 0.0)


def _volumes(memory: _Memory, day_volume: Floats, warm: Flags) -> dict[str, NDArray[Any]]:
    total = np.where((day_volume >= 0.0) & (day_volume <= HIGHEST_VOLUME), day_volume + 1.0, 0.0)
    total_before = memory.before("seen_volume", total)
    known = (total_before > 0.0) & (total >= total_before)
    volume = np.where(known, total - total_before, 0.0)
    root = np.sqrt(volume)
    roots = [root]
    for name in VOLUME_MEMORY:
        roots.append(memory.before(name, roots[-1]))
    three = roots[0] + roots[1] + roots[2]
    ten = sum(roots[3:], three)
    traded = volume > 0.0
    volumes = memory.count("volumes", traded)
    judged = traded & (volumes > UNCLIPPED_TICKS)
    return {
        "volume_root": root,
        "volume_one": np.where(judged, root, 0.0),
        "volume_three": np.where(judged, three / 3.0, 0.0),
        "volume_ten": np.where(judged, ten / 10.0, 0.0),
        "volume_warm": warm & (volumes > WARMUP_TICKS),
        "gain_volume": np.where(traded, _gain(volumes, VOLUME_TICKS), 0.0),
        "open_volume": _open(volumes),
        "gain_tail_volume": _gain_tail(volumes),
        "fell_volume": np.where(judged, VOLUME_FELL, 1.0),
        "traded": traded,
        "same_volume": traded & (root == roots[1]),
    }


def _spreads(memory: _Memory, spread: Floats, warm: Flags) -> dict[str, NDArray[Any]]:
    spread_1 = memory.before("spread_1", spread)
    spread_2 = memory.before("spread_2", spread_1)
    held = np.where(spread < spread_1, spread, spread_1)
    held = np.where(held < spread_2, held, spread_2)
    spreads = memory.count("spreads", spread > 0.0)
    return {
        "spread_held": np.where(warm & (spreads > WARMUP_TICKS), held, 0.0),
        "gain_spread": np.where(spread > 0.0, _gain(spreads, SPREAD_TICKS), 0.0),
        "gain_spread_fast": np.where(spread > 0.0, _gain(spreads, SPREAD_FAST_TICKS), 0.0),
        "open_spread": _open(spreads),
        "gain_tail_spread": _gain_tail(spreads, assumed=0.0),
        "fell_spread": np.where(spread > 0.0, FELL, 1.0),
    }


def _runs(memory: _Memory, columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Which ticks repeat the one before them, and how."""
    known = columns["age"] > 0.0
    traded, requoted = columns["traded"], columns["requoted"] | ~known
    same = columns.pop("same") & known
    unchanged = same & ~traded
    changes = memory.count("changes", ~unchanged)
    # The first tick of all is no change.
    seen = np.maximum(changes - ~unchanged - 1.0, 0.0)
    few = np.maximum(seen, 1.0)
    return {
        "unchanged": unchanged,
        "few": np.where(seen > 0.0, 1.0 + (FEW_1 + FEW_2 / few) / few, UNKNOWN),
        "gain_run": _gain(changes - 1.0, RUNS),
        "repeated": same & columns.pop("same_volume"),
        "requoted": requoted,
        "strayed": traded & ~requoted & (columns["outside"] > 0.0),
    }


def _gain(count: Floats, window: float) -> Floats:
    return 1.0 / np.minimum(np.maximum(count, 1.0), window)


def _gain_tail(count: Floats, *, assumed: float = ASSUMED_TICKS) -> Floats:
    """Return the weight of an exceedance after `count` values, of which some 2 % were exceedances."""
    return 1.0 / (1.0 + np.minimum(count + assumed, TAIL_TICKS) * (1.0 - QUANTILE))


def _open(count: Floats) -> Floats:
    return np.where(count < UNCLIPPED_TICKS, UNCLIPPED, 0.0)
