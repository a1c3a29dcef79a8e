"""What a tick says by itself and against the ticks just before it: the first half of its signals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.detectors.engine.signals import (
    FAST_TICKS,
    SLOW_TICKS,
    SPREAD_FAST_TICKS,
    SPREAD_TICKS,
    VOLUME_TICKS,
)
from consumers.detectors.engine.tail import ASSUMED, EXCEEDANCES, FELL, QUANTILE, VOLUME_FELL

if TYPE_CHECKING:
    from consumers.detectors.engine.namespace import Condition, Namespace, Number
    from consumers.detectors.engine.signals import Signals
    from consumers.detectors.engine.state import State

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


def read(xp: Namespace, s: State, x: Signals) -> None:
    """Complete the signals of a tick whose `TICK_FIELDS` are as it came; move the memory of the last ticks on.

    NaN is unknown, and false in comparisons.
    """
    x.age = s.count
    s.count = x.age + 1.0
    x.warm = x.age >= WARMUP_TICKS
    x.pause = xp.where(x.age > 0.0, x.ts - s.last_ts, 0.0)
    s.last_ts = x.ts
    x.open_ = _open(xp, x.age)
    x.gain_slow, x.gain_fast = _gain(xp, s.count, SLOW_TICKS), _gain(xp, s.count, FAST_TICKS)
    x.gain_tail = _gain_tail(xp, x.age + ASSUMED_TICKS)
    _read_quotes(xp, s, x)
    _read_volume(xp, s, x)
    _read_spread(xp, s, x)
    _read_run(xp, s, x)


def _read_quotes(xp: Namespace, s: State, x: Signals) -> None:
    where = xp.where
    price = x.price
    x.valid = _is_price(xp, price)
    is_number = price - price == 0.0
    x.shown = where(is_number & (price != 0.0), price, 0.0)
    x.price = where(x.valid, price, 0.0)
    x.bid, x.ask = where(_is_price(xp, x.bid), x.bid, 0.0), where(_is_price(xp, x.ask), x.ask, 0.0)
    both = (x.bid > 0.0) & (x.ask > 0.0)
    x.quoted = (x.bid > 0.0) | (x.ask > 0.0)
    # Relative to the quotes where they are known: a misprint must not make its spread look wide.
    middle = (x.bid + x.ask) * where(both, 0.5, 1.0)
    base = where(x.quoted, middle, where(x.valid, x.price, 1.0))
    width = where(both, x.ask - x.bid, 0.0) / base
    beyond = _beyond(xp, x) / base
    x.crossed = where(width < 0.0, -width, 0.0)
    x.spread = where(width > 0.0, width, 0.0)
    x.outside = where(x.valid & x.quoted & (beyond > 0.0), beyond, 0.0)

    sound = both & (x.bid < x.ask)
    x.wide = where(sound, x.ask - x.bid, 0.0) / where(both, x.bid, 1.0)
    middle = where(sound, middle, 0.0)
    x.tracked = sound & (s.seen_middle > 0.0)
    x.middle_change = where(x.tracked, middle / where(x.tracked, s.seen_middle, 1.0) - 1.0, 0.0)
    s.seen_middle = middle
    # The first tick of all repeats none.
    x.requoted = (x.bid != s.seen_bid) | (x.ask != s.seen_ask) | (x.age == 0.0)
    x.repeated = (x.shown == s.seen_price) & xp.negate(x.requoted)
    s.seen_bid, s.seen_ask, s.seen_price = x.bid, x.ask, x.shown


def _beyond(xp: Namespace, x: Signals) -> Number:
    """Return how far a price lies outside of its quotes (0 = unknown); zero or less within."""
    crossed = (x.ask > 0.0) & (x.bid > x.ask)
    low = xp.where(crossed, x.ask, x.bid)
    high = xp.where(crossed, x.bid, xp.where(x.ask > 0.0, x.ask, HIGHEST_PRICE))
    return xp.maximum(x.price - high, low - x.price)


def _is_price(xp: Namespace, price: Number) -> Condition:
    del xp
    return (price >= LOWEST_PRICE) & (price <= HIGHEST_PRICE)


def _read_volume(xp: Namespace, s: State, x: Signals) -> None:
    where = xp.where
    day_volume = x.day_volume
    total = where((day_volume >= 0.0) & (day_volume <= HIGHEST_VOLUME), day_volume + 1.0, 0.0)
    known = (s.seen_volume > 0.0) & (total >= s.seen_volume)
    volume = where(known, total - s.seen_volume, 0.0)
    s.seen_volume = total
    x.traded = volume > 0.0
    s.volumes = s.volumes + where(x.traded, 1.0, 0.0)
    root = xp.sqrt(volume)
    three = root + s.volume_1 + s.volume_2
    ten = three + s.volume_3 + s.volume_4 + s.volume_5 + s.volume_6 + s.volume_7 + s.volume_8 + s.volume_9
    judged = x.traded & (s.volumes > UNCLIPPED_TICKS)
    x.volume_root = root
    x.volume_one = where(judged, root, 0.0)
    x.volume_three = where(judged, three / 3.0, 0.0)
    x.volume_ten = where(judged, ten / 10.0, 0.0)
    x.volume_warm = x.warm & (s.volumes > WARMUP_TICKS)
    x.gain_volume = where(x.traded, _gain(xp, s.volumes, VOLUME_TICKS), 0.0)
    x.open_volume = _open(xp, s.volumes)
    x.gain_tail_volume = _gain_tail(xp, s.volumes + ASSUMED_TICKS)
    x.fell_volume = where(judged, VOLUME_FELL, 1.0)
    x.unchanged = x.repeated & xp.negate(x.traded)
    x.repeated = x.repeated & x.traded & (root == s.volume_1)
    s.volume_9, s.volume_8, s.volume_7 = s.volume_8, s.volume_7, s.volume_6
    s.volume_6, s.volume_5, s.volume_4 = s.volume_5, s.volume_4, s.volume_3
    s.volume_3, s.volume_2, s.volume_1 = s.volume_2, s.volume_1, root


def _read_spread(xp: Namespace, s: State, x: Signals) -> None:
    where = xp.where
    known = x.spread > 0.0
    s.spreads = s.spreads + where(known, 1.0, 0.0)
    held = xp.minimum(xp.minimum(x.spread, s.spread_1), s.spread_2)
    s.spread_2, s.spread_1 = s.spread_1, x.spread
    x.spread_held = where(x.warm & (s.spreads > WARMUP_TICKS), held, 0.0)
    x.gain_spread = where(known, _gain(xp, s.spreads, SPREAD_TICKS), 0.0)
    x.gain_spread_fast = where(known, _gain(xp, s.spreads, SPREAD_FAST_TICKS), 0.0)
    x.open_spread = _open(xp, s.spreads)
    x.gain_tail_spread = _gain_tail(xp, s.spreads)
    x.fell_spread = where(known, FELL, 1.0)


def _read_run(xp: Namespace, s: State, x: Signals) -> None:
    # The first tick of all is no change.
    seen = xp.maximum(s.changes - 1.0, 0.0)
    few = xp.maximum(seen, 1.0)
    x.few = xp.where(seen > 0.0, 1.0 + (FEW_1 + FEW_2 / few) / few, UNKNOWN)
    s.changes = s.changes + xp.where(x.unchanged, 0.0, 1.0)
    x.gain_run = _gain(xp, s.changes - 1.0, RUNS)
    x.strayed = x.traded & xp.negate(x.requoted) & (x.outside > 0.0)


def _gain(xp: Namespace, count: Number, window: Number) -> Number:
    return 1.0 / xp.minimum(xp.maximum(count, 1.0), window)


def _gain_tail(xp: Namespace, count: Number) -> Number:
    """Return the weight of an exceedance after `count` values, of which some 2 % were exceedances."""
    return 1.0 / (1.0 + xp.minimum(count, TAIL_TICKS) * (1.0 - QUANTILE))


def _open(xp: Namespace, count: Number) -> Number:
    return xp.where(count < UNCLIPPED_TICKS, UNCLIPPED, 0.0)
