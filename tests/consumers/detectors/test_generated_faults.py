"""Faults drawn at random, whole kinds of them: what each is called, and that nothing else is."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.consumers.detectors.conftest import Market

AT, TICKS = 400, 520
SEEDS = st.integers(0, 2**16)
MOVES = {"price_spike", "level_shift"}
few = settings(max_examples=20)
# Beyond its own quotes: by 1.1 to 99 percent below, and by 1.1 percent to a hundredfold above.
OFF = st.one_of(st.floats(0.01, 0.989), st.floats(1.011, 100.0))


def opened(market: Market) -> set[str]:
    """Kinds that opened at or after the fault."""
    return {kind for kind, row in market.opened() if row >= AT}


def quiet(seed: int, pause_ms: int = 1000) -> Market:
    """A quiet market that stays quiet without a fault."""
    found = Market.quiet(TICKS, seed=seed, pause_ms=pause_ms)
    clean = opened(found)
    # One in some thousand ticks is beyond a limit by chance: then the next market is as good.
    return quiet(seed + 1, pause_ms) if clean else found


@few
@given(SEEDS, st.lists(OFF, min_size=1, max_size=10), st.sampled_from(["both", "bid", "ask"]))
@example(7, [0.01, 100.0, 0.989, 1.011, 0.5], "both")
def test_prices_that_their_own_quotes_contradict_are_one_bad_tick(
    seed: int, factors: list[float], known: str
) -> None:
    market = quiet(seed)
    if known != "both":
        # The side that is known must be the one that the price is beyond.
        factors = [min(f, 1.0 / f) if known == "bid" else max(f, 1.0 / f) for f in factors]
        side = "ask" if known == "bid" else "bid"
        market = market.changed(**{side: dict.fromkeys(range(TICKS), math.nan)})
    rows = range(AT, AT + len(factors))
    prices = {row: float(market.price[row]) * factor for row, factor in zip(rows, factors, strict=True)}
    found = [each for each in market.changed(price=prices).opened() if each[1] >= AT]
    assert found == [("bad_tick", AT)]


@few
@given(SEEDS, st.lists(st.floats(-1e6, 0.0), min_size=1, max_size=10))
def test_prices_at_or_below_zero_are_one_bad_tick(seed: int, values: list[float]) -> None:
    prices = {AT + row: value for row, value in enumerate(values)}
    market = quiet(seed).without_quotes().changed(price=prices)
    assert [each for each in market.opened() if each[1] >= AT] == [("bad_tick", AT)]


@few
@given(SEEDS, st.integers(-40, 30), st.floats(0.99, 1.01))
def test_the_unit_of_a_price_changes_no_score(seed: int, power: int, factor: float) -> None:
    market = Market.quiet(TICKS, seed=seed).moved(AT, factor)
    unit = 2.0**power  # exact, from 1e-10 to 1e11
    other = replace(market, price=market.price * unit, bid=market.bid * unit, ask=market.ask * unit)
    assert np.array_equal(market.scores(), other.scores())


@few
@given(SEEDS, st.floats(0.006, 0.05), st.booleans(), st.floats(0.3, 0.7), st.integers(1, 4))
def test_a_jump_that_goes_back_in_part_is_a_move_and_no_misprint(
    seed: int, jump: float, up: bool, back: float, after: int
) -> None:
    size = jump if up else -jump
    market = quiet(seed).moved(AT, 1.0 + size, AT + after).moved(AT + after, 1.0 + size * (1.0 - back))
    found = opened(market)
    assert found & MOVES
    assert "bad_tick" not in found


@few
@given(SEEDS, st.floats(0.008, 0.05), st.booleans())
def test_a_ramp_over_three_ticks_is_a_move(seed: int, rise: float, up: bool) -> None:
    ramp = np.ones(TICKS)
    size = rise if up else -rise
    ramp[AT], ramp[AT + 1], ramp[AT + 2 :] = 1.0 + size / 3.0, 1.0 + size / 1.5, 1.0 + size
    found = opened(quiet(seed).moved(0, ramp))
    assert found & MOVES
    assert "bad_tick" not in found


@few
@given(
    SEEDS, st.integers(5, 60), st.floats(0.05, 0.15), st.booleans(), st.sampled_from(["silent", "repeats"])
)
def test_a_halt_and_the_jump_at_its_end_are_named_as_what_they_are(
    seed: int, minutes: int, jump: float, up: bool, how: str
) -> None:
    factor = 1.0 + (jump if up else -jump)
    pause_ms = 5000
    market = quiet(seed, pause_ms)
    if how == "silent":
        market = market.paused(AT, minutes * 60_000).moved(AT, factor)
        stall = "gap"
    else:
        market = market.frozen(AT, AT + 60).moved(AT + 60, factor)
        stall = "frozen_feed"
    found = opened(market)
    assert stall in found
    assert found & MOVES
    assert "bad_tick" not in found


@few
@example(57962, 56.0, "ask", True)
@given(SEEDS, st.floats(12.0, 60.0), st.sampled_from(["both", "bid", "ask"]), st.booleans())
def test_a_wide_spread_is_a_blowout_on_both_sides_on_one_and_when_it_fades(
    seed: int, times: float, side: str, fades: bool
) -> None:
    market = quiet(seed)
    width = 0.02 * times * (np.linspace(1.0, 0.4, 12) if fades else np.ones(12))
    rows = slice(AT, AT + 12)
    bid, ask = market.bid.copy(), market.ask.copy()
    if side in ("both", "bid"):
        bid[rows] = np.round(bid[rows] - width, 2)
    if side in ("both", "ask"):
        ask[rows] = np.round(ask[rows] + width, 2)
    assert opened(replace(market, bid=bid, ask=ask)) == {"spread_blowout"}


def test_shares_that_change_once_in_many_ticks_freeze_by_chance_less_than_once_in_a_million_ticks() -> None:
    ticks, found, seen = 3000, 0, 0
    for seed, (every, pause_ms) in enumerate(itertools.product(range(30, 241, 3), (1000, 5000, 60_000) * 6)):
        rng = np.random.default_rng(seed)
        changed = rng.random(ticks) < 1.0 / every
        price = np.round(25.0 + np.cumsum(np.where(changed, rng.choice([-0.01, 0.01], ticks), 0.0)), 2)
        market = replace(
            Market.quiet(ticks, pause_ms=pause_ms),
            price=price,
            bid=price - 0.05,
            ask=price + 0.05,
            volume=np.where(changed, 100.0, 0.0),
        )
        found += sum(kind == "frozen_feed" for kind, _ in market.opened())
        seen += ticks
    assert seen > 3_000_000
    assert found / seen < 1e-6
