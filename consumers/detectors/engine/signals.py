"""The signals that several detectors read: pause, return and its scale, computed once a tick.

`read` says what the tick is by itself, and against the ticks just before it and the state; `learn` moves the state on
after all detectors have scored, so that no tick is judged by what it taught.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from consumers.detectors.engine.tail import FELL

if TYPE_CHECKING:
    from consumers.detectors.engine.namespace import Condition, Namespace, Number
    from consumers.detectors.engine.state import State

DAY_MS = 86_400_000
# Windows in ticks, known volumes, known spreads: exponential weights after a plain mean.
SLOW_TICKS, FAST_TICKS = 240.0, 15.0
VOLUME_TICKS, VOLUME_FAST_TICKS = 150.0, 20.0
SPREAD_TICKS, SPREAD_FAST_TICKS = 400.0, 60.0
# A pause of four hours or more ends a session: overnight, weekend, holiday.
SESSION_BREAK_MS = 4.0 * 3_600_000.0
# A session opens livelier than the last one closed. Its beginning moves scales and levels on, but teaches nothing of
# the tail of returns, which would hide what is rare in the rest of the day.
OPENING_MS = 20.0 * 60_000.0
# After some hundreds of usual pauses, waiting longer makes no larger move likelier.
LONGEST_LAPSE = 400.0
MOVES = 200.0
# Huber's psi: a return teaches at most this many scales, so that an outlier does not become normal.
CLIP = 4.0
# The deviation of a normal variable is E|x| times this.
MEAN_TO_DEVIATION = 1.2533141373155001
# A move of one price increment is normal however quiet it has been: floor from the size of usual moves.
MOVE_FLOOR = 0.6
SCALE_FLOOR = 2e-6
# The pace of ticks is learned over some 50 of them, a pause counting at most four usual ones.
PACE_STEP, PACE_CLIP = 0.02, 4.0
UNPACED = 1e30
# Outside of this range a price has no return, and squares and ratios would overflow.
LOWEST_PRICE, HIGHEST_PRICE = 1e-15, 1e12
HIGHEST_VOLUME = 1e15
# No verdict on prices, volumes and spreads before so many ticks, known volumes, known spreads.
WARMUP_TICKS = 60.0
# The first ticks teach without a clip: there is nothing yet to clip at.
UNCLIPPED_TICKS = 20.0
UNCLIPPED = 1e30


@dataclass(slots=True, init=False)
class Signals:
    """One tick of one symbol. "Relative" means divided by the middle of the quotes, or the price."""

    ts: Number  # ms
    time: Number  # ms of the UTC day
    age: Number  # ticks of the symbol before this one
    warm: Condition  # enough of them for a verdict
    valid: Condition  # the price has returns
    price: Number  # 0 where not valid
    shown: Number  # the price as it came, 0 where that is no number
    quoted: Condition  # bid or ask is known and could be a price
    bid: Number  # 0 where unknown
    ask: Number
    day_volume: Number  # shares of the session so far, as it came
    wide: Number  # distance of bid and ask in bids, 0 where unknown or crossed
    crossed: Number  # relative depth by which the bid exceeds the ask, else 0
    outside: Number  # relative distance of the price from the quotes around it, else 0
    tracked: Condition  # this tick and the one before have sound quotes
    middle_change: Number  # return of their middle, 0 where not tracked
    pause: Number  # ms since the tick before, 0 for the first
    unchanged: Condition  # price and quotes are those of the tick before, and nothing was traded
    traded: Condition
    repeated: Condition  # price, quotes and volume are those of the tick before, and it is a volume
    requoted: Condition  # the quotes are not those of the tick before
    strayed: Condition  # they are, and there was a trade outside of them
    open_: Number  # UNCLIPPED while the symbol is new, else 0
    gain_slow: Number  # weights of this tick in exponentially weighted means
    gain_fast: Number
    spread: Number  # relative; 0 where unknown, locked or crossed
    spread_held: Number  # the smallest of this and the two ticks before; 0 before the warm-up
    gain_spread: Number  # 0 where the spread is unknown
    gain_spread_fast: Number
    open_spread: Number
    volume_root: Number  # square root of this tick's volume, 0 where unknown
    volume_one: Number  # the same; 0 without a trade or a baseline
    volume_three: Number  # mean of this square root and the two before
    volume_ten: Number  # and the nine before
    volume_warm: Condition  # that baseline is warmed up
    gain_volume: Number  # 0 where nothing was traded
    gain_volume_fast: Number
    open_volume: Number
    fell_volume: Number  # factors of the quantiles of tails after a value that is none
    fell_spread: Number
    # What follows is against the recursions of the state.
    waited: Number  # ms in which the price could move: the pause, or a halt
    new_session: Condition  # a session ended before this tick
    opening: Condition  # it began less than OPENING_MS ago
    pace: Number  # usual ms between ticks, UNPACED where unknown
    root_lapse: Number  # square root of that time in usual pauses, from 1
    scale: Number  # robust scale of a return in that time
    change: Number  # return since the last believed price; 0 when this price is not believed
    size: Number  # its absolute value
    size_paced: Number  # the same, divided by root_lapse
    believed: Condition
    over_ticks: Number  # ticks of the return that price_spike judges
    over_volumes: Number  # ticks of the volume that volume_burst judges


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
    _read_quotes(xp, s, x)
    _read_volume(xp, s, x)
    _read_spread(xp, s, x)
    _read_return(xp, s, x)


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
    x.tracked = sound & (s.seen_bid > 0.0) & (s.seen_bid < s.seen_ask)
    seen_middle = (s.seen_bid + s.seen_ask) * 0.5
    x.middle_change = where(x.tracked, middle / where(x.tracked, seen_middle, 1.0) - 1.0, 0.0)
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
    x.gain_volume_fast = where(x.traded, _gain(xp, s.volumes, VOLUME_FAST_TICKS), 0.0)
    x.open_volume = _open(xp, s.volumes)
    x.fell_volume = where(judged, FELL, 1.0)
    x.unchanged = x.repeated & xp.negate(x.traded)
    x.repeated = x.repeated & x.traded & (root == s.volume_1)
    x.strayed = x.traded & xp.negate(x.requoted) & (x.outside > 0.0)
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
    x.fell_spread = where(known, FELL, 1.0)


def _read_return(xp: Namespace, s: State, x: Signals) -> None:
    where, maximum = xp.where, xp.maximum
    # After a halt in which the feed only repeated itself, the price had as long to move as after a silence.
    x.waited = where(s.frozen > 0.0, x.ts - s.changed_ts, x.pause)
    x.new_session = x.waited >= SESSION_BREAK_MS
    s.session_ts = where(x.new_session, x.ts, s.session_ts)
    x.opening = x.ts - s.session_ts < OPENING_MS
    # Before there is a pace, no time has passed.
    x.pace = where(s.pace > 0.0, s.pace, UNPACED)
    # A true price after misprints had as long to move as they lasted.
    x.root_lapse = xp.sqrt(xp.minimum(maximum((x.waited + s.missed) / x.pace, 1.0), LONGEST_LAPSE))
    # In the geometric mean of a slow and a fast scale both the usual day and the last minutes have a say.
    x.scale = maximum(xp.sqrt(s.slow * s.fast), maximum(MOVE_FLOOR * s.move, SCALE_FLOOR)) * x.root_lapse

    known = s.last_price > 0.0
    x.change = where(known & x.valid, x.price / where(known, s.last_price, 1.0) - 1.0, 0.0)
    x.size = xp.absolute(x.change)
    x.size_paced = x.size / x.root_lapse
    x.believed = x.valid


def _gain(xp: Namespace, count: Number, window: Number) -> Number:
    return 1.0 / xp.minimum(xp.maximum(count, 1.0), window)


def _open(xp: Namespace, count: Number) -> Number:
    return xp.where(count < UNCLIPPED_TICKS, UNCLIPPED, 0.0)


def learn(xp: Namespace, s: State, x: Signals) -> None:
    """Move the shared state on by this tick."""
    where, maximum, minimum = xp.where, xp.maximum, xp.minimum
    seeded = where(s.pace > 0.0, s.pace, x.pause)
    paced = where(x.pause < SESSION_BREAK_MS, minimum(x.pause, PACE_CLIP * seeded) - seeded, 0.0)
    s.pace = seeded + paced * PACE_STEP
    s.changed_ts = where(x.unchanged, s.changed_ts, x.ts)

    # A price that is not believed has size 0 here, and its tick teaches next to nothing.
    size = x.size_paced
    # Where few ticks move the price, four scales may be less than one move: a clip below it would let the
    # scale collapse.
    cap = maximum(CLIP * s.slow, s.move) + x.open_
    s.slow = s.slow + x.gain_slow * (minimum(size, cap) * MEAN_TO_DEVIATION - s.slow)
    cap = maximum(CLIP * maximum(s.fast, s.slow), s.move) + x.open_
    s.fast = s.fast + x.gain_fast * (minimum(size, cap) * MEAN_TO_DEVIATION - s.fast)
    moved = where(size > 0.0, 1.0, 0.0)
    s.moves = s.moves + moved
    typical = minimum(size, where(s.moves > 20.0, CLIP * s.move, size))
    s.move = s.move + moved * (typical - s.move) / minimum(maximum(s.moves, 1.0), MOVES)
    s.last_price = where(x.believed, x.price, s.last_price)
    s.missed = where(x.believed, 0.0, s.missed + x.pause)
