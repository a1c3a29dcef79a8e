"""Each kind of anomaly, put into a quiet market; and what must stay quiet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from consumers.detectors.engine import engine
from consumers.detectors.engine.ticks import Floats
from consumers.detectors.level_shift import split_of
from tests.consumers.detectors.conftest import Market

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
AT = 400


def drift(ticks: int, step: float, length: int) -> Floats:
    """Factors of a market that drifts by `step` a tick from AT on, and stays there."""
    steps = np.zeros(ticks)
    steps[AT : AT + length] = step
    return np.cumprod(1.0 + steps, dtype=np.float64)


def near(market: Market, first: int, last: int, threshold: float = 2.5) -> list[tuple[str, int]]:
    """What opened between two ticks."""
    return [(kind, row) for kind, row in market.opened(threshold) if first <= row <= last]


def found(market: Market, change: str, row: int) -> dict[str, engine.Transition]:
    return {t.kind: t for t in market.transitions() if t.change == change and t.row == row}


def test_a_quiet_market_is_quiet(market: Market) -> None:
    opened = [kind for seed in range(8) for kind, _ in market.quiet(2000, seed=seed).opened()]
    assert len(opened) <= 1, opened


def test_a_jump_is_a_spike_at_once_and_a_shift_two_ticks_later_if_it_stays(market: Market) -> None:
    assert near(market.quiet().moved(AT, 1.005), AT, AT + 10) == [
        ("price_spike", AT),
        ("level_shift", AT + 2),
    ]


def test_a_jump_that_goes_back_is_no_shift_and_one_spike(market: Market) -> None:
    assert near(market.quiet().moved(AT, 1.005, AT + 1), AT, AT + 10) == [("price_spike", AT)]


@pytest.mark.parametrize(("factor", "direction"), [(1.005, "up"), (0.995, "down")])
def test_a_spike_tells_its_direction_size_and_scale(market: Market, factor: float, direction: str) -> None:
    spike = found(market.quiet().moved(AT, factor), "opened", AT)["price_spike"]
    assert spike.direction == direction
    assert spike.value == pytest.approx(factor - 1.0, abs=1e-3)
    # Its tolerance is the scale of a return; the market's tail is that of a normal distribution.
    assert 4.0 < 2.5 * abs(spike.value) / (spike.score * spike.tolerance) < 8.0
    assert (spike.window["ticks"], spike.window["over_ticks"]) == (240, 1)


@pytest.mark.parametrize("price", [0.0, -5.0, 1e-12, 1e13])
def test_what_is_no_price_is_a_bad_tick_and_teaches_nothing(market: Market, price: float) -> None:
    quiet = market.quiet()
    bad = quiet.changed(price={AT: price})
    assert near(bad, AT, AT + 10) == [("bad_tick", AT)]
    spike = engine.KINDS.index("price_spike")
    spikes, quiet_spikes = bad.scores()[spike], quiet.scores()[spike]
    assert np.allclose(spikes[AT + 1 :], quiet_spikes[AT + 1 :], atol=0.5)


def test_crossed_quotes_are_a_bad_tick(market: Market) -> None:
    quiet = market.quiet()
    crossed = quiet.changed(bid={AT: quiet.ask[AT] + 0.2})
    assert near(crossed, AT, AT + 5) == [("bad_tick", AT)]


def test_a_price_far_outside_its_quotes_is_a_bad_tick(market: Market) -> None:
    quiet = market.quiet()
    assert near(quiet.changed(price={AT: quiet.price[AT] * 1.02}), AT, AT + 5) == [("bad_tick", AT)]


def test_without_quotes_a_lone_price_is_a_bad_tick_until_the_next_one_confirms_it(market: Market) -> None:
    quiet = market.quiet().without_quotes()
    assert near(quiet.changed(price={AT: quiet.price[AT] * 1.05}), AT, AT + 5) == [("bad_tick", AT)]
    confirmed = near(quiet.moved(AT, 1.05), AT, AT + 5)
    assert confirmed == [("bad_tick", AT), ("price_spike", AT + 1), ("level_shift", AT + 3)]


def test_volume_forty_times_as_large_is_a_burst(market: Market) -> None:
    quiet = market.quiet()
    volume = {row: quiet.volume[row] * 40.0 for row in range(AT, AT + 4)}
    [(kind, row)] = near(quiet.changed(volume=volume), AT, AT + 10)
    assert kind == "volume_burst"
    assert row <= AT + 2


def test_a_decrease_of_the_days_volume_begins_a_session_and_is_no_burst(market: Market) -> None:
    quiet = market.quiet()
    ticks = quiet.ticks()
    ticks.day_volume[AT:] -= ticks.day_volume[AT - 1]
    limits = np.full((len(engine.KINDS), 1), 2.5)
    changes = engine.apply(engine.new_states(1), ticks, limits)
    assert not [t for t in changes if t.kind == "volume_burst"]


def test_a_wide_spread_that_lasts_is_a_blowout_and_one_that_blinks_is_not(market: Market) -> None:
    quiet = market.quiet()
    rows = range(AT, AT + 10)
    wide = quiet.changed(
        bid={row: quiet.price[row] - 0.1 for row in rows}, ask={row: quiet.price[row] + 0.1 for row in rows}
    )
    assert near(wide, AT, AT + 10) == [("spread_blowout", AT + 2)]
    assert near(quiet.changed(bid={AT: quiet.bid[AT] - 0.5}), AT, AT + 5) == []


def test_a_spread_that_widens_at_the_same_time_each_day_is_told_of_on_the_first_day_only(
    market: Market,
) -> None:
    days = market.quiet(4 * 1440, pause_ms=MINUTE_MS)
    wide = [AT + 1440, AT + 2 * 1440 + 5, AT + 3 * 1440, AT + 3 * 1440 + 300]
    rows = [row for start in wide for row in range(start, start + 10)]
    rolled = days.changed(
        bid={row: days.price[row] - 0.2 for row in rows}, ask={row: days.price[row] + 0.2 for row in rows}
    )
    told = [row for kind, row in rolled.opened() if kind == "spread_blowout"]
    assert told == [wide[0] + 2, wide[3] + 2]


def test_a_feed_that_repeats_itself_is_frozen_and_gets_worse(market: Market) -> None:
    changes = [
        (t.change, t.severity)
        for t in market.quiet().frozen(AT, AT + 40).transitions()
        if t.kind == "frozen_feed"
    ]
    assert changes == [
        ("opened", "low"), ("escalated", "medium"), ("escalated", "high"), ("escalated", "critical"),
        ("ended", "critical"),
    ]  # fmt: skip


def test_a_feed_that_froze_often_is_noticed_nearly_as_soon_again(market: Market) -> None:
    often = market.quiet(1200)
    for start in (300, 500, 700, 900):
        often = often.frozen(start, start + 30)
    delays = [row - start for start, (_, row) in zip((300, 500, 700, 900), often.opened(), strict=False)]
    # What was a run of 30 ticks teaches no more than the limit did, each time.
    assert all(delay <= 15 for delay in delays), delays


def test_a_pause_within_a_session_is_a_gap(market: Market) -> None:
    gap = found(market.quiet().paused(AT, MINUTE_MS), "opened", AT)["gap"]
    assert gap.value == pytest.approx(61.0)
    assert gap.expected == pytest.approx(1.0)


@pytest.mark.parametrize(("hours", "factor"), [(17.5, 1.0), (17.5, 1.02), (65.5, 0.95), (89.5, 1.1)])
def test_a_night_or_a_weekend_is_neither_gap_nor_spike(market: Market, hours: float, factor: float) -> None:
    assert near(market.quiet().paused(AT, int(hours * HOUR_MS)).moved(AT, factor), AT, AT + 20) == []


@pytest.mark.parametrize(
    ("factor", "note"),
    [(1.01 / 7.0, "7:1 split"), (0.5, "2:1 split"), (10.1, "1:10 reverse split"), (0.6, "")],
)
def test_another_level_after_the_night_is_a_shift_which_may_be_a_split(
    market: Market, factor: float, note: str
) -> None:
    opened = market.quiet().paused(AT, int(17.5 * HOUR_MS)).moved(AT, factor)
    assert near(opened, AT, AT + 20) == [("level_shift", AT)]
    assert found(opened, "opened", AT)["level_shift"].note == note


@pytest.mark.parametrize(
    ("factor", "name"),
    [
        (1 / 2, "2:1 split"),
        (1 / 7, "7:1 split"),
        (2 / 3, "3:2 split"),
        (10.0, "1:10 reverse split"),
        (0.8, ""),
    ],
)
def test_splits_are_known_by_their_ratio(factor: float, name: str) -> None:
    assert split_of(factor * 1.02) == name


def test_after_a_halt_the_price_may_have_moved_but_not_out_of_all_proportion(market: Market) -> None:
    halted = market.quiet().paused(AT, 12 * MINUTE_MS)
    assert near(halted.moved(AT, 1.003), AT, AT + 10) == [("gap", AT)]
    assert found(halted.moved(AT, 0.95), "opened", AT)["price_spike"].note == "after a halt of 12 min"


def test_a_halt_in_which_the_feed_repeats_itself_gives_the_price_the_same_room(market: Market) -> None:
    halted = market.quiet(1400).frozen(AT, AT + 720)
    assert near(halted.moved(AT + 720, 1.003), AT + 720, AT + 740) == []
    note = found(halted.moved(AT + 720, 0.9), "opened", AT + 720)["price_spike"].note
    assert note == "after a halt of 12 min"


def test_moves_five_times_as_large_are_a_shift_of_volatility(market: Market) -> None:
    noise = np.random.default_rng(3).standard_normal(60)
    moves = np.zeros(600)
    moves[AT : AT + 60] = 1e-3 * noise
    kinds = {
        kind
        for kind, _ in near(
            market.quiet().moved(0, np.asarray(np.cumprod(1.0 + moves), np.float64)), AT, AT + 60
        )
    }
    assert kinds & {"vol_shift", "price_spike"}


@pytest.mark.parametrize(("step", "direction"), [(2e-4, "up"), (-2e-4, "down")])
def test_many_small_steps_the_same_way_are_a_drift(market: Market, step: float, direction: str) -> None:
    drifting = market.quiet().moved(0, drift(600, step, 80))
    [drifted] = [
        t for t in drifting.transitions() if t.kind == "slow_drift" and t.change == "opened" and t.row >= AT
    ]
    assert AT < drifted.row <= AT + 60
    assert drifted.direction == direction


def test_no_verdict_on_moves_before_the_warm_up(market: Market) -> None:
    early = market.quiet().moved(30, 1.5, 31).moved(45, 0.5)
    assert not [row for _, row in early.opened(0.1) if row < 60]


def test_what_is_no_price_needs_no_warm_up(market: Market) -> None:
    assert near(market.quiet().changed(price={3: 0.0}), 0, 10) == [("bad_tick", 3)]


def test_a_kind_is_armed_again_after_fifteen_calm_ticks_and_not_before(market: Market) -> None:
    quiet = market.quiet()
    soon = quiet.changed(price={AT: 0.0, AT + 14: 0.0})
    later = quiet.changed(price={AT: 0.0, AT + 17: 0.0})
    assert [row for kind, row in soon.opened() if kind == "bad_tick"] == [AT]
    assert [row for kind, row in later.opened() if kind == "bad_tick"] == [AT, AT + 17]
    assert [t.row for t in soon.transitions() if (t.kind, t.change) == ("bad_tick", "ended")] == [
        AT + 14 + 15
    ]


def test_a_ticker_that_was_away_for_a_week_comes_back_quietly(market: Market) -> None:
    back = market.quiet().paused(AT, 7 * 24 * HOUR_MS).moved(AT, 1.08)
    assert near(back, AT, AT + 30) == []


def test_unknown_quotes_and_volumes_raise_nothing(market: Market) -> None:
    bare = replace(market.quiet().without_quotes(), volume=np.full(600, np.nan))
    scores = bare.scores()
    assert not scores[engine.KINDS.index("volume_burst")].any()
    assert not scores[engine.KINDS.index("spread_blowout")].any()
    assert not near(bare, 0, 500)
