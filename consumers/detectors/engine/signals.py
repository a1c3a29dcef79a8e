"""The signals that several detectors read: pause, return and its scale, computed once a tick.

`observe` reads the state as it was before the tick; `learn` moves it on after all detectors have scored,
so that no tick is judged by what it taught.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from consumers.detectors.engine.namespace import Condition, Namespace, Number
    from consumers.detectors.engine.state import State

DAY_MS = 86_400_000
# Windows in ticks, known volumes, known spreads: exponential weights after a plain mean.
SLOW_TICKS, FAST_TICKS = 240.0, 15.0
VOLUME_TICKS, VOLUME_FAST_TICKS = 250.0, 30.0
SPREAD_TICKS = 400.0
# A pause of four hours or more ends a session: overnight, weekend, holiday.
SESSION_BREAK_MS = 4.0 * 3_600_000.0
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


class Signals:
    """One tick of one symbol (floats), or one tick of each of many symbols (arrays)."""

    # from Columns, in its order
    ts: Number
    time: Number
    age: Number
    warm: Condition
    valid: Condition
    price: Number
    quoted: Condition
    bid: Number
    ask: Number
    crossed: Number
    outside: Number
    tracked: Condition
    middle_change: Number
    pause: Number
    unchanged: Condition
    open_: Number
    gain_slow: Number
    gain_fast: Number
    spread: Number
    spread_held: Number
    gain_spread: Number
    open_spread: Number
    volume_root: Number
    volume_recent: Number
    volume_judged: Number
    gain_volume: Number
    gain_volume_fast: Number
    open_volume: Number
    # against the state
    run_limit: Number  # length of a run of unchanged ticks that is not chance
    waited: Number  # ms in which the price could move: the pause, or the halt if the feed repeated itself
    new_session: Condition  # a session ended before this tick
    root_lapse: Number  # square root of that time in usual pauses, from 1
    scale: Number  # robust scale of a return in that time
    change: Number  # return since the last believed price; 0 when this price is not believed
    size: Number  # its absolute value
    size_paced: Number  # the same, divided by root_lapse
    believed: Condition

    __slots__ = tuple(__annotations__)


def observe(xp: Namespace, s: State, tick: tuple[Any, ...], run_limit: Number) -> Signals:
    """Answer the signals of one tick (a row of Columns) against the state before it."""
    where, maximum = xp.where, xp.maximum
    x = Signals()
    (
        x.ts, x.time, x.age, x.warm, x.valid, x.price, x.quoted, x.bid, x.ask, x.crossed, x.outside, x.tracked,
        x.middle_change, x.pause,
        x.unchanged, x.open_, x.gain_slow, x.gain_fast, x.spread, x.spread_held, x.gain_spread, x.open_spread,
        x.volume_root, x.volume_recent, x.volume_judged, x.gain_volume, x.gain_volume_fast, x.open_volume,
    ) = tick  # fmt: skip
    x.run_limit = run_limit
    # After a halt in which the feed only repeated itself, the price had as long to move as after a silence.
    halted = s.run >= run_limit
    x.waited = where(halted, x.ts - s.changed_ts, x.pause) if xp.any(halted) else x.pause
    x.new_session = x.waited >= SESSION_BREAK_MS
    # Before there is a pace, no time has passed.
    pace = where(s.pace > 0.0, s.pace, UNPACED)
    x.root_lapse = xp.sqrt(xp.minimum(maximum(x.waited / pace, 1.0), LONGEST_LAPSE))
    # In the geometric mean of a slow and a fast scale both the usual day and the last minutes have a say.
    x.scale = maximum(xp.sqrt(s.slow * s.fast), maximum(MOVE_FLOOR * s.move, SCALE_FLOOR)) * x.root_lapse

    known = s.last_price > 0.0
    x.change = where(known & x.valid, x.price / where(known, s.last_price, 1.0) - 1.0, 0.0)
    x.size = xp.absolute(x.change)
    return x


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
