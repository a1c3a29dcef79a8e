"""Everything that is remembered of a symbol between two ticks: one float64 per field, 0.0 = never seen.

Three groups of rows: the memory of the last ticks (moved on for all ticks of a call at once, see `columns`), the
recursions of signals and detectors (moved on tick by tick), and the episodes.
"""

from __future__ import annotations

from consumers.contracts.kinds import KINDS
from consumers.detectors.namespace import Number

MEMORY_FIELDS: tuple[str, ...] = (
    "count",  # ticks seen
    "last_ts",  # ms
    "seen_price",  # of the last tick, as it came
    "seen_bid",
    "seen_ask",
    "seen_middle",  # between bid and ask, 0 = unknown
    "seen_volume",  # shares of the session so far, plus one; 0 = unknown
    "spreads",  # number of known spreads
    "spread_1",  # relative spread of the last tick, 0 = unknown
    "spread_2",  # and of the one before
    "volumes",  # number of known volumes above zero
    "volume_1",  # square root of the volume of the last tick
    "volume_2",  # and of the one before
)


class State:
    """What signals and detectors remember; each field is a float, or an array with one element per symbol."""

    # Pace, of the signals.
    pace: Number  # usual ms between ticks
    changed_ts: Number  # ms of the last tick that differed from the one before it
    # Returns, of the signals.
    last_price: Number  # last price believed
    slow: Number  # scale of a tick's return over some 240 ticks
    fast: Number  # the same over some 15 ticks
    move: Number  # mean size of a return that is not zero
    moves: Number  # number of returns that were not zero
    # level_shift
    shift_age: Number  # ticks since the jump that awaits confirmation, 0 = none
    shift_from: Number  # price before that jump
    shift_size: Number  # absolute return of that jump
    shift_scale: Number  # scale of a return at that jump
    # bad_tick
    held_price: Number  # a price not believed yet, 0 = none
    outside: Number  # usual relative distance of the price from its own quotes
    # volume_burst
    volume: Number  # mean square root of a tick's volume over some 250 ticks that traded
    volume_fast: Number  # the same over some 30
    volume_high: Number  # 98 % quantile of the ratio to that mean, less one
    volume_excess: Number  # mean excess of the ratio over that quantile, less one
    # spread_blowout
    spread: Number  # mean relative spread
    wide_ts: Number  # ms of the tick at which the spread last widened at a new time of day
    wide_time: Number  # and that time, ms of the UTC day plus one
    # frozen_feed
    run: Number  # ticks without any change
    same: Number  # probability that a tick changes nothing, less the prior
    run_peak: Number  # longest usual run, fading
    # gap
    pace_peak: Number  # longest usual pause, ms, fading
    break_time: Number  # ms of the UTC day at which ticks came back after the last long pause, plus one
    # vol_shift
    root: Number  # mean square root of the size of a move
    root_fast: Number  # the same over some 12 moves, relative, less one
    rise: Number  # CUSUM of the relative square root
    root_spread: Number  # mean absolute deviation of the relative square root
    # slow_drift
    variance: Number  # mean square of a return, outliers clipped
    up: Number  # CUSUM of upward returns
    up_from: Number  # price where it left zero
    up_since: Number  # number of that tick
    down: Number
    down_from: Number
    down_since: Number

    __slots__ = tuple(__annotations__)


RECURSIVE_FIELDS: tuple[str, ...] = State.__slots__

# Of each kind: the severity of its open episode (0 = armed), the time (ms) of the tick that opened it,
# and the number of the last tick that kept it open.
LEVEL, OPENED, HOT = 0, len(KINDS), 2 * len(KINDS)
EPISODE_FIELDS: tuple[str, ...] = tuple(
    f"{kind}_{what}" for what in ("level", "opened", "hot") for kind in KINDS
)

STATE_FIELDS: tuple[str, ...] = MEMORY_FIELDS + RECURSIVE_FIELDS + EPISODE_FIELDS
MEMORY = slice(0, len(MEMORY_FIELDS))
RECURSIVE = slice(MEMORY.stop, MEMORY.stop + len(RECURSIVE_FIELDS))
EPISODES = slice(RECURSIVE.stop, RECURSIVE.stop + len(EPISODE_FIELDS))
