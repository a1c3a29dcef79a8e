"""What holds for any ticks: determinism, causality, a clean state, thresholds that nest."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.detectors.engine import engine
from consumers.detectors.engine.state import FIELDS
from consumers.detectors.engine.ticks import Floats
from tests.consumers.detectors.conftest import Market

KINDS = len(engine.KINDS)
WARM_TICKS = 160  # after this many all kinds judge
PRICES = st.one_of(
    st.sampled_from([0.0, -0.0, -1.0, 1e-12, 1e-9, 1e12, 1e13, 5e-324, 1.7e308, 50.0, 100.0, 700.0]),
    st.floats(90.0, 110.0),
)
QUOTES = st.one_of(st.just(float("nan")), PRICES)
VOLUMES = st.one_of(st.sampled_from([float("nan"), 0.0, -0.0, -5.0, 1e15, 1e300, 1e6]), st.floats(0.0, 1e6))
PAUSES = st.sampled_from([1, 1000, 1000, 60_000, 900_000, 5 * 3_600_000, 3 * 86_400_000])


def market_ticks(seed: int, symbols: int, ticks: int) -> engine.Ticks:
    """Ticks of many symbols, interleaved at random, with jumps, freezes, unknown quotes and bursts."""
    rng = np.random.default_rng(seed)
    slot = rng.integers(0, symbols, ticks)
    moves = rng.standard_normal(ticks) * np.where(rng.random(ticks) < 0.02, 2e-2, 2e-4)
    frozen = rng.random(ticks) < 0.3
    price = np.full(ticks, 100.0)
    level = np.full(symbols, 100.0)
    for row, of in enumerate(slot.tolist()):
        if not frozen[row]:
            level[of] = round(level[of] * (1.0 + moves[row]), 2)
        price[row] = level[of]
    unknown = rng.random(ticks) < 0.1
    width = np.where(rng.random(ticks) < 0.05, 0.5, 0.01)
    bid, ask = np.where(unknown, np.nan, price - width), np.where(unknown, np.nan, price + width)
    traded = np.where(frozen, 0.0, rng.gamma(0.7, 300.0, ticks).round())
    ts = 1_795_530_600_000 + np.cumsum(
        rng.choice([1, 40, 2000, 60_000, 20_000_000], ticks, p=[0.4, 0.3, 0.28, 0.01, 0.01])
    )
    return engine.Ticks(slot, ts.astype(np.int64), price, bid, ask, np.cumsum(traded))


def adversarial(rows: list[tuple[float, ...]]) -> engine.Ticks:
    """Quiet ticks that warm the detectors up, then the rows (price, bid, ask, day volume, pause in ms)."""
    quiet = market_ticks(1, 1, WARM_TICKS)
    price, bid, ask, volume, pause = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    return engine.Ticks(
        slot=np.zeros(WARM_TICKS + len(rows), np.int64),
        ts=np.concatenate((quiet.ts, quiet.ts[-1] + np.cumsum(pause).astype(np.int64))),
        price=np.concatenate((quiet.price, price)),
        bid=np.concatenate((quiet.bid, bid)),
        ask=np.concatenate((quiet.ask, ask)),
        day_volume=np.concatenate((quiet.day_volume, volume)),
    )


def run(
    ticks: engine.Ticks, threshold: float = 2.5, cuts: list[int] | None = None
) -> tuple[Floats, Floats, list[engine.Transition]]:
    """States, scores and transitions of the ticks, applied in calls that end at `cuts`."""
    symbols = int(ticks.slot.max()) + 1
    states = engine.new_states(symbols)
    scores = np.full((KINDS, len(ticks.slot)), np.nan)
    found = []
    edges = [0, *sorted(cuts or []), len(ticks.slot)]
    for start, stop in pairwise(edges):
        part = engine.Ticks._make(column[start:stop] for column in ticks)
        limits = np.full((KINDS, symbols), threshold)
        some = engine.apply(states, part, limits, scores[:, start:stop])
        found += [transition._replace(row=transition.row + start) for transition in some]
    return states, scores, found


def same_bits(a: Floats, b: Floats) -> bool:
    return bool((a.view(np.uint64) == b.view(np.uint64)).all())


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    symbols=st.sampled_from([1, 3, 40, 90]),
    ticks=st.sampled_from([150, 1500, 4000]),
    data=st.data(),
)
def test_any_split_into_calls_gives_the_same_bits(
    seed: int, symbols: int, ticks: int, data: st.DataObject
) -> None:
    market = market_ticks(seed, symbols, ticks)
    cuts = data.draw(st.lists(st.integers(0, len(market.slot)), max_size=8))
    states, scores, found = run(market)
    split_states, split_scores, split_found = run(market, cuts=cuts)
    assert same_bits(states, split_states)
    assert same_bits(scores, split_scores)
    assert found == split_found


@settings(max_examples=150)
@given(rows=st.lists(st.tuples(PRICES, QUOTES, QUOTES, VOLUMES, PAUSES), min_size=1, max_size=25))
def test_any_value_leaves_a_clean_state(rows: list[tuple[float, ...]]) -> None:
    states, scores, _ = run(adversarial(rows), 1.0)
    for values in (states, scores):
        assert np.isfinite(values).all()
        assert not (np.signbit(values) & (values == 0.0)).any(), "a negative zero"
    assert (scores >= 0.0).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_symbol_does_not_depend_on_the_others_in_its_batch(seed: int) -> None:
    ticks = market_ticks(seed, 50, 6000)
    states, scores, _ = run(ticks)
    for slot in (0, 17, 49):
        mine = ticks.slot == slot
        alone = engine.Ticks(np.zeros(int(mine.sum()), np.int64), *(column[mine] for column in ticks[1:]))
        own_states, own_scores, _ = run(alone)
        assert same_bits(np.ascontiguousarray(states[:, slot : slot + 1]), own_states)
        assert same_bits(np.ascontiguousarray(scores[:, mine]), own_scores)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), length=st.integers(1, 1199))
def test_a_score_depends_on_nothing_that_comes_later(seed: int, length: int) -> None:
    ticks = market_ticks(seed, 2, 1200)
    _, scores, found = run(ticks)
    _, early_scores, early = run(engine.Ticks._make(column[:length] for column in ticks))
    assert same_bits(np.ascontiguousarray(scores[:, :length]), early_scores)
    assert early == [transition for transition in found if transition.row < length]


def test_a_tick_is_judged_by_what_came_before_it_only(market: Market) -> None:
    """A jump scores the same however large the moves are that it teaches."""
    spike = engine.KINDS.index("price_spike")
    jump, twice = (market.quiet().moved(400, factor).scores()[spike, 400] for factor in (1.02, 1.04))
    assert twice == pytest.approx(2.0 * jump, rel=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_scores_do_not_depend_on_thresholds_and_a_higher_threshold_flags_a_subset(seed: int) -> None:
    ticks = market_ticks(seed, 3, 3000)
    low_states, low_scores, _ = run(ticks, 1.0)
    high_states, high_scores, _ = run(ticks, 2.5)
    assert same_bits(low_scores, high_scores)
    flagged = [set(zip(*np.nonzero(low_scores >= threshold), strict=True)) for threshold in (1.0, 2.5, 5.0)]
    assert flagged[2] <= flagged[1] <= flagged[0]
    assert flagged[2]
    recursive = slice(0, len(FIELDS))
    assert same_bits(
        np.ascontiguousarray(low_states[recursive]), np.ascontiguousarray(high_states[recursive])
    )


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), low=st.floats(0.5, 3.0), factor=st.floats(1.0, 4.0))
def test_while_an_episode_reaches_a_higher_threshold_one_is_open_at_a_lower(
    seed: int, low: float, factor: float
) -> None:
    ticks = market_ticks(seed, 1, 1500)
    _, scores, found = run(ticks, low)
    _, _, higher = run(ticks, low * factor)
    for transition in higher:
        if transition.change == "opened":
            before = [t for t in found if t.kind == transition.kind and t.row <= transition.row]
            assert before[-1].change != "ended"
    at_least = {(t.row, t.kind) for t in found if t.change == "opened"}
    assert all(scores[engine.KINDS.index(kind), row] >= low for row, kind in at_least)


@pytest.mark.parametrize("seed", range(4))
def test_an_episode_opens_once_escalates_upward_and_ends_before_the_next(seed: int) -> None:
    _, _, found = run(market_ticks(seed, 2, 4000), 1.0)
    by_kind: dict[str, list[engine.Transition]] = {}
    ticks = market_ticks(seed, 2, 4000)
    for transition in found:
        by_kind.setdefault(f"{ticks.slot[transition.row]} {transition.kind}", []).append(transition)
    assert len(by_kind) > 5
    for episode in by_kind.values():
        opened_ts, level = None, -1
        for transition in episode:
            rank = engine.SEVERITIES.index(transition.severity)
            if transition.change == "opened":
                assert opened_ts is None
                opened_ts, level = transition.opened_ts, rank
                assert opened_ts == ticks.ts[transition.row]
            else:
                assert transition.opened_ts == opened_ts
                assert rank > level if transition.change == "escalated" else rank == level
                opened_ts, level = (None, -1) if transition.change == "ended" else (opened_ts, rank)


def test_a_state_takes_at_most_a_kilobyte_a_symbol_and_begins_with_zeros() -> None:
    states = engine.new_states(3)
    assert states.shape == (len(engine.STATE_FIELDS), 3)
    assert states.nbytes <= 3 * 1024
    assert not states.any()
    assert len(set(engine.STATE_FIELDS)) == len(engine.STATE_FIELDS)


def test_no_ticks_change_nothing() -> None:
    states = engine.new_states(2)
    nothing = engine.Ticks(*(np.zeros(0, kind) for kind in (np.int64, np.int64, float, float, float, float)))
    assert engine.apply(states, nothing, np.full((KINDS, 2), 2.5)) == []
    assert not states.any()
