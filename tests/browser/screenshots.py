"""Takes the four pictures of the README from the running local monitor.

make up, wait some minutes so that there are messages, then: python tests/browser/screenshots.py

The Slack message is drawn from the very blocks that the channel posts for the monitor's newest critical message.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from html import escape
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from consumers.alerts.channels import Setup
from consumers.alerts.channels.slack import Slack
from consumers.alerts.message_store import StoredMessage
from consumers.alerts.rendering.texts import content
from consumers.alerts.store import AlertStore
from consumers.alerts.table import DynamoTable
from stream_infra import names
from stream_infra.operations.endpoints import Endpoints, resolve
from tests.api.client import JsonObject
from tests.browser.conftest import NOT_NEW

IMAGES = Path(__file__).parents[2] / "docs" / "images"
MOST_BYTES = 300_000
SLOWEST_MS = 120_000
HOUR_MS = 3_600_000
PICTURED = ("level_shift", "price_spike", "spread_blowout")
"""Kinds that show in a chart."""


def main() -> int:
    """Write the pictures."""
    endpoints = resolve(False)
    url = endpoints.dashboard or ""
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=False)
        _desk(_page(browser, 1440, 900, "dark"), url)
        _incident(_page(browser, 1440, 900, "light"), url)
        _phone(_page(browser, 375, 760, "light"), url)
        _slack(_page(browser, 640, 420, "light"), endpoints)
        browser.close()
    return 0


def _page(browser: Browser, width: int, height: int, scheme: str) -> Page:
    context = browser.new_context(viewport={"width": width, "height": height}, timezone_id="America/New_York")
    context.add_init_script(f"{NOT_NEW}; localStorage.theme ??= '{scheme}'")
    return context.new_page()


def _desk(page: Page, url: str) -> None:
    moment = _most_telling(page.request.get(f"{url}api/anomalies?limit=200").json()["anomalies"])
    page.goto(f"{url}?anomaly={moment['id']}")
    expect(page.locator(".detail")).to_be_visible(timeout=SLOWEST_MS)
    rows = page.locator("#watch tbody tr")
    expect(page.locator("#watch .sparkline")).to_have_count(rows.count(), timeout=SLOWEST_MS)
    _save(page, "desk-dark.png")


def _incident(page: Page, url: str) -> None:
    found = page.request.get(f"{url}api/incidents").json()["incidents"]
    incident = max(found, key=lambda each: (each["state"] == "open", min(each["anomaly_count"], 4)))
    worst = incident["anomalies"][0]
    page.goto(f"{url}?incidents={incident['state']}&anomaly={worst['id']}&range=1h")
    expect(page.locator(".incident-detail").first).to_be_visible(timeout=SLOWEST_MS)
    expect(page.locator(".detail")).to_be_visible(timeout=SLOWEST_MS)
    _save(page, "incident-light.png")


def _phone(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.locator("#events .event").nth(5)).to_be_visible(timeout=SLOWEST_MS)
    _save(page, "phone.png")


def _most_telling(anomalies: list[JsonObject]) -> JsonObject:
    """The highest score of a kind that shows in prices."""
    shown = [anomaly for anomaly in anomalies if anomaly["kind"] in PICTURED and anomaly["score"] < 100]
    return max(shown or anomalies, key=lambda anomaly: float(anomaly["score"]))


def _slack(page: Page, endpoints: Endpoints) -> None:
    stored = _newest_critical(endpoints)
    said = content(stored.message, endpoints.dashboard or "", "America/New_York", token=str)
    post = Slack(Setup(secrets={"webhook_url": "https://hooks.slack.com/services/T/B/X"})).post(
        stored.message, said
    )
    page.set_content(_drawn(json.loads(post.body)["blocks"]))
    page.locator("article").screenshot(path=IMAGES / "slack.png")
    _check(IMAGES / "slack.png")


def _newest_critical(endpoints: Endpoints) -> StoredMessage:
    now_ms = time.time_ns() // 1_000_000
    store = AlertStore(DynamoTable(endpoints.client("dynamodb"), names.ALERTS_TABLE))
    messages = [one for one in store.messages(now_ms - 2 * HOUR_MS, now_ms) if one.message.incident]
    if not messages:
        raise SystemExit("no message was made yet: wait some minutes")
    critical = [
        one for one in messages if one.message.incident and one.message.incident.severity == "critical"
    ]
    return (critical or messages)[-1]


def _drawn(blocks: list[JsonObject]) -> str:
    parts = []
    for block in blocks:
        if block["type"] == "header":
            parts.append(f"<h3>{escape(block['text']['text'])}</h3>")
        elif block["type"] == "section":
            parts.append(f"<p>{block['text']['text']}</p>")  # mrkdwn: escaped already
        else:
            buttons = "".join(f"<b>{escape(each['text']['text'])}</b>" for each in block["elements"])
            parts.append(f"<div>{buttons}</div>")
    return (
        "<style>body{margin:0;background:#fff}article{display:grid;grid-template-columns:36px 1fr;gap:8px;width:608px;"
        "padding:16px;font:15px/1.46 Lato,system-ui,sans-serif;color:#1d1c1d}article>i{width:36px;height:36px;"
        "border-radius:6px;background:#1f4fd1}h3{margin:4px 0;font-size:18px}p{margin:4px 0;white-space:pre-wrap}"
        "div div{display:flex;gap:8px;margin-top:8px}b{padding:4px 12px;border:1px solid #bbb;border-radius:4px;"
        "font-size:13px}small{color:#616061}</style>"
        f"<article><i></i><div><strong>Anomaly Monitor</strong> <small>APP</small>{''.join(parts)}</div></article>"
    )


def _save(page: Page, name: str) -> None:
    page.wait_for_timeout(2500)  # the chart is drawn in steps, and new items lose their highlight
    page.screenshot(path=IMAGES / name)
    _check(IMAGES / name)


def _check(path: Path) -> None:
    if (size := path.stat().st_size) > MOST_BYTES:
        raise SystemExit(f"{path}: {size:,} bytes; must be at most {MOST_BYTES:,}")


if __name__ == "__main__":
    sys.exit(main())
