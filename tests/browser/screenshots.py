"""Takes the pictures of the README from the running local monitor.

make up, wait half an hour so that charts are filled, then: python tests/browser/screenshots.py
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from stream_infra.operations.endpoints import resolve
from tests.api.client import JsonObject

IMAGES = Path(__file__).parents[2] / "docs" / "images"
MOST_BYTES = 300_000
SLOWEST_MS = 120_000
PICTURED = ("level_shift", "price_spike")


def main() -> int:
    """Write both pictures."""
    url = resolve(False).dashboard or ""
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=False)
        page = browser.new_page(viewport={"width": 1440, "height": 900}, timezone_id="Europe/Berlin")
        _overview(page, url)
        _ticker(page, url)
        browser.close()
    return 0


def _overview(page: Page, url: str) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(url)
    rows = page.locator("#watch tbody tr")
    rows.first.wait_for(timeout=SLOWEST_MS)
    expect(page.locator("#watch .sparkline")).to_have_count(rows.count(), timeout=SLOWEST_MS)
    expect(page.locator("#events .sparkline").nth(4)).to_be_visible(timeout=SLOWEST_MS)
    _save(page, "dashboard-light.png")


def _ticker(page: Page, url: str) -> None:
    found = page.evaluate("fetch('api/anomalies?limit=200').then((answer) => answer.json())")
    moment = _most_telling(found["anomalies"])
    page.emulate_media(color_scheme="dark")
    at = moment["timestamp"].partition("#")[0]
    page.goto(
        f"{url}?ticker={moment['ticker']}&at={at}&source={moment['source']}&anomaly={moment['id']}&range=1h"
    )
    expect(page.locator(".detail")).to_be_visible()
    expect(page.locator("#chart canvas").first).to_be_visible()
    page.wait_for_timeout(1500)
    _save(page, "ticker-dark.png")


def _most_telling(anomalies: list[JsonObject]) -> JsonObject:
    """The highest score of a kind that shows in prices."""
    shown = [anomaly for anomaly in anomalies if anomaly["kind"] in PICTURED and anomaly["score"] < 100]
    return max(shown or anomalies, key=lambda anomaly: float(anomaly["score"]))


def _save(page: Page, name: str) -> None:
    path = IMAGES / name
    path.write_bytes(page.screenshot())
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{path}: {size:,} bytes; allowed are {MOST_BYTES:,}")


if __name__ == "__main__":
    sys.exit(main())
