"""A ticker's past: on the stream before its first quote, in its windows and on its chart, and nobody is notified."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Any
from zlib import crc32

import pytest

from consumers.contracts.events import Event
from consumers.detector.wiring import Detector
from producers.quote_batch import Quote, QuoteBatch
from producers.scan.scan import Scan, ScanError
from producers.scan.warm_up import MAX_WAIT_MS, Limits, WarmUp, WarmUpMemory, volumes_of
from producers.settings import ScannerSettings, ScanRequest
from producers.source import History, MinuteBar, Quotes, SourceError
from tests.consumers.alerts.bench import envelope
from tests.consumers.alerts.test_handler import Function, forget_what_is_made_once
from tests.consumers.kit import SHARD, Sent, event
from tests.producers.fakes import Aws, Clock, MakeParts, StrictKinesis
from tests.producers.scan.test_scan import parts as parts_fixture
from tests.producers.test_to_the_consumer import detector as detector_fixture

parts = parts_fixture
detector = detector_fixture
MINUTE = 60_000
LIMITS = Limits(50, 2_500)
SETTINGS = ScannerSettings(
    stream_name="stock-quotes",
    scan_table="stock-windows",
    data_bucket="stock-scan-data-123456789012",
    source="coinbase",
    poll_interval_seconds=5.0,
)


def price_at(symbol: str, at_ms: int) -> float:
    """A calm price of every second."""
    mixed = crc32(f"{symbol}{at_ms // 1000}".encode())
    return 100.0 + sum(mixed >> shift & 7 for shift in range(0, 24, 3)) / 100


class Bars:
    """A history of calm minutes; `fails` says of which tickers it has none, `calls` what was asked for."""

    def __init__(self, *fails: str) -> None:
        self.fails = fails
        self.calls: list[tuple[str, int, int]] = []

    def minute_bars(self, symbol: str, since_ms: int, until_ms: int) -> Iterator[MinuteBar]:
        self.calls.append((symbol, since_ms, until_ms))
        if symbol in self.fails:
            raise SourceError(f"acme has no minutes of {symbol}")
        for at in range(since_ms // MINUTE * MINUTE, until_ms + 2 * MINUTE, MINUTE):
            prices = [price_at(symbol, at + second * 1000) for second in range(0, 60, 15)]
            yield MinuteBar(at, prices[0], max(prices), min(prices), prices[-1], 10.0)


class Calm:
    """A source of calm prices; one of `jumps` is 3 % higher from its moment on, or as many times as `factor` says."""

    def __init__(
        self, jumps: dict[str, int] | None = None, fails_until_ms: int = 0, factor: float = 1.03
    ) -> None:
        self.jumps = jumps or {}
        self.factor = factor
        self.fails_until_ms = fails_until_ms

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:
        if now_ms < self.fails_until_ms:
            raise SourceError("acme fails")
        factor = {s: self.factor if now_ms >= self.jumps.get(s, 10**15) else 1.0 for s in symbols}
        return {s: Quote(price_at(s, now_ms) * factor[s], quote_ts=now_ms) for s in symbols}


def warm_up(history: History, clock: Clock, limits: Limits = LIMITS) -> WarmUp:
    return WarmUp(
        "coinbase",
        lambda: history,
        market_of=lambda _: "24/7",
        session="regular",
        limits=limits,
        clock_ms=clock,
    )


def run(parts: MakeParts, source: Calm, warm: WarmUp, seconds: int = 55) -> dict[str, Any]:
    of = replace(parts(), source=source, warm_up=warm, market_of=lambda _: "24/7")
    return Scan(of, SETTINGS).run(ScanRequest(), of.clock_ms() + seconds * 1000).as_dict()


def rows_of(kinesis: StrictKinesis, symbol: str) -> list[tuple[str, int]]:
    return [
        (batch.source, ts)
        for batch in kinesis.batches()
        for of, ts in zip(batch.symbol, batch.ts, strict=True)
        if of == symbol
    ]


def deliver(detector: Detector, kinesis: StrictKinesis, clock: Clock) -> None:
    sent = [
        Sent(record["Data"], f"{number:021d}", clock(), record["PartitionKey"], SHARD)
        for number, record in enumerate(kinesis.stored)
    ]
    for record in sent:
        assert detector.handle(event([record]), 900_000) == {"batchItemFailures": []}


def test_a_first_scan_sends_half_an_hour_of_bars_and_then_quotes(
    parts: MakeParts, kinesis: StrictKinesis, clock: Clock
) -> None:
    began, bars = clock(), Bars()
    report = run(parts, Calm(), warm_up(bars, clock))
    assert (report["backfilled"], report["problems"]) == (4 * 120, [])
    assert [call[1:] for call in bars.calls] == [(began - 30 * MINUTE, began)] * 4
    for symbol in ("IBM", "GE", "BA", "CAT"):
        rows = rows_of(kinesis, symbol)
        assert [source for source, _ in rows] == ["backfill-coinbase"] * 120 + ["coinbase"] * report["polls"]
        times = [ts for _, ts in rows]
        assert times == sorted(set(times))
        assert times[119] < began <= times[120]
    run(parts, Calm(), warm_up(bars, clock))
    assert len(bars.calls) == 4  # once is enough


def test_a_ticker_added_while_running_is_judged_within_one_scan_of_its_warm_up(
    parts: MakeParts, kinesis: StrictKinesis, clock: Clock, aws: Aws, detector: Detector
) -> None:
    aws.watch("IBM")
    run(parts, Calm(), warm_up(Bars(), clock))
    aws.watch("IBM,NEW")
    jump = clock() + 40_000
    run(parts, Calm({"NEW": jump}), warm_up(Bars(), clock))
    deliver(detector, kinesis, clock)
    items = aws.dynamodb.scan(TableName="stock-anomalies")["Items"]
    found = {(item["ticker"]["S"], item["kind"]["S"], item["source"]["S"]) for item in items}
    assert ("NEW", "price_spike", "coinbase") in found
    charted = aws.dynamodb.scan(TableName="stock-charts")["Items"]
    minutes = {item["sk"]["S"] for item in charted if item["pk"]["S"].startswith("bars#live")}
    assert len(minutes) >= 25


class Traded(Calm):
    """Calm prices, with 120 units a minute, and 3,000 at once at `burst_ms`."""

    burst_ms = 10**15

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:
        volume = 1e6 + now_ms % 86_400_000 / 1000 * 2 + (3_000.0 if now_ms >= self.burst_ms else 0.0)
        found = super().quotes(symbols, now_ms)
        return {
            s: quote._replace(day_volume=volume) for s, quote in found.items() if isinstance(quote, Quote)
        }


class Uneven(Bars):
    """Minutes of 80 to 160 units."""

    def minute_bars(self, symbol: str, since_ms: int, until_ms: int) -> Iterator[MinuteBar]:
        for bar in super().minute_bars(symbol, since_ms, until_ms):
            yield bar._replace(volume=80.0 + crc32(str(bar.ts).encode()) % 81)


@pytest.mark.parametrize("history", [Uneven(), Bars("IBM")], ids=["warmed up", "without bars"])
def test_volumes_are_learned_from_the_bars(
    parts: MakeParts, kinesis: StrictKinesis, aws: Aws, detector: Detector, history: Bars
) -> None:
    aws.watch("IBM")
    source, clock = Traded(), parts().clock_ms
    assert isinstance(clock, Clock)
    source.burst_ms = clock() + 40_000
    run(parts, source, warm_up(history, clock))
    volumes = [volume for batch in kinesis.batches() for volume in batch.day_volume]
    known = [volume for volume in volumes if volume is not None]
    assert known == sorted(known), "the first quote's volume is the last of the bars'"
    deliver(detector, kinesis, clock)
    items = aws.dynamodb.scan(TableName="stock-anomalies")["Items"]
    found = {(item["kind"]["S"], item["source"]["S"]) for item in items}
    assert (("volume_burst", "coinbase") in found) == (not history.fails)


@pytest.mark.parametrize("odd", [-5.0, float("nan"), float("inf")])
def test_a_volume_that_is_none_leaves_the_volumes_before_it_unknown(odd: float) -> None:
    bars = [MinuteBar(MINUTE * n, 1.0, 1.0, 1.0, 1.0, odd if n == 1 else 8.0) for n in range(3)]
    assert volumes_of(bars, 100.0) == [[None] * 4, [None] * 4, [94.0, 96.0, 98.0, 100.0]]


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """Return a list of the events that the detector puts on the bus, as they come."""
    events: list[Event] = []
    monkeypatch.setattr("consumers.stores.bus.Bus.put", lambda _bus, put: events.extend(put))
    return events


@pytest.fixture
def notifier(aws: Aws, detector: Detector, monkeypatch: pytest.MonkeyPatch) -> Iterator[Function]:  # noqa: ARG001
    forget_what_is_made_once()
    yield Function(monkeypatch)
    forget_what_is_made_once()


def test_an_anomaly_of_the_past_is_of_origin_backfill_and_nobody_is_notified_of_it(  # noqa: PLR0917
    parts: MakeParts,
    kinesis: StrictKinesis,
    aws: Aws,
    detector: Detector,
    announced: list[Event],
    notifier: Function,
) -> None:
    clock = parts().clock_ms
    assert isinstance(clock, Clock)

    class Jumpy(Bars):
        def minute_bars(self, symbol: str, since_ms: int, until_ms: int) -> Iterator[MinuteBar]:
            for bar in super().minute_bars(symbol, since_ms, until_ms):
                late = bar.ts >= until_ms - 5 * MINUTE
                yield bar._replace(close=bar.close * 1.05, high=bar.high * 1.05) if late else bar

    aws.watch("NEW")
    run(parts, Calm(), warm_up(Jumpy(), clock))
    deliver(detector, kinesis, clock)
    items = aws.dynamodb.scan(TableName="stock-anomalies")["Items"]
    of_the_past = [item for item in items if item["source"]["S"] == "backfill-coinbase"]
    assert of_the_past
    assert all("@" not in item["id"]["S"] for item in items)
    bodies = [envelope(each) for each in announced]
    assert any('"backfill-coinbase"' in body for body in bodies)
    notifier.now_ms = clock()
    assert notifier.take(*bodies) == []
    notifier.now_ms += 61 * MINUTE
    notifier.sweep()
    told = [message["Message"] for message in notifier.read(notifier.outbox)]
    assert not any(item["id"]["S"] in text for item in of_the_past for text in told)
    assert not any(json.loads(text)["message"]["origin"] == "backfill" for text in told)


def test_after_an_outage_the_gap_is_filled(
    parts: MakeParts, kinesis: StrictKinesis, clock: Clock, aws: Aws
) -> None:
    aws.watch("IBM")
    bars = Bars()
    run(parts, Calm(), warm_up(bars, clock))
    last = rows_of(kinesis, "IBM")[-1][1]
    back = clock() + 10 * MINUTE
    while clock() < back:
        with suppress(ScanError):
            run(parts, Calm(fails_until_ms=back), warm_up(bars, clock))
        clock.sleep(5)
    run(parts, Calm(fails_until_ms=back), warm_up(bars, clock))
    rows = rows_of(kinesis, "IBM")
    times = [ts for _, ts in rows]
    assert times == sorted(set(times))
    filled = [ts for source, ts in rows if source == "backfill-coinbase" and ts > last]
    assert len(bars.calls) == 2
    assert 4 * 9 <= len(filled) <= 4 * 11
    assert max(b - a for a, b in pairwise(times)) <= 2 * MINUTE


def test_a_short_pause_is_no_gap(parts: MakeParts, clock: Clock) -> None:
    bars = Bars()
    run(parts, Calm(), warm_up(bars, clock))
    clock.sleep(170)
    run(parts, Calm(), warm_up(bars, clock))
    assert len(bars.calls) == 4


def test_a_history_that_fails_costs_its_ticker_the_warm_up_alone(
    parts: MakeParts, kinesis: StrictKinesis, clock: Clock
) -> None:
    report = run(parts, Calm(), warm_up(Bars("GE"), clock))
    assert report["problems"] == ["GE is not warmed up: acme has no minutes of GE"]
    assert [source for source, _ in rows_of(kinesis, "GE")] == ["coinbase"] * report["polls"]
    assert len(rows_of(kinesis, "IBM")) == 120 + report["polls"]


def batch_of(*symbols: str, ts: int) -> QuoteBatch:
    n = len(symbols)
    none: list[None] = [None] * n
    return QuoteBatch("coinbase", [*symbols], [ts] * n, [1.0] * n, [*none], [*none], [*none], [*none], [])


def test_tickers_wait_for_their_turn_and_not_for_ever(clock: Clock) -> None:
    memory, warm = WarmUpMemory(), warm_up(Bars(), clock, Limits(2, 2_500))
    symbols = tuple(f"T{n}" for n in range(100))
    first = warm.run(memory, batch_of(*symbols, ts=clock()), clock())
    assert first.quotes.symbol == ["T0", "T1"]
    clock.sleep(5)
    second = warm.run(memory, batch_of(*symbols, ts=clock()), clock())
    assert second.quotes.symbol == ["T0", "T1", "T2", "T3"]
    clock.sleep(MAX_WAIT_MS / 1000)
    last = warm.run(memory, batch_of(*symbols, ts=clock()), clock())
    assert len(last.quotes) == 100
    clock.sleep(5)
    assert warm.run(memory, batch_of(*symbols, ts=clock()), clock()).past is None


def test_a_crowd_begins_at_once(clock: Clock) -> None:
    memory, bars = WarmUpMemory(), Bars()
    warmed = warm_up(bars, clock).run(memory, batch_of(*(f"T{n}" for n in range(501)), ts=clock()), clock())
    assert (warmed.past, len(warmed.quotes), bars.calls) == (None, 501, [])
    assert warmed.problems == ["501 tickers are not warmed up: at most 500 are at once"]


def test_slow_bars_end_the_turn(clock: Clock) -> None:
    class Slow(Bars):
        def minute_bars(self, symbol: str, since_ms: int, until_ms: int) -> Iterator[MinuteBar]:
            clock.sleep(2)
            return super().minute_bars(symbol, since_ms, until_ms)

    memory = WarmUpMemory()
    warmed = warm_up(Slow(), clock).run(memory, batch_of("A", "B", "C", ts=clock()), clock())
    assert warmed.quotes.symbol == ["A", "B"]


@pytest.mark.parametrize(
    ("moment", "newest", "begin"),
    [
        # New York opens at 14:30 UTC in winter: yesterday's last half hour is the past of the first quote
        ("2025-11-25T14:30:05", None, "2025-11-24T20:30:00"),
        ("2025-11-25T14:45:05", None, "2025-11-24T20:45:00"),  # 15 minutes of each day
        ("2025-12-01T14:30:05", None, "2025-11-28T17:30:00"),  # a half day before, and the weekend
        ("2025-11-25T14:30:05", "2025-11-24T20:59:55", None),  # the night is no gap
        ("2025-11-25T14:40:05", "2025-11-24T20:59:55", "2025-11-25T14:30:00"),
    ],
)
def test_the_past_is_that_of_the_tickers_own_market(
    clock: Clock, moment: str, newest: str | None, begin: str | None
) -> None:
    def ms(text: str) -> int:
        return round(datetime.fromisoformat(f"{text}+00:00").timestamp() * 1000)

    clock.now_ms = ms(moment)
    bars = Bars()
    warm = WarmUp(
        "alpaca",
        lambda: bars,
        market_of=lambda _: "XNYS",
        session="regular",
        limits=Limits(9, 2_500),
        clock_ms=clock,
    )
    memory = WarmUpMemory({"AAPL": ms(newest)} if newest else {})
    warm.run(memory, batch_of("AAPL", ts=clock()), clock())
    assert [call[1] for call in bars.calls] == ([ms(begin)] if begin else [])
