"""A person looks on: what went through the whole monitor arrives on the page without a reload."""

from __future__ import annotations

import math
import random
import time

import pytest
from playwright.sync_api import Browser, expect

from producers.publisher import Publisher
from producers.quote_batch import QuoteBatch
from tests.e2e.monitor import Monitor

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
CALM, AFTER = 400, 5


def calm_then_a_jump(symbol: str, now_ms: int) -> QuoteBatch:
    """One tick a second until now; five seconds ago the price jumped by 5 %."""
    rng, price, prices = random.Random(5), 100.0, []
    for second in range(CALM + AFTER):
        price *= math.exp(rng.gauss(0, 1e-4)) * (1.05 if second == CALM else 1)
        prices.append(round(price, 2))
    return QuoteBatch(
        source="simulated",
        symbol=[symbol] * len(prices),
        ts=[now_ms - 1000 * (len(prices) - second) for second in range(len(prices))],
        price=prices,
        bid=[round(price - 0.01, 2) for price in prices],
        ask=[round(price + 0.01, 2) for price in prices],
        day_volume=[100.0 * second for second in range(len(prices))],
        quote_ts=[None] * len(prices),
        missing=[],
    )


def test_an_anomaly_arrives_on_the_page_without_a_reload(monitor: Monitor, chromium: Browser) -> None:
    page = chromium.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        page.goto(f"{monitor.origin}/")
        expect(page.locator("#source-badge")).to_have_text("Simulated", timeout=60_000)
        expect(page.locator("#watch tbody tr")).to_have_count(10, timeout=60_000)
        page.evaluate("window.sameDocument = true")
        jump = page.locator('#events .event[data-id^="JUMP-"]')
        expect(jump).to_have_count(0)
        batch = calm_then_a_jump("JUMP", int(time.time() * 1000))
        Publisher(monitor.client("kinesis"), "stock-quotes", 4).publish([batch])
        expect(jump.first).to_be_visible(timeout=120_000)
        expect(jump.first).to_contain_text("JUMP")
        assert page.evaluate("window.sameDocument")
        prices = page.locator("#watch td.price")
        before = prices.all_inner_texts()
        monitor.eventually(lambda: prices.all_inner_texts() != before, 60, "prices on the page move")
    finally:
        page.close()
    assert errors == []
