"""The weeks in which clocks change, from the scan to the API: each ticker keeps the hours of its own market.

What is expected comes from the exchanges' local hours and zoneinfo, not from our calendars:
https://www.nyse.com/markets/hours-calendars, https://www.londonstockexchange.com (trading services, 08:00 to 16:30),
https://www.jpx.co.jp/english/equities/trading/domestic/01.html (09:00 to 11:30, 12:30 to 15:30).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from api.watch_list import WatchedTickers
from consumers.contracts.anomaly import ms_of_iso
from consumers.detector.wiring import Detector
from consumers.detectors.engine import engine
from producers.markets.listings import Listings
from producers.scan.scan import Scan
from producers.scan.warm_up import Limits, WarmUp
from producers.settings import ScannerSettings, ScanRequest
from producers.source import Quotes
from producers.watch_list import WatchListReader
from tests.api.client import Api, create_services
from tests.api.test_ticker_forms import detector as detector_fixture
from tests.consumers.kit import SHARD, Sent, event
from tests.producers.conftest import aws as aws_fixture
from tests.producers.conftest import clock as clock_fixture
from tests.producers.conftest import kinesis as kinesis_fixture
from tests.producers.fakes import Aws, Clock, MakeParts, StrictKinesis
from tests.producers.scan.test_scan import parts as parts_fixture
from tests.producers.scan.test_warm_up import Bars, Calm

aws, clock, kinesis, parts = aws_fixture, clock_fixture, kinesis_fixture, parts_fixture
detector = detector_fixture
MINUTE_MS = 60_000
STEP_MS = 15_000
LISTINGS = Listings("NEW=XNYS,NEW.L=XLON,NEW.T=XTKS", "XNYS")
SETTINGS = ScannerSettings(
    stream_name="stock-quotes",
    scan_table="stock-windows",
    data_bucket="stock-scan-data-123456789012",
    source="alpaca",
    poll_interval_seconds=STEP_MS / 1000,
)


@dataclass(frozen=True)
class Exchange:
    """An exchange's ticker, the one added later, and its hours in its own zone."""

    ticker: str
    added: str
    zone: str
    parts: tuple[tuple[str, str], ...]

    def ms(self, day: date, clock: str) -> int:
        """Return an instant of its local time, epoch ms."""
        hours, minutes = clock.split(":")
        at = datetime(day.year, day.month, day.day, int(hours), int(minutes), tzinfo=ZoneInfo(self.zone))
        return round(at.timestamp() * 1000)

    def opens(self, day: date) -> int:
        return self.ms(day, self.parts[0][0])

    def closes(self, day: date) -> int:
        return self.ms(day, self.parts[-1][1])


NEW_YORK = Exchange("AAPL", "NEW", "America/New_York", (("9:30", "16:00"),))
LONDON = Exchange("VOD.L", "NEW.L", "Europe/London", (("8:00", "16:30"),))
TOKYO = Exchange("7203.T", "NEW.T", "Asia/Tokyo", (("9:00", "11:30"), ("12:30", "15:30")))
# The Fridays before clocks change, there or elsewhere.
WEEKENDS = [
    pytest.param(NEW_YORK, date(2026, 3, 6), id="New York, spring"),
    pytest.param(NEW_YORK, date(2026, 10, 30), id="New York, autumn"),
    pytest.param(LONDON, date(2026, 3, 27), id="London, spring"),
    pytest.param(LONDON, date(2026, 10, 23), id="London, autumn"),
    pytest.param(LONDON, date(2026, 3, 6), id="London, as New York changes"),
    pytest.param(TOKYO, date(2026, 3, 6), id="Tokyo, as New York changes"),
]


@dataclass
class Watched(Calm):
    """A calm market that keeps when it was polled; from `frozen_ms` on it repeats its last quotes."""

    asked: list[int] = field(default_factory=list)
    frozen_ms: int = 10**15

    def __post_init__(self) -> None:
        super().__init__()

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:
        self.asked.append(now_ms)
        return super().quotes(symbols, min(now_ms, self.frozen_ms))


@dataclass
class Desk:
    """A scanner that is started as the schedule does, at any hour; its clock passes only while it runs."""

    parts: MakeParts
    clock: Clock
    aws: Aws
    source: Watched = field(default_factory=Watched)
    bars: Bars = field(default_factory=Bars)

    def scan(self, from_ms: int, minutes: int) -> str:
        """Run a scan as long as ten scheduled ones; return its status."""
        self.clock.now_ms = from_ms
        warm_up = WarmUp(
            "alpaca",
            lambda: self.bars,
            market_of=LISTINGS,
            session="regular",
            limits=Limits(9, 2_500),
            clock_ms=self.clock,
        )
        made = replace(self.parts(str(from_ms)), source=self.source, market_of=LISTINGS, warm_up=warm_up)
        report = Scan(made, SETTINGS).run(ScanRequest(), from_ms + minutes * MINUTE_MS).as_dict()
        assert report["problems"] == []
        return str(report["status"])

    def opening(self, exchange: Exchange, day: date, part: int = 0) -> int:
        """Scan around an opening; return how many bars were asked for."""
        opens, asked = exchange.ms(day, exchange.parts[part][0]), len(self.bars.calls)
        assert self.scan(opens - MINUTE_MS, 1) == "closed"
        assert self.scan(opens, 6) == "ok"
        return len(self.bars.calls) - asked

    def closing(self, exchange: Exchange, day: date, part: int = -1) -> None:
        """Scan around a close."""
        closes = exchange.ms(day, exchange.parts[part][1])
        assert self.scan(closes - 6 * MINUTE_MS, 10) == "ok"
        assert closes - STEP_MS - 1000 <= self.source.asked[-1] < closes
        assert self.scan(closes, 1) == "closed"


class Stream:
    """What is on the stream, delivered as far as it came."""

    def __init__(self, kinesis: StrictKinesis, detector: Detector, clock: Clock) -> None:
        self._kinesis, self._detector, self._clock = kinesis, detector, clock
        self._delivered = 0

    def deliver(self) -> None:
        sent = [
            Sent(record["Data"], f"{number:021d}", self._clock(), record["PartitionKey"], SHARD)
            for number, record in enumerate(self._kinesis.stored)
        ]
        assert self._detector.handle(event(sent[self._delivered :]), 900_000) == {"batchItemFailures": []}
        self._delivered = len(sent)


@pytest.fixture
def desk(parts: MakeParts, clock: Clock, aws: Aws) -> Desk:
    return Desk(parts, clock, aws)


@pytest.fixture
def stream(kinesis: StrictKinesis, detector: Detector, clock: Clock) -> Stream:
    return Stream(kinesis, detector, clock)


def kinds(aws: Aws) -> set[str]:
    """Return the kinds of all anomalies."""
    return {item["kind"]["S"] for item in aws.dynamodb.scan(TableName="stock-anomalies")["Items"]}


@pytest.fixture
def shown(aws: Aws, detector: Detector, clock: Clock) -> Callable[[str, int], tuple[str, bool]]:
    """Return a ticker's state on the page at an instant, and whether its market is open."""
    del detector  # it made the tables
    reader = WatchListReader(aws.ssm, aws.s3, aws.parameter, clock)
    services = replace(
        create_services(aws.dynamodb),
        source="alpaca",
        session="regular",
        now_ms=clock,
        market_of=LISTINGS,
        watch_list=WatchedTickers(reader),
    )

    def state(ticker: str, at_ms: int) -> tuple[str, bool]:
        clock.now_ms = at_ms
        (row,) = Api(services).get("/tickers").json["tickers"]
        assert row["ticker"] == ticker
        return row["state"], row["open"]

    return state


@pytest.mark.parametrize(("exchange", "friday"), WEEKENDS)
def test_a_weekend_of_another_clock_is_like_any_other(
    exchange: Exchange,
    friday: date,
    desk: Desk,
    stream: Stream,
    shown: Callable[[str, int], tuple[str, bool]],
) -> None:
    ticker, saturday, monday = exchange.ticker, friday + timedelta(days=1), friday + timedelta(days=3)
    desk.aws.watch(ticker)
    desk.closing(exchange, friday)
    begin = exchange.closes(friday) - 36 * MINUTE_MS
    assert desk.bars.calls == [(ticker, begin, begin + 30 * MINUTE_MS)]
    stream.deliver()
    assert shown(ticker, exchange.closes(friday) + 30 * MINUTE_MS) == ("closed", False)
    assert desk.scan(exchange.opens(saturday) + MINUTE_MS, 1) == "closed"
    assert shown(ticker, exchange.opens(saturday) + MINUTE_MS) == ("closed", False)
    assert shown(ticker, exchange.opens(monday) - 1000) == ("closed", False)
    assert shown(ticker, exchange.opens(monday)) == ("stale", True)
    assert desk.opening(exchange, monday) == 0, "the weekend is no gap to be filled"

    # A ticker added now has a past that reaches back over the weekend: 7 minutes of today, 23 of Friday.
    desk.aws.watch(f"{ticker},{exchange.added}")
    assert desk.scan(exchange.opens(monday) + 7 * MINUTE_MS, 2) == "ok"
    assert [call[:2] for call in desk.bars.calls[1:]] == [
        (exchange.added, exchange.closes(friday) - 23 * MINUTE_MS)
    ]
    stream.deliver()
    desk.aws.watch(ticker)
    assert shown(ticker, desk.clock() + 60_000) == ("live", True)
    assert desk.aws.bus.sent_events == [], "no weekend is an outage"
    assert kinds(desk.aws) == set(), "nor a gap"


def test_a_lunch_break_is_no_outage_and_from_the_second_day_no_gap(
    desk: Desk, stream: Stream, shown: Callable[[str, int], tuple[str, bool]]
) -> None:
    """Detection knows no calendars: it learns when a market pauses every day."""
    tuesday = date(2026, 3, 10)  # two days after New York's clocks changed, and Tokyo's did not
    ticker = TOKYO.ticker
    desk.aws.watch(ticker)
    found: list[set[str]] = []
    for day in (tuesday, tuesday + timedelta(days=1), tuesday + timedelta(days=2)):
        desk.closing(TOKYO, day, 0)
        stream.deliver()
        assert shown(ticker, TOKYO.ms(day, "12:00")) == ("closed", False)
        assert desk.opening(TOKYO, day, 1) == 0
        stream.deliver()
        found.append(kinds(desk.aws))
        for item in desk.aws.dynamodb.scan(TableName="stock-anomalies")["Items"]:
            desk.aws.dynamodb.delete_item(
                TableName="stock-anomalies", Key={name: item[name] for name in ("ticker", "timestamp")}
            )
    assert not [entry for entry in desk.aws.bus.sent if entry["DetailType"].startswith("Feed")]
    assert found == [{"gap"}, set(), set()]


def test_the_daily_hour_of_futures_is_no_gap_in_the_week_after_clocks_changed() -> None:
    """Equity futures trade from 17:00 to 16:00 in Chicago: https://www.cmegroup.com/trading-hours.html."""
    chicago, start = ZoneInfo("America/Chicago"), datetime(2026, 3, 2, 17, tzinfo=UTC)
    times, rng = list[int](), random.Random(3)
    for minute in range(8 * 1440):
        at = start.replace(tzinfo=chicago) + timedelta(minutes=minute)  # by the clock on the wall
        in_week = (
            at.weekday() < 4 or (at.weekday() == 4 and at.hour < 16) or (at.weekday() == 6 and at.hour >= 17)
        )
        if in_week and at.hour != 16:
            times.append(round(at.timestamp() * 1000) + rng.randrange(2_000))
    prices = np.array([round(6_000 + rng.gauss(0, 1), 2) for _ in times])
    unknown = np.full(len(times), np.nan)
    ticks = engine.Ticks(
        np.zeros(len(times), np.int64), np.array(times, np.int64), prices, unknown, unknown, unknown
    )
    found = engine.apply(engine.new_states(1), ticks, np.full((9, 1), 2.5))
    gaps = [times[one.row] for one in found if (one.kind, one.change) == ("gap", "opened")]
    assert [datetime.fromtimestamp(ms / 1000, chicago).day for ms in gaps] in ([], [3]), (
        "the first break alone"
    )


@pytest.mark.parametrize(("exchange", "friday"), WEEKENDS)
def test_a_feed_that_is_silent_from_the_open_is_stale_two_minutes_after_it(
    exchange: Exchange, friday: date, desk: Desk
) -> None:
    monday = friday + timedelta(days=3)
    desk.aws.watch(exchange.ticker)
    desk.source.frozen_ms = exchange.closes(friday) - MINUTE_MS
    assert desk.scan(exchange.closes(friday) - 5 * MINUTE_MS, 4) == "ok"
    assert desk.scan(exchange.opens(monday), 4) == "ok"
    ((kind, _),) = desk.aws.bus.sent_events
    assert kind == "FeedStale"
    at_ms = ms_of_iso(desk.aws.bus.sent[0]["Detail"]["data"]["at"])
    assert 120_000 <= at_ms - exchange.opens(monday) <= 120_000 + 2 * STEP_MS


@pytest.mark.parametrize("sunday", ["2026-03-08T07:00:00+00:00", "2026-11-01T06:00:00+00:00"])
def test_what_never_closes_is_polled_through_the_change(sunday: str, desk: Desk) -> None:
    """New York's clocks change at 02:00 local time: 07:00 UTC in March, 06:00 UTC in November."""
    desk.aws.watch("BTC-USD,AAPL")
    begins = ms_of_iso(sunday) - 5 * MINUTE_MS
    assert desk.scan(begins, 10) == "ok"
    assert len(desk.source.asked) == 10 * MINUTE_MS // STEP_MS
    assert desk.aws.bus.sent_events == []
    assert [call[0] for call in desk.bars.calls] == ["BTC-USD"]
