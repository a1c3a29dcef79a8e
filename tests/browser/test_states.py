"""Everything a page can be but well: loading, empty, stale, cut off; and the two themes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Console
from tests.browser.site import Site

pytestmark = pytest.mark.browser


def test_the_columns_of_the_watch_list_are_in_line_and_wide_enough(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.locator("#watch tbody tr")).to_have_count(10)
    expect(page.locator("#events .event").first).to_be_visible()
    for ahead_ms, state in ((0, " s"), (600_000, "stale, 10 min")):
        site.levers.ahead_ms = ahead_ms
        for width in (1440, 1920, 2560):
            page.set_viewport_size({"width": width, "height": 400})  # some of the rows are out of sight
            expect(page.locator("#watch tbody tr").first).to_contain_text(state)
            _assert_in_line(page)


def _assert_in_line(page: Page) -> None:
    rows = page.evaluate(
        "[...document.querySelectorAll('.watch tr')].map((row) => [...row.children].filter((cell) => cell.offsetWidth)"
        ".map((cell) => [Math.round(cell.getBoundingClientRect().right), cell.scrollWidth - cell.clientWidth]))"
    )
    assert len(rows) == 11
    assert len(rows[0]) >= 4
    assert all(row == rows[0] for row in rows), rows
    assert {beyond for row in rows for _, beyond in row} == {0}
    assert page.evaluate("watch.scrollWidth - watch.clientWidth") == 0


def test_the_theme_follows_the_system_until_one_is_chosen(page: Page, site: Site) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="dark")
    page.goto(site.url)
    dark = page.evaluate(background)
    page.get_by_role("button", name="Switch to light theme").click()
    light = page.evaluate(background)
    assert light != dark
    page.reload()
    assert page.evaluate(background) == light
    expect(page.get_by_role("button", name="Switch to dark theme")).to_be_visible()


def test_the_chart_takes_the_colours_of_the_theme(page: Page, site: Site) -> None:
    page.goto(f"{site.url}?ticker=AAPL")
    corner = (
        "() => { const c = document.querySelector('#chart canvas'); if (!c) return false;"
        " const [red, green, blue, alpha] = c.getContext('2d').getImageData(c.width - 3, 3, 1, 1).data;"
        " return alpha === 255 && red + green + blue"
    )
    page.wait_for_function(f"{corner} > 600 }}")
    page.get_by_role("button", name="Switch to dark theme").click()
    page.wait_for_function(f"{corner} < 200 }}")


def test_loading_has_a_shape(page: Page, site: Site) -> None:
    page.route("**/api/**", lambda _route: None)  # nothing comes until it is taken away
    page.goto(site.url)
    expect(page.locator("#events .skeleton")).to_be_visible()
    expect(page.locator("#watch .skeleton")).to_be_visible()
    expect(page.locator("#feed-text")).to_have_text("Connecting")
    page.unroute("**/api/**")
    expect(page.locator("#events .event").first).to_be_visible()
    expect(page.locator(".skeleton")).to_have_count(0)


def test_a_feed_that_stands_still_says_for_how_long_and_why(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.locator("#feed-status")).to_have_attribute("data-state", "live")
    site.levers.ahead_ms, site.levers.problem = 600_000, "alpaca rejects the key: check it"
    expect(page.locator("#feed-text")).to_have_text("No new quotes for 10 min")
    expect(page.locator("#banner")).to_have_text("No quotes from simulated: alpaca rejects the key: check it")
    expect(page.locator("#feed-status")).to_have_attribute("data-state", "stale")
    expect(page.locator("#watch tbody tr").first).to_contain_text("stale, 10 min")
    expect(page.locator("#watch-summary")).to_have_text("0 of 10 with fresh quotes")
    site.levers.ahead_ms = 0
    site.put_quotes()
    expect(page.locator("#feed-status")).to_have_attribute("data-state", "live")
    expect(page.locator("#banner")).to_be_hidden()


def test_a_closed_market_is_no_alarm(page: Page, site: Site) -> None:
    now = datetime.now(UTC)
    sunday = (now + timedelta(days=13 - now.weekday())).replace(hour=23)
    site.levers.session, site.levers.ahead_ms = "regular", int((sunday - now).total_seconds() * 1000)
    page.goto(site.url)
    expect(page.locator("#feed-text")).to_have_text(
        re.compile(r"Market closed, last quote \d+ (min|h|d) ago")
    )
    expect(page.locator("#watch-summary")).to_have_text("The market is closed")
    expect(page.locator("#watch .state .down")).to_have_count(0)


def test_an_empty_watch_list_says_what_to_do(page: Page, site: Site) -> None:
    site.levers.tickers = []
    site.levers.stand_in = lambda path, _query: (
        {"anomalies": [], "count": 0, "next": None} if path == "anomalies" else None
    )
    page.set_viewport_size({"width": 768, "height": 1024})
    page.goto(site.url)
    expect(page.locator("#watch")).to_contain_text("stock-monitor watch add")
    assert page.locator("#watch").evaluate("box => box.scrollHeight <= box.clientHeight")  # it is a strip
    expect(page.locator("#events")).to_contain_text("Nothing is watched")
    expect(page.locator("#feed-text")).to_have_text("No tickers")


def test_what_was_not_scored_is_not_called_usual(page: Page, site: Site) -> None:
    site.levers.stand_in = lambda path, _query: (
        {"anomalies": [], "count": 0, "next": None} if path == "anomalies" else None
    )
    site.levers.tickers = ["NEWCO"]  # it never had a quote
    page.goto(site.url)
    events = page.locator("#events")
    expect(events).to_contain_text("Nothing was scored so far")
    site.levers.tickers = ["AAPL"]
    page.reload()
    expect(events).to_contain_text("Every tick is being scored")
    site.levers.ahead_ms = 600_000
    expect(events).to_contain_text("Nothing is scored until they do")
    expect(events).not_to_contain_text("Nothing unusual so far")


def test_a_ticker_without_a_quote_is_listed_as_such(page: Page, site: Site) -> None:
    site.levers.tickers = ["AAPL", "NEWCO"]
    page.goto(site.url)
    row = page.locator('#watch tr[data-ticker="NEWCO"]')
    expect(row).to_contain_text("no quote")
    row.locator("a").click()
    expect(page.locator(".chart-empty")).to_contain_text("No simulated quotes of NEWCO")
    site.levers.tickers = ["NEWCO"]
    page.reload()
    expect(page.locator("#watch tbody tr")).to_have_count(1)
    cut = (
        "heads => heads.filter((head) => head.scrollWidth > head.clientWidth).map((head) => head.textContent)"
    )
    assert page.locator("#watch thead th").evaluate_all(cut) == []


def test_a_new_ticker_says_how_far_its_warm_up_is(page: Page, site: Site) -> None:
    site.levers.tickers = ["AAPL", "NEWCO"]
    bars = site.bars["NEWCO"] = site.bars["KO"][-3:]
    site.put_bars("simulated", "NEWCO", bars)
    site.put_quotes()
    page.goto(f"{site.url}?ticker=NEWCO")
    expect(page.locator("#warm-up")).to_have_text(
        "Warming up, 48 of 60 ticks"
    )  # and those of the open minute
    site.put_bars("simulated", "NEWCO", site.bars["KO"][-8:])
    expect(page.locator("#warm-up")).to_be_hidden()
    page.locator('#watch tr[data-ticker="AAPL"] a').click()
    expect(page.locator("#warm-up")).to_be_hidden()
    del site.bars["NEWCO"]


def test_an_outage_is_told_and_survived(page: Page, site: Site, console: Console) -> None:
    page.goto(site.url)
    expect(page.locator("#events .event").first).to_be_visible()
    site.levers.reachable = False
    banner = page.locator("#banner")
    expect(banner).to_contain_text("No connection")
    expect(banner).to_contain_text("What you see is from")
    expect(page.locator("#feed-text")).to_have_text("Disconnected")
    expect(page.locator("#events .event").first).to_be_visible()  # what was known stays
    site.levers.reachable = True
    expect(banner).to_be_hidden()
    expect(page.locator("#feed-status")).to_have_attribute("data-state", "live")
    console.expect("502")


def test_a_page_opened_during_an_outage_comes_to_life(page: Page, site: Site, console: Console) -> None:
    site.levers.reachable = False
    page.goto(site.url)
    expect(page.locator("#banner")).to_contain_text("No connection")
    site.levers.reachable = True
    expect(page.locator("#events .event").first).to_be_visible()
    expect(page.locator("#banner")).to_be_hidden()
    console.expect("502")


def test_text_from_the_network_stays_text(page: Page, site: Site) -> None:
    site.put_anomaly(
        "AAPL", site.bars["AAPL"][-1].minute_ms, "gap", explanation="<img src=x onerror=alert(1)><b>bold</b>"
    )
    page.goto(f"{site.url}?kind=gap&severity=high")
    expect(page.locator("#events .event-sentence")).to_have_text("<img src=x onerror=alert(1)><b>bold</b>")
    assert page.locator("#events img, #events b").count() == 0


def test_the_policy_lets_no_foreign_code_in(page: Page, site: Site, console: Console) -> None:
    answer = page.goto(site.url)
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), { text: 'window.hacked = 1' }))"
    )
    assert page.evaluate("window.hacked") is None
    assert any("CSP: script-src" in error for error in console.errors)
    console.errors.clear()
