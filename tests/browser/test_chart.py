"""What the chart shows of spreads, of longer bars, of stalls, and what a link of a message opens."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from consumers.contracts.anomaly import iso_ms
from tests.browser.site import Site, archive_ticks

pytestmark = pytest.mark.browser


def test_3_a_spread_that_widened_within_a_minute_is_seen_beside_what_was_normal(
    page: Page, site: Site
) -> None:
    bar = site.bars["XOM"][-25]
    site.put_bars("simulated", "XOM", [replace(bar, spread_low=0.01, spread_high=0.47)])
    blowout = site.put_anomaly(
        "XOM",
        bar.minute_ms + 4000,
        "spread_blowout",
        window={"unit": "spread"},
        value=0.004,
        score=10.0,
        threshold=2.5,
    )
    page.goto(f"{site.url}?anomaly={quote(blowout.id)}")
    chart = page.locator("#chart")
    expect(chart).to_have_attribute("data-spread", "[0.01,0.47]")
    expect(chart).to_have_attribute("data-spread-limit", re.compile(r"^0\.1"))
    limit = float(chart.get_attribute("data-spread-limit") or "")
    assert limit == pytest.approx(
        0.001 * bar.close
    )  # a quarter of the spread, as the score is four thresholds


def test_5_the_link_of_a_message_opens_its_anomaly(page: Page, site: Site) -> None:
    moment = site.bars["AMZN"][30].minute_ms + 1500
    anomaly = site.put_anomaly("AMZN", moment, "level_shift", explanation="AMZN stepped up.", severity="low")
    assert anomaly.id.endswith("@simulated")
    page.goto(f"{site.url}?anomaly={anomaly.id}")
    expect(page.locator("#ticker-title")).to_have_text("AMZN")
    expect(page.locator(".detail")).to_contain_text("AMZN stepped up.")
    expect(page.get_by_role("button", name="Acknowledge", exact=True)).to_be_visible()
    page.get_by_role("link", name="Back to live").click()
    expect(page).to_have_url(re.compile(r"\?ticker=AMZN$"))


def test_bars_of_a_quarter_of_an_hour_hold_what_the_minutes_held(page: Page, site: Site) -> None:
    page.goto(f"{site.url}?ticker=MSFT")
    chart = page.locator("#chart")
    expect(chart).to_have_attribute("data-bars", re.compile(r"^2[34]\d$"))
    page.get_by_label("Length of a bar").select_option("15 min")
    expect(page).to_have_url(re.compile("bars=15"))
    expect(chart).to_have_attribute("data-bars", re.compile(r"^1[67]$"))
    scale = json.loads(chart.get_attribute("data-scale") or "")
    bars = site.bars["MSFT"]
    assert scale["high"] == pytest.approx(max(bar.high for bar in bars[5:]), rel=0.002)
    for mark in json.loads(chart.get_attribute("data-marks") or ""):
        assert re.search(r":(00|15|30|45):00\.000Z$", mark["minute"])


def test_a_chart_that_was_moved_back_stays_and_goes_back_to_live(page: Page, site: Site) -> None:
    page.goto(f"{site.url}?ticker=KO&range=1h")
    back = page.get_by_role("button", name="Back to live")
    expect(page.locator("#chart")).to_have_attribute("data-bars", re.compile(r"\d\d"))
    expect(back).to_be_hidden()
    page.mouse.move(700, 350)
    page.mouse.down()
    page.mouse.move(1000, 350, steps=8)
    page.mouse.up()
    expect(back).to_be_visible()
    with page.expect_response("**/api/quotes/KO*"):
        pass
    expect(back).to_be_visible()  # a poll moves nothing
    back.click()
    expect(back).to_be_hidden()


def test_14_a_stall_of_the_feed_is_one_line_and_unfolds(page: Page, site: Site) -> None:
    moment = site.bars["KO"][-70].minute_ms
    for ticker in ("AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META"):
        site.put_anomaly(ticker, moment + 500, "gap", severity="low", explanation=f"{ticker} paused.")
    page.goto(f"{site.url}?kind=gap&severity=low")
    shown = page.locator("#events li:not([hidden]) > .event")
    expect(shown).to_have_count(1)
    page.keyboard.press("j")
    expect(shown).to_have_attribute("aria-current", "true")
    page.get_by_role("button", name="and 5 more tickers at once").click()
    expect(shown).to_have_count(6)


def test_bars_of_five_seconds_are_drawn_from_archived_ticks_and_what_came_since(
    page: Page, site: Site
) -> None:
    minute = site.bars["META"][-8].minute_ms
    # Polled every five seconds, and for half a minute not at all.
    polled = [(minute + 5000 * n, 600.0 + n / 100) for n in range(24) if not 10 <= n < 16]
    archive_ticks("META", polled)
    spike = site.put_anomaly("META", minute + 95_500, "price_spike", severity="high")
    page.goto(f"{site.url}?anomaly={quote(spike.id)}")
    page.get_by_label("Length of a bar").select_option("5 s")
    expect(page).to_have_url(re.compile("bars=5s"))
    chart = page.locator("#chart")
    expect(chart).to_have_attribute("data-bars", str(len(polled)))
    expect(chart).to_have_attribute("data-marks", re.compile(re.escape(spike.id)))
    (marked,) = [one for one in json.loads(chart.get_attribute("data-marks") or "") if one["id"] == spike.id]
    assert marked["minute"] == iso_ms(minute + 95_000)
    empty = json.loads(chart.get_attribute("data-empty") or "")
    assert empty == [[iso_ms(minute + 50_000), iso_ms(minute + 75_000)]]
    expect(page.locator(".legend-time")).to_have_text(re.compile(r"\d\d:\d\d:\d\d ET$"))
    # At one second no poll is a gap by itself; live, what the page sees comes before it is archived.
    page.goto(f"{site.url}?ticker=META&bars=1s")
    expect(chart).to_have_attribute("data-bars", str(len(polled) + 1))
    site.put_quotes()
    expect(chart).to_have_attribute("data-bars", str(len(polled) + 2))


def test_a_line_is_compared_with_a_second_ticker(page: Page, site: Site) -> None:
    page.goto(f"{site.url}?ticker=MSFT&range=1h")
    chart = page.locator("#chart")
    expect(chart).to_have_attribute("data-compared", "null")
    page.get_by_label("Compare with a second ticker").fill("aapl")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("compare=AAPL"))
    expect(chart).to_have_attribute("data-compared", re.compile(r"\d"))
    further = float(chart.get_attribute("data-compared") or "")
    moves = [bars[-1].close / bars[-59].close for bars in (site.bars["MSFT"], site.bars["AAPL"])]
    assert further == pytest.approx(moves[0] - moves[1], abs=0.004)  # the open minute, and the hour's edge
    expect(page.locator(".chart-legend")).to_contain_text(f"vs AAPL {100 * further:+.2f}%".replace("-", "−"))
    page.get_by_label("Candles or a line").select_option("Line")
    expect(page).to_have_url(re.compile("style=line"))
    expect(chart).to_have_attribute("data-bars", re.compile(r"^(5\d|60)$"))
    page.locator('#watch tr[data-ticker="KO"] a').click()
    expect(page.locator("#ticker-title")).to_have_text("KO")
    expect(page.get_by_label("Candles or a line")).to_have_value(
        "line"
    )  # a look is kept from ticker to ticker


FIRST_PIXELS_ARE_EMPTY = """() => [...document.querySelectorAll('#chart tr:last-child canvas')].every((canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, 2, canvas.height);
  return data.every((value, n) => Math.abs(value - data[n % 4]) < 16);
})"""


def test_the_time_below_the_first_bar_is_whole(page: Page, site: Site) -> None:
    """Half of "08:25" would be another time."""
    bars = site.bars["AAPL"][-35:]
    first = next(n for n, bar in enumerate(bars) if bar.minute_ms // 60_000 % 5 == 0)
    site.put_bars("simulated", "NEWLY", bars[first:])
    page.goto(f"{site.url}?ticker=NEWLY")
    expect(page.locator("#chart")).to_have_attribute("data-bars", str(len(bars) - first))
    page.wait_for_function(FIRST_PIXELS_ARE_EMPTY)
    began = datetime.fromtimestamp(bars[first].minute_ms / 1000, ZoneInfo("America/New_York"))
    box = page.locator("#chart").bounding_box()
    assert box
    page.mouse.move(box["x"] + 20, box["y"] + 60)  # the bars fill the chart: the first is at its left
    expect(page.locator(".legend-time")).to_have_text(re.compile(f"{began:%H:%M} ET$"))
