"""When a person's own rules are met: levels, moves, spreads and volumes, once, once a day or every time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.detectors.engine.engine import Ticks, Transition, apply, new_states
from consumers.stream.rows import Bools
from consumers.stream.rules import PriceRule, of_object
from consumers.stream.threshold_table import table
from consumers.stream.thresholds import Threshold
from consumers.windows.rules import DAY_MS, Memory, advance, misprints

T0_MS = 1_795_530_600_000
SECOND, MINUTE = 1000, 60_000


def rule(when: str, value: float, **more: Any) -> PriceRule:
    usual = {"ticker": "AAPL"} if when in {"above", "below"} else {}
    return of_object({"id": f"{when}-1", "when": when, "value": value, **usual, **more})


def ticks(
    prices: Sequence[float],
    *,
    every_ms: int = SECOND,
    spreads_bp: Sequence[float] = (),
    volumes: Sequence[float] = (),
    start_ms: int = T0_MS,
) -> Ticks:
    count = len(prices)
    price = np.array(prices, np.float64)
    half = price * (np.array(spreads_bp or [math.nan] * count, np.float64) / 20_000.0)
    return Ticks(
        np.zeros(count, np.int64),
        start_ms + every_ms * np.arange(count, dtype=np.int64),
        price,
        price - half,
        price + half,
        np.array(volumes or [math.nan] * count, np.float64),
    )


def met(of: Ticks, *wanted: PriceRule, memory: Memory | None = None, is_past: bool = False) -> list[int]:
    """Return the ticks that met rules."""
    return [one.row for one in found(of, *wanted, memory=memory, is_past=is_past) if one.change == "opened"]


def found(
    of: Ticks, *wanted: PriceRule, memory: Memory | None = None, is_past: bool = False
) -> list[Transition]:
    past = np.full(len(of.slot), is_past)
    return advance(memory or {}, ["AAPL"], of, wanted, is_wrong=right(of), is_past=past)[1]


def right(of: Ticks) -> Bools:
    """Return that no tick is a misprint."""
    return np.zeros(len(of.slot), np.bool_)


def test_a_level_is_crossed_and_can_be_crossed_again_after_the_hysteresis() -> None:
    prices = [199.0, 200.0, 201.0, 199.9, 200.1, 197.9, 200.5, 200.0]
    assert met(ticks(prices), rule("above", 200, hysteresis=1.0)) == [1, 6]
    assert met(ticks(prices), rule("above", 200, hysteresis=0.0)) == [1, 4, 6]
    assert met(ticks([-price for price in prices]), rule("below", -200, hysteresis=1.0)) == [1, 6]
    assert met(ticks(prices), rule("above", 200, hysteresis=1.0, repeat="once")) == [1]


def test_a_price_that_is_beyond_from_the_start_crossed_nothing() -> None:
    assert met(ticks([201.0, 202.0, 150.0, 201.0]), rule("above", 200)) == [3]


def test_once_a_day_is_once_a_utc_day() -> None:
    prices = [1.0, 3.0] * 6
    daily = rule("above", 2, repeat="daily")
    assert met(ticks(prices, every_ms=DAY_MS // 4, start_ms=T0_MS // DAY_MS * DAY_MS), daily) == [1, 5, 9]


def test_a_move_counts_within_its_minutes_only() -> None:
    slow = [100.0 + 0.1 * n for n in range(40)]
    assert met(ticks(slow, every_ms=MINUTE), rule("moves", 1, minutes=5)) == []
    assert met(ticks(slow, every_ms=MINUTE), rule("moves", 1, minutes=20)) != []
    assert met(ticks([100.0, 100.5, 101.0, 101.5, 102.1]), rule("moves", 1, minutes=1)) == [2, 4]
    assert met(ticks([100.0, 99.5, 98.9, 98.8]), rule("moves", 1, minutes=1)) == [2]
    # 59 s before is within a minute, 61 s before is not.
    assert met(ticks([100.0, 101.0], every_ms=50 * SECOND), rule("moves", 1, minutes=1)) == [1]
    assert met(ticks([100.0, 101.0], every_ms=61 * SECOND), rule("moves", 1, minutes=1)) == []


def test_a_spread_is_wide_until_it_went_back() -> None:
    spreads = [5.0, 25.0, 30.0, 19.95, 21.0, 10.0, 20.1]
    of = ticks([100.0] * 7, spreads_bp=spreads)
    assert met(of, rule("spread", 20, hysteresis=1.0)) == [1, 6]
    assert met(ticks([100.0] * 3), rule("spread", 20)) == []  # without quotes nothing is known


def test_a_volume_is_compared_with_the_usual_of_ticks_that_traded() -> None:
    volumes = np.cumsum([100.0] * 40 + [450.0, 100.0, 600.0]).tolist()
    of = ticks([100.0] * 43, volumes=volumes)
    assert met(of, rule("volume", 4)) == [40, 42]
    assert met(of, rule("volume", 5)) == [42]
    early = np.cumsum([100.0] * 10 + [5000.0]).tolist()
    assert met(ticks([100.0] * 11, volumes=early), rule("volume", 4)) == []


def test_one_tick_is_one_anomaly_whatever_number_of_rules_it_meets() -> None:
    wanted = (
        rule("above", 200),
        of_object({"id": "m", "when": "moves", "value": 1, "minutes": 1, "severity": "low"}),
    )
    opened, ended = found(ticks([190.0, 201.0]), *wanted)
    assert (opened.change, ended.change, opened.row, opened.severity) == ("opened", "ended", 1, "high")
    assert opened.window["rules"] == ["above-1", "m"]
    assert opened.window["said"] == (
        "rose above 200.00, to 201.00 (rule above-1); moved +5.79% within 1 min, from 190.00 to 201.00 (rule m)"
    )


def judged(of: Ticks, *wanted: PriceRule) -> list[tuple[int, str]]:
    """Return the ticks that met rules, and what is said, after the detectors judged the ticks."""
    limits = table(Threshold.parse("2.5"), ["simulated#AAPL"])
    scores = np.empty((len(limits), len(of.slot)))
    apply(new_states(1), of, limits, scores)
    _, met = advance({}, ["AAPL"], of, wanted, is_wrong=misprints(scores, limits, of), is_past=right(of))
    return [(one.row, one.window["said"]) for one in met if one.change == "opened"]


@pytest.mark.parametrize("quotes", [(), (2.0,)], ids=["without quotes", "beside its quotes"])
def test_a_misprint_meets_no_rule_and_is_not_remembered(quotes: tuple[float, ...]) -> None:
    prices = [100.0 + 0.01 * (n % 3) for n in range(100)]
    right_ones = ticks(prices, spreads_bp=quotes * 100)
    wrong = right_ones.price.copy()
    wrong[70], wrong[80] = 1.0, 160.0  # where quotes are known, they stay where they were
    of = right_ones._replace(price=wrong)
    wanted = [rule("below", 50), rule("above", 150), rule("moves", 2, minutes=5)]
    assert judged(of, *wanted) == []
    assert met(of, *wanted) == [70, 71, 80, 81]  # so they would without the detectors


def test_a_true_jump_meets_a_rule_at_once_beside_its_quotes_and_confirmed_without() -> None:
    prices = [100.0 + 0.01 * (n % 3) for n in range(80)] + [109.0, 109.01, 109.0, 109.01, 109.0]
    up = rule("above", 105)
    assert judged(ticks(prices, spreads_bp=[2.0] * 85), up) == [
        (80, "rose above 105.00, to 109.00 (rule above-1)")
    ]
    assert judged(ticks(prices), up) == [(81, "rose above 105.00, to 109.01 (rule above-1)")]


def test_a_price_below_zero_meets_a_rule() -> None:
    prices = [20.0 + 0.01 * (n % 3) for n in range(80)] + [-5.0, -37.63]
    assert judged(ticks(prices), rule("below", -10)) == [(81, "fell below -10.00, to -37.63 (rule below-1)")]


def test_the_past_is_observed_and_meets_nothing() -> None:
    level = rule("above", 200, repeat="once")
    before = ticks([199.0, 201.0, 198.0])
    past = np.ones(3, np.bool_)
    memory, none = advance({}, ["AAPL"], before, (level,), is_wrong=right(before), is_past=past)
    assert none == []
    assert met(ticks([201.0, 202.0], start_ms=T0_MS + MINUTE), level, memory=memory) == [0]


def test_rules_of_other_tickers_cost_nothing_and_a_changed_rule_begins_anew() -> None:
    level = rule("above", 200, repeat="once")
    risen, fallen = ticks([199.0, 201.0]), ticks([1.0])
    memory, _ = advance({}, ["AAPL"], risen, (level,), is_wrong=right(risen), is_past=right(risen))
    assert met(ticks([199.0, 201.0], start_ms=T0_MS + MINUTE), level, memory=memory) == []
    changed = rule("above", 200, repeat="once", severity="low")
    assert met(ticks([199.0, 201.0], start_ms=T0_MS + MINUTE), changed, memory=memory) == [1]
    other = rule("above", 200, ticker="KO")
    assert advance(memory, ["AAPL"], fallen, (other,), is_wrong=right(fallen), is_past=right(fallen)) == (
        {},
        [],
    )


_PRICES = st.lists(st.floats(-10, 1000), min_size=1, max_size=60)
_WANTED = (
    rule("above", 100, repeat="daily"),
    rule("below", 50),
    rule("moves", 3, minutes=1),
    rule("spread", 30),
    rule("volume", 2),
)


@given(_PRICES, st.data())
def test_any_cutting_of_the_ticks_comes_to_the_same(prices: list[float], data: st.DataObject) -> None:
    spreads = data.draw(st.lists(st.floats(0, 100), min_size=len(prices), max_size=len(prices)))
    volumes = np.cumsum(data.draw(st.lists(st.floats(0, 1000), min_size=len(prices), max_size=len(prices))))
    of = ticks(prices, spreads_bp=spreads, volumes=volumes.tolist(), every_ms=7 * SECOND)
    whole, at_once = advance({}, ["AAPL"], of, _WANTED, is_wrong=right(of), is_past=right(of))
    memory: Memory = {}
    in_parts: list[Transition] = []
    start = 0
    while start < len(prices):
        stop = data.draw(st.integers(start + 1, len(prices)))
        columns: Any = [column[start:stop] for column in of]
        part = Ticks(*columns)
        memory, few = advance(memory, ["AAPL"], part, _WANTED, is_wrong=right(part), is_past=right(part))
        in_parts += [one._replace(row=one.row + start) for one in few]
        start = stop
    assert in_parts == at_once
    assert memory == whole


@given(_PRICES)
def test_every_time_a_level_is_crossed_it_was_on_the_other_side_before(prices: list[float]) -> None:
    level, armed = rule("above", 100, hysteresis=2.0), False
    crossed = set(met(ticks(prices), level))
    for row, price in enumerate(prices):
        assert (row in crossed) == (armed and price >= 100.0)
        armed = price <= 98.0 or (price < 100.0 and (armed or row == 0)) if price < 100.0 else False


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"when": "sideways"}, "sideways"),
        ({"value": "high"}, "value"),
        ({"value": float("nan")}, "must be a price"),
        ({"ticker": ""}, "must be named, where a price is the limit"),
        ({"ticker": "not a ticker!!"}, "ticker is 'not a ticker!!'; must be"),
        ({"minutes": 5}, "left out for the others"),
        ({"when": "moves", "value": 2}, "minutes is 0.0; must be 1 to 240 for moves"),
        ({"when": "moves", "minutes": 5, "value": 500}, "must be a percentage from 0.01 to 90"),
        ({"when": "spread", "value": 0}, "must be basis points"),
        ({"repeat": "sometimes"}, "sometimes"),
        ({"severity": "urgent"}, "urgent"),
        ({"hysteresis": -1}, "must be 0 to 50 percent"),
        ({"id": "no blanks"}, "must be 1 to 32 of A-Z a-z 0-9 -"),
        ({"colour": "red"}, "colour"),
        ({"value": "\ud800"}, "surrogates"),
        ({"minutes": "\ud800"}, "surrogates"),
    ],
)
def test_a_bad_rule_is_rejected_with_what_where_and_what_is_allowed(
    changes: dict[str, Any], said: str
) -> None:
    from consumers.stream.rules import RuleError

    good = {"id": "a", "when": "above", "value": 200, "ticker": "aapl"}
    assert of_object(good).ticker == "AAPL"
    with pytest.raises(RuleError) as caught:
        of_object({**good, **changes})
    assert said in str(caught.value)
    assert caught.value.where
    assert caught.value.allowed
