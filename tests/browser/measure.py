"""Measures the page on the running local monitor: its weight, when it is usable, and how soon an anomaly is on screen.

make up, then: PYTHONPATH=. python tests/browser/measure.py (about 4 minutes; docs/performance.md has the figures)

An anomaly is on screen once its item was painted in a Chromium that looks on, without a reload; its time runs from just
before its tick is put into the stream. Around it the stream carries `TICKERS` more tickers, one tick a second each.
"""

from __future__ import annotations

import gzip
import os
import random
import secrets
import shutil
import statistics
import sys
import time

from playwright.sync_api import Browser, Page, Response, sync_playwright

from producers.publisher import Publisher
from producers.quote_batch import QuoteBatch
from stream_infra.operations.endpoints import resolve

TICKERS = int(os.environ.get("TICKERS", "100"))
SPIKES = int(os.environ.get("SPIKES", "60"))
HISTORY_TICKS, SETTLE_SECONDS, PATIENCE_SECONDS = 400, 20, 30
LOADS = 10
# From within: a locator asks through another process, and its way would count.
_USABLE = """
window.usableMs = new Promise((told) => addEventListener("DOMContentLoaded", () => {
  const ticker = location.search !== "";
  const shown = ticker ? ["#chart[data-bars]", "#chart canvas"] : ["#watch tbody tr", "#events .event"];
  new MutationObserver((_, observer) => {
    if (!shown.every((selector) => document.querySelector(selector))) return;
    told(performance.now());
    observer.disconnect();
  }).observe(document.body, { childList: true, subtree: true, attributes: true });
}));
"""
_WATCH = """
window.painted = {};
addEventListener("DOMContentLoaded", () => new MutationObserver(() => requestAnimationFrame(() => {
  for (const item of document.querySelectorAll("#events .event")) painted[item.dataset.id] ??= Date.now();
})).observe(document.body, { childList: true, subtree: true }));
"""


class Market:
    """Quiet random walks, one tick a second each; `spike` moves one of them by 5 %."""

    def __init__(self, publisher: Publisher) -> None:
        run = secrets.token_hex(2).upper()
        self.symbols = [f"M{run}-{n:03d}" for n in range(TICKERS)]
        self._rng = random.Random(7)
        self._prices = dict.fromkeys(self.symbols, 100.0)
        self._publisher = publisher

    def history(self) -> None:
        """The seconds until now, all at once."""
        now_ms = int(time.time() * 1000)
        for second in range(HISTORY_TICKS, 0, -50):
            moments = [now_ms - 1000 * (second - n) for n in range(50)]
            self._put([(symbol, ts, self._next(symbol)) for symbol in self.symbols for ts in moments])

    def second(self, spiking: str | None = None) -> int:
        """A tick of each, with one of them off by 5 %; when it was put, in epoch ms."""
        if spiking:
            self._prices[spiking] *= 1.05
        now_ms = int(time.time() * 1000)
        self._put([(symbol, now_ms, self._next(symbol)) for symbol in self.symbols])
        return now_ms

    def _next(self, symbol: str) -> float:
        self._prices[symbol] *= 1 + self._rng.gauss(0, 1e-4)
        return round(self._prices[symbol], 2)

    def _put(self, ticks: list[tuple[str, int, float]]) -> None:
        symbols, moments, prices = (list(column) for column in zip(*ticks, strict=True))
        n = len(ticks)
        batch = QuoteBatch(
            "simulated", symbols, moments, prices, [None] * n, [None] * n, [None] * n, [None] * n, []
        )
        self._publisher.publish([batch])


def main() -> int:
    """Print the figures."""
    endpoints = resolve(False)
    url = endpoints.dashboard or ""
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=False)
        for name, query in {"first view": "", "a ticker": "?ticker=AAPL"}.items():
            _loads(browser, name, url + query)
        market = Market(Publisher(endpoints.client("kinesis"), "stock-quotes", 4))
        _on_screen(browser, url, market)
        browser.close()
    return 0


def _loads(browser: Browser, name: str, url: str) -> None:
    usable_ms, weights = [], []
    for _ in range(LOADS):
        context = browser.new_context()
        page = context.new_page()
        bodies: list[Response] = []
        page.on("response", lambda answer: bodies.append(answer))  # noqa: B023, PLW0108  a builtin method has no attributes
        page.add_init_script(_USABLE)
        page.goto(url)
        usable_ms.append(page.evaluate("usableMs"))
        weights.append(sum(len(gzip.compress(answer.body())) for answer in bodies if answer.status == 200))
        context.close()
    _tell(
        f"{name}: {max(weights):,} bytes gzipped; usable after {statistics.median(usable_ms):.0f} ms "
        f"(median of {LOADS}; slowest {max(usable_ms):.0f} ms)"
    )


def _on_screen(browser: Browser, url: str, market: Market) -> None:
    page = browser.new_page()
    page.add_init_script(_WATCH)
    page.goto(url)
    market.history()
    for _ in range(SETTLE_SECONDS):
        market.second()
        page.wait_for_timeout(1000)
    put_ms = {}
    phase = random.Random(11)
    for n in range(SPIKES):
        spiking = market.symbols[n % TICKERS]
        ts_ms = market.second(spiking)
        put_ms[f"{spiking}-{ts_ms}-"] = ts_ms
        page.wait_for_timeout(1000)
        market.second()
        page.wait_for_timeout(1000 + phase.randrange(1000))  # any moment between two polls of the page
    waits = sorted(_seen(page, put_ms))
    _tell(
        f"{len(waits)} of {SPIKES} anomalies on screen at {TICKERS} more tickers: median "
        f"{statistics.median(waits):.2f} s, p95 {waits[int(0.95 * len(waits))]:.2f} s, slowest {waits[-1]:.2f} s"
    )


def _seen(page: Page, put_ms: dict[str, int]) -> list[float]:
    """Seconds from the stream to the screen, of each that came within `PATIENCE_SECONDS`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    waits: dict[str, float] = {}
    while len(waits) < len(put_ms) and time.monotonic() < deadline:
        page.wait_for_timeout(500)
        for anomaly, painted_ms in sorted(page.evaluate("painted").items(), key=lambda item: -item[1]):
            tick = anomaly[: anomaly.rindex("-") + 1]
            if tick in put_ms:
                waits[tick] = (painted_ms - put_ms[tick]) / 1000
    return list(waits.values())


def _tell(figure: str) -> None:
    sys.stdout.write(f"{figure}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
