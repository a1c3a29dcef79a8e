"""Which ticks meet a person's rules, and what is remembered for that. Pure.

Like detectors: one pass over the ticks of each symbol, correctly rounded operations alone, so that redelivery, other
batches and a restart come to the same. What is remembered of a rule begins anew when the rule is changed, and is
dropped with the first tick that is judged without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from consumers.contracts.kinds import KINDS, RULE, is_misprint
from consumers.contracts.wording import number, percent, price
from consumers.detectors.engine.engine import SEVERITIES, Ticks, Transition
from consumers.detectors.engine.ticks import Floats
from consumers.stream.rows import Bools, split_key
from consumers.stream.rules import PriceRule

Memory = Mapping[str, Mapping[str, tuple[float, ...]]]
"""By window and by the rule's text: what is remembered, numbers whose meaning the functions below say."""

DAY_MS = 86_400_000
PARTS = 12
"""A move "within n minutes" is looked for in so many parts of them: the oldest part leaves at once."""
VOLUME_TICKS, VOLUME_WARM = 60.0, 30.0
_ARMED, _MET_DAY, _OWN = 0, 1, 2


class RuleTick(NamedTuple):
    """One tick; NaN is unknown."""

    ts: int
    price: float
    bid: float
    ask: float
    day_volume: float


class Met(NamedTuple):
    """A rule was met: the value, what it is compared with, their unit, and what to say."""

    rule: PriceRule
    value: float
    expected: float
    unit: str
    said: str


def misprints(scores: Floats, thresholds: Floats, ticks: Ticks) -> Bools:
    """Return which ticks are misprints by the scores of all kinds; a price below zero may be true, and is none here.

    Parameters
    ----------
    scores, thresholds
        As `engine.apply` fills and takes them.
    """
    of = [is_misprint(kind) for kind in KINDS]
    is_over = np.logical_or.reduce(scores[of] >= thresholds[of][:, ticks.slot])
    return np.logical_and(is_over, ~(ticks.price < 0.0))


def advance(
    memory: Memory,
    keys: Sequence[str],
    ticks: Ticks,
    rules: Sequence[PriceRule],
    *,
    is_wrong: Bools,
    is_past: Bools,
) -> tuple[Memory, list[Transition]]:
    """Return what is remembered after the ticks (sorted by slot, in order within each), and the rules that were met.

    Parameters
    ----------
    is_wrong
        Of each tick: it is a misprint, which no rule sees.
    is_past
        Of each tick: it is of a backfill, which is observed and meets no rule.
    """
    if not len(ticks.slot) or not (rules or memory):
        return memory, []
    after, found = dict(memory), list[Transition]()
    starts = np.flatnonzero(np.diff(ticks.slot, prepend=-1)).tolist()
    columns = tuple(
        column.tolist() for column in (ticks.ts, ticks.price, ticks.bid, ticks.ask, ticks.day_volume)
    )
    for start, stop in zip(starts, [*starts[1:], len(ticks.slot)], strict=True):
        key = keys[int(ticks.slot[start])]
        ticker = split_key(key)[1]
        own = [rule for rule in rules if rule.ticker in {"", ticker}]
        before = after.pop(key, {})
        if not own:
            continue
        states = {rule.text: list(before.get(rule.text, ())) for rule in own}
        for row in range(start, stop):
            if is_wrong[row]:
                continue
            tick = RuleTick(*(column[row] for column in columns))
            met = [one for rule in own if (one := _judge(states[rule.text], rule, tick, bool(is_past[row])))]
            if met:
                found += _transitions(row, tick, met)
        after[key] = {text: tuple(state) for text, state in states.items()}
    return after, found


def _judge(state: list[float], rule: PriceRule, tick: RuleTick, is_past: bool) -> Met | None:
    """Move a rule's state on by a tick; return whether that met the rule."""
    if not state:
        state += [0.0, 0.0]
    met = {"moves": _move, "spread": _spread, "volume": _volume}.get(rule.when, _level)(state, rule, tick)
    if met is None or is_past:
        return None
    day = float(tick.ts // DAY_MS + 1)
    if state[_MET_DAY] and (rule.repeat == "once" or (rule.repeat == "daily" and state[_MET_DAY] == day)):
        return None
    state[_MET_DAY] = day
    return met


def _level(state: list[float], rule: PriceRule, tick: RuleTick) -> Met | None:
    """Armed is 0 before the first price, 1 on this side of the level, -1 beyond it until the price went back."""
    above = rule.when == "above"
    sign = 1.0 if above else -1.0
    beyond = sign * (tick.price - rule.value)
    back = abs(rule.value) * rule.hysteresis / 100.0
    if beyond >= 0.0 and state[_ARMED] == 1.0:
        state[_ARMED] = -1.0
        words = "rose above" if above else "fell below"
        said = f"{words} {price(rule.value)}, to {price(tick.price)}"
        return Met(rule, tick.price, rule.value, "price", said)
    if beyond < 0.0 and (state[_ARMED] == 0.0 or beyond <= -back):
        state[_ARMED] = 1.0
    elif state[_ARMED] == 0.0:
        state[_ARMED] = -1.0
    return None


def _move(state: list[float], rule: PriceRule, tick: RuleTick) -> Met | None:
    """Beside armed and day: the number of the newest part, then the lows and the highs of the parts, 0 for none."""
    if not tick.price > 0.0:
        return None
    if len(state) == _OWN:
        state += [0.0] * (1 + 2 * PARTS)
    part = float(int(tick.ts * PARTS / (rule.minutes * 60_000.0)))
    lows, highs = slice(_OWN + 1, _OWN + 1 + PARTS), slice(_OWN + 1 + PARTS, _OWN + 1 + 2 * PARTS)
    gone = int(min(part - state[_OWN], PARTS))
    if gone > 0:
        for of in (lows, highs):
            state[of] = [*state[of][gone:], *[0.0] * gone]
        state[_OWN] = part
    known = [low for low in state[lows] if low > 0.0]
    lowest, highest = min(known, default=tick.price), max(*state[highs], tick.price)
    up, down = (
        tick.price >= lowest * (1.0 + rule.value / 100.0),
        tick.price <= highest * (1.0 - rule.value / 100.0),
    )
    last = _OWN + PARTS
    if not up and not down:
        state[last] = min(state[last] or tick.price, tick.price)
        state[last + PARTS] = max(state[last + PARTS], tick.price)
        return None
    # From here on a further move is looked for from this price.
    state[lows], state[highs] = [0.0] * PARTS, [0.0] * PARTS
    state[last] = state[last + PARTS] = tick.price
    before = lowest if up else highest
    change = tick.price / before - 1.0
    size = f"{'-' if change < 0.0 else '+'}{percent(change)}"
    said = f"moved {size} within {rule.minutes:g} min, from {price(before)} to {price(tick.price)}"
    return Met(rule, change, 0.0, "return", said)


def _spread(state: list[float], rule: PriceRule, tick: RuleTick) -> Met | None:
    """Armed is 0 or 1 while it can be met, -1 until the spread went back."""
    if not 0.0 < tick.bid <= tick.ask:  # NaN is not either
        return None
    share = (tick.ask - tick.bid) / (0.5 * (tick.ask + tick.bid))
    limit = rule.value / 10_000.0
    said = f"has a spread of {number(share * 10_000.0)} bp (limit {rule.value:g} bp)"
    return _over(state, Met(rule, share, limit, "spread", said))


def _volume(state: list[float], rule: PriceRule, tick: RuleTick) -> Met | None:
    """Beside armed and day: the day's volume so far, and mean and number of the volumes of ticks that traded."""
    if len(state) == _OWN:
        state += [-1.0, 0.0, 0.0]
    if not tick.day_volume >= 0.0:
        return None
    before, mean, count = state[_OWN:]
    state[_OWN] = tick.day_volume
    traded = tick.day_volume - before
    if before < 0.0 or traded <= 0.0:  # the first, none, or another session
        return None
    state[_OWN + 1] = mean + (traded - mean) / min(count + 1.0, VOLUME_TICKS)
    state[_OWN + 2] = count + 1.0
    if count < VOLUME_WARM:
        return None
    said = f"traded {number(traded)} in one tick, {number(traded / mean)} times the usual {number(mean)}"
    return _over(state, Met(rule, traded, rule.value * mean, "shares", said))


def _over(state: list[float], met: Met) -> Met | None:
    """Return what would be met if the value is at its limit or beyond, and was not since it went back."""
    if met.value >= met.expected and state[_ARMED] >= 0.0:
        state[_ARMED] = -1.0
        return met
    if met.value < met.expected * (1.0 - met.rule.hysteresis / 100.0):
        state[_ARMED] = 1.0
    return None


def _transitions(row: int, tick: RuleTick, met: Sequence[Met]) -> Iterator[Transition]:
    """Yield the anomaly of a tick: one, whatever number of rules it met, which begins and ends with it."""
    worst = max(met, key=lambda one: SEVERITIES.index(one.rule.severity))
    window: dict[str, Any] = {
        "unit": worst.unit,
        "rules": [one.rule.id for one in met],
        "said": "; ".join(f"{one.said} (rule {one.rule.id})" for one in met),
    }
    opened = Transition(
        change="opened",
        row=row,
        kind=RULE,
        severity=worst.rule.severity,
        score=1.0,
        threshold=1.0,
        value=worst.value,
        expected=worst.expected,
        tolerance=0.0,
        direction="up"
        if worst.value > worst.expected
        else "down"
        if worst.value < worst.expected
        else "none",
        opened_ts=tick.ts,
        window=window,
        note="",
    )
    yield opened
    yield opened._replace(change="ended")
