"""One ticker: its chart with marks on the bars they belong to, its moments, by mouse and by keyboard."""

from __future__ import annotations

import json
import re
from datetime import datetime
from urllib.parse import parse_qs, quote, urlsplit
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from consumers.contracts.anomaly import iso_ms
from tests.browser.conftest import Console
from tests.browser.site import Site

pytestmark = pytest.mark.browser
MINUTE_MS = 60_000


def marks(page: Page) -> dict[str, str]:
    """The marks on the chart: id of the anomaly -> minute of its bar."""
    expect(page.locator("#chart")).to_have_attribute("data-marks", re.compile("minute"))
    listed = json.loads(page.locator("#chart").get_attribute("data-marks") or "[]")
    return {mark["id"]: mark["minute"] for mark in listed}


def test_marks_are_on_the_bars_they_belong_to(page: Page, site: Site) -> None:
    bars = site.bars["JPM"]
    inside = site.put_anomaly("JPM", bars[-30].minute_ms + 59_999, "price_spike", direction="up")
    start = site.put_anomaly("JPM", bars[-20].minute_ms, "gap")
    replayed = site.put_anomaly("JPM", bars[-10].minute_ms, "bad_tick", source="replay-1")
    page.goto(f"{site.url}?ticker=JPM")
    expect(page.locator("#chart")).to_have_attribute("data-bars", re.compile(r"2[34]\d"))
    marked = marks(page)
    assert marked[inside.id] == iso_ms(bars[-30].minute_ms)
    assert marked[start.id] == iso_ms(bars[-20].minute_ms)
    assert replayed.id not in marked  # another market's anomaly
    expect(page.locator("#ticker-price")).to_have_text(f"{bars[-1].close:,.2f}")
    expect(page.locator("#chart")).to_have_attribute(
        "aria-label", re.compile(r"Chart of JPM.*anomalies marked")
    )
    page.wait_for_function(  # candles, not an empty canvas
        "() => { const c = document.querySelector('#chart canvas'); return c?.width > 0 && new Set("
        "new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size > 5 }"
    )


def test_a_click_on_a_mark_opens_its_anomaly(page: Page, site: Site) -> None:
    bars = site.bars["XOM"]
    anomaly = site.put_anomaly("XOM", bars[-15].minute_ms + 5, "price_spike")
    page.goto(f"{site.url}?ticker=XOM&range=1h")
    marks(page)
    box = page.locator("#chart canvas").first.bounding_box()
    assert box is not None
    legend = page.locator(".chart-legend")
    minute = datetime.fromtimestamp(bars[-15].minute_ms / 1000, ZoneInfo("America/New_York"))
    wanted = f"{minute:%H:%M} ET"
    for x in range(int(box["width"]) - 4, 4, -4):
        page.mouse.move(box["x"] + x, box["y"] + 60)
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        if wanted in (legend.text_content() or ""):
            page.mouse.click(box["x"] + x, box["y"] + 60)
            break
    expect(page).to_have_url(re.compile(re.escape(quote(anomaly.id))))
    expect(page.locator(".detail")).to_contain_text("Price spike")


def test_a_press_in_the_list_outlives_a_poll(page: Page, site: Site) -> None:
    bars = site.bars["JPM"]
    anomaly = site.put_anomaly("JPM", bars[-60].minute_ms, "gap", explanation="JPM paused.")
    page.goto(f"{site.url}?ticker=JPM")
    page.locator(f'.ticker-side .event[data-id="{anomaly.id}"]').hover()
    page.mouse.down()
    newer = site.put_anomaly("JPM", bars[-70].minute_ms, "gap", explanation="JPM paused before.")
    expect(page.locator(f'.ticker-side .event[data-id="{newer.id}"]')).to_be_attached()
    page.mouse.up()
    expect(page.locator(".detail")).to_contain_text("JPM paused.")


def test_an_anomaly_changes_the_chart_and_nothing_else(page: Page, site: Site) -> None:
    page.goto(f"{site.url}?severity=critical")
    event = page.locator("#events .event").first
    expect(event).to_contain_text("NVDA")
    page.evaluate("window.sameDocument = true")
    event.click()
    expect(page.locator("#ticker-title")).to_have_text("NVDA")
    query = parse_qs(urlsplit(page.url).query)
    assert (query["ticker"], query["source"], query["severity"]) == (["NVDA"], ["simulated"], ["critical"])
    expect(page.locator(".detail")).to_contain_text("18 times its usual move")
    expect(event).to_have_attribute("aria-current", "true")
    expect(event).to_be_focused()
    assert page.title() == "NVDA · Anomaly Monitor"
    page.go_back()
    expect(page).to_have_url(re.compile(r"\?severity=critical$"))
    expect(page.locator("#ticker-title")).to_have_text("AAPL")  # the first of the watch list
    page.go_forward()
    expect(page.locator("#ticker-title")).to_have_text("NVDA")
    expect(page.locator('#events .event:not([data-severity="critical"])')).to_have_count(0)
    assert page.evaluate("window.sameDocument")


def test_a_link_of_an_alert_opens_that_moment(page: Page, site: Site) -> None:
    bars = site.bars["AMZN"]
    moment = bars[20].minute_ms + 30_000
    anomaly = site.put_anomaly("AMZN", moment, "level_shift", explanation="AMZN stepped up and stayed.")
    page.goto(f"{site.url}?ticker=AMZN&at={iso_ms(moment)}&source=simulated&anomaly={anomaly.id}&range=1h")
    expect(page.locator(".detail")).to_contain_text("AMZN stepped up and stayed.")
    assert marks(page)[anomaly.id] == iso_ms(bars[20].minute_ms)
    page.get_by_role("link", name="Back to live").click()
    expect(page).to_have_url(re.compile(r"\?ticker=AMZN&range=1h$"))


def test_the_range_is_chosen_and_kept(page: Page, site: Site) -> None:
    page.goto(f"{site.url}?ticker=MSFT")
    expect(page.locator("#chart")).to_have_attribute("data-bars", re.compile(r"2[34]\d"))
    page.get_by_role("button", name="1 hour").click()
    expect(page).to_have_url(re.compile("range=1h"))
    expect(page.locator("#chart")).to_have_attribute("data-bars", re.compile(r"^(5\d|60)$"))
    page.reload()
    expect(page.get_by_role("button", name="1 hour")).to_have_attribute("aria-pressed", "true")


def test_a_new_anomaly_marks_the_open_chart(page: Page, site: Site) -> None:
    page.goto(f"{site.url}?ticker=GOOGL")
    expect(page.locator("#chart")).to_have_attribute("data-bars", re.compile(r"\d"))
    anomaly = site.put_anomaly("GOOGL", site.bars["GOOGL"][-1].minute_ms + 1)
    expect(page.locator("#chart")).to_have_attribute("data-marks", re.compile(anomaly.id))
    expect(page.locator(f'.ticker-side .event[data-id="{anomaly.id}"]')).to_be_visible()


def test_a_ticker_that_cannot_be_is_refused_in_words(page: Page, site: Site, console: Console) -> None:
    console.expect("400")
    page.goto(f"{site.url}?ticker=NO%20SUCH!")
    told = page.locator(".chart-empty p")
    expect(told).to_contain_text("1 to 32 of A-Z")
    told.click(trial=True)  # nothing is over it, such as a canvas of the chart
    told.evaluate("(p) => { window.told = p; getSelection().selectAllChildren(p) }")
    with page.expect_response("**/api/quotes/**"), page.expect_response("**/api/anomalies/**"):
        pass  # both are refused again
    page.wait_for_timeout(200)
    assert page.evaluate("told.isConnected && String(getSelection()) === told.textContent")


def test_everything_works_by_keyboard(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.locator("#watch tbody tr")).to_have_count(10)
    events = page.locator("#events .event")
    expect(events.first).to_be_visible()
    expect(page.locator("#chart canvas").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    stops: list[str] = []
    for _ in range(30):  # a list is one stop, however long it is
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.className || document.activeElement.id"))
        if stops[-1].startswith("event") and page.evaluate(
            "Boolean(document.activeElement.closest('#events'))"
        ):
            break
    else:
        pytest.fail(f"the events are not reached: {stops}")
    page.keyboard.press("ArrowDown")
    expect(events.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    second = events.nth(1).get_attribute("data-id")
    expect(page).to_have_url(re.compile(re.escape(f"anomaly={quote(second or '')}")))
    page.keyboard.press("k")
    expect(events.nth(0)).to_have_attribute("aria-current", "true")
    page.keyboard.press("j")
    expect(events.nth(1)).to_have_attribute("aria-current", "true")
    page.keyboard.press("w")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#ticker-title")).to_have_text("MSFT")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Next, previous anomaly")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("tsla")
    page.keyboard.press("Enter")
    expect(page.locator("#ticker-title")).to_have_text("TSLA")


def test_times_are_the_markets_and_the_viewers(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.locator("#clock-local-item")).to_be_visible()  # the viewer is in Berlin
    first = page.locator("#events .event").first
    expect(first.locator("time")).to_have_text(re.compile(r"\d\d:\d\d:\d\d$"))
    expect(first.locator("time")).to_have_attribute("title", re.compile(r"\(Europe/Berlin\)"))
    first.click()
    expect(first).to_contain_text("your time")


def test_the_band_of_what_was_expected_is_drawn_around_the_chosen_anomaly(page: Page, site: Site) -> None:
    bar, before = site.bars["NVDA"][-50], site.bars["NVDA"][-51]
    spike = site.put_anomaly("NVDA", bar.minute_ms, value=0.02, expected=0.0, score=5.0, threshold=2.5)
    bad = site.put_anomaly(
        "NVDA",
        bar.minute_ms + 1,
        "bad_tick",
        value=18.0,
        expected=182.0,
        score=10.0,
        window={"unit": "price"},
    )
    page.goto(f"{site.url}?ticker=NVDA&anomaly={spike.id}")
    chart = page.locator("#chart")
    expect(chart).to_have_attribute("data-band", re.compile("low"))
    band = json.loads(chart.get_attribute("data-band") or "")
    assert band == pytest.approx({"low": before.close * 0.99, "high": before.close * 1.01})
    page.goto(f"{site.url}?ticker=NVDA&anomaly={bad.id}")
    expect(chart).to_have_attribute("data-band", re.compile("141"))
    assert json.loads(chart.get_attribute("data-band") or "") == pytest.approx({"low": 141.0, "high": 223.0})
