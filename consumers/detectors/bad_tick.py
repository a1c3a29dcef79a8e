"""bad_tick: a tick that no market makes: no price, crossed quotes, or a price far outside of its own quotes.

Without quotes, a move that is implausible in size. Such a price is held back: it does not move the baseline,
unless the next tick confirms it; then it is judged as a move of the price.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.contracts.detector import DetectorSpec, Facts
from consumers.contracts.wording import price
from consumers.detectors.engine.signals import CLIP, SLOW_TICKS
from producers.simulation.distortion import Distortion

if TYPE_CHECKING:
    from consumers.detectors.engine.namespace import Namespace, Number
    from consumers.detectors.engine.signals import Signals
    from consumers.detectors.engine.state import State

FAULT_SCORE = 25.0  # no price at all
# Score 2.5 at: quotes crossed by so many usual spreads;
CROSSED_SPREADS, LEAST_SPREAD = 2.0, 1e-4
# a price outside of its quotes by so many scales of a return, usual spreads, or usual distances, and so far;
OUTSIDE_SCALES, OUTSIDE_SPREADS, OUTSIDE_USUAL, LEAST_OUTSIDE = 20.0, 3.0, 6.0, 1e-3
# without quotes, a return of so many scales and at least so large.
LONE_SCALES, LONE_RETURN = 60.0, 0.009
# A held price is confirmed by one that is nearer to it than this part of the jump.
CONFIRMED_PART = 0.3
OUTSIDE_STEP, FORGOTTEN_OUTSIDE = 0.02, 1e-5
MOST = 10.0


def score(xp: Namespace, s: State, x: Signals) -> tuple[Number, Number, Number, Number]:
    """Return (score, price, last believed price, distance from it that is still plausible).

    Completes the signals: a price that is not believed is no return.
    """
    where, maximum, minimum = xp.where, xp.maximum, xp.minimum
    expected = where(s.last_price > 0.0, s.last_price, x.price)
    unusual = (x.size > LONE_RETURN) | (x.outside > LEAST_OUTSIDE) | (x.crossed > 0.0)
    concerned = unusual | (s.outside > 0.0) | (s.held_price > 0.0) | xp.negate(x.valid)
    if not xp.any(concerned):
        return 0.0 * x.size, x.price, expected, OUTSIDE_SCALES * x.scale * expected

    limit = maximum(
        maximum(OUTSIDE_SCALES * x.scale, OUTSIDE_SPREADS * s.spread),
        maximum(OUTSIDE_USUAL * s.outside, LEAST_OUTSIDE),
    )
    lone = minimum(x.size / (LONE_SCALES * x.scale), x.size / LONE_RETURN)
    strange = where(x.quoted, x.outside / limit, where(x.new_session, 0.0, lone))
    near = xp.absolute(x.price - s.held_price) < CONFIRMED_PART * xp.absolute(s.held_price - s.last_price)
    # A symbol that is not concerned must not notice that another one of its round is.
    doubt = where(concerned & x.warm & xp.negate((s.held_price > 0.0) & near), strange, 0.0)
    crossed = where(x.warm, x.crossed / (CROSSED_SPREADS * maximum(s.spread, LEAST_SPREAD)), 0.0)
    found = where(x.valid, 2.5 * minimum(maximum(doubt, crossed), MOST), FAULT_SCORE)

    x.believed = x.valid & (doubt < 1.0)
    s.held_price = where(x.believed, 0.0, where(x.valid, x.price, s.held_price))
    distance = where(
        x.outside > LEAST_OUTSIDE, minimum(x.outside, maximum(CLIP * s.outside, LEAST_OUTSIDE)), 0.0
    )
    usual = s.outside + (distance - s.outside) * OUTSIDE_STEP
    s.outside = where(usual > FORGOTTEN_OUTSIDE, usual, 0.0)
    x.change = where(x.believed, x.change, 0.0)
    x.size = where(x.believed, x.size, 0.0)
    x.size_paced = x.size / x.root_lapse
    return found, x.price, expected, where(concerned, limit, OUTSIDE_SCALES * x.scale) * expected


def window(s: State, x: Signals) -> dict[str, Any]:
    """Return what the tick was compared with: its quotes if it has them, else the last believed price."""
    del s
    quotes = {"bid": x.bid, "ask": x.ask} if x.quoted else {}
    return {"unit": "price", "ticks": int(min(x.age, SLOW_TICKS)), **quotes}


def _sentence(facts: Facts) -> str:
    last = f"the last good price was {price(facts.expected)}"
    bid, ask = facts.window.get("bid"), facts.window.get("ask")
    if facts.value <= 0.0:
        return f"came without a usable price; {last}"
    if bid is None or ask is None:
        return f"came at {price(facts.value)}, too far off to believe; {last}"
    if bid > ask:
        return f"came with a bid of {price(bid)} above the ask of {price(ask)}; {last}"
    return f"came at {price(facts.value)}, outside its own quotes of {price(bid)} and {price(ask)}; {last}"


DETECTOR = DetectorSpec(
    kind="bad_tick",
    label="Bad tick",
    summary="no price, crossed quotes, or a price far outside of its own quotes",
    score=score,
    window=window,
    sentence=_sentence,
    over="prices can be believed again",
    distortion=Distortion(kind="bad_tick", seconds=5.5, price_factors=(0.0, 0.01, 0.6, 1.6)),
    fields={
        "held_price": "a price not believed yet, 0 = none",
        "outside": "usual relative distance of the price from its own quotes",
    },
    is_first=True,
    may_follow_halt=True,
    concerns="print",
)
