"""What is known of a feed outlasts a scan, and its events get out."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from producers.feed_problem import KEY
from producers.scan.feed_keeper import FeedKeeper, _Kept
from producers.scan.staleness import FeedMemory, FeedWatch, TickerMemory
from producers.source import Quotes
from producers.vendor_state import BREAKER_FAILURES, VendorState
from producers.watch_list import MAX_SYMBOLS
from tests.producers.fakes import Aws

START = 1_763_996_400_000
MakeKeeper = Callable[..., FeedKeeper]


class Vendor:
    """A source whose vendor's state is kept."""

    def __init__(self, name: str = "acme") -> None:
        self.name = name
        self.vendor_state = VendorState(calls_per_minute=200)

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:
        raise AssertionError(f"nothing here polls, but {symbols} were asked for at {now_ms}")


@pytest.fixture
def keeper(aws: Aws) -> MakeKeeper:
    def make(source: Vendor | None = None) -> FeedKeeper:
        made = FeedKeeper(aws.dynamodb, aws.table, aws.bus.client, "stock-market")
        vendor = source or Vendor()
        made.begin(vendor.name, vendor, START)
        return made

    return make


def fail(keeper: FeedKeeper, first: int, last: int) -> None:
    for poll in range(first, last):
        keeper.observe(["AAPL"], None, START + poll * 5_000, why="acme fails (status 503)")


def test_the_event_is_as_the_others_on_the_bus(keeper: MakeKeeper, aws: Aws) -> None:
    fail(keeper(), 0, 30)
    (entry,) = aws.bus.sent
    assert (entry["Source"], entry["DetailType"], entry["EventBusName"]) == (
        "stock-monitor",
        "FeedStale",
        "stock-market",
    )
    assert entry["Detail"] == {
        "metadata": {
            "version": 1,
            "event_id": f"acme-feed-{START}-stale",
            "emitted_by": "stock-scanner",
            "correlation_id": f"acme-feed-{START}",
        },
        "data": {
            "source": "acme",
            "scope": "feed",
            "tickers": [],
            "ticker_count": 0,
            "since": "2025-11-24T15:00:00.000Z",
            "at": "2025-11-24T15:02:00.000Z",
            "duration_seconds": 120.0,
            "reason": "no new quote of any of 1 tickers: acme fails (status 503)",
        },
    }


def test_a_scan_that_is_killed_after_an_event_does_not_say_it_again(keeper: MakeKeeper, aws: Aws) -> None:
    first = keeper()
    fail(first, 0, 20)
    first.save(START)
    fail(keeper(), 20, 25)  # and is killed: nothing is saved at its end
    fail(keeper(), 25, 60)
    assert aws.bus.sent_events == [("FeedStale", [])]


def test_what_the_bus_does_not_take_is_sent_later(keeper: MakeKeeper, aws: Aws) -> None:
    aws.bus.reject = "busy"
    first = keeper()
    fail(first, 0, 30)
    assert first.problem == "events of the feed wait, bus stock-market does not take them: busy"
    first.save(START + 150_000)
    aws.bus.reject = ""
    second = keeper()
    fail(second, 31, 32)
    assert second.problem is None
    assert aws.bus.sent_events == [("FeedStale", [])]


def test_the_standing_with_the_vendor_outlasts_a_scan(keeper: MakeKeeper, aws: Aws) -> None:
    vendor = Vendor()
    first = keeper(vendor)
    vendor.vendor_state.failures = BREAKER_FAILURES
    vendor.vendor_state.open_until_ms = START + 30_000
    vendor.vendor_state.last_error = "acme fails (status 503)"
    first.save(START)
    item = aws.dynamodb.get_item(TableName=aws.table, Key=KEY)["Item"]
    assert (item["breaker"]["S"], item["last_error"]["S"]) == ("open", "acme fails (status 503)")
    later = Vendor()
    again = keeper(later)
    assert later.vendor_state == vendor.vendor_state
    assert again.report(START + 1)["breaker"] == "open"
    assert again.report(START + 30_000)["breaker"] == "half-open"
    other = Vendor("other")
    keeper(other)
    assert other.vendor_state.failures == 0, "another vendor has a state of its own"


def test_a_poll_that_fails_is_on_record_at_once_and_so_is_the_next_that_does_not(
    keeper: MakeKeeper, aws: Aws
) -> None:
    def failing() -> str:
        item = aws.dynamodb.get_item(TableName=aws.table, Key=KEY).get("Item", {})
        return item.get("failing", {}).get("S", "")

    first = keeper()
    first.record_poll("alpaca rejects the stream (402: auth failed)", START)
    assert failing() == "alpaca rejects the stream (402: auth failed)"
    first.record_poll("", START + 1000)
    assert failing() == ""
    for second in range(2, 9):  # one that flaps is not written each time
        first.record_poll("down" if second % 2 else "", START + 1000 * second)
    assert failing() == ""
    first.record_poll("down", START + 9000)
    first.save(START + 10_000)  # as a scan does at its end
    assert failing() == "down"
    second_scan = keeper()
    second_scan.record_poll("", START + 60_000)
    assert failing() == ""


def test_what_another_version_stored_is_no_obstacle(keeper: MakeKeeper, aws: Aws) -> None:
    first = keeper()
    first.save(START)
    item = aws.dynamodb.get_item(TableName=aws.table, Key=KEY)["Item"]
    for garbage in (b"\x00", b"x\x9cK\x04\x00\x00b\x00b"):
        aws.dynamodb.put_item(TableName=aws.table, Item={**item, "state": {"B": garbage}})
        keeper().save(START)


def test_the_documented_event_is_the_one_that_is_sent(aws: Aws) -> None:
    document = (Path(__file__).parents[3] / "docs" / "sources.md").read_text()
    (documented,) = re.findall(r"```json\n(.*?)```", document, re.DOTALL)
    keeper = FeedKeeper(aws.dynamodb, aws.table, aws.bus.client, "stock-market")
    keeper.begin("alpaca", Vendor("alpaca"), START)
    watched = [f"T{i}" for i in range(10)]
    for poll in range(25):
        keeper.observe(watched, None, START + poll * 5_000, why="alpaca fails (status 503: sorry)")
    assert [entry["Detail"] for entry in aws.bus.sent] == [json.loads(documented)]


def test_the_memory_of_the_longest_watch_list_is_kept_whole(aws: Aws) -> None:
    """50,000 tickers are more than an item of DynamoDB takes (400 KB): the state goes on in further items."""
    rng = random.Random(1)
    memory = FeedMemory("acme", START)
    memory.tickers = {
        f"{i:05d}{rng.randrange(10**20):020d}": TickerMemory(
            rng.getrandbits(62), rng.randrange(10**6), 0, rng.randrange(10**6)
        )
        for i in range(MAX_SYMBOLS)
    }
    kept = _Kept(memory)
    first = FeedKeeper(aws.dynamodb, aws.table, aws.bus.client, "stock-market")
    first._watch = FeedWatch("acme", memory)
    first.save(START)
    pages = aws.dynamodb.get_paginator("scan").paginate(TableName=aws.table)
    items = [item for page in pages for item in page["Items"] if item["pk"] == KEY["pk"]]
    assert len(items) > 3
    assert max(len(item["state"]["B"]) for item in items) < 400_000 - 10_000
    again = FeedKeeper(aws.dynamodb, aws.table, aws.bus.client, "stock-market")
    again.begin("acme", Vendor(), START)
    assert again._watch.memory == kept.memory
    # A scan that was killed between two parts leaves what does not belong together.
    part = next(item for item in items if item["sk"]["S"] == "feed/1")
    aws.dynamodb.put_item(TableName=aws.table, Item={**part, "state": {"B": b"older"}})
    torn = FeedKeeper(aws.dynamodb, aws.table, aws.bus.client, "stock-market")
    torn.begin("acme", Vendor(), START)
    assert torn._watch.memory.tickers == {}
