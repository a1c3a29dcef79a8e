"""What a month of the monitor costs: a model of what each part uses of AWS, times a dated table of prices.

What the model takes from measurements is in `_Rates`, with where each figure comes from. It leaves out what depends on
the reader alone: SMS, data out beyond the free terabyte, and taxes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from consumers.contracts.wording import counted
from consumers.stores.charts import GROUPS, MANY_GROUPS, MANY_WINDOWS
from producers.sources import get
from stream_infra.config import Config
from stream_infra.operations import prices
from stream_infra.operations.prices import HOURS, Price

Session = Literal["regular", "extended", "always"]
TRADING_DAYS = 21
SESSION_HOURS: dict[Session, float] = {
    "regular": 6.5 * TRADING_DAYS,
    "extended": 16 * TRADING_DAYS,
    "always": HOURS,
}
"""Hours a month in which quotes are polled."""
SCHEDULED_HOURS: dict[Session, float] = {
    "regular": 9 * 5 * 52 / 12,
    "extended": 18 * 6 * 52 / 12,
    "always": HOURS,
}
"""Hours a month in which the schedule starts scans; those outside the session check the calendar and end."""
KIB, GIB = 1024, 2**30
_QUOTES_BYTES = 250
"""Of a partition's last quotes without any ticker."""


class _Rates(NamedTuple):
    """Measured, or counted in the code.

    Attributes
    ----------
    tick_bytes
        Of a quote batch on the stream (docs/streams.md).
    block_bytes, block_tick_bytes
        Of a block without ticks, and of a tick in it (measured in test_requests.py:
        4 write units a poll at 20 tickers, 8 at 500, 48 at 5,000).
    quote_bytes
        Of a ticker among the packed last quotes (the same test).
    detector_seconds, detector_tick_seconds
        Of an invocation, most of it waiting for its 12 calls.
    lake_tick_seconds, lake_tick_bytes
        Of a tick that is read from its block and written with its hour two or three times (1.3 us each), and in
        its file (300,000 ticks of 500 tickers).
    """

    tick_bytes: int = 47
    block_bytes: int = 400
    block_tick_bytes: int = 9
    quote_bytes: int = 46
    bar_bytes: int = 60
    scan_seconds: float = 58
    closed_scan_seconds: float = 0.5
    detector_seconds: float = 0.12
    detector_tick_seconds: float = 0.00001
    notifier_seconds: float = 0.1
    api_seconds: float = 0.03
    sqs_polls_a_minute: int = 15
    viewer_hours_a_day: float = 2
    requests_of_a_viewer_a_second: float = 1
    anomalies_of_a_ticker_a_day: float = 1
    lake_seconds: float = 5
    lake_tick_seconds: float = 0.00001
    lake_tick_bytes: int = 9
    scanner_metrics: int = 12
    detector_metrics: int = 12
    alarm_metrics: int = 36
    canaries_an_hour: int = 12
    line_kib: float = 1.6


RATES = _Rates()
ASSUMED = (
    f"one dashboard open {RATES.viewer_hours_a_day:g} hours of each of {TRADING_DAYS} trading days",
    f"{RATES.anomalies_of_a_ticker_a_day:g} anomaly a ticker and day",
    "alerts by email",
)


@dataclass(frozen=True)
class Line:
    """One line of the estimate.

    Attributes
    ----------
    quantity
        Units a month, in the price's unit.
    driver
        What makes it grow.
    """

    price: Price
    quantity: float
    driver: str

    @property
    def list_dollars(self) -> float:
        """At list price."""
        return self.quantity / self.price.per * self.price.dollars

    @property
    def dollars(self) -> float:
        """After what every account gets for nothing, if this is all that the account runs."""
        return max(0.0, self.quantity - self.price.free) / self.price.per * self.price.dollars


@dataclass(frozen=True)
class Estimate:
    """A month, line by line; lines of the same price are one, so that nothing is given for nothing twice."""

    lines: tuple[Line, ...]

    @property
    def list_dollars(self) -> float:
        """Of all lines, at list price."""
        return sum(line.list_dollars for line in self.lines)

    @property
    def dollars(self) -> float:
        """Of all lines, after the free allowances."""
        return sum(line.dollars for line in self.lines)

    def by_service(self) -> dict[str, tuple[float, float]]:
        """Dollars after the allowances and at list price, by service, the dearest first."""
        found: dict[str, tuple[float, float]] = {}
        for line in self.lines:
            due, listed = found.get(line.price.service, (0.0, 0.0))
            found[line.price.service] = due + line.dollars, listed + line.list_dollars
        return dict(sorted(found.items(), key=lambda item: -item[1][1]))


def checks(calls: int, tickers: int, partitions: int) -> Estimate:
    """Return what so many calls of `GET /safety/{ticker}` cost, one incident of the ticker going on.

    A call reads the last quotes of the whole watch list, eventually consistent, and what is due in the alerts' table
    with the incident, both consistent (DynamoDB guide, "Read and write operations": half a unit and a unit for 4 KB).
    """
    quotes = partitions * _QUOTES_BYTES + tickers * RATES.quote_bytes
    units = math.ceil(quotes / (4 * KIB)) / 2 + 2
    return Estimate(
        (
            Line(prices.API_REQUEST, calls, "calls"),
            Line(prices.LAMBDA_REQUEST, calls, "calls"),
            Line(prices.LAMBDA_GB_SECOND, calls * RATES.api_seconds / 2, "calls"),
            Line(prices.READ_UNIT, calls * units, "calls x tickers"),
            Line(prices.LOG_GB, calls * RATES.line_kib * KIB / GIB, "calls"),
        )
    )


class Size(NamedTuple):
    """What to set for so many tickers, polled every second; `list_place` is where they are listed."""

    tickers: int
    shards: int
    partitions: int
    batching_window_seconds: int
    list_place: str

    def estimate(self, session: Session, config: Config) -> Estimate:
        """Return a month with these settings, the others as `config` says."""
        own = {
            "shards": self.shards,
            "partitions": self.partitions,
            "batching_window_seconds": self.batching_window_seconds,
        }
        return estimate(self.tickers, 1, session, config.model_copy(update=own))


SIZES = (
    Size(10, 1, 4, 0, "SSM"),
    Size(500, 1, 4, 0, "SSM"),
    Size(5_000, 1, 4, 5, "S3"),
    Size(50_000, 4, 16, 5, "S3"),
)


def estimate(tickers: int, interval_seconds: float, session: Session, config: Config) -> Estimate:
    """Return a month of `tickers` polled every `interval_seconds` in `session`, deployed as `config` says."""
    use = _Use(tickers, interval_seconds, session, config)
    merged: dict[Price, Line] = {}
    for part in (_stream, _functions, _tables, _objects, _lake, _messages, _readers, _watching):
        for line in part(use):
            before = merged.get(line.price)
            quantity = line.quantity + (before.quantity if before else 0)
            driver = f"{before.driver}; {line.driver}" if before else line.driver
            merged[line.price] = Line(line.price, quantity, driver)
    return Estimate(tuple(merged.values()))


class _Use(NamedTuple):
    tickers: int
    interval: float
    session: Session
    config: Config

    @property
    def minutes(self) -> float:
        return SESSION_HOURS[self.session] * 60

    @property
    def polls(self) -> float:
        return SESSION_HOURS[self.session] * 3600 / self.interval

    @property
    def partitions(self) -> int:
        return min(self.config.partitions, self.tickers)

    @property
    def in_a_partition(self) -> float:
        return self.tickers / self.partitions

    @property
    def scans(self) -> float:
        return SCHEDULED_HOURS[self.session] * 60

    @property
    def anomalies(self) -> float:
        return self.tickers * TRADING_DAYS * RATES.anomalies_of_a_ticker_a_day

    @property
    def api_requests(self) -> float:
        seconds = RATES.viewer_hours_a_day * 3600 * TRADING_DAYS
        return seconds * RATES.requests_of_a_viewer_a_second

    @property
    def detector_invocations(self) -> float:
        waited = max(self.interval, float(self.config.batching_window_seconds))
        return SESSION_HOURS[self.session] * 3600 / waited * self.config.shards


def _stream(use: _Use) -> Iterator[Line]:
    yield Line(
        prices.SHARD_HOUR, HOURS * use.config.shards, f"{counted(use.config.shards, 'shard')}, used or not"
    )
    units = math.ceil(use.in_a_partition * RATES.tick_bytes / 25_600) * use.partitions
    yield Line(prices.PUT_UNIT, use.polls * units, "polls x partitions")
    yield Line(prices.PUT_UNIT, HOURS * RATES.canaries_an_hour, "the canary")
    yield Line(prices.KEY_REQUEST, HOURS * 60 / 5 * 2 * use.config.shards, "the stream's encryption")


def _functions(use: _Use) -> Iterator[Line]:
    closed = use.scans - use.minutes
    scanned = use.minutes * RATES.scan_seconds + closed * RATES.closed_scan_seconds
    yield Line(prices.LAMBDA_GB_SECOND, scanned * 0.5, "stock-scanner: minutes of the session")
    per_tick = use.polls * use.tickers * RATES.detector_tick_seconds
    canaries = HOURS * RATES.canaries_an_hour
    yield Line(prices.LAMBDA_GB_SECOND, canaries * RATES.detector_seconds, "stock-detector: the canary")
    detected = use.detector_invocations * RATES.detector_seconds + per_tick
    yield Line(prices.LAMBDA_GB_SECOND, detected, "stock-detector: polls")
    sweeps = HOURS * 60
    yield Line(
        prices.LAMBDA_GB_SECOND, (sweeps + use.anomalies) * RATES.notifier_seconds / 2, "stock-notifier"
    )
    yield Line(
        prices.LAMBDA_GB_SECOND, use.api_requests * RATES.api_seconds / 2, "stock-api-handler: readers"
    )
    requests = use.scans + use.detector_invocations + canaries + sweeps + use.anomalies + use.api_requests
    yield Line(prices.LAMBDA_REQUEST, requests, "polls, readers, minutes")


def _tables(use: _Use) -> Iterator[Line]:
    n = use.in_a_partition
    block = RATES.block_bytes + RATES.block_tick_bytes * n
    quotes = _QUOTES_BYTES + RATES.quote_bytes * n
    often = use.polls if quotes <= 2 * KIB else use.minutes * 4  # as consumers/detector/commit.py has it
    # As consumers/stores/charts.py has it: nearly all bars of a minute and group are put at once.
    groups = MANY_GROUPS if n > MANY_WINDOWS else GROUPS
    share = use.tickers / groups
    bars = min(groups, use.tickers) * math.ceil(share * RATES.bar_bytes / KIB)
    writes = use.polls * use.partitions * math.ceil(block / KIB)
    writes += often * use.partitions * math.ceil(quotes / KIB)
    writes += HOURS * RATES.canaries_an_hour  # a block of the canary's
    writes += use.minutes * bars + use.minutes * 5  # lease and state of the feed
    writes += use.anomalies * 3 * 3 + use.anomalies * 6  # two indexes; what the notifier remembers
    yield Line(prices.WRITE_UNIT, writes, "polls x partitions; minutes x tickers")
    reads = use.polls * use.partitions + use.minutes * 5 + HOURS * 60 * 6 + use.api_requests * 4
    yield Line(prices.READ_UNIT, reads, "polls x partitions; readers")
    kept = use.polls / 2 * use.partitions * block + use.minutes / 2 * use.tickers * RATES.bar_bytes
    stored = kept / GIB + use.anomalies * 12 * 3 * 2 * KIB / GIB
    yield Line(prices.TABLE_GB, stored, "15 days of blocks and bars; a year of anomalies")
    yield Line(prices.RECOVERY_GB, stored, "the same")


def _objects(use: _Use) -> Iterator[Line]:
    archived = use.tickers if use.tickers <= 50 else 1  # as producers/archive.py has it
    yield Line(
        prices.S3_PUT, use.minutes * (archived + use.partitions), "minutes x tickers, up to 50 tickers"
    )
    yield Line(prices.S3_PUT, HOURS * RATES.canaries_an_hour, "a snapshot of the canary's")
    stored = use.polls * use.tickers * 25 * 12 / GIB + 1
    yield Line(prices.S3_GB, stored, "a year of raw quotes, compressed")


def _lake(use: _Use) -> Iterator[Line]:
    ticks = use.polls * use.tickers
    seconds = HOURS * RATES.lake_seconds + ticks * RATES.lake_tick_seconds
    yield Line(prices.LAMBDA_GB_SECOND, 2 * seconds, "stock-lake: hours, ticks")
    yield Line(prices.LAMBDA_REQUEST, HOURS, "stock-lake")
    blocks = use.polls * use.partitions * RATES.block_bytes + ticks * RATES.block_tick_bytes
    yield Line(prices.READ_UNIT, blocks / (4 * KIB) + HOURS * (use.partitions * 3 + 12), "the lake: blocks")
    yield Line(prices.S3_PUT, HOURS * 7, "the lake: tables x hours")
    yield Line(prices.S3_GB, ticks * RATES.lake_tick_bytes * 12 / GIB, "a year of the lake's ticks")


def _messages(use: _Use) -> Iterator[Line]:
    events = use.anomalies * 3
    yield Line(prices.BUS_EVENT, events, "anomalies, their escalations and ends")
    polled = HOURS * 60 * RATES.sqs_polls_a_minute
    yield Line(prices.SQS_REQUEST, polled + events * 2, "Lambda polls the notifier's queue all the time")
    yield Line(prices.SNS_EMAIL, use.anomalies, "alerts")


def _readers(use: _Use) -> Iterator[Line]:
    yield Line(prices.API_REQUEST, use.api_requests, "hours that dashboards are open")
    yield Line(prices.CDN_REQUEST, use.api_requests, "the same")


def _watching(use: _Use) -> Iterator[Line]:
    scheduled, polled = SCHEDULED_HOURS[use.session] / HOURS, SESSION_HOURS[use.session] / HOURS
    sent = RATES.scanner_metrics * scheduled + RATES.detector_metrics * polled
    yield Line(prices.METRIC, sent, "hours of the session")
    yield Line(prices.ALARM, RATES.alarm_metrics, "alarms")
    yield Line(prices.DASHBOARD, 1, "the dashboard of the flow")
    lines = use.scans + use.detector_invocations + HOURS * 60 + use.api_requests
    yield Line(prices.LOG_GB, lines * RATES.line_kib * KIB / GIB, "invocations")
    yield Line(prices.KEY, 1, "the operators' topic")
    if get(use.config.source).keys:
        yield Line(prices.SECRET, 1, "the vendor's keys")
        yield Line(prices.SECRET_CALL, use.minutes / 5, "read every 5 minutes")
