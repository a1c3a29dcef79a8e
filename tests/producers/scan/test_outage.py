"""A day with an outage through the whole scan: one event when it begins, one when it ends, no false anomaly."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest

from consumers.detectors.engine import engine
from producers.archive import Archive
from producers.publisher import Publisher
from producers.quote_batch import Quote
from producers.scan.feed_keeper import FeedKeeper
from producers.scan.lease import Lease
from producers.scan.scan import Parts, Scan, ScanError
from producers.scan.unsent import UnsentStore
from producers.settings import ScannerSettings, ScanRequest
from producers.source import Quotes, SourceError
from producers.watch_list import WatchListReader
from tests.producers.fakes import Aws, Clock, StrictKinesis

START = 1_763_996_400_000  # 2025-11-24, 10:00 in New York
STEP_MS = 20_000
SYMBOLS = ["IBM", "GE", "BA", "CAT"]
BEGINS, ENDS, UNTIL = 180, 360, 450  # polls: an hour of quiet trade, an hour of outage, half an hour
PRICE_KINDS = {"price_spike", "level_shift", "bad_tick", "vol_shift"}
SETTINGS = ScannerSettings(
    stream_name="stock-quotes",
    scan_table="stock-windows",
    data_bucket="stock-scan-data-123456789012",
    source="acme",
    poll_interval_seconds=STEP_MS / 1000,
    session="regular",
)


class Market:
    """A calm market, and a vendor who shows it, or something else."""

    def __init__(self, outage: Callable[[int], int | None]) -> None:
        rng = random.Random(11)
        self._outage = outage
        self._prices: list[list[float]] = []
        prices = [100.0] * len(SYMBOLS)
        for _ in range(UNTIL + 200):
            prices = [price * math.exp(rng.gauss(0, 2.4e-4)) for price in prices]
            self._prices.append(prices)

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:
        poll = (now_ms - START) // STEP_MS
        shown = self._outage(poll) if BEGINS <= poll < ENDS else poll
        if shown is None:
            raise SourceError("acme fails (status 503: sorry)")
        prices = [round(price, 2) for price in self._prices[shown]]
        assert list(symbols) == SYMBOLS
        return {
            symbol: Quote(price, price - 0.01, price + 0.01, 100.0 * shown, START + shown * STEP_MS)
            for symbol, price in zip(symbols, prices, strict=True)
        }


OUTAGES: dict[str, Callable[[int], int | None]] = {
    "dies": lambda _poll: None,
    "stalls": lambda _poll: BEGINS - 1,
    "repeats": lambda poll: BEGINS - 30 + poll % 30,
    "flaps": lambda poll: poll if poll > BEGINS + 15 and poll % 6 == 0 else None,
    "stalls again and again": lambda poll: poll - poll % 7,
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_is_told_once_and_its_end_once_and_raises_no_price_anomaly(
    aws: Aws, kinesis: StrictKinesis, clock: Clock, outage: str
) -> None:
    clock.now_ms = START
    aws.watch(",".join(SYMBOLS))
    market = Market(OUTAGES[outage])
    repeated = 0
    while clock.now_ms < START + UNTIL * STEP_MS:
        parts = Parts(
            source=market,
            watch_list=WatchListReader(aws.ssm, aws.s3, aws.parameter, clock),
            publisher=Publisher(
                kinesis.client, "stock-quotes", 4, clock=lambda: clock.now_ms / 1000, sleep=clock.sleep
            ),
            lease=Lease(aws.dynamodb, aws.table, str(clock.now_ms), 40_000),
            unsent=UnsentStore(aws.s3, aws.bucket, 4),
            archive=Archive(aws.s3, aws.bucket),
            feed=FeedKeeper(aws.dynamodb, aws.table, aws.bus.client, "stock-market"),
            clock_ms=clock,
            sleep=clock.sleep,
        )
        scan = Scan(parts, SETTINGS)
        with suppress(ScanError):  # the source failed in every poll
            scan.run(ScanRequest(), clock.now_ms + 290_000)  # five minutes, to make the test shorter
        repeated += scan.report.repeated
        clock.now_ms = START + -(-(clock.now_ms - START + 1) // 300_000) * 300_000

    assert aws.bus.sent_events == [("FeedStale", []), ("FeedRecovered", [])]
    ticks = [
        (symbol, ts, price, bid, ask, volume)
        for batch in kinesis.batches()
        for symbol, ts, price, bid, ask, volume in zip(
            batch.symbol, batch.ts, batch.price, batch.bid, batch.ask, batch.day_volume, strict=True
        )
    ]
    by_symbol = {symbol: [tick[1] for tick in ticks if tick[0] == symbol] for symbol in SYMBOLS}
    for times in by_symbol.values():
        assert all(a < b for a, b in pairwise(times))
        polls = {(ts - START) // STEP_MS for ts in times}
        assert polls >= {*range(BEGINS), *range(ENDS, UNTIL)}, "no tick is lost before or after"
    assert (repeated > 0) == (outage not in {"dies", "flaps"})
    assert {kind for kind in anomalies(ticks) if kind in PRICE_KINDS} == set()


def anomalies(ticks: list[tuple[str, int, float, float | None, float | None, float | None]]) -> list[str]:
    columns = list(zip(*ticks, strict=True))
    floats = [np.array(column, np.float64) for column in columns[2:]]
    slots = np.array([SYMBOLS.index(symbol) for symbol in columns[0]], np.int64)
    states = engine.new_states(len(SYMBOLS))
    found = engine.apply(
        states, engine.Ticks(slots, np.array(columns[1], np.int64), *floats), np.full((9, len(SYMBOLS)), 2.5)
    )
    return [transition.kind for transition in found]
