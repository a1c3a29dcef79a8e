"""A misprint is one bad_tick for as long as its own quotes contradict it, never a move, and teaches nothing."""

from __future__ import annotations

import math

import pytest

from consumers.detectors.engine import engine
from tests.consumers.detectors.conftest import Market

AT = 400
POLLS = (1, 2, 3, 6, 10)


def near(market: Market, first: int, last: int) -> list[tuple[str, int]]:
    """What opened between two ticks at the calibrated point."""
    return [(kind, row) for kind, row in market.opened() if first <= row <= last]


def misprinted(quiet: Market, factors: list[float]) -> Market:
    """Prices off by these factors, one after another, beside quotes that are right."""
    prices = {AT + i: round(float(quiet.price[AT + i]) * factor, 4) for i, factor in enumerate(factors)}
    return quiet.changed(price=prices)


@pytest.mark.parametrize("polls", POLLS)
@pytest.mark.parametrize("factor", [0.01, 0.1, 0.6, 0.985, 1.015, 1.6, 10.0, 100.0])
def test_a_misprint_beside_its_quotes_is_one_bad_tick_however_long(
    market: Market, polls: int, factor: float
) -> None:
    assert near(misprinted(market.quiet(), [factor] * polls), AT, AT + 40) == [("bad_tick", AT)]


@pytest.mark.parametrize(
    "factors",
    [[0.6, 1.6, 0.6], [1.015, 0.01, 0.985, 0.01], [0.01, 1.6, 1.015], [1.6, 1.61, 1.59, 1.6, 0.5, 0.5]],
)
def test_misprints_in_any_order_are_one_bad_tick(market: Market, factors: list[float]) -> None:
    assert near(misprinted(market.quiet(), factors), AT, AT + 40) == [("bad_tick", AT)]


@pytest.mark.parametrize("polls", POLLS)
@pytest.mark.parametrize(("known", "factor"), [("bid", 0.6), ("bid", 0.985), ("ask", 1.6), ("ask", 1.015)])
def test_one_side_of_the_quotes_is_enough_to_contradict(
    market: Market, known: str, factor: float, polls: int
) -> None:
    unknown = "ask" if known == "bid" else "bid"
    quiet = market.quiet().changed(**{unknown: dict.fromkeys(range(600), math.nan)})
    assert near(misprinted(quiet, [factor] * polls), AT, AT + 40) == [("bad_tick", AT)]


@pytest.mark.parametrize("polls", [1, 2, 3])
@pytest.mark.parametrize("factor", [0.01, 0.6, 1.6])
def test_without_quotes_a_price_that_is_far_off_needs_three_to_confirm_it(
    market: Market, polls: int, factor: float
) -> None:
    quiet = market.quiet().without_quotes()
    assert near(misprinted(quiet, [factor] * polls), AT, AT + 40) == [("bad_tick", AT)]


def test_without_quotes_a_far_price_that_stays_becomes_a_move(market: Market) -> None:
    kinds = {kind for kind, _ in near(market.quiet().without_quotes().moved(AT, 0.6), AT, AT + 10)}
    assert {"bad_tick", "price_spike", "level_shift"} <= kinds


@pytest.mark.parametrize("side", ["bid", "ask"])
def test_a_quote_that_is_a_multiple_of_the_other_is_a_bad_tick_and_no_spread(
    market: Market, side: str
) -> None:
    quiet = market.quiet()
    factor = 0.01 if side == "bid" else 100.0
    rows = range(AT, AT + 4)
    odd = quiet.changed(**{side: {row: getattr(quiet, side)[row] * factor for row in rows}})
    assert near(odd, AT, AT + 40) == [("bad_tick", AT)]


@pytest.mark.parametrize("tick", [0, 1, 5, 19])
@pytest.mark.parametrize("factor", [0.01, 0.5, 100.0])
def test_a_misprint_among_the_first_ticks_hides_no_later_move(
    market: Market, tick: int, factor: float
) -> None:
    """Nothing is judged yet, so it is believed; what it moved would be the scale of thousands of ticks."""
    moved = market.quiet().without_quotes().moved(tick, factor, tick + 1).moved(AT, 1.01)
    assert ("price_spike", AT) in moved.opened()


def test_a_wide_quote_among_the_first_ticks_hides_no_later_one(market: Market) -> None:
    quiet = market.quiet()
    wide = {row: quiet.bid[row] - 0.2 for row in range(AT, AT + 3)}
    assert ("spread_blowout", AT + 2) in quiet.changed(bid={5: 0.5, **wide}).opened()


def test_a_misprint_teaches_nothing(market: Market) -> None:
    quiet = market.quiet()
    scores, usual = misprinted(quiet, [0.6] * 5).scores(), quiet.scores()
    # The first true price is five ticks away from the last one, and a small jump may be followed up or not.
    kinds = [row for row, kind in enumerate(engine.KINDS) if kind != "level_shift"]
    later = slice(AT + 8, None)
    assert scores[kinds, later] == pytest.approx(usual[kinds, later], abs=0.35)
