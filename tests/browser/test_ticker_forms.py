"""The links of tests/api/test_ticker_forms.py on the page: a ticker opens, with its chart and anomaly."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from consumers.alerts.rendering.texts import content
from consumers.contracts.events import detected
from producers.symbols import in_capitals, is_symbol
from tests.browser.conftest import Console
from tests.browser.site import Site
from tests.consumers.alerts.bench import Bench, received

pytestmark = pytest.mark.browser
FORMS = ("M&M.NS", "OANDA:EUR_USD", "BTC/USD", "^GSPC", "ES=F", "ES1!", "BTC-27DEC24-100000-C", "A" * 32)
"""Every character that a ticker may have, and the longest."""


def test_a_mails_link_opens_the_ticker_as_it_is_written(page: Page, site: Site) -> None:
    bars = site.bars["JPM"][-20:]
    at_ms = bars[-5].minute_ms + 4_000
    written = []
    for form in FORMS:  # before the page reads: moto's tables are of one thread
        site.put_bars("live", form, bars[-6:])
        written.append(site.put_anomaly(form, at_ms, source="alpaca", severity="critical"))
    for form, anomaly in zip(FORMS, written, strict=True):
        bench = Bench(now_ms=at_ms + 200)
        bench.take(received(detected(anomaly)))
        (message,) = bench.sent()
        page.goto(content(message, site.url.rstrip("/"), "UTC").link)
        expect(page.locator("#ticker-title")).to_have_text(re.compile(rf"^{re.escape(form)}"))
        expect(page.locator("#chart")).to_have_attribute(
            "aria-label", re.compile(re.escape(f"Chart of {form}"))
        )
        expect(page.locator("#chart")).to_have_attribute("data-marks", re.compile(re.escape(anomaly.id)))
        expect(page.locator(".detail")).to_contain_text(f"{form} rose")
        assert parse_qs(urlsplit(page.url).query)["anomaly"] == [anomaly.id]


@pytest.mark.parametrize(
    ("typed", "written"), [(" jpm ", "JPM"), ("\u0131bm", "\u0131bm"), ("stra\u00dfe", "stra\u00dfe")]
)
def test_the_page_writes_a_ticker_as_the_api_does(
    page: Page, site: Site, console: Console, typed: str, written: str
) -> None:
    """The capital of a dotless i is an I: the page showed IBM where the API said that there is no such ticker."""
    assert in_capitals(typed.strip()) == written
    if not is_symbol(written):
        console.expect("400 (Bad Request)")
    page.goto(site.url)
    page.locator("#find-ticker").fill(typed)
    page.locator("#find-ticker").press("Enter")
    expect(page).to_have_title(re.compile(rf"^{written} "))
