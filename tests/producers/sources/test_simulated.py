"""The simulated market: the same for every process, lifelike, and wrong only where it was made so."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import log
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.contracts.kinds import KINDS, distortions
from producers.polling import poll, unquoted
from producers.quote_batch import decode, encode
from producers.simulation.distortion import VARIABLE, Distortion, DistortionError, from_text, to_text
from producers.simulation.injection import DEFAULT_WATCH_LIST, InjectedEvent, Schedule
from producers.source import Source
from producers.sources import create
from producers.sources.simulated import DAY_MS, DEFAULT_SEED, SimulatedSource

MONDAY_MS = 1_763_942_400_000  # 2025-11-24T00:00:00Z
STEP_MS = 5_000


class Full(NamedTuple):
    """A quote of which all is known."""

    price: float
    bid: float
    ask: float
    day_volume: float


class Market(SimulatedSource):
    """The simulated market; it always has bid, ask and volume."""

    def full(self, symbol: str, at_ms: int) -> Full | None:
        quote = self.quote(symbol, at_ms)
        if quote is None:
            return None
        assert quote.bid is not None
        assert quote.ask is not None
        assert quote.day_volume is not None
        return Full(quote.price, quote.bid, quote.ask, quote.day_volume)

    def shown(self, symbol: str, at_ms: int) -> Full:
        """The quote at a time at which there must be one."""
        quote = self.full(symbol, at_ms)
        assert quote is not None
        return quote


market = Market(distortions=distortions())


def calm_quotes(symbol: str, start_ms: int, count: int, step_ms: int = STEP_MS) -> Iterator[Full]:
    """Quotes of a ticker with the injected stretches left out."""
    for at_ms in range(start_ms, start_ms + count * step_ms, step_ms):
        event = market.injected_events([symbol], at_ms - 720_000, at_ms + 1)
        if not event:
            yield market.shown(symbol, at_ms)


def returns(symbol: str, start_ms: int, count: int, step_ms: int = STEP_MS) -> list[float]:
    prices = [quote.price for quote in calm_quotes(symbol, start_ms, count, step_ms)]
    return [log(b / a) for a, b in pairwise(prices)]


def test_it_is_a_source_found_by_name() -> None:
    source = create("simulated", {VARIABLE: to_text(distortions())})
    assert isinstance(source, Source)
    at_ms = first_event("level_shift", ("AAPL",)).start_ms
    batch = poll("simulated", source, ["AAPL", "IBM", "aapl", ""], at_ms)
    assert decode(encode(batch)) == (replace(batch, reasons={}), [])
    assert batch.source == "simulated"
    assert batch.symbol == ["AAPL", "IBM"]
    assert batch.ts == [at_ms] * 2
    assert batch.missing == ["aapl", ""]


def test_order_and_company_of_requests_change_nothing() -> None:
    times = [MONDAY_MS + step * 37_123 for step in range(60)]
    symbols = ["AAPL", "TSLA", "UNHEARD-OF"]
    in_order = {at: market.quotes(symbols, at) for at in times}
    random.Random(3).shuffle(times)
    for at in times:
        assert Market(distortions=distortions()).quotes(symbols, at) == in_order[at]
        assert Market(distortions=distortions()).full("TSLA", at) == market.full("TSLA", at)


def test_another_process_sees_the_same_market() -> None:
    code = (
        "from producers.sources.simulated import SimulatedSource as S;"
        "from consumers.contracts.kinds import distortions;"
        f"print(repr(S(distortions=distortions()).quotes(['AAPL', 'XYZ'], {MONDAY_MS + 12345})))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == repr(market.quotes(["AAPL", "XYZ"], MONDAY_MS + 12345))


def test_another_seed_is_another_market() -> None:
    assert Market(1, distortions()).full("IBM", MONDAY_MS + 7) != market.full("IBM", MONDAY_MS + 7)


@pytest.mark.parametrize("symbol", ["AAPL", "KO", "F", "UNHEARD-OF"])
@pytest.mark.parametrize("year", [1990, 2013, 2026, 2050])
def test_prices_stay_plausible_for_ever(symbol: str, year: int) -> None:
    for day in range(0, 365, 13):
        at_ms = ((year - 1970) * 365 + day) * DAY_MS + 3_600_000
        quote = next(calm_quotes(symbol, at_ms, 400))
        assert 3 < quote.price < 5_000
        assert quote.bid <= quote.price <= quote.ask
        assert round(quote.price * 100) == pytest.approx(quote.price * 100)


@given(st.sampled_from(["AAPL", "KO", "F", "ZZZ"]), st.integers(0, 4 * 10**12))
def test_a_quote_is_sound_at_any_time(symbol: str, at_ms: int) -> None:
    quote = market.full(symbol, at_ms)
    if quote is not None:
        assert 0 < quote.bid < quote.ask
        assert quote.price >= 0
        assert quote.day_volume >= 0


def test_volume_never_falls_within_a_day_and_starts_again_at_midnight() -> None:
    for symbol in ("KO", "UNHEARD-OF"):
        quotes = [market.full(symbol, MONDAY_MS + s * 60_000) for s in range(1440)]
        volumes = [quote.day_volume for quote in quotes if quote is not None]
        assert volumes[0] < volumes[-1] / 50
        assert all(a <= b for a, b in pairwise(volumes))
    before, after = market.full("KO", MONDAY_MS - 1_000), market.full("KO", MONDAY_MS + 1_000)
    assert before is not None
    assert after is not None
    assert after.day_volume < before.day_volume / 1_000
    assert abs(log(after.price / before.price)) < 0.003  # the market does not close at midnight


def test_the_day_is_busier_at_both_ends() -> None:
    def traded(hour: int) -> float:
        a = market.full("UNHEARD-OF", MONDAY_MS + hour * 3_600_000)
        b = market.full("UNHEARD-OF", MONDAY_MS + (hour + 1) * 3_600_000 - 1)
        assert a is not None
        assert b is not None
        return b.day_volume - a.day_volume

    volumes = [traded(hour) for hour in range(24)]
    assert statistics.mean(volumes[:4]) > 1.5 * statistics.mean(volumes[10:14])
    assert statistics.mean(volumes[-4:]) > 1.5 * statistics.mean(volumes[10:14])


def test_returns_look_like_a_markets() -> None:
    days = [log(b.price / a.price) for a, b in pairwise(calm_quotes("IBM", MONDAY_MS, 250, DAY_MS))]
    assert 0.007 < statistics.pstdev(days) < 0.025
    minutes = returns("XYZ", MONDAY_MS, 1_000, 60_000)
    assert abs(statistics.mean(minutes)) < 4 * statistics.pstdev(minutes) / len(minutes) ** 0.5
    assert max(map(abs, minutes)) < 8 * statistics.pstdev(minutes)


def test_tickers_move_together_and_most_with_their_sector() -> None:
    def moves(symbol: str) -> list[float]:
        quotes = [next(calm_quotes(symbol, MONDAY_MS + hour * 3_600_000, 400)) for hour in range(400)]
        return [log(b.price / a.price) for a, b in pairwise(quotes)]

    apple, microsoft, coke = moves("AAPL"), moves("MSFT"), moves("KO")
    assert statistics.correlation(apple, coke) > 0.15
    assert statistics.correlation(apple, microsoft) > statistics.correlation(apple, coke)


def test_volatility_clusters() -> None:
    squares = [r * r for r in returns("XYZ", MONDAY_MS, 4_000, 60_000)]
    neighbours = list(pairwise([sum(squares[i : i + 15]) for i in range(0, len(squares), 15)]))
    assert statistics.correlation([a for a, _ in neighbours], [b for _, b in neighbours]) > 0.1


def test_a_newcomer_sees_an_anomaly_soon() -> None:
    events = market.injected_events(DEFAULT_WATCH_LIST, MONDAY_MS, MONDAY_MS + DAY_MS)
    assert max(b.start_ms - a.start_ms for a, b in pairwise(events)) <= 90_000
    assert {event.kind for event in events} == set(KINDS)
    assert {event.symbol for event in events} == set(DEFAULT_WATCH_LIST)


def test_events_of_a_ticker_leave_each_other_room() -> None:
    for symbol in (*DEFAULT_WATCH_LIST, "XYZ", "ABC"):
        events = market.injected_events([symbol], MONDAY_MS, MONDAY_MS + 3 * DAY_MS)
        assert min(b.start_ms - a.start_ms for a, b in pairwise(events)) >= 720_000
        assert {event.kind for event in events} == set(KINDS)


@given(st.integers(0, 2 * 10**12), st.integers(0, 10**7), st.sampled_from(["AAPL", "KO", "XYZ"]))
def test_the_list_of_events_does_not_depend_on_how_it_is_asked_for(
    start: int, length: int, symbol: str
) -> None:
    middle = start + length // 3
    schedule = Schedule(distortions(), DEFAULT_SEED)
    whole = schedule.events([symbol], start, start + length)
    halves = schedule.events([symbol], start, middle) + schedule.events([symbol], middle, start + length)
    assert whole == halves


def first_event(kind: str, symbols: tuple[str, ...] = DEFAULT_WATCH_LIST) -> InjectedEvent:
    events = market.injected_events(symbols, MONDAY_MS + DAY_MS // 3, MONDAY_MS + DAY_MS)
    return next(event for event in events if event.kind == kind)


def around(event: InjectedEvent) -> tuple[Full, Full, Full]:
    """The quotes 5 s before, 2.5 s into and just before the end of an event."""
    at = event.start_ms - 5_000, event.start_ms + 2_500, event.end_ms - 1
    before, early, late = (market.shown(event.symbol, ms) for ms in at)
    return before, early, late


@pytest.mark.parametrize(
    ("kind", "least"), [("price_spike", 0.002), ("level_shift", 0.002), ("slow_drift", 0.002)]
)
def test_jumps_and_drifts_are_clearly_visible(kind: str, least: float) -> None:
    before, early, late = around(first_event(kind))
    assert abs(late.price / before.price - 1) > least
    assert (abs(early.price / before.price - 1) > least) == (kind != "slow_drift")


def test_a_spike_is_over_at_once_and_a_level_shift_is_not() -> None:
    for kind, stays in (("price_spike", False), ("level_shift", True)):
        event = first_event(kind)
        before, _, _ = around(event)
        after = market.full(event.symbol, event.start_ms + 15_000)
        assert after is not None
        assert (abs(after.price / before.price - 1) > 0.002) == stays


def test_a_bad_tick_is_far_off_the_book() -> None:
    before, early, _ = around(first_event("bad_tick"))
    assert not 0.7 * early.bid < early.price < 1.4 * early.ask
    assert early.bid == pytest.approx(before.bid, rel=0.003)


def test_a_blown_out_spread_is_many_times_as_wide() -> None:
    before, early, late = around(first_event("spread_blowout"))
    assert min(early.ask - early.bid, late.ask - late.bid) > 4 * (before.ask - before.bid)


def test_a_volume_burst_trades_in_seconds_what_takes_minutes() -> None:
    event = first_event("volume_burst")
    usual = [market.full(event.symbol, event.start_ms - s * 1000) for s in (35, 5)]
    burst = [market.full(event.symbol, ms) for ms in (event.start_ms, event.end_ms)]
    volumes = [quote.day_volume for quote in (*usual, *burst) if quote is not None]
    assert volumes[3] - volumes[2] > 10 * (volumes[1] - volumes[0])


def test_a_frozen_feed_repeats_itself_to_the_letter_while_a_live_one_moves() -> None:
    event = first_event("frozen_feed")
    _, early, late = around(event)
    assert early == late
    assert market.full(event.symbol, event.end_ms + 1) != late


def test_a_gap_is_named_as_missing() -> None:
    event = first_event("gap")
    batch = poll("simulated", market, [event.symbol, "XYZ"], event.start_ms + 1)
    assert batch.missing == [event.symbol]
    assert batch.reasons == {event.symbol: "is halted"}
    assert batch.symbol == ["XYZ"]
    # It may be watched all the same: `watch add` rejected it for these two minutes and a half.
    asked = [event.symbol, "no ticker"]
    assert unquoted("simulated", market, asked, event.start_ms + 1) == {"no ticker": "is no ticker"}
    assert poll("simulated", market, [event.symbol], event.end_ms).missing == []


def test_a_volatility_shift_moves_many_times_as_much() -> None:
    event = first_event("vol_shift")

    def movement(start_ms: int) -> float:
        span = range(start_ms, start_ms + event.end_ms - event.start_ms, STEP_MS)
        prices = [quote.price for at in span if (quote := market.full(event.symbol, at)) is not None]
        return statistics.pstdev([log(b / a) for a, b in pairwise(prices)])

    assert movement(event.start_ms) > 3 * movement(event.start_ms - 300_000)


@given(st.integers(1, 15))
def test_every_distortion_has_its_turn_however_many_there_are(count: int) -> None:
    many = [Distortion(kind=f"kind_{n}", seconds=1.0) for n in range(count)]
    schedule = Schedule(many, DEFAULT_SEED)
    day = schedule.events(DEFAULT_WATCH_LIST, MONDAY_MS, MONDAY_MS + DAY_MS)
    assert {event.kind for event in day} == {each.kind for each in many}
    assert {event.kind for event in schedule.events(["XYZ"], MONDAY_MS, MONDAY_MS + 3 * DAY_MS)} == {
        each.kind for each in many
    }


def test_without_distortions_nothing_is_injected() -> None:
    assert SimulatedSource().injected_events(DEFAULT_WATCH_LIST, MONDAY_MS, MONDAY_MS + DAY_MS) == []
    assert SimulatedSource().quote("AAPL", MONDAY_MS) is not None


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"seconds": 0.0}, "seconds is 0.0; must be above 0"),
        ({"seconds": 241.0}, "seconds"),
        ({"move": "sideways"}, "jump, shift, drift, shake"),
        ({"spread_factor": 0.5}, "spread_factor"),
    ],
)
def test_a_distortion_that_cannot_be_shown_is_rejected_by_name(fields: dict[str, object], named: str) -> None:
    with pytest.raises(DistortionError, match=named):
        cast("Any", Distortion)(**{"kind": "k", "seconds": 5.0, **fields})
    with pytest.raises(DistortionError, match="DISTORTIONS"):
        from_text(json.dumps([{"kind": "k", "seconds": 5.0, **fields}]))
