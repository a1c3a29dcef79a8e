"""Instruments whose prices, pauses or quotes are unlike those of a liquid share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from consumers.detectors.engine import engine
from tests.consumers.detectors.conftest import Market

POLL_MS = 5000
SESSION_POLLS = 4680


def seldom(market: Market, every: int, seed: int) -> Market:
    """A share that changes once in `every` polls of five seconds, by a few cents and a hundred shares."""
    rng = np.random.default_rng(seed)
    quiet = market.quiet(SESSION_POLLS, pause_ms=POLL_MS)
    changed = rng.random(SESSION_POLLS) < 1.0 / every
    steps = np.where(changed, rng.choice([-0.02, -0.01, 0.01, 0.02], SESSION_POLLS), 0.0)
    price = np.round(25.0 + np.cumsum(steps), 2)
    return replace(
        quiet, price=price, bid=price - 0.05, ask=price + 0.05, volume=np.where(changed, 100.0, 0.0)
    )


@pytest.mark.parametrize("every", [12, 60, 240])
def test_a_share_that_seldom_changes_is_not_frozen(market: Market, every: int) -> None:
    kinds = [kind for seed in range(3) for kind, _ in seldom(market, every, seed).opened()]
    assert "frozen_feed" not in kinds


def test_prices_below_zero_are_one_anomaly_with_their_value_and_no_freeze(market: Market) -> None:
    quiet = market.quiet(600).without_quotes()
    price = quiet.price.copy()
    price[400:] = -30.0 - 0.5 * np.arange(200)
    found = [t for t in replace(quiet, price=price).transitions() if t.row >= 400]
    assert [(t.kind, t.change, t.value) for t in found] == [("bad_tick", "opened", -30.0)]


def test_tiny_prices_are_judged_like_others(market: Market) -> None:
    quiet = market.quiet(600).without_quotes()
    tiny = replace(quiet, price=quiet.price * 1.5e-12)
    assert tiny.opened() == quiet.opened()
    assert ("price_spike", 400) in tiny.moved(400, 1.006).opened()


def test_quotes_that_stand_still_under_trades_are_frozen(market: Market) -> None:
    quiet = market.quiet()
    price = quiet.price.copy()
    price[400:460] = quiet.price[400:460] + 0.05
    stale = {side: dict.fromkeys(range(400, 460), getattr(quiet, side)[399]) for side in ("bid", "ask")}
    found = [t for t in replace(quiet, price=price).changed(**stale).transitions() if t.row >= 400]
    assert [t.window["run"] for t in found if t.kind == "frozen_feed" and t.change == "opened"] == [
        "stale quotes"
    ]


def test_a_trade_that_repeats_with_its_volume_is_frozen(market: Market) -> None:
    bars = market.quiet(pause_ms=60_000).without_quotes()
    rows = range(400, 412)
    repeated = bars.changed(
        price=dict.fromkeys(rows, bars.price[399]), volume=dict.fromkeys(rows, bars.volume[399])
    )
    [frozen] = [
        t for t in repeated.transitions() if t.kind == "frozen_feed" and t.change == "opened" and t.row >= 400
    ]
    assert frozen.row <= 408
    assert frozen.window["run"] == "repeated trades"


@pytest.mark.parametrize("pause_ms", [1000, 5000, 60_000])
def test_pauses_that_come_in_waves_are_no_gaps(market: Market, pause_ms: int) -> None:
    """Pauses with a heavy tail, as between trades: hundreds of them beyond nine usual ones, none beyond its kind."""
    rng = np.random.default_rng(5)
    quiet = market.quiet(8000)
    pauses = np.maximum(1.0, pause_ms * rng.lognormal(0.0, 1.2, 8000))
    ts = quiet.ts[0] + np.cumsum(np.minimum(pauses, 3.0 * 3_600_000.0)).astype(np.int64)
    gaps = [row for kind, row in replace(quiet, ts=ts).opened() if kind == "gap"]
    assert len(gaps) <= 4, gaps


def test_a_jump_over_three_ticks_counts_as_their_sum(market: Market) -> None:
    spike = engine.KINDS.index("price_spike")
    ramp = np.ones(600)
    ramp[420], ramp[421], ramp[422:] = 1.0005, 1.001, 1.0015
    with_it, last_step = (
        market.quiet().moved(start, factor).scores()[spike, 422]
        for start, factor in ((0, ramp), (422, 1.0005))
    )
    assert with_it > 1.2 * last_step


def test_a_night_after_the_first_tick_is_no_pace(market: Market) -> None:
    """A ticker is added just before the close: the pauses of the next day are judged by those of that day."""
    added = market.quiet(400).paused(1, 16 * 3_600_000)
    assert added.opened() == market.quiet(400).opened()
    assert ("gap", 100) in added.paused(100, 60_000).opened()
