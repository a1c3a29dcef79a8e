"""The signals that several detectors read: pause, return and its scale, computed once a tick.

`observe` reads the state as it was before the tick, after `reading.read` said what the tick is by itself; `learn` moves
the state on after all detectors have scored, so that no tick is judged by what it taught.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumers.detectors.engine.namespace import Condition, Namespace, Number
    from consumers.detectors.engine.state import State

DAY_MS = 86_400_000
# Windows in ticks, known volumes, known spreads: exponential weights after a plain mean.
SLOW_TICKS, FAST_TICKS = 240.0, 15.0
VOLUME_TICKS = 75.0
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
    few: Number  # factor of the limit of a run of such ticks, larger while few runs were seen
    gain_run: Number  # weight of such a run in the mean of their lengths
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
    open_volume: Number
    gain_tail: Number  # weights of an exceedance in the mean excess of a tail of ticks,
    gain_tail_volume: Number  # of volumes
    gain_tail_spread: Number  # and of spreads
    fell_volume: Number  # factors of their quantiles after a value that is none
    fell_spread: Number
    # What follows is against the recursions of the state, by `observe`.
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


def observe(xp: Namespace, s: State, x: Signals) -> None:
    """Complete the signals of one tick that was read, against the state before it."""
    where, maximum = xp.where, xp.maximum
    # After a halt in which the feed only repeated itself, the price had as long to move as after a silence.
    halted = s.frozen > 0.0
    x.waited = where(halted, x.ts - s.changed_ts, x.pause) if xp.any(halted) else x.pause
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
