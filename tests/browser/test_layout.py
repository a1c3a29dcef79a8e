"""Where things stand on the page, at the widths of a phone, a tablet, a laptop and a wall."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import Site

pytestmark = pytest.mark.browser
WIDTHS = {320: 640, 375: 760, 768: 1024, 1440: 900, 2560: 1300}
SHIFTS = (
    "window.shift = 0; window.moves = [];"
    "new PerformanceObserver((list) => { for (const entry of list.getEntries()) if (!entry.hadRecentInput) {"
    " shift += entry.value; for (const { node, previousRect, currentRect } of entry.sources) moves.push("
    " [node?.className || node?.id, previousRect.y, currentRect.y, currentRect.x - previousRect.x])"
    " } }).observe({ type: 'layout-shift', buffered: true })"
)
ALL_IS_THERE = (
    "() => document.querySelectorAll('#watch tbody tr').length === 10 && document.querySelector('#events .event')"
    " && document.querySelector('#chart[data-bars]') && document.querySelector('#filters .count:not(:empty)')"
    " && document.querySelector('#states .count:not(:empty)')"
    " && performance.getEntriesByType('resource').some((each) => each.responseEnd && each.name.includes('health'))"
)
"""What comes last: the numbers beside the filters, and how far the detector is behind."""


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("query", ["", "?ticker=AAPL"])
def test_7_nothing_jumps_while_the_page_loads_and_nothing_is_cut_off(
    page: Page, site: Site, width: int, query: str
) -> None:
    page.set_viewport_size({"width": width, "height": WIDTHS[width]})
    page.add_init_script(SHIFTS)
    page.goto(f"{site.url}{query}")
    page.wait_for_function(ALL_IS_THERE)
    page.evaluate(
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"
    )
    moved = page.evaluate("moves")
    assert page.evaluate("shift") < 0.05, moved
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if not query:
        box = page.evaluate(
            "document.querySelector('#events .event-sentence').getBoundingClientRect().toJSON()"
        )
        assert box["width"] > 0
        assert box["left"] >= 0
        assert box["right"] <= width


def test_8_a_tablet_has_all_of_it_on_one_screen(page: Page, site: Site) -> None:
    site.levers.stand_in = lambda path, _query: (
        {"status": "degraded", "stream_lag_seconds": 75.2, "failed_batches": 3} if path == "health" else None
    )
    page.set_viewport_size({"width": 768, "height": 1024})
    page.goto(site.url)
    expect(page.locator("#chart canvas").first).to_be_visible()
    for shown in ("#watch tbody tr", "#chart canvas", "#events .event"):
        expect(page.locator(shown).first).to_be_in_viewport(ratio=0.9)
    page.locator("#failed").click(trial=True)  # neither it nor its neighbour is over the other
    page.locator("#find-ticker").click(trial=True)
    assert page.locator("#feed-text").evaluate("text => text.clientWidth") > 60


def test_13_text_of_twice_the_size_overlaps_nothing(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.locator("#events .event").first).to_be_visible()
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    for width in (2560, 1440, 768, 375):
        page.set_viewport_size({"width": width, "height": 900})
        _assert_nothing_overlaps(page, width)


def _assert_nothing_overlaps(page: Page, width: int) -> None:
    overlaps = page.evaluate(
        "[...document.querySelectorAll('#events .event')].slice(0, 10).flatMap((event) => {"
        " const boxes = [...event.children].filter((child) => child.textContent && child.offsetWidth > 1)"
        "   .map((child) => child.getBoundingClientRect());"
        " return boxes.flatMap((a, n) => boxes.slice(n + 1).filter((b) => a.left < b.right - 1 && b.left < a.right - 1"
        "   && a.top < b.bottom - 1 && b.top < a.bottom - 1).map(() => event.textContent)) })"
    )
    assert overlaps == []
    cut = page.evaluate(
        "[...document.querySelectorAll('#watch tbody tr:not([data-group]) th')]"
        "   .filter((name) => name.scrollWidth > name.clientWidth).map((name) => name.textContent)"
    )
    assert cut == [], "tickers that cannot be told apart"
    head, controls = (
        page.locator(part).evaluate("part => part.getBoundingClientRect().toJSON()")
        for part in (".ticker-head", ".chart-head")
    )
    assert head["bottom"] <= controls["top"] + 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_twenty_events_fit_on_a_screen(page: Page, site: Site) -> None:
    for n in range(40):
        site.put_anomaly("MSFT", site.bars["MSFT"][-n - 3].minute_ms + 7, "slow_drift", severity="low")
    page.goto(site.url)
    expect(page.locator("#events .event").nth(30)).to_be_attached()
    heights = page.locator("#watch tbody tr").evaluate_all("rows => rows.map((row) => row.offsetHeight)")
    assert all(24 <= height <= 28 for height in heights)
    seen = page.locator("#events .event").evaluate_all(
        "events => events.filter((event) => event.getBoundingClientRect().bottom <= innerHeight).length"
    )
    assert seen >= 20


def test_three_columns_use_the_whole_width(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.locator("#events .event").first).to_be_visible()
    for width in (1440, 2560):
        page.set_viewport_size({"width": width, "height": 900})
        _assert_three_columns(page, width)


def _assert_three_columns(page: Page, width: int) -> None:
    lefts = page.evaluate(
        "['.watch-panel', '.ticker-view', '.events-panel'].map((name) => document.querySelector(name)"
        ".getBoundingClientRect()).map((box) => [box.left, box.right, box.top])"
    )
    assert lefts[0][0] <= 10
    assert lefts[2][1] >= width - 10
    assert lefts[0][1] < lefts[1][0] < lefts[1][1] < lefts[2][0]
    assert len({top for _, _, top in lefts}) == 1


def test_a_phone_shows_one_of_three_and_goes_back(page: Page, site: Site) -> None:
    page.set_viewport_size({"width": 375, "height": 760})
    page.goto(site.url)
    expect(page.locator("#events .event").first).to_be_visible()
    shown = {"watch": "#watch", "events": "#events", "chart": "#ticker-view"}
    for view in shown:
        page.get_by_role("button", name=view.capitalize(), exact=True).click()
        for name, selector in shown.items():
            expect(page.locator(selector)).to_be_visible(visible=name == view)
    page.go_back()
    expect(page.locator("#events")).to_be_visible()
    page.go_forward()
    page.reload()
    expect(page.locator("#ticker-view")).to_be_visible()


@pytest.mark.parametrize("size", ["100%", "200%"])
def test_a_phone_says_the_state_of_the_feed_whole(page: Page, site: Site, size: str) -> None:
    site.levers.stand_in = lambda path, _query: (
        {"status": "healthy", "stream_lag_seconds": 1.5, "failed_batches": 0} if path == "health" else None
    )
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(site.url)
    page.evaluate("size => { document.documentElement.style.fontSize = size; }", size)
    expect(page.locator("#lag")).to_have_text("1.5 s behind")
    text = page.locator("#feed-text")
    expect(text).to_contain_text("Live, last quote")
    assert text.evaluate("text => text.scrollWidth <= text.clientWidth && text.clientWidth > 100")
