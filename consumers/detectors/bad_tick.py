"""bad_tick: a tick that no market makes: no price, impossible quotes, or a price far outside of its own quotes.

A price is a misprint for as long as its own quotes contradict it: it teaches nothing, and is no move. Without quotes,
a move of implausible size is not believed until the next tick confirms it, or the next three where it is far; then it
is judged as a move of the price. Prices at or below zero have no returns: each run of them is one anomaly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.contracts.detector import DetectorSpec, Facts
from consumers.contracts.wording import price
from consumers.detectors.engine.signals import CLIP, HIGHEST_PRICE, LOWEST_PRICE, SLOW_TICKS
from producers.simulation.distortion import Distortion

if TYPE_CHECKING:
    from consumers.detectors.engine.signals import Signals
    from consumers.detectors.engine.state import State

FAULT_SCORE = 25.0  # no price at all
# Score 2.5 at: quotes crossed by so many usual spreads;
CROSSED_SPREADS, LEAST_SPREAD = 2.0, 1e-4
# bid and ask so many usual spreads apart, and one so many times the other less one;
WIDE_SPREADS, WIDE_QUOTES = 20.0, 1.0
# a price outside of its quotes by so many scales of a return or usual distances, and so far;
OUTSIDE_SCALES, OUTSIDE_USUAL, LEAST_OUTSIDE = 20.0, 6.0, 1e-3
# without quotes, a return of so many scales and at least so large.
LONE_SCALES, LONE_RETURN = 60.0, 0.009
# A lone price is confirmed by others that are nearer to it than this part of the jump: by one, or by three where it
# is far.
CONFIRMED_PART = 0.3
FAR_RETURN, FAR_CONFIRMATIONS = 0.1, 3.0
OUTSIDE_STEP, FORGOTTEN_OUTSIDE = 0.02, 1e-5
MOST = 10.0


def score(s: State, x: Signals) -> tuple[float, float, float, float]:
    """Return (score, price, last believed price, distance from it that is still plausible).

    Completes the signals: a price that is not believed is no return, quotes that are not believed are no spread.
    """
    expected = s.last_price if s.last_price > 0.0 else x.price
    unusual = (
        (x.size > LONE_RETURN) | (x.outside > LEAST_OUTSIDE) | (x.crossed > 0.0) | (x.wide > WIDE_QUOTES)
    )
    if x.valid & (not (unusual | (s.outside > 0.0) | (s.held_price > 0.0))):
        return 0.0, x.shown, expected, OUTSIDE_SCALES * x.scale * expected

    limit = max(OUTSIDE_SCALES * x.scale, OUTSIDE_USUAL * s.outside, LEAST_OUTSIDE)
    # Its own quotes contradict it, for as long as they do.
    contradicted = x.outside / limit if x.warm else 0.0
    near = abs(x.price - s.held_price) < CONFIRMED_PART * abs(s.held_price - s.last_price)
    again = (s.held_price > 0.0) & near
    confirmed = again & (s.held_ticks >= (FAR_CONFIRMATIONS if x.size > FAR_RETURN else 1.0))
    lone = min(x.size / (LONE_SCALES * x.scale), x.size / LONE_RETURN)
    judged = x.warm & (not (confirmed | x.new_session | (x.bid * x.ask > 0.0)))
    doubt = max(contradicted, lone if judged else 0.0)
    crossed = x.crossed / (CROSSED_SPREADS * max(s.spread, LEAST_SPREAD))
    wide = min(x.wide / WIDE_QUOTES, x.spread / (WIDE_SPREADS * max(s.spread, LEAST_SPREAD)))
    quotes = max(crossed, wide) if x.warm else 0.0
    found = 2.5 * min(max(doubt, quotes), MOST) if x.valid else FAULT_SCORE

    x.believed = x.valid & (doubt < 1.0)
    held = x.valid & (not x.believed)
    s.held_ticks = (s.held_ticks + 1.0 if again else 1.0) if held else 0.0
    s.held_price = (s.held_price if again else x.price) if held else 0.0 if x.valid else s.held_price
    distance = min(x.outside, max(CLIP * s.outside, LEAST_OUTSIDE)) if x.outside > LEAST_OUTSIDE else 0.0
    usual = s.outside + (distance - s.outside) * OUTSIDE_STEP
    s.outside = usual if usual > FORGOTTEN_OUTSIDE else 0.0
    if not x.believed:
        x.change, x.size, x.size_paced = 0.0, 0.0, 0.0
    if quotes >= 1.0:
        x.gain_spread, x.gain_spread_fast, x.spread_held = 0.0, 0.0, 0.0
    return found, x.shown, expected, limit * expected


def window(s: State, x: Signals) -> dict[str, Any]:
    """Return what the tick was compared with: its quotes if it has them, else the last believed price."""
    del s
    quotes = {"bid": x.bid, "ask": x.ask} if x.quoted else {}
    return {"unit": "price", "ticks": int(min(x.age, SLOW_TICKS)), **quotes}


def _sentence(facts: Facts) -> str:
    before = (
        f"the last good price was {price(facts.expected)}"
        if facts.expected > 0.0
        else "there was no good one yet"
    )
    return f"{_clause(facts)}; {before}"


def _clause(facts: Facts) -> str:
    bid, ask = facts.window.get("bid"), facts.window.get("ask")
    came = f"came at {price(facts.value)}"
    if facts.value <= 0.0:
        return f"{came}: moves of prices of zero and below are not judged"
    if not LOWEST_PRICE <= facts.value <= HIGHEST_PRICE:
        return f"{came}: only prices from {LOWEST_PRICE:g} to {HIGHEST_PRICE:g} are judged"
    if bid is None or ask is None:
        side = f"a bid of {price(bid)}" if bid is not None else f"an ask of {price(ask or 0.0)}"
        beside = f" beside {side}" if bid is not None or ask is not None else ""
        return f"{came}{beside}, too far off to believe"
    quotes = f"a bid of {price(bid)} and an ask of {price(ask)}"
    if bid > ask:
        return f"came with a bid of {price(bid)} above the ask of {price(ask)}"
    if bid <= facts.value <= ask:
        return f"came with {quotes}, too far apart to believe"
    return f"{came}, outside its own quotes of {price(bid)} and {price(ask)}"


DETECTOR = DetectorSpec(
    kind="bad_tick",
    label="Bad tick",
    summary="no price, impossible quotes, or a price far outside of its own quotes",
    score=score,
    window=window,
    sentence=_sentence,
    over="prices can be believed again",
    distortion=Distortion(kind="bad_tick", seconds=5.5, price_factors=(0.0, 0.01, 0.6, 1.6)),
    fields={
        "held_price": "a price not believed yet, 0 = none",
        "held_ticks": "how many ticks have held it",
        "outside": "usual relative distance of the price from its own quotes",
    },
    is_first=True,
    may_follow_halt=True,
    concerns="print",
)
