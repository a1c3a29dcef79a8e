"""What the market did at a moment of recordings, as the notifier would have read it from the charts."""

from __future__ import annotations

import numpy as np
import pytest

from consumers.alerts import incidents
from consumers.alerts.settings import AlertSettings
from consumers.detectors.engine.engine import Ticks
from stream_infra.operations.offline.market import KEPT_MINUTES, RecordedCharts, RecordedMarket
from tests.consumers.alerts.bench import MINUTE_MS, T0_MS, opened

TICKERS = ["AAPL", "MSFT", "NVDA", "KO", "SPY"]


def _ticks(prices: list[tuple[int, str, float]]) -> Ticks:
    nothing = np.full(len(prices), np.nan)
    return Ticks(
        slot=np.array([TICKERS.index(ticker) for _, ticker, _ in prices], np.int64),
        ts=np.array([ts for ts, *_ in prices], np.int64),
        price=np.array([price for *_, price in prices], np.float64),
        bid=nothing,
        ask=nothing,
        day_volume=nothing,
    )


def _quiet(minutes: int) -> list[tuple[int, str, float]]:
    """Return minutes of quotes until T0: the index rises in every other one, AAPL twice as much."""
    return [
        (T0_MS - (minutes - n) * MINUTE_MS, ticker, 100 * (1 + share) ** (n // 2))
        for n in range(minutes)
        for ticker, share in zip(TICKERS, (0.002, 0.0, 0.0, 0.0, 0.001), strict=True)
    ]


def test_a_jump_is_compared_with_the_others_and_the_index_up_to_its_moment() -> None:
    quotes = _quiet(60)
    before = quotes[-5][2]
    jump = [(T0_MS, "AAPL", before * 1.03), (T0_MS + 1, "MSFT", 100.0), (T0_MS + 500, "AAPL", before * 5)]
    market = RecordedMarket(AlertSettings())
    rows = _ticks([*quotes, *jump])
    market.add(TICKERS, rows, slice(0, 301))
    event = opened(T0_MS, "high")
    market.read(event)
    market.add(TICKERS, rows, slice(301, None))
    found = market.context(event, incidents.opened(event, "AAPL"), AlertSettings())
    assert (found.verdict, found.others, found.index, found.median) == ("company", 3, "SPY", 0.0)
    assert found.beta == pytest.approx(2, rel=0.01)
    assert found.move == pytest.approx(1.03 * 1.002**2 - 1, abs=0.003)
    assert market.context(event, incidents.opened(event, "market"), AlertSettings()).verdict == "market"


def test_no_more_is_kept_than_is_read() -> None:
    charts = RecordedCharts()
    charts.add(TICKERS, _ticks(_quiet(3 * KEPT_MINUTES)), slice(None))
    charts.add(TICKERS, _ticks([(T0_MS, "KO", float("nan")), (T0_MS, "KO", 0.0)]), slice(None))
    bars = list(charts.closed_bars("live", "KO", 0, T0_MS + 1, 1))
    assert KEPT_MINUTES <= len(bars) <= KEPT_MINUTES + 1
    assert bars[-1].minute_ms == (T0_MS - MINUTE_MS) // MINUTE_MS * MINUTE_MS
    assert charts.closes("live", TICKERS, [bars[-1].minute_ms], 1)[bars[-1].minute_ms]["KO"] == 100.0
