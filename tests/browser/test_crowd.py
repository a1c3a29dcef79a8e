"""500 tickers and thousands of anomalies: all of them are reached, and everything works; `make bench` times 10,000."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.crowd import Crowd, Hand, browse
from tests.browser.site import Site

pytestmark = pytest.mark.browser
SHOWN = 2_000
"""Four times what the page keeps: what comes after is let go in the same way."""


def test_every_anomaly_is_reached_and_everything_works(page: Page, site: Site) -> None:
    site.levers.stand_in = Crowd(int(page.evaluate("Date.now()")), site.bars["AAPL"], SHOWN)
    page.goto(site.url)
    expect(page.locator("#watch tbody tr")).to_have_count(500)
    more = page.get_by_role("button", name="Show older")
    events = page.locator("#events .event")
    expect(events.first).to_be_visible()
    seen: set[str] = set()
    while True:
        seen.update(events.evaluate_all("events => events.map((event) => event.dataset.id)"))
        if not more.count():
            break
        oldest = events.last.get_attribute("data-id")
        more.click()
        expect(events.last).not_to_have_attribute("data-id", oldest or "")
    assert len(seen) >= SHOWN
    assert events.count() <= 500
    browse(page, Hand(page), "T250")
    # Rows are brought up to date bit by bit, to the last one, also where the next prices come before that is done.
    prices = "Array.from(document.querySelectorAll('#watch td.price'), (cell) => cell.textContent)"
    before = page.evaluate(prices)
    assert len(before) == 500
    page.wait_for_function(f"(before) => {prices}.every((price, row) => price !== before[row])", arg=before)
