"""The vendors on this machine, which `make up` is tried with by hand, answer what the sources read."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from producers.polling import poll
from producers.source import HasConnection, Mode
from producers.sources import create, history_of
from tests.vendors import Vendors

TICKERS = {
    "alpaca": ["AAPL", "BTC/USD"], "coinbase": ["BTC-USD", "ETH-EUR"], "kraken": ["BTC-USD", "ETH/EUR"],
    "finnhub": ["AAPL", "BINANCE:BTCUSDT"],
}  # fmt: skip


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    vendors = Vendors()
    yield {**vendors.environment, "POLL_INTERVAL_SECONDS": "5"}
    vendors.close()


@pytest.mark.parametrize("mode", ["poll", "stream"])
@pytest.mark.parametrize("name", TICKERS)
def test_a_source_reads_them(name: str, mode: Mode, environment: dict[str, str]) -> None:
    source = create(name, environment, mode)
    unlisted = ["NOPE-USD"] if mode == "poll" else []  # not all streams say so: it would be waited for
    batch = poll(name, source, [*TICKERS[name], *unlisted], int(time.time() * 1000))
    assert batch.symbol == TICKERS[name]
    assert batch.missing == unlisted
    assert all(price > 0 for price in batch.price)
    if isinstance(source, HasConnection):
        source.close()


@pytest.mark.parametrize("name", ["alpaca", "coinbase", "kraken"])
def test_a_history_reads_them(name: str, environment: dict[str, str]) -> None:
    now_ms = int(time.time() * 1000)
    bars = list(history_of(name, environment).minute_bars(TICKERS[name][0], now_ms - 600_000, now_ms))
    assert 9 <= len(bars) <= 11
