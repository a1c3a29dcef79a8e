"""A watch list of 50,000 tickers: the page lists them by pages, and nothing of it is lost."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import TICKERS, Site

pytestmark = pytest.mark.browser
# The ten that have quotes are the last ones.
LIST = [*(f"T{n:05d}" for n in range(50_000 - len(TICKERS))), *TICKERS]


def test_a_list_of_50_000_tickers_is_turned_over_sorted_and_kept(page: Page, site: Site) -> None:
    site.levers.tickers = LIST
    page.goto(site.url)
    rows, pages = page.locator("#watch tbody tr"), page.locator("#watch-pages")
    expect(pages).to_contain_text("1–500 of 50,000")
    expect(rows).to_have_count(500)
    expect(page.locator("#watch-summary")).to_have_text("10 of 50,000 with fresh quotes")
    expect(pages.get_by_role("button", name="Previous")).to_be_disabled()
    pages.get_by_role("button", name="Next").click()
    expect(pages).to_contain_text("501–1,000 of 50,000")
    expect(rows.first).to_have_attribute("data-ticker", "T00500")
    # The order is of the whole list, from its first page on.
    page.get_by_role("button", name="Change", exact=True).click()
    expect(pages).to_contain_text("1–500 of 50,000")
    expect(rows.first).to_have_attribute("data-ticker", re.compile(f"^({'|'.join(TICKERS)})$"))
    page.get_by_role("button", name="Age", exact=True).click()  # by the worst recent anomaly
    expect(rows.first.locator(".state-cell .severity")).to_be_attached()
    # What is on no page that was seen is found all the same, and has its price.
    page.fill("#find-ticker", "ko")
    page.press("#find-ticker", "Enter")
    expect(page.locator("#ticker-price")).to_have_text(f"{site.bars['KO'][-1].close:,.2f}")
    # Saving what the page shows would lose the other 49,500.
    page.get_by_role("button", name="Settings").click()
    settings = page.locator("#settings")
    expect(settings).to_contain_text("it has 50,000 tickers")
    expect(settings.get_by_role("button", name="Save")).to_have_count(0)


def test_a_list_of_one_page_has_no_pages(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.locator("#watch tbody tr")).to_have_count(len(site.levers.tickers))
    expect(page.locator("#watch-pages")).to_be_hidden()
