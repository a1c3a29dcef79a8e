"""Measures the running local monitor: the page's weight, when it is usable, how soon an anomaly is on screen and sent.

make up, then: PYTHONPATH=. python tests/browser/measure.py (about 4 minutes; docs/performance.md has the figures)

An anomaly is on screen once its item was painted in a Chromium that looks on, without a reload, and sent once its
message is in the outbox; its time runs from just before its tick is put into the stream. Around it the stream carries
`TICKERS` more tickers, one tick a second each. `make bench` runs it where a monitor runs; the histograms go to
build/latency.json.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import secrets
import shutil
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Response, sync_playwright

from localstack.settings import read_settings
from producers.errors import MonitorError
from producers.publisher import Publisher
from producers.quote_batch import QuoteBatch
from stream_infra.operations.endpoints import resolve
from tests.conftest import BROWSERS

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
    try:
        endpoints = resolve(False)
    except MonitorError as error:
        _tell(f"the page and messages are not measured: {error}")
        return 0
    url = endpoints.dashboard or ""
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
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
        whole = [answer for answer in bodies if answer.status == 200 and not _goes_on(answer)]
        weights.append(sum(len(gzip.compress(answer.body())) for answer in whole))
        context.close()
    _tell(
        f"{name}: {max(weights):,} bytes gzipped; usable after {statistics.median(usable_ms):.0f} ms "
        f"(median of {LOADS}; slowest {max(usable_ms):.0f} ms)"
    )


def _goes_on(answer: Response) -> bool:
    """Return whether a response is the stream of events: its body has no end to wait for."""
    return answer.headers.get("content-type", "").startswith("text/event-stream")


def _on_screen(browser: Browser, url: str, market: Market) -> None:
    page = browser.new_page()
    page.add_init_script(_WATCH)
    page.goto(url)
    market.history()
    for _ in range(SETTLE_SECONDS):
        market.second()
        page.wait_for_timeout(1000)
    outbox = Outbox(read_settings().directory / "outbox.jsonl")
    put_ms: dict[str, int] = {}
    phase = random.Random(11)
    for n in range(SPIKES):
        spiking = market.symbols[n % TICKERS]
        ts_ms = market.second(spiking)
        put_ms[f"{spiking}-{ts_ms}-"] = ts_ms
        page.wait_for_timeout(1000)
        market.second()
        page.wait_for_timeout(1000 + phase.randrange(1000))  # any moment between two polls of the page
    seen = _seen(page, put_ms)
    sent = [(at_ms - put_ms[tick]) / 1000 for tick, at_ms in outbox.sent_ms(put_ms).items()]
    figures: dict[str, Any] = {
        "tick_to_page": _histogram("on screen", seen),
        "tick_to_message": _histogram("sent", sent),
    }
    figures |= {"tickers": TICKERS, "load": list(os.getloadavg())}
    folder = Path(__file__).resolve().parents[2] / "build"
    folder.mkdir(exist_ok=True)
    (folder / "latency.json").write_text(json.dumps(figures, indent=2) + "\n")


class Outbox:
    """When each line came to the outbox of the local monitor (epoch ms), looked at 50 times a second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[tuple[float, str]] = []
        self._from = path.stat().st_size if path.exists() else 0
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        while True:
            if self._path.exists() and self._path.stat().st_size > self._from:
                with self._path.open(encoding="utf-8") as file:
                    file.seek(self._from)
                    text = file.read().rpartition("\n")[0]
                self._from += len(text.encode()) + 1 if text else 0
                self._lines += [(1000 * time.time(), line) for line in text.splitlines()]
            time.sleep(0.02)

    def sent_ms(self, ticks: Iterable[str]) -> dict[str, float]:
        """Return when the first message about each tick was there, of those that were sent."""
        lines = list(self._lines)
        found = {tick: next((at for at, line in lines if tick in line), None) for tick in ticks}
        return {tick: at for tick, at in found.items() if at is not None}


def _histogram(what: str, waits: list[float]) -> dict[str, Any]:
    """Print and return how long the anomalies took: quantiles (s), and how many by quarters of a second."""
    waits = sorted(waits)
    if not waits:
        _tell(f"none of {SPIKES} anomalies {what}")
        return {"count": 0}
    p95 = waits[int(0.95 * len(waits))]
    _tell(
        f"{len(waits)} of {SPIKES} anomalies {what} at {TICKERS} more tickers: median {statistics.median(waits):.2f} s,"
        f" p95 {p95:.2f} s, slowest {waits[-1]:.2f} s; load {os.getloadavg()[0]:.0f}"
    )
    buckets = Counter(int(wait / 0.25) for wait in waits)
    for bucket, count in sorted(buckets.items()):
        _tell(f"  {bucket / 4:5.2f} s {'#' * count}")
    return {
        "count": len(waits),
        "median": statistics.median(waits),
        "p95": p95,
        "slowest": waits[-1],
        "by_quarter_seconds": {f"{bucket / 4:.2f}": count for bucket, count in sorted(buckets.items())},
    }


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
