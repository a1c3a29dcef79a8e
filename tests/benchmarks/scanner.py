# ruff: noqa: T201 - it prints a report
"""What a scan costs at many tickers: `PYTHONPATH=. python tests/benchmarks/scanner.py 50000` (processor time, memory).

The vendor and AWS answer at once, and nothing is kept of what they get: what is left is the scanner's own. A scan of a
minute, a poll every `--interval` seconds by a clock that does not wait.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import workload

from producers.archive import Archive
from producers.markets import NEW_YORK
from producers.markets.listings import Listings
from producers.publisher import Publisher
from producers.quote_batch import Quote
from producers.scan.feed_keeper import FeedKeeper
from producers.scan.lease import Lease
from producers.scan.scan import SCAN_SECONDS, Parts, Scan
from producers.scan.unsent import UnsentStore
from producers.settings import ScannerSettings, ScanRequest
from producers.source import Quotes
from producers.watch_list import WatchList


class _Vendor:
    """Another price for every ticker in every poll."""

    seconds = 0.0

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:
        began = time.process_time()
        cents = [(7 * n + now_ms // 1000) % 9_000 + 1_000 for n in range(len(symbols))]
        found: Quotes = {
            symbol: Quote(of / 100, (of - 1) / 100, (of + 1) / 100, float(now_ms % 10**8), now_ms)
            for symbol, of in zip(symbols, cents, strict=True)
        }
        self.seconds += time.process_time() - began
        return found


class _Aws:
    """Any client: takes everything, knows nothing."""

    class exceptions:  # noqa: N801 - as boto3 names it
        ConditionalCheckFailedException = KeyError

    def __getattr__(self, operation: str) -> Any:
        return lambda **_: {"Attributes": {}}

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: [])

    def put_records(self, *, Records: list[Any], **_: object) -> Any:  # noqa: N803
        return {"FailedRecordCount": 0, "Records": [{"SequenceNumber": "0"} for _ in Records]}


class _Clock:
    """Time passes as processor time does, and by what is slept."""

    def __init__(self) -> None:
        self._slept = 0.0

    def __call__(self) -> int:
        return workload.START_MS + int(1000 * (time.process_time() + self._slept))

    def sleep(self, seconds: float) -> None:
        self._slept += seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tickers", type=int)
    parser.add_argument("--interval", type=float, default=2.0, help="seconds between polls (2)")
    options = parser.parse_args()
    aws: Any = _Aws()
    clock, vendor = _Clock(), _Vendor()
    watched = WatchList(tuple(workload.symbol_names(options.tickers)), ())
    parts = Parts(
        source=vendor,
        watch_list=lambda: watched,
        publisher=Publisher(aws, "stock-quotes", 4),
        lease=Lease(aws, "windows", "a", 40_000),
        unsent=UnsentStore(aws, "data", 4),
        archive=Archive(aws, "data"),
        feed=FeedKeeper(aws, "windows", aws, "stock-market"),
        clock_ms=clock,
        sleep=clock.sleep,
        market_of=Listings("", NEW_YORK),
    )
    settings = ScannerSettings(
        stream_name="stock-quotes",
        scan_table="windows",
        data_bucket="data",
        source="alpaca",
        poll_interval_seconds=options.interval,
        session="always",
    )
    began = time.process_time()
    report = Scan(parts, settings).run(ScanRequest(None, None, ""), clock() + 1000 * SCAN_SECONDS)
    own = time.process_time() - began - vendor.seconds
    print(
        json.dumps(
            {
                "tickers": options.tickers,
                "polls": report.polls,
                "cpu_seconds_a_poll": own / report.polls,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
