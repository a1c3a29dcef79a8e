"""The signals that several detectors read: pause, return and its scale, computed once a tick.

`read` says what the tick is by itself, and against the ticks just before it and the state; `learn` moves the state on
after all detectors have scored, so that no tick is judged by what it taught.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from consumers.detectors.engine.tail import FELL

if TYPE_CHECKING:
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
# Before so many ticks there is nothing yet to clip at. A return or a spread teaches at most 2 % then: nobody can tell a
# misprint yet, and it would be the scale of the next two thousand ticks.
UNCLIPPED_TICKS = 20.0
UNCLIPPED, FIRST_MOST = 1e30, 0.02


@dataclass(slots=True, init=False)
class Signals:
    """One tick of one symbol. "Relative" means divided by the middle of the quotes, or the price."""

    ts: float  # ms
    time: float  # ms of the UTC day
    age: float  # ticks of the symbol before this one
    warm: bool  # enough of them for a verdict
    valid: bool  # the price has returns
    price: float  # 0 where not valid
    shown: float  # the price as it came, 0 where that is no number
    quoted: bool  # bid or ask is known and could be a price
    bid: float  # 0 where unknown
    ask: float
    day_volume: float  # shares of the session so far, as it came
    wide: float  # distance of bid and ask in bids, 0 where unknown or crossed
    crossed: float  # relative depth by which the bid exceeds the ask, else 0
    outside: float  # relative distance of the price from the quotes around it, else 0
    tracked: bool  # this tick and the one before have sound quotes
    middle_change: float  # return of their middle, 0 where not tracked
    pause: float  # ms since the tick before, 0 for the first
    unchanged: bool  # price and quotes are those of the tick before, and nothing was traded
    traded: bool
    repeated: bool  # price, quotes and volume are those of the tick before, and it is a volume
    requoted: bool  # the quotes are not those of the tick before
    strayed: bool  # they are, and there was a trade outside of them
    open_: float  # what a return may teach while the symbol is new, else 0
    gain_slow: float  # weights of this tick in exponentially weighted means
    gain_fast: float
    spread: float  # relative; 0 where unknown, locked or crossed
    spread_held: float  # the smallest of this and the two ticks before; 0 before the warm-up
    gain_spread: float  # 0 where the spread is unknown
    gain_spread_fast: float
    open_spread: float
    volume_root: float  # square root of this tick's volume, 0 where unknown
    volume_one: float  # the same; 0 without a trade or a baseline
    volume_three: float  # mean of this square root and the two before
    volume_ten: float  # and the nine before
    volume_warm: bool  # that baseline is warmed up
    gain_volume: float  # 0 where nothing was traded
    gain_volume_fast: float
    open_volume: float
    fell_volume: float  # factors of the quantiles of tails after a value that is none
    fell_spread: float
    # What follows is against the recursions of the state.
    waited: float  # ms in which the price could move: the pause, or a halt
    new_session: bool  # a session ended before this tick
    opening: bool  # it began less than OPENING_MS ago
    pace: float  # usual ms between ticks, UNPACED where unknown
    root_lapse: float  # square root of that time in usual pauses, from 1
    scale: float  # robust scale of a return in that time
    change: float  # return since the last believed price; 0 when this price is not believed
    size: float  # its absolute value
    size_paced: float  # the same, divided by root_lapse
    believed: bool
    over_ticks: float  # ticks of the return that price_spike judges
    over_volumes: float  # ticks of the volume that volume_burst judges


def read(s: State, x: Signals) -> None:
    """Complete the signals of a tick whose `TICK_FIELDS` are as it came; move the memory of the last ticks on.

    NaN is unknown, and false in comparisons.
    """
    x.age = s.count
    s.count = x.age + 1.0
    x.warm = x.age >= WARMUP_TICKS
    x.pause = x.ts - s.last_ts if x.age > 0.0 else 0.0
    s.last_ts = x.ts
    x.open_ = _open(x.age, FIRST_MOST)
    x.gain_slow, x.gain_fast = _gain(s.count, SLOW_TICKS), _gain(s.count, FAST_TICKS)
    _read_quotes(s, x)
    _read_volume(s, x)
    _read_spread(s, x)
    _read_return(s, x)


def _read_quotes(s: State, x: Signals) -> None:
    price = x.price
    x.valid = _is_price(price)
    is_number = price - price == 0.0
    x.shown = price if is_number & (price != 0.0) else 0.0
    x.price = price if x.valid else 0.0
    x.bid, x.ask = x.bid if _is_price(x.bid) else 0.0, x.ask if _is_price(x.ask) else 0.0
    both = (x.bid > 0.0) & (x.ask > 0.0)
    x.quoted = (x.bid > 0.0) | (x.ask > 0.0)
    # Relative to the quotes where they are known: a misprint must not make its spread look wide.
    middle = (x.bid + x.ask) * (0.5 if both else 1.0)
    base = middle if x.quoted else x.price if x.valid else 1.0
    width = (x.ask - x.bid if both else 0.0) / base
    beyond = _beyond(x) / base
    x.crossed = -width if width < 0.0 else 0.0
    x.spread = width if width > 0.0 else 0.0
    x.outside = beyond if x.valid & x.quoted & (beyond > 0.0) else 0.0

    sound = both & (x.bid < x.ask)
    x.wide = (x.ask - x.bid) / x.bid if sound else 0.0
    x.tracked = sound & (s.seen_bid > 0.0) & (s.seen_bid < s.seen_ask)
    seen_middle = (s.seen_bid + s.seen_ask) * 0.5
    x.middle_change = middle / seen_middle - 1.0 if x.tracked else 0.0
    # The first tick of all repeats none.
    x.requoted = (x.bid != s.seen_bid) | (x.ask != s.seen_ask) | (x.age == 0.0)
    x.repeated = (x.shown == s.seen_price) & (not x.requoted)
    s.seen_bid, s.seen_ask, s.seen_price = x.bid, x.ask, x.shown


def _beyond(x: Signals) -> float:
    """Return how far a price lies outside of its quotes (0 = unknown); zero or less within."""
    crossed = (x.ask > 0.0) & (x.bid > x.ask)
    low = x.ask if crossed else x.bid
    high = x.bid if crossed else x.ask if x.ask > 0.0 else HIGHEST_PRICE
    return max(x.price - high, low - x.price)


def _is_price(price: float) -> bool:
    return (price >= LOWEST_PRICE) & (price <= HIGHEST_PRICE)


def _read_volume(s: State, x: Signals) -> None:
    day_volume = x.day_volume
    total = day_volume + 1.0 if (day_volume >= 0.0) & (day_volume <= HIGHEST_VOLUME) else 0.0
    known = (s.seen_volume > 0.0) & (total >= s.seen_volume)
    volume = total - s.seen_volume if known else 0.0
    s.seen_volume = total
    x.traded = volume > 0.0
    s.volumes += 1.0 if x.traded else 0.0
    root = sqrt(volume)
    three = root + s.volume_1 + s.volume_2
    ten = three + s.volume_3 + s.volume_4 + s.volume_5 + s.volume_6 + s.volume_7 + s.volume_8 + s.volume_9
    judged = x.traded & (s.volumes > UNCLIPPED_TICKS)
    x.volume_root = root
    x.volume_one = root if judged else 0.0
    x.volume_three = three / 3.0 if judged else 0.0
    x.volume_ten = ten / 10.0 if judged else 0.0
    x.volume_warm = x.warm & (s.volumes > WARMUP_TICKS)
    x.gain_volume = _gain(s.volumes, VOLUME_TICKS) if x.traded else 0.0
    x.gain_volume_fast = _gain(s.volumes, VOLUME_FAST_TICKS) if x.traded else 0.0
    x.open_volume = _open(s.volumes, UNCLIPPED)
    x.fell_volume = FELL if judged else 1.0
    x.unchanged = x.repeated & (not x.traded)
    x.repeated = x.repeated & x.traded & (root == s.volume_1)
    x.strayed = x.traded & (not x.requoted) & (x.outside > 0.0)
    s.volume_9, s.volume_8, s.volume_7 = s.volume_8, s.volume_7, s.volume_6
    s.volume_6, s.volume_5, s.volume_4 = s.volume_5, s.volume_4, s.volume_3
    s.volume_3, s.volume_2, s.volume_1 = s.volume_2, s.volume_1, root


def _read_spread(s: State, x: Signals) -> None:
    known = x.spread > 0.0
    s.spreads += 1.0 if known else 0.0
    held = min(x.spread, s.spread_1, s.spread_2)
    s.spread_2, s.spread_1 = s.spread_1, x.spread
    x.spread_held = held if x.warm & (s.spreads > WARMUP_TICKS) else 0.0
    x.gain_spread = _gain(s.spreads, SPREAD_TICKS) if known else 0.0
    x.gain_spread_fast = _gain(s.spreads, SPREAD_FAST_TICKS) if known else 0.0
    x.open_spread = _open(s.spreads, FIRST_MOST)
    x.fell_spread = FELL if known else 1.0


def _read_return(s: State, x: Signals) -> None:
    # After a halt in which the feed only repeated itself, the price had as long to move as after a silence.
    x.waited = x.ts - s.changed_ts if s.frozen > 0.0 else x.pause
    x.new_session = x.waited >= SESSION_BREAK_MS
    s.session_ts = x.ts if x.new_session else s.session_ts
    x.opening = x.ts - s.session_ts < OPENING_MS
    # Before there is a pace, no time has passed.
    x.pace = s.pace if s.pace > 0.0 else UNPACED
    # A true price after misprints had as long to move as they lasted.
    x.root_lapse = sqrt(min(max((x.waited + s.missed) / x.pace, 1.0), LONGEST_LAPSE))
    # In the geometric mean of a slow and a fast scale both the usual day and the last minutes have a say.
    x.scale = max(sqrt(s.slow * s.fast), MOVE_FLOOR * s.move, SCALE_FLOOR) * x.root_lapse
    x.change = x.price / s.last_price - 1.0 if x.valid & (s.last_price > 0.0) else 0.0
    x.size = abs(x.change)
    x.size_paced = x.size / x.root_lapse
    x.believed = x.valid


def _gain(count: float, window: float) -> float:
    return 1.0 / min(max(count, 1.0), window)


def _open(count: float, most: float) -> float:
    return most if count < UNCLIPPED_TICKS else 0.0


def is_near(time: float, other: float, within: float) -> bool:
    """Return whether two times of the day are less than so many ms apart, if need be over midnight."""
    apart = abs(time - other)
    return min(apart, DAY_MS - apart) < within


def learn(s: State, x: Signals) -> None:
    """Move the shared state on by this tick."""
    within = x.pause if x.pause < SESSION_BREAK_MS else s.pace
    seeded = s.pace if s.pace > 0.0 else within
    s.pace = seeded + (min(within, PACE_CLIP * seeded) - seeded) * PACE_STEP
    s.changed_ts = s.changed_ts if x.unchanged else x.ts

    # A price that is not believed has size 0 here, and its tick teaches next to nothing.
    size = x.size_paced
    # Where few ticks move the price, four scales may be less than one move: a clip below it would let the
    # scale collapse.
    cap = max(CLIP * s.slow, s.move) + x.open_
    s.slow += x.gain_slow * (min(size, cap) * MEAN_TO_DEVIATION - s.slow)
    cap = max(CLIP * max(s.fast, s.slow), s.move) + x.open_
    s.fast += x.gain_fast * (min(size, cap) * MEAN_TO_DEVIATION - s.fast)
    moved = 1.0 if size > 0.0 else 0.0
    s.moves += moved
    typical = min(size, CLIP * s.move if s.moves > UNCLIPPED_TICKS else FIRST_MOST)
    s.move += moved * (typical - s.move) / min(max(s.moves, 1.0), MOVES)
    s.last_price = x.price if x.believed else s.last_price
    s.missed = 0.0 if x.believed else s.missed + x.pause
