"""A feed that stalls is reported once, and once when it is back, whatever it does in between."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.quote_batch import QuoteBatch
from producers.scan.staleness import (
    FEED_THRESHOLD_MS,
    LAST_QUOTES_MS,
    TICKER_THRESHOLD_MS,
    FeedEvent,
    FeedMemory,
    FeedWatch,
)

START = 1_763_996_400_000
STEP = 5_000
TICKERS = ["AAPL", "MSFT", "NVDA"]
Answer = dict[str, int | None] | None  # the time of each ticker's quote (None: not known); None: it failed


def batch_of(answer: dict[str, int | None], watched: list[str], price: float = 100.0) -> QuoteBatch:
    symbols = [symbol for symbol in watched if symbol in answer]
    nothing: list[float | None] = [None] * len(symbols)
    missing = [symbol for symbol in watched if symbol not in answer]
    times = [answer[symbol] for symbol in symbols]
    return QuoteBatch(
        "acme", symbols, [START] * len(symbols), [price] * len(symbols), nothing, nothing, nothing, times, missing
    )  # fmt: skip


def watch(
    answers: Iterable[Answer],
    feed: FeedWatch | None = None,
    *,
    start: int = START,
    watched: list[str] = TICKERS,
) -> list[FeedEvent]:
    """Polls every 5 s."""
    feed = feed or FeedWatch("acme", FeedMemory())
    events = []
    for poll, answer in enumerate(answers):
        batch = None if answer is None else batch_of(answer, watched)
        events += feed.observe(watched, batch, start + poll * STEP).events
    return events


def live(polls: range) -> list[Answer]:
    return [dict.fromkeys(TICKERS, START + poll * STEP) for poll in polls]


def events_of(events: list[FeedEvent]) -> list[tuple[str, str, list[str]]]:
    return [(event.detail_type, event.scope, event.tickers) for event in events]


OUTAGES: dict[str, Callable[[int], Answer]] = {
    "dies": lambda _poll: None,
    "answers nothing": lambda _poll: {},
    "stalls": lambda _poll: dict.fromkeys(TICKERS, START + 99 * STEP),
    "repeats": lambda poll: dict.fromkeys(TICKERS, START + (40 + poll % 60) * STEP),
    "flaps": lambda poll: (
        dict.fromkeys(TICKERS, START + poll * STEP) if poll > 140 and poll % 22 < 4 else None
    ),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_of_an_hour_is_one_stale_and_one_recovered(outage: str) -> None:
    answers = [
        *live(range(100)),
        *(OUTAGES[outage](poll) for poll in range(100, 820)),
        *live(range(820, 920)),
    ]
    events = watch(answers)
    assert events_of(events) == [("FeedStale", "feed", []), ("FeedRecovered", "feed", [])]
    stale, recovered = events
    assert stale.since_ms == recovered.since_ms == START + 99 * STEP
    assert stale.at_ms - stale.since_ms == FEED_THRESHOLD_MS
    assert START + 820 * STEP <= recovered.at_ms <= START + 830 * STEP
    assert "any of 3 tickers" in stale.reason


def test_a_feed_that_lives_is_not_spoken_of() -> None:
    assert watch(live(range(500))) == []
    quiet: list[Answer] = [
        {**answer, "NVDA": START} if answer and poll % 100 else answer
        for poll, answer in enumerate(live(range(500)))
    ]
    assert watch(quiet) == [], "a ticker may be quiet for some minutes"
    assert watch([*live(range(50)), *[None] * 20, *live(range(70, 100))]) == [], (
        "so may the feed for one and a half"
    )


def test_a_ticker_that_stalls_while_others_live_is_named_once() -> None:
    stuck: list[Answer] = [{**answer, "NVDA": START} for answer in live(range(300)) if answer is not None]
    events = watch([*stuck, *live(range(300, 310))])
    assert events_of(events) == [("FeedStale", "tickers", ["NVDA"]), ("FeedRecovered", "tickers", ["NVDA"])]
    assert events[0].at_ms - events[0].since_ms == TICKER_THRESHOLD_MS


def test_a_ticker_that_is_traded_rarely_has_a_longer_threshold_each_time() -> None:
    rarely: list[Answer] = [
        {ticker: START + (poll if ticker != "NVDA" else poll // 150 * 150) * STEP for ticker in TICKERS}
        for poll in range(1500)
    ]
    assert events_of(watch(rarely)) == [
        ("FeedStale", "tickers", ["NVDA"]),
        ("FeedRecovered", "tickers", ["NVDA"]),
    ]


def test_a_ticker_that_is_never_answered_is_named_and_given_up_when_it_leaves_the_list() -> None:
    feed = FeedWatch("acme", FeedMemory())
    events = watch(live(range(200)), feed, watched=[*TICKERS, "APPL"])
    assert events_of(events) == [("FeedStale", "tickers", ["APPL"])]
    events = watch(live(range(200, 210)), feed, start=START + 200 * STEP)
    assert events_of(events) == [("FeedRecovered", "tickers", ["APPL"])]
    assert "no longer on the watch list" in events[0].reason


def test_a_night_is_no_outage_and_an_outage_outlasts_it() -> None:
    feed = FeedWatch("acme", FeedMemory())
    assert watch(live(range(100)), feed) == []
    night = START + 17 * 3_600_000
    assert watch([None] * 20, feed, start=night) == []
    assert events_of(watch([None] * 20, feed, start=night + 20 * STEP)) == [("FeedStale", "feed", [])]
    next_day = night + 24 * 3_600_000
    polls = range((next_day - START) // STEP, (next_day - START) // STEP + 20)
    assert events_of(watch(live(polls), feed, start=next_day)) == [("FeedRecovered", "feed", [])]


def test_without_times_a_quote_is_new_when_its_values_are() -> None:
    feed = FeedWatch("acme", FeedMemory())
    events = []
    for poll in range(200):
        price = 100.0 + (poll if poll < 100 else 99)
        batch = batch_of(dict.fromkeys(TICKERS), TICKERS, price)
        events += feed.observe(TICKERS, batch, START + poll * STEP).events
    assert events_of(events) == [("FeedStale", "feed", [])]


def test_old_quotes_and_those_of_a_silent_feed_are_no_observations() -> None:
    feed = FeedWatch("acme", FeedMemory())
    watch(live(range(100)), feed)
    at = START + 100 * STEP
    old = batch_of({"AAPL": at, "MSFT": START + 50 * STEP, "NVDA": START + 99 * STEP}, TICKERS)
    assert feed.observe(TICKERS, old, at).rows == [0, 2], "MSFT is an old quote, NVDA the last one"
    last: dict[str, int | None] = {"AAPL": at, "MSFT": START + 99 * STEP, "NVDA": START + 99 * STEP}
    kept = [feed.observe(TICKERS, batch_of(last, TICKERS), at + poll * STEP).rows for poll in range(1, 12)]
    assert kept == [[0, 1, 2]] * (LAST_QUOTES_MS // STEP) + [[]] * (11 - LAST_QUOTES_MS // STEP)
    new: dict[str, int | None] = {**last, "NVDA": at + 60 * STEP}
    assert feed.observe(TICKERS, batch_of(new, TICKERS), at + 60 * STEP).rows == [0, 1, 2]


spells = st.lists(st.tuples(st.sampled_from(["live", *OUTAGES]), st.integers(1, 60)), min_size=1, max_size=12)


def course(spells: list[tuple[str, int]]) -> list[Answer]:
    answers: list[Answer] = []
    for kind, polls in spells:
        span = range(len(answers), len(answers) + polls)
        answers += live(span) if kind == "live" else [OUTAGES[kind](poll) for poll in span]
    return answers


@given(spells=spells)
@settings(max_examples=200)
def test_stale_and_recovered_alternate_whatever_happens(spells: list[tuple[str, int]]) -> None:
    events = watch([*course(spells), *live(range(5000, 5020))])
    feed = [event.detail_type for event in events if event.scope == "feed"]
    assert feed == ["FeedStale", "FeedRecovered"] * (len(feed) // 2)
    assert len({event.event_id for event in events}) == len(events)


@given(spells=spells, cuts=st.sets(st.integers(1, 400), max_size=6))
@settings(max_examples=100)
def test_events_do_not_depend_on_where_scans_begin(spells: list[tuple[str, int]], cuts: set[int]) -> None:
    answers = course(spells)
    whole = watch(answers)
    parts: list[FeedEvent] = []
    memory = FeedMemory()
    bounds = [0, *sorted(cut for cut in cuts if cut < len(answers)), len(answers)]
    for start, end in pairwise(bounds):
        feed = FeedWatch("acme", memory)
        parts += watch(answers[start:end], feed, start=START + start * STEP)
        memory = msgspec.msgpack.decode(msgspec.msgpack.encode(feed.memory), type=FeedMemory)
    assert parts == whole


def test_the_memory_of_the_longest_watch_list_fits_an_item() -> None:
    watched = [f"T{i:05d}.X" for i in range(50_000)]
    feed = FeedWatch("acme", FeedMemory())
    for poll in range(3):
        times: dict[str, int | None] = {
            ticker: START + poll * STEP + (i * 104_729) % 3_600_000 for i, ticker in enumerate(watched)
        }
        feed.observe(watched, batch_of(times, watched), START + poll * STEP)
    stored = zlib.compress(msgspec.msgpack.encode(feed.memory), 6)
    assert len(stored) < 390 * 1024
