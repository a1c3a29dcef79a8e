"""Takes the four pictures of the README, from the tests' own site: `PYTHONPATH=. python tests/browser/screenshots.py`.

The Slack message is drawn from the very blocks that the channel posts for a critical incident.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html import escape
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page, expect

from consumers.alerts.channels import Setup
from consumers.alerts.channels.slack import Slack
from consumers.alerts.context import Context
from consumers.alerts.rendering.texts import content
from consumers.alerts.store import AlertStore
from consumers.alerts.table import DynamoTable
from consumers.contracts.anomaly import Anomaly
from consumers.contracts.charts import MINUTE_MS, Bar
from tests.api.client import JsonObject
from tests.aws import aws_in_memory
from tests.browser.conftest import NOT_NEW
from tests.browser.site import Site, running_site
from tests.conftest import running_chromium

IMAGES = Path(__file__).parents[2] / "docs" / "images"
MOST_BYTES = 250_000
SLOWEST_MS = 120_000
LINK = "https://monitor.example/"


def main() -> int:
    """Write the pictures."""
    os.environ |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test")
    with aws_in_memory(), running_site() as site, running_chromium() as browser:
        fall = _fall(site, "NVDA", 38, 0.9859)
        burst = _burst(site, fall)
        site.put_quotes()
        with _page(browser, 1440, 900, "dark") as page:
            _desk(page, site, fall)
        with _page(browser, 1440, 900, "light") as page:
            _incident(page, site, burst)
        with _page(browser, 375, 760, "light") as page:
            _phone(page, site)
        with _page(browser, 640, 420, "light") as page:
            _slack(page, site, fall)
    return 0


def _fall(site: Site, ticker: str, minutes_ago: int, factor: float) -> Anomaly:
    """Let a price fall within a minute and stay there, and tell people of it."""
    bars = site.bars[ticker]
    at = len(bars) - minutes_ago
    moved = [_scaled(bar, factor) for bar in bars[at:]]
    moved[0] = replace(
        moved[0], open=bars[at - 1].close, high=bars[at - 1].close, spread_low=0.02, spread_high=0.31
    )
    moved[0] = replace(moved[0], volume=6 * (moved[0].volume or 0))
    site.bars[ticker] = [*bars[:at], *moved]
    site.put_bars("simulated", ticker, moved)
    before, after = bars[at - 1].close, moved[0].close
    anomaly = site.put_anomaly(
        ticker,
        moved[0].minute_ms + 21_400,
        "price_spike",
        severity="critical",
        direction="down",
        value=after / before - 1,
        expected=0.0,
        score=18.1,
        explanation=f"{ticker} fell {100 * (1 - after / before):.2f}% in one tick, from {before:,.2f} to {after:,.2f}: "
        "18 times its usual move of 0.078% over the last 240 ticks.",
    )
    move = after / before - 1
    site.announce(anomaly, Context("company", "", move, 0.0006, 9, "SPY", 0.0004, 1.7, move - 0.0007))
    return anomaly


def _burst(site: Site, fall: Anomaly) -> Anomaly:
    """Add what belongs to the same incident."""
    minute = site.bars[fall.ticker][-38].minute_ms
    burst = site.put_anomaly(
        fall.ticker,
        minute + 24_900,
        "volume_burst",
        severity="high",
        value=1_204_000.0,
        expected=96_000.0,
        tolerance=41_000.0,
        window={"unit": "shares", "ticks": 240},
        score=11.2,
        explanation=f"{fall.ticker} traded 1,204,000 shares in 5 s, 12 times what is usual at this time of day.",
    )
    site.announce(burst)
    blowout = site.put_anomaly(
        fall.ticker,
        minute + 31_000,
        "spread_blowout",
        severity="medium",
        value=0.0017,
        expected=0.0001,
        tolerance=0.0001,
        window={"unit": "spread", "ticks": 240},
        score=6.0,
        explanation=f"{fall.ticker}'s spread widened to $0.31, 15 times its usual $0.02.",
    )
    site.announce(blowout)
    return burst


def _scaled(bar: Bar, factor: float) -> Bar:
    def price(value: float | None) -> float:
        return round((value or 0.0) * factor, 2)

    return replace(
        bar,
        open=price(bar.open),
        high=price(bar.high),
        low=price(bar.low),
        close=price(bar.close),
        bid=price(bar.bid),
        ask=price(bar.ask),
    )


@contextmanager
def _page(browser: Browser, width: int, height: int, scheme: str) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": width, "height": height}, timezone_id="America/New_York", reduced_motion="reduce"
    )
    context.add_init_script(f"{NOT_NEW}; localStorage.theme ??= '{scheme}'")
    yield context.new_page()
    context.close()


def _desk(page: Page, site: Site, fall: Anomaly) -> None:
    query = urlencode({"ticker": fall.ticker, "anomaly": fall.id, "compare": "AAPL"})
    page.goto(f"{site.url}?{query}")
    expect(page.locator(".detail")).to_be_visible(timeout=SLOWEST_MS)
    expect(page.locator("#watch .sparkline")).to_have_count(len(site.levers.tickers), timeout=SLOWEST_MS)
    _save(page, "desk-dark.png")


def _incident(page: Page, site: Site, burst: Anomaly) -> None:
    page.goto(f"{site.url}?incidents=open&anomaly={burst.id}&range=1h")
    expect(page.locator(".incident-detail").first).to_be_visible(timeout=SLOWEST_MS)
    expect(page.locator(".incident-context").first).to_be_visible(timeout=SLOWEST_MS)
    expect(page.locator(".detail")).to_be_visible(timeout=SLOWEST_MS)
    _save(page, "incident-light.png")


def _phone(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.locator("#events .event").nth(5)).to_be_visible(timeout=SLOWEST_MS)
    _save(page, "phone.png")


def _slack(page: Page, site: Site, fall: Anomaly) -> None:
    store = AlertStore(DynamoTable(site.dynamodb, "stock-alerts"))
    began_ms = site.bars[fall.ticker][-38].minute_ms
    (stored, *_) = [
        one
        for one in store.messages(began_ms, began_ms + MINUTE_MS)
        if one.message.incident and one.message.incident.severity == "critical"
    ]
    said = content(stored.message, LINK, "America/New_York", token=str)
    slack = Slack(Setup(secrets={"webhook_url": "https://hooks.slack.com/services/T/B/X"}))
    page.set_content(_drawn(json.loads(slack.post(stored.message, said).body)["blocks"]))
    page.locator("article").screenshot(path=IMAGES / "slack.png")
    _check(IMAGES / "slack.png")


def _drawn(blocks: list[JsonObject]) -> str:
    parts = []
    for block in blocks:
        if block["type"] == "header":
            parts.append(f"<h3>{escape(block['text']['text'])}</h3>")
        elif block["type"] == "section":
            parts.append(f"<p>{escape(block['text']['text'])}</p>")
        else:
            buttons = "".join(f"<b>{escape(each['text']['text'])}</b>" for each in block["elements"])
            parts.append(f"<div>{buttons}</div>")
    return (
        "<style>body{margin:0;background:#fff}article{display:grid;grid-template-columns:36px 1fr;gap:8px;width:608px;"
        "padding:16px;font:15px/1.46 Lato,system-ui,sans-serif;color:#1d1c1d}article>i{width:36px;height:36px;"
        "border-radius:6px;background:#1f4fd1}h3{margin:4px 0;font-size:18px}p{margin:4px 0;white-space:pre-wrap}"
        "div div{display:flex;flex-wrap:wrap;gap:8px;margin-top:8px}b{padding:4px 12px;white-space:nowrap;"
        "border:1px solid #bbb;border-radius:4px;font-size:13px}small{color:#616061}</style>"
        f"<article><i></i><div><strong>Anomaly Monitor</strong> <small>APP</small>{''.join(parts)}</div></article>"
    )


def _save(page: Page, name: str) -> None:
    page.wait_for_timeout(2500)  # the chart is drawn in steps
    page.screenshot(path=IMAGES / name)
    _check(IMAGES / name)


def _check(path: Path) -> None:
    if (size := path.stat().st_size) > MOST_BYTES:
        raise SystemExit(f"{path}: {size:,} bytes; must be at most {MOST_BYTES:,}")


if __name__ == "__main__":
    sys.exit(main())
