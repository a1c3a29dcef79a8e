"""One scan: polls on time, one at a time, and nothing lost whatever fails."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.contracts.kinds import distortions
from producers.archive import Archive
from producers.feed_problem import KEY
from producers.publisher import Publisher, PublishError
from producers.quote_batch import Quote
from producers.scan.feed_keeper import FeedKeeper
from producers.scan.lease import Lease
from producers.scan.scan import Parts, Scan, ScanError, deadline
from producers.scan.unsent import UnsentStore
from producers.settings import ScannerSettings, ScanRequest
from producers.source import Missing, Quotes, SourceError
from producers.sources.simulated import SimulatedSource
from producers.vendor_state import VendorState
from producers.watch_list import WatchListError, WatchListReader
from tests.producers.fakes import Aws, Clock, MakeParts, StrictKinesis

SYMBOLS = "IBM,GE,BA,CAT"
START = 1_763_996_400_000
SETTINGS = ScannerSettings(
    stream_name="stock-quotes",
    scan_table="stock-windows",
    data_bucket="stock-scan-data-123456789012",
    source="simulated",
    poll_interval_seconds=5.0,
    session="always",
)


@pytest.fixture
def parts(aws: Aws, kinesis: StrictKinesis, clock: Clock) -> MakeParts:
    """Makes the parts of a scan by `owner`; all share one AWS, one stream and one clock."""

    def make(owner: str = "a") -> Parts:
        rng = random.Random(1)
        return Parts(
            source=SimulatedSource(distortions=distortions()),
            watch_list=WatchListReader(aws.ssm, aws.s3, aws.parameter, clock),
            publisher=Publisher(
                kinesis.client, "stock-quotes", 4, clock=clock.monotonic, sleep=clock.sleep, rng=rng
            ),
            lease=Lease(aws.dynamodb, aws.table, owner, 40_000),
            unsent=UnsentStore(aws.s3, aws.bucket, 4),
            archive=Archive(aws.s3, aws.bucket),
            feed=FeedKeeper(aws.dynamodb, aws.table, aws.bus.client, "stock-market"),
            clock_ms=clock,
            sleep=clock.sleep,
        )

    aws.watch(SYMBOLS)
    return make


def run(
    parts: Parts,
    seconds: int = 55,
    config: ScannerSettings = SETTINGS,
    *,
    polls: int | None = None,
    backfill_minutes: int | None = None,
    source: str = "",
) -> dict[str, Any]:
    request = ScanRequest(polls, backfill_minutes, source)
    return Scan(parts, config).run(request, parts.clock_ms() + seconds * 1000).as_dict()


def ticks_of(kinesis: StrictKinesis) -> list[tuple[str, int]]:
    return [tick for batch in kinesis.batches() for tick in zip(batch.symbol, batch.ts, strict=True)]


def assert_growing(kinesis: StrictKinesis) -> None:
    newest: dict[str, int] = defaultdict(int)
    for symbol, ts in ticks_of(kinesis):
        assert ts > newest[symbol]
        newest[symbol] = ts


def test_a_scan_polls_on_time_until_the_next_one_and_says_how_many_ticks_went_where(
    parts: MakeParts, kinesis: StrictKinesis, clock: Clock
) -> None:
    report = run(parts())
    assert report["status"] == "ok"
    assert report["polls"] == 11
    assert report["ticks"] == 44 == sum(report["partitions"].values())
    assert report["missing"] == report["rejected"] == report["problems"] == []
    times = sorted({ts for _, ts in ticks_of(kinesis)})
    assert [round((ts - START) / 5_000) for ts in times] == list(range(11))
    assert clock.now_ms < START + 55_000
    assert_growing(kinesis)


def test_the_number_of_polls_can_be_limited(parts: MakeParts) -> None:
    assert run(parts(), polls=1)["polls"] == 1


def test_a_scan_started_late_polls_once(parts: MakeParts) -> None:
    assert run(parts(), seconds=-2)["polls"] == 1


def test_outside_of_the_session_nothing_is_touched(
    parts: MakeParts, kinesis: StrictKinesis, clock: Clock
) -> None:
    regular = replace_struct(session="regular")
    clock.now_ms = START - 3_600_000  # 9:00 in New York
    assert run(parts(), config=regular)["status"] == "closed"
    assert kinesis.calls == []
    clock.now_ms = START + 6 * 3_600_000 - 12_000  # 12 s before the close
    report = run(parts(), config=regular)
    assert report["status"] == "ok"
    assert report["polls"] == 3


def replace_struct(**changes: object) -> ScannerSettings:
    fields = {name: getattr(SETTINGS, name) for name in ScannerSettings.__struct_fields__}
    return ScannerSettings(**{**fields, **changes})


def test_a_second_scan_answers_already_running(parts: MakeParts, kinesis: StrictKinesis) -> None:
    first = parts("a")
    assert first.lease.acquire(START)
    assert run(parts("b"))["status"] == "already running"
    assert kinesis.calls == []
    first.lease.release()
    assert run(parts("b"), polls=1)["status"] == "ok"


def test_a_scheduled_scan_takes_over_from_one_that_died(
    parts: MakeParts, kinesis: StrictKinesis, clock: Clock
) -> None:
    assert parts("dead").lease.acquire(START)  # for 40 s
    report = run(parts("b"), source="aws.events")
    assert (report["status"], report["polls"]) == ("ok", 3)
    assert min(ts for _, ts in ticks_of(kinesis)) == START + 41_000
    assert clock.now_ms < START + 55_000


def test_a_scheduled_scan_gives_up_on_one_that_goes_on(
    parts: MakeParts, clock: Clock, kinesis: StrictKinesis
) -> None:
    running = parts("a").lease
    assert running.acquire(START)

    def meanwhile(seconds: float) -> None:
        clock.sleep(seconds)
        running.reserve(clock.now_ms)

    report = run(replace(parts("b"), sleep=meanwhile), source="aws.events")
    assert report["status"] == "already running"
    assert kinesis.calls == []
    assert clock.now_ms < START + 55_000


def test_a_scan_that_was_overtaken_stops(parts: MakeParts, aws: Aws, clock: Clock) -> None:
    slow = parts("a")

    def sleep_too_long(seconds: float) -> None:
        clock.sleep(seconds + 60)
        assert Lease(aws.dynamodb, aws.table, "b", 40_000).acquire(clock.now_ms)

    report = run(replace(slow, sleep=sleep_too_long), seconds=600)
    assert report["status"] == "ok"
    assert report["polls"] == 1
    assert report["problems"] == ["another scan holds the lease"]


class SlowSource:
    """A source that takes its time, in seconds a poll."""

    def __init__(self, clock: Clock, *seconds: float) -> None:
        self._clock, self._left = clock, list(seconds)

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:
        self._clock.sleep(self._left.pop(0) if len(self._left) > 1 else self._left[0])
        return {symbol: Quote(float(now_ms % 1_000 + 1)) for symbol in symbols}


def polled_times(kinesis: StrictKinesis) -> list[int]:
    return sorted({(ts - START) // 1_000 for _, ts in ticks_of(kinesis)})


def test_polls_that_are_due_while_one_is_at_work_are_skipped_and_counted(
    parts: MakeParts, kinesis: StrictKinesis, clock: Clock, aws: Aws
) -> None:
    report = run(replace(parts(), source=SlowSource(clock, 12.0)))
    assert polled_times(kinesis) == [0, 12, 24, 36, 48]
    assert (report["polls"], report["skipped_polls"]) == (5, 6), "11 were due before the deadline"
    late = (
        "6 of 11 polls were skipped: one of 4 tickers is due every 5 s and took up to 12.0 s, and the scan began"
        " 0.0 s late; if that goes on, raise poll_interval_seconds or watch fewer tickers"
    )
    assert report["problems"] == [late]
    item = aws.dynamodb.get_item(TableName=aws.table, Key=KEY)["Item"]
    assert item["late"]["S"] == late
    assert report["ticks"] == 20, "what is polled is published, however late"
    assert aws.keys("unsent/") == []
    assert run(parts(), polls=2)["skipped_polls"] == 0
    assert "late" not in aws.dynamodb.get_item(TableName=aws.table, Key=KEY)["Item"]


def test_a_poll_that_is_a_little_late_is_none_that_is_skipped(
    parts: MakeParts, kinesis: StrictKinesis, clock: Clock
) -> None:
    report = run(replace(parts(), source=SlowSource(clock, 1.0, 8.0, 1.0)))
    assert polled_times(kinesis)[:5] == [0, 5, 13, 15, 20]
    assert (report["polls"], report["skipped_polls"], report["problems"]) == (11, 0, [])


def test_scans_that_overrun_their_minute_hand_over_and_do_not_grow_slower(
    parts: MakeParts, kinesis: StrictKinesis, clock: Clock
) -> None:
    ticks = []
    for minute in range(4):
        clock.now_ms = max(clock.now_ms, START + minute * 60_000)
        slow = replace(parts(str(minute)), source=SlowSource(clock, 17.0))
        request = ScanRequest(None, None, "aws.events")
        report = Scan(slow, SETTINGS).run(request, START + minute * 60_000 + 58_000).as_dict()
        ticks.append(report["ticks"])
        assert (report["status"], report["waiting"]) == ("ok", 0)
    assert ticks == [16, 12, 16, 12], "four polls or three in each minute: one after the other, at 17 s each"
    assert_growing(kinesis)


def test_what_a_scan_polled_while_another_took_over_is_not_published(
    parts: MakeParts, kinesis: StrictKinesis, clock: Clock
) -> None:
    other = parts("b")

    class Overtaken(SlowSource):
        def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:
            found = super().quotes(symbols, now_ms)
            assert run(other, polls=1)["status"] == "ok"
            return found

    report = run(replace(parts("a"), source=Overtaken(clock, 41.0)))
    assert (report["polls"], report["ticks"]) == (0, 0)
    assert report["problems"] == ["another scan holds the lease"]
    assert polled_times(kinesis) == [41]
    assert_growing(kinesis)


def test_bad_items_of_the_watch_list_are_rejected_by_name(parts: MakeParts, aws: Aws) -> None:
    aws.watch("IBM,$$$")
    report = run(parts(), polls=1)
    assert report["ticks"] == 1
    assert report["rejected_count"] == 1
    assert "'$$$' is no ticker" in report["rejected"][0]


def test_an_unreadable_watch_list_stops_the_scan_and_gives_the_lease_back(parts: MakeParts, aws: Aws) -> None:
    aws.watch("$$$")
    with pytest.raises(WatchListError, match="parameter /stock-tracker/ticker"):
        run(parts("a"))
    aws.watch("IBM")
    assert run(parts("b"), polls=1)["status"] == "ok"


def test_a_change_of_the_watch_list_is_in_force_within_the_scan(
    parts: MakeParts, aws: Aws, kinesis: StrictKinesis, clock: Clock
) -> None:
    made = parts()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        aws.watch("GE")

    run(replace(made, sleep=sleep))
    last_ibm = max(ts for symbol, ts in ticks_of(kinesis) if symbol == "IBM")
    assert last_ibm - START < 31_000


class BrokenSource:
    """A source that fails, misses and lies as a test says."""

    def __init__(self, answers: list[Quotes | Exception]) -> None:
        self._answers = iter(answers)

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:  # noqa: ARG002
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


GOOD: Quotes = {"IBM": Quote(1.0), "GE": Quote(2.0), "BA": Missing("halted")}


def test_a_source_that_fails_now_and_then_is_asked_again(parts: MakeParts) -> None:
    source = BrokenSource([SourceError("acme: status 503"), GOOD, TypeError("'NoneType' …"), GOOD])
    report = run(replace(parts(), source=source), polls=4)
    assert (report["polls"], report["failed_polls"], report["ticks"]) == (2, 2, 4)
    assert report["problems"] == ["acme: status 503", "source simulated failed: TypeError: 'NoneType' …"]
    assert (report["missing"], report["missing_reasons"]) == (["BA", "CAT"], {"BA": "halted"})


def test_a_source_that_only_fails_fails_the_scan(parts: MakeParts) -> None:
    source = BrokenSource([SourceError("broken: status 401: the key is rejected")] * 2)
    with pytest.raises(ScanError, match="failed in every poll: broken: status 401"):
        run(replace(parts(), source=source), polls=2)


def test_a_bad_value_of_a_source_costs_its_row_only(parts: MakeParts) -> None:
    source = BrokenSource([{**GOOD, "GE": Quote(float("nan"))}])
    report = run(replace(parts(), source=source), polls=1)
    assert report["ticks"] == 1
    assert report["problems"] == ["source simulated: GE: price is NaN; must be a number from -1e+15 to 1e+15"]


def test_what_the_stream_does_not_take_is_kept_and_sent_first_by_the_next_scan(
    parts: MakeParts, kinesis: StrictKinesis, aws: Aws
) -> None:
    kinesis.failures = iter(["fail all"] * 10_000)
    report = run(parts("a"))
    assert report["ticks"] == 0
    assert report["waiting"] == 4 * report["polls"] > 0
    assert aws.keys("unsent/")

    kinesis.failures = iter(())
    again = run(parts("b"))
    assert again["waiting"] == 0
    assert again["ticks"] == report["waiting"] + 4 * again["polls"]
    assert aws.keys("unsent/") == []
    assert_growing(kinesis)


def test_ticks_are_kept_when_the_stream_is_not_there(parts: MakeParts, kinesis: StrictKinesis) -> None:
    kinesis.stream = "another"
    with pytest.raises(PublishError, match="stock-quotes"):
        run(parts("a"))
    kinesis.stream = "stock-quotes"
    assert run(parts("b"), polls=1)["ticks"] == 8
    assert_growing(kinesis)


def test_a_scan_is_archived_per_ticker(parts: MakeParts, aws: Aws) -> None:
    run(parts(), polls=2)
    assert aws.keys("raw-data/") == [
        f"raw-data/{symbol}/2025/11/24/150000Z.jsonl.gz" for symbol in ("BA", "CAT", "GE", "IBM")
    ]


def test_a_backfill_is_what_live_polls_would_have_produced(parts: MakeParts, kinesis: StrictKinesis) -> None:
    report = run(parts(), backfill_minutes=30)
    assert report["polls"] == 361
    source = SimulatedSource(distortions=distortions())
    for batch in kinesis.batches():
        for symbol, ts, price, volume in zip(
            batch.symbol, batch.ts, batch.price, batch.day_volume, strict=True
        ):
            quote = source.quote(symbol, ts)
            assert quote is not None
            assert (price, volume) == (quote.price, quote.day_volume)
    times = {ts for _, ts in ticks_of(kinesis)}
    assert (min(times), max(times)) == (START - 1_800_000, START)
    assert_growing(kinesis)


def test_a_backfill_fills_only_what_is_not_there_yet(
    parts: MakeParts, kinesis: StrictKinesis, clock: Clock
) -> None:
    run(parts(), polls=1)
    clock.now_ms += 60_000
    assert run(parts(), backfill_minutes=30)["polls"] == 12
    assert run(parts(), backfill_minutes=30)["polls"] == 0
    assert run(parts(), polls=1)["polls"] == 1
    assert_growing(kinesis)


def test_real_sources_have_no_history_to_produce(parts: MakeParts) -> None:
    with pytest.raises(ScanError, match=r"source alpaca has no history.*must be the source simulated"):
        run(parts(), config=replace_struct(source="alpaca"), backfill_minutes=30)


outages = st.lists(
    st.one_of(st.just("fail all"), st.frozensets(st.integers(0, 3), max_size=4)), min_size=0, max_size=60
)


@given(plan=outages, scans=st.lists(st.integers(0, 20), min_size=1, max_size=4))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_scans_lose_and_double_nothing_whatever_the_stream_rejects(
    aws: Aws, kinesis: StrictKinesis, parts: MakeParts, plan: list[str | frozenset[int]], scans: list[int]
) -> None:
    kinesis.stored.clear()
    kinesis.failures = iter(plan)
    polls = sum(run(parts(), seconds=seconds)["polls"] for seconds in scans)
    kinesis.failures = iter(())
    polls += run(parts("last"), polls=1)["polls"]
    assert aws.keys("unsent/") == []
    assert_growing(kinesis)
    asked = sum(len(batch.symbol) + len(batch.missing) for batch in kinesis.batches())
    assert asked == 4 * polls


@pytest.mark.parametrize(
    ("request_", "second", "remaining", "expected"),
    [
        (ScanRequest(source="aws.events"), 20, 120, 78),  # 58 s from its start
        (ScanRequest(), 20, 120, 55),  # by hand: until the minute's 55th second
        (ScanRequest(), 58, 120, 55),
        (ScanRequest(source="aws.events"), 20, 30, 47),  # a short function: 3 s before its end
        (ScanRequest(backfill_minutes=30), 20, 120, 137),
    ],
)
def test_a_scan_ends_before_the_next_begins(
    request_: ScanRequest, second: int, remaining: int, expected: int
) -> None:
    minute = 1_763_996_400_000
    assert deadline(request_, minute + second * 1000, remaining * 1000) == minute + expected * 1000


class Recording:
    """A live source that answers everything, and records what it was polled for."""

    def __init__(self) -> None:
        self.polled: set[str] = set()

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:
        self.polled |= set(symbols)
        return {symbol: Quote(100.0 + now_ms % 1000, quote_ts=now_ms) for symbol in symbols}


@pytest.mark.parametrize(
    ("moment", "polled"),
    [
        # Monday 9 March 2026: New York has changed its clocks, London has not.
        ("2026-03-09T00:30", {"7203.T", "BTC-USD"}),
        ("2026-03-09T03:00", {"BTC-USD"}),  # lunch in Tokyo
        ("2026-03-09T09:00", {"VOD.L", "BTC-USD"}),
        ("2026-03-09T13:45", {"AAPL", "VOD.L", "BTC-USD"}),
        ("2026-03-09T19:00", {"AAPL", "BTC-USD"}),
        ("2026-12-25T15:00", {"BTC-USD"}),
    ],
)
def test_each_ticker_is_polled_while_its_own_market_trades(
    parts: MakeParts, aws: Aws, clock: Clock, moment: str, polled: set[str]
) -> None:
    aws.watch("AAPL,VOD.L,7203.T,BTC-USD")
    clock.now_ms = round(datetime.fromisoformat(f"{moment}+00:00").timestamp() * 1000)
    source = Recording()
    config = replace_struct(source="yahoo", session="regular")
    report = run(replace(parts(), source=source), polls=1, config=config)
    assert (report["status"], source.polled) == ("ok", polled)


def test_a_market_that_is_closed_makes_no_ticker_stale(parts: MakeParts, aws: Aws, clock: Clock) -> None:
    aws.watch("VOD.L,BTC-USD")
    clock.now_ms = round(datetime.fromisoformat("2026-03-09T16:15+00:00").timestamp() * 1000)
    for _ in range(4):  # a quarter of an hour before London's close, and beyond it
        config = replace_struct(source="yahoo", session="always")
        run(replace(parts(), source=Frozen("VOD.L")), seconds=300, config=config)
    assert aws.bus.sent_events == []


class Frozen(Recording):
    """A source that repeats the quote of one ticker once its market is closed."""

    def __init__(self, ticker: str) -> None:
        super().__init__()
        self._ticker = ticker

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:
        close_ms = round(datetime.fromisoformat("2026-03-09T16:30+00:00").timestamp() * 1000)
        quotes = dict(super().quotes(symbols, now_ms))
        last = min(now_ms, close_ms)
        quotes[self._ticker] = Quote(70.0 + last % 1000, quote_ts=last)
        return quotes


DAY_MS = 86_400_000


def test_polls_go_on_after_a_clock_that_was_a_day_ahead(
    parts: MakeParts, clock: Clock, kinesis: StrictKinesis
) -> None:
    run(parts())
    clock.now_ms += DAY_MS
    run(parts())
    clock.now_ms -= DAY_MS
    report = run(parts())
    assert report["polls"] == 11
    (problem,) = report["problems"]
    assert "ahead of this clock; must be at most 4000: its clock was wrong, polls go on from" in problem
    assert [ts for _, ts in ticks_of(kinesis)][-1] < START + DAY_MS
    assert run(parts())["problems"] == []


def test_a_scan_ends_when_the_clock_is_set_back_under_it(parts: MakeParts, clock: Clock) -> None:
    made = parts()
    clock.now_ms += DAY_MS
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.sleep(seconds)
        if len(slept) == 3:
            clock.now_ms -= DAY_MS

    report = run(replace(made, sleep=sleep))
    assert report["problems"] == [f"the clock was set back by {DAY_MS} ms: the scan ends"]
    assert report["polls"] == 3
    assert max(slept) <= 5
    assert run(parts())["polls"] == 11


def test_a_breaker_that_opened_by_a_wrong_clock_does_not_stay_open(aws: Aws) -> None:
    class Vendor:
        vendor_state = VendorState(failures=9, open_until_ms=START + DAY_MS + 60_000)

        def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:
            raise AssertionError(f"not polled here: {symbols}, {now_ms}")

    before = FeedKeeper(aws.dynamodb, aws.table, aws.bus.client, "stock-market")
    before.begin("alpaca", Vendor(), START + DAY_MS)
    before.observe(["IBM"], None, START + DAY_MS, why="it fails")
    before.save(START + DAY_MS)
    after, vendor = FeedKeeper(aws.dynamodb, aws.table, aws.bus.client, "stock-market"), Vendor()
    vendor.vendor_state = VendorState()
    after.begin("alpaca", vendor, START)
    assert after.report(START)["breaker"] == "closed"
