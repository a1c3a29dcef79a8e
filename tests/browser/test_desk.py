"""What was wrong on the page, by number of the list of faults, and is right: each in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from consumers.contracts.anomaly import iso_ms
from consumers.contracts.charts import Bar
from localstack.outbox import OutboxMessage
from localstack.outbox_page import STYLE, html
from tests.browser.conftest import Console, open_context
from tests.browser.site import Site
from tests.browser.test_axe import violations

pytestmark = pytest.mark.browser
LONGEST = "ABCDEFGH.IJKLMNO-PQRSTUVWXYZ=X:1"
"""As many characters as a ticker may have."""


def scaled(bar: Bar, factor: float, digits: int, shift: float = 0.0) -> Bar:
    """Return the bar at other prices."""

    def price(value: float) -> float:
        return round(value * factor + shift, digits)

    return replace(
        bar,
        open=price(bar.open),
        high=price(bar.high),
        low=price(bar.low),
        close=price(bar.close),
        bid=price(bar.bid or 0),
        ask=price(bar.ask or 0),
    )


@pytest.fixture
def listed(site: Site) -> Iterator[dict[str, list[Bar]]]:
    """Instruments whose prices are not those of a stock, on the watch list."""
    bars = site.bars["AAPL"]
    last = bars[-1].close
    found = {
        "TINY/USD": [scaled(bar, 1.2e-8 / last, 10) for bar in bars],
        "EURUSD=X": [scaled(bar, 1.08712 / last, 5) for bar in bars],
        "CL=F": [scaled(bar, 0.01, 2, round(-37.63 - last * 0.01, 6)) for bar in bars],
        "INDEX": [scaled(bar, 412_345.5 / last, 1) for bar in bars],
        "ABCDEFGH.IJKLMNO": bars,
        LONGEST: bars,
    }
    before = dict(site.bars)
    site.bars.update(found)
    site.levers.tickers = [*site.levers.tickers, *found]
    for symbol, own in found.items():
        site.put_bars("simulated", symbol, own[-60:])
    site.put_quotes()
    yield found
    site.bars.clear()
    site.bars.update(before)


def chart_data(page: Page, name: str) -> list[str | float | list[str]] | dict[str, float]:
    """What the chart says that it drew."""
    expect(page.locator("#chart")).to_have_attribute("data-bars", re.compile(r"\d"))
    found: list[str | float | list[str]] | dict[str, float] = json.loads(
        page.locator("#chart").get_attribute(f"data-{name}") or ""
    )
    return found


def test_1_a_misprint_stretches_no_axis_and_is_a_mark_at_its_edge(page: Page, site: Site) -> None:
    bars = site.bars["GOOGL"]
    site.put_bars("simulated", "GOOGL", [replace(bars[-40], low=3.1), replace(bars[-80], high=640.0)])
    page.goto(f"{site.url}?ticker=GOOGL")
    assert chart_data(page, "misprints") == [640.0, 3.1]
    scale = chart_data(page, "scale")
    assert isinstance(scale, dict)
    assert min(bar.close for bar in bars) * 0.95 < scale["low"]
    assert scale["high"] < max(bar.close for bar in bars) * 1.05


def test_1_a_price_that_moved_and_stayed_is_no_misprint(page: Page, site: Site) -> None:
    bars = site.bars["JPM"]
    site.bars["JPM"] = [*bars[:-3], *(scaled(bar, 1.4, 2) for bar in bars[-3:])]
    site.put_bars("simulated", "JPM", site.bars["JPM"][-3:])
    site.put_quotes()
    page.goto(f"{site.url}?ticker=JPM")
    assert chart_data(page, "misprints") == []
    scale = chart_data(page, "scale")
    assert isinstance(scale, dict)
    assert scale["high"] >= bars[-1].close * 1.39
    site.bars["JPM"] = bars
    site.put_bars("simulated", "JPM", bars[-3:])


def test_2_minutes_without_a_quote_are_empty_and_shaded(page: Page, site: Site) -> None:
    bars = site.bars["KO"]
    site.put_bars("simulated", "HOLE", [bar for n, bar in enumerate(bars) if not 100 <= n < 107])
    page.goto(f"{site.url}?ticker=HOLE")
    empty = chart_data(page, "empty")
    assert isinstance(empty, list)
    assert empty[0] == [iso_ms(bars[100].minute_ms), iso_ms(bars[106].minute_ms)]


def test_4_a_pause_and_a_spread_have_no_up_and_down(page: Page, site: Site) -> None:
    now = site.bars["META"][-1].minute_ms
    site.put_anomaly("META", now - 1, "gap", window={"unit": "seconds"}, direction="up")
    site.put_anomaly("META", now - 2, "spread_blowout", window={"unit": "spread"}, direction="up")
    site.put_anomaly("META", now - 3, "level_shift", window={"unit": "return"}, direction="down")
    page.goto(f"{site.url}?ticker=META")
    kinds = page.locator(".own-events .event-kind")
    expect(kinds.nth(0)).to_have_text("Gap")
    expect(kinds.nth(1)).to_have_text("Spread blowout")
    expect(kinds.nth(2)).to_have_text("Level shift ▼")


def test_6_stacked_marks_are_all_reached(page: Page, site: Site) -> None:
    minute = site.bars["TSLA"][-9].minute_ms
    stacked = {
        site.put_anomaly("TSLA", minute + n, kind, severity=severity).id
        for n, (kind, severity) in enumerate(
            [("price_spike", "low"), ("level_shift", "critical"), ("gap", "high"), ("bad_tick", "medium")]
        )
    }
    page.goto(f"{site.url}?ticker=TSLA&range=1h")
    expect(page.locator("#chart")).to_have_attribute("data-marks", re.compile("bad_tick"))
    box = page.locator("#chart canvas").first.bounding_box()
    assert box is not None
    tip = page.locator(".chart-tip li")
    for x in range(int(box["width"]) - 4, 4, -3):
        page.mouse.move(box["x"] + x, box["y"] + 60)
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        if tip.count() == 4:
            break
    expect(tip).to_have_count(4)  # hovering lists them, the worst first
    expect(tip.first).to_contain_text("Critical")
    reached = set()
    for _ in stacked:
        before = page.url
        page.mouse.click(box["x"] + x, box["y"] + 60)
        page.wait_for_function("(before) => location.href !== before", arg=before)
        reached.add(page.evaluate("new URLSearchParams(location.search).get('anomaly')"))
        page.wait_for_timeout(400)
    assert reached == stacked


def test_7_a_thumb_on_the_chart_moves_the_page(chromium: Browser, site: Site) -> None:
    context = open_context(chromium, viewport={"width": 375, "height": 640}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"{site.url}?ticker=AAPL")
    expect(page.locator("#chart canvas").first).to_be_visible()
    expect(page.locator(".own-events .event").first).to_be_visible()
    touch = context.new_cdp_session(page)

    def send(kind: str, y: int) -> None:
        points = [] if kind == "touchEnd" else [{"x": 150, "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    # A press that lasts reads off values, and ends with the touch: the thumb is not trapped after it.
    send("touchStart", 420)
    page.wait_for_timeout(600)
    send("touchMove", 380)
    send("touchEnd", 0)
    swipe = (("touchStart", 420), ("touchMove", 380), ("touchMove", 300), ("touchMove", 200), ("touchEnd", 0))
    for _ in range(10):  # what comes late on a busy machine may move the page's parts under the thumb
        for kind, y in swipe:
            send(kind, y)
            page.wait_for_timeout(50)
        page.wait_for_timeout(500)
        if page.evaluate("scrollY") > 50:
            break
    assert page.evaluate("scrollY") > 50
    context.close()


def test_9_every_price_has_the_digits_of_its_instrument(
    page: Page, site: Site, listed: dict[str, list[Bar]]
) -> None:
    page.goto(f"{site.url}?ticker=EURUSD%3DX")
    shown = {
        "TINY/USD": r"0\.0000000\d{2,3}",
        "EURUSD=X": r"1\.\d{5}",
        "CL=F": r"−37\.\d\d",
        "INDEX": r"41\d,\d{3}\.\d\d",
    }
    for ticker, pattern in shown.items():
        row = page.locator(f'#watch tr[data-ticker="{ticker}"] .price')
        expect(row).to_have_text(re.compile(f"^{pattern}$"))
    expect(page.locator("#ticker-price")).to_have_text(re.compile(r"^1\.\d{5}$"))
    last = listed["EURUSD=X"][-1]
    expect(page.locator(".chart-legend")).to_contain_text(f"C {last.close:.5f}")
    page.locator('#watch tr[data-ticker="TINY/USD"] a').click()
    expect(page.locator("#ticker-price")).to_have_text(re.compile(r"^0\.0000000\d+$"))
    page.locator('#watch tr[data-ticker="CL=F"] a').click()
    expect(page.locator("#ticker-price")).to_have_text(re.compile(r"^−37\.\d\d$"))


@pytest.mark.usefixtures("listed")
def test_10_long_tickers_and_prices_push_nothing_out(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.locator("#watch tbody tr")).to_have_count(16)
    expect(page.locator('#watch tr[data-ticker="INDEX"] .price')).to_contain_text("41")
    for width in (375, 1440, 2560):
        page.set_viewport_size({"width": width, "height": 1000})
        if width == 375:
            page.get_by_role("button", name="Watch", exact=True).click()
        _assert_nothing_is_pushed_out(page)


def _assert_nothing_is_pushed_out(page: Page) -> None:
    assert page.evaluate("watch.scrollWidth <= watch.clientWidth")
    beyond = page.evaluate(
        "[...document.querySelectorAll('#watch tbody td')].filter((cell) => cell.offsetWidth && "
        "cell.scrollWidth > cell.clientWidth + 1).map((cell) => cell.textContent)"
    )
    assert beyond == []
    for ticker in ("ABCDEFGH.IJKLMNO", LONGEST):
        expect(page.locator(f'#watch a[title="{ticker}"]')).to_be_visible()


def test_11_who_may_not_see_it_is_told(page: Page, site: Site, console: Console) -> None:
    console.expect("403")
    page.route("**/api/**", lambda route: route.fulfill(status=403, json={"message": "Forbidden"}))
    page.goto(site.url)
    expect(page.locator("#feed-text")).to_have_text("Not open to you")
    expect(page.locator("#events")).to_contain_text("This monitor is not open to you")
    expect(page.locator("#watch")).to_contain_text("The watch list cannot be shown")
    expect(page.locator(".skeleton")).to_have_count(0)


def test_11_what_is_old_looks_old(page: Page, site: Site, console: Console) -> None:
    console.expect("502")
    look = "getComputedStyle(document.querySelector('.watch-panel')).filter"
    page.goto(f"{site.url}?ticker=AAPL")
    expect(page.locator("#watch tbody tr")).to_have_count(10)
    assert page.evaluate(look) == "none"
    site.levers.ahead_ms = 600_000
    page.wait_for_function(f"() => {look} === 'grayscale(1)'")
    site.levers.ahead_ms = 0
    site.put_quotes()
    page.wait_for_function(f"() => {look} === 'none'")


def test_11_a_chart_opened_during_an_outage_says_so(page: Page, site: Site, console: Console) -> None:
    console.expect("502")
    site.levers.reachable = False
    page.goto(f"{site.url}?ticker=AAPL")
    expect(page.locator(".chart-empty")).to_contain_text("No connection")
    site.levers.reachable = True
    expect(page.locator(".chart-empty")).to_be_hidden()


def test_12_a_filter_changes_the_list_and_nothing_else(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.locator("#source-badge")).to_have_text("Simulated")
    page.get_by_label("Source").select_option("live")
    expect(page.locator("#events")).to_contain_text("Nothing matches these filters")
    expect(page.locator("#source-badge")).to_have_text("Simulated")
    expect(page.locator("#watch tbody tr")).to_have_count(10)


def test_12_numbers_follow_the_filters(page: Page, site: Site) -> None:
    page.goto(f"{site.url}?kind=frozen_feed")
    expect(page.locator("#events .event")).to_have_count(1)
    counts = page.locator("#filters .count")
    expect(counts.nth(0)).to_have_text("0")
    assert sum(int(text) for text in counts.all_inner_texts()) <= 1


def test_13_a_typo_in_the_search_offers_what_was_meant(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.locator("#watch tbody tr")).to_have_count(10)
    page.keyboard.press("/")
    page.keyboard.type("appl")
    page.keyboard.press("Enter")
    empty = page.locator(".chart-empty")
    expect(empty).to_contain_text("Did you mean AAPL?")
    empty.get_by_role("link", name="AAPL").click()
    expect(page.locator("#ticker-title")).to_have_text("AAPL")


def test_16_a_reason_is_given_and_shown(page: Page, site: Site) -> None:
    anomaly = site.put_anomaly("XOM", site.bars["XOM"][-7].minute_ms, "gap")
    page.goto(f"{site.url}?ticker=XOM&anomaly={anomaly.id}")
    page.get_by_label("Reason").fill("maintenance of the feed")
    page.get_by_role("button", name="Silence XOM gap").click()
    expect(page.locator("#silence-status")).to_contain_text("(maintenance of the feed)")
    expect(page.locator("#silences")).to_contain_text("XOM gap")
    assert page.locator("#silences .silence-item").count() == 1
    page.get_by_role("button", name="Expire silence of XOM gap").click()
    expect(page.locator("#silences")).to_be_hidden()


def test_20_no_row_wears_a_badge_of_the_usual_source(page: Page, site: Site) -> None:
    page.route("**/api/tickers*", lambda _route: None)  # it does not come
    page.goto(site.url, wait_until="commit")
    expect(page.locator("#events .event").first).to_be_visible()
    assert page.locator("#events .badge").count() == 0


def test_21_another_anomaly_keeps_the_chart_and_its_row_in_sight(page: Page, site: Site) -> None:
    bars = site.bars["AMZN"]
    for n in range(40):
        site.put_anomaly("AMZN", bars[-n - 3].minute_ms, "vol_shift", severity="low")
    page.goto(f"{site.url}?ticker=AMZN")
    expect(page.locator("#chart")).to_have_attribute("data-marks", re.compile("vol_shift"))
    page.evaluate("window.kept = document.querySelector('#chart canvas')")
    old = page.locator("#events .event", has_text="AMZN").nth(30)
    identity = old.get_attribute("data-id")
    old.click()
    expect(page).to_have_url(re.compile(re.escape(quote(str(identity)))))
    expect(page.locator(f'#events .event[data-id="{identity}"]')).to_be_in_viewport()
    assert page.evaluate("kept.isConnected")


def test_22_no_text_says_what_a_mark_says_already(page: Page, site: Site) -> None:
    told = "KO had the same quote for 96 s; severity low, score 2.50 where alerts begin at 2.5."
    site.put_anomaly(
        "KO",
        site.bars["KO"][-2].minute_ms,
        "frozen_feed",
        window={"unit": "ticks"},
        explanation=told,
        severity="low",
    )
    page.goto(f"{site.url}?ticker=KO")
    page.locator(".own-events .event").first.click()
    expect(page.locator(".detail p").first).to_have_text("KO had the same quote for 96 s.")
    expect(page.locator(".facts")).not_to_contain_text("Give or take")


def test_22_facts_have_the_digits_of_the_sentence(page: Page, site: Site) -> None:
    window = {"unit": "price", "ticks": 240, "ask": 206.06, "bid": 206.02}
    print_ = site.put_anomaly(
        "TSLA", site.bars["TSLA"][-2].minute_ms, "bad_tick", window=window, score=5.5678, tolerance=0.583574
    )
    page.goto(f"{site.url}?anomaly={print_.id}")
    facts = page.locator(".facts")
    expect(facts).to_contain_text("Ask206.06")
    expect(facts).to_contain_text("Give or take0.584")
    expect(facts).to_contain_text("Score5.57 (anomaly from")
    moment, pause = site.bars["KO"][-2].minute_ms, {"unit": "seconds", "ticks": 50}
    gap = site.put_anomaly("KO", moment, "gap", value=152.26, window=pause)
    page.goto(f"{site.url}?anomaly={gap.id}")
    expect(facts).to_contain_text("Value2 min 32 s")


def test_19_the_outbox_is_read_on_a_phone_and_links_back(page: Page) -> None:
    link = "https://monitor.example/?anomaly=AAPL-1763996400123-price_spike"
    text = f"AAPL rose 1.2% in one tick.\n\nOpen it: {link}"
    sent = [
        OutboxMessage(
            n,
            ("email", "sms")[n % 2],
            "ann@example.com",
            "AAPL rose",
            text,
            "2026-11-24T14:30:00.000Z",
            str(n),
        )
        for n in range(60)
    ]
    page.set_viewport_size({"width": 375, "height": 760})
    page.set_content(re.sub(r"<(link|script)[^>]*>(</script>)?", "", html(sent, "", 1)))
    page.add_style_tag(content=STYLE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    articles = page.get_by_role("article")
    expect(articles).to_have_count(20)  # a page of them, not all
    expect(articles.first.get_by_role("link", name=link)).to_have_attribute("href", link)
    expect(articles.first).to_contain_text("SMS to ann@example.com, Tue 24 Nov, 14:30:00 UTC")
    expect(page.get_by_role("link", name="Back to the page")).to_be_visible()
    expect(page.get_by_role("link", name="Older")).to_be_visible()
    assert violations(page) == []


def test_19_the_page_has_a_link_to_the_outbox(page: Page, site: Site) -> None:
    page.route("**/config.json", lambda route: route.fulfill(json={"sign_in": None, "outbox": "outbox"}))
    page.goto(site.url)
    expect(page.get_by_role("link", name="Outbox")).to_have_attribute("href", "outbox")
