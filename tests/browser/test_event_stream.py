"""The page follows events where the monitor serves them, polls elsewhere, and moves nothing that is looked at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect

from consumers.contracts.anomaly import Anomaly
from tests.api.client import make_anomaly
from tests.browser.conftest import Console
from tests.browser.followed import Followed
from tests.browser.site import Site, epoch_now_ms

pytestmark = pytest.mark.browser


@pytest.fixture
def followed(page: Page, site: Site, tmp_path: Path) -> Iterator[Followed]:
    """A monitor that serves events, and says so to the page."""
    page.route("**/config.json", lambda route: route.fulfill(json={"sign_in": None, "events": "events"}))
    site.levers.events = Followed(tmp_path)
    yield site.levers.events
    site.levers.events.cut()


def put(site: Site, ticker: str, kind: str = "price_spike") -> Anomaly:
    """Write an anomaly of now. The page folds one kind in four tickers within seconds: few tests share a kind."""
    return site.put_anomaly(ticker, epoch_now_ms(), kind, severity="medium")


def shown(page: Page, anomaly: Anomaly) -> None:
    expect(page.locator(f'#events .event[data-id="{anomaly.id}"]')).to_be_visible()


def wait_for_connections(page: Page, followed: Followed, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(followed.asked) < count:
        page.wait_for_timeout(50)
        assert time.monotonic() < deadline, followed.asked


def wait_until_nothing_is_asked(page: Page, seconds: float) -> None:
    """Wait for so long a time without a request for anomalies, which are asked for once more as the stream opens."""
    last = time.monotonic()

    def note(request: Request) -> None:
        nonlocal last
        if "/api/anomalies" in request.url:
            last = time.monotonic()

    page.on("request", note)
    ends = last + 90
    while time.monotonic() < last + seconds:
        assert time.monotonic() < ends, "anomalies are asked for again and again"
        page.wait_for_timeout(100)
    page.remove_listener("request", note)


def test_an_anomaly_arrives_by_the_stream_without_waiting_for_a_poll(
    page: Page, site: Site, followed: Followed
) -> None:
    page.goto(f"{site.url}?ticker=AAPL")
    expect(page.locator("#events .event").first).to_be_visible()
    wait_for_connections(page, followed, 1)
    wait_until_nothing_is_asked(page, 6.0)  # three polls would have been due
    unsaid = put(site, "MSFT")
    expect(page.locator(f'[data-id="{unsaid.id}"]')).to_have_count(0)
    followed.send(unsaid)
    shown(page, unsaid)
    own = put(site, "AAPL")
    followed.send(own)
    shown(page, own)
    expect(page.locator(f'.own-events .event[data-id="{own.id}"]')).to_be_visible()


def test_an_anomaly_is_on_screen_before_the_api_is_asked(page: Page, site: Site, followed: Followed) -> None:
    page.goto(site.url)
    expect(page.locator("#watch-summary")).to_contain_text("10 of 10")
    expect(page.locator("#events .event").first).to_be_visible()
    wait_for_connections(page, followed, 1)
    # The API knows neither of them.
    other = make_anomaly("KO", epoch_now_ms(), "price_spike", source="verify-1")
    followed.send(other)
    anomaly = make_anomaly("MSFT", epoch_now_ms(), "price_spike", source="simulated")
    followed.send(anomaly)
    shown(page, anomaly)
    expect(page.locator(f'#events .event[data-id="{other.id}"]')).to_have_count(0)


NOTE_EVENTS = """
window.received = [];
window.EventSource = class extends EventSource {
  constructor(url) {
    super(url);
    this.addEventListener("AnomalyDetected", (event) => window.received.push(event.lastEventId));
  }
};
"""


def test_a_stream_that_is_cut_goes_on_after_the_last_event(
    page: Page, site: Site, followed: Followed, console: Console
) -> None:
    console.expect("net::")
    page.add_init_script(NOTE_EVENTS)  # what is shown may have come by a poll before
    received = "id => window.received.includes(id)"
    page.goto(site.url)
    wait_for_connections(page, followed, 1)
    anomaly = put(site, "TSLA")
    id_ = followed.send(anomaly)
    shown(page, anomaly)
    page.wait_for_function(received, arg=id_)
    followed.cut()
    missed = put(site, "TSLA")
    missed_id = followed.send(missed)
    shown(page, missed)
    page.wait_for_function(received, arg=missed_id)
    wait_for_connections(page, followed, 2)
    assert followed.asked == [None, id_]
    # A page that nobody sees follows nothing; seen again, it goes on after what it had.
    page.evaluate(
        "Object.defineProperty(document, 'hidden', { configurable: true, get: () => window.isHidden });"
        "window.isHidden = true; document.dispatchEvent(new Event('visibilitychange'))"
    )
    unseen = put(site, "TSLA")
    followed.send(unseen)
    page.evaluate("window.isHidden = false; document.dispatchEvent(new Event('visibilitychange'))")
    shown(page, unseen)
    wait_for_connections(page, followed, 3)
    assert followed.asked[2] == followed.log.id_of(followed.log.after(1)[0])


def test_a_monitor_without_a_stream_is_polled_until_it_has_one(
    page: Page, site: Site, console: Console, tmp_path: Path
) -> None:
    console.expect("404")
    page.route("**/config.json", lambda route: route.fulfill(json={"sign_in": None, "events": "events"}))
    with page.expect_response(lambda response: response.url.endswith("/events")) as absent:
        page.goto(site.url)
    assert absent.value.status == 404
    anomaly = put(site, "META", "vol_shift")
    shown(page, anomaly)
    site.levers.events = followed = Followed(tmp_path)
    wait_for_connections(page, followed, 1)
    followed.cut()


def test_what_is_pointed_at_stays_where_it_is(page: Page, site: Site, followed: Followed) -> None:
    page.goto(site.url)
    wait_for_connections(page, followed, 1)
    row = page.locator("#events .event").nth(2)
    id_ = row.get_attribute("data-id")
    row.hover()
    before = row.bounding_box()
    anomaly = put(site, "GOOGL", "level_shift")
    followed.send(anomaly)
    expect(page.locator("#events-summary")).to_contain_text("1 new")
    expect(page.locator("#announcer")).to_have_text("New: GOOGL, Level shift, medium.")
    pointed_at = page.locator(f'#events .event[data-id="{id_}"]')
    assert pointed_at.bounding_box() == before
    pointed_at.click()  # what was meant is what is opened
    expect(pointed_at).to_have_attribute("aria-current", "true")
    page.mouse.move(5, 5)
    shown(page, anomaly)
    expect(page.locator("#events .event").first).to_have_attribute("data-id", anomaly.id)


def test_no_row_of_a_sorted_watch_list_moves_under_the_pointer(page: Page, site: Site) -> None:
    rows, names = page.locator("#watch tbody tr"), "rows => rows.map((row) => row.dataset.ticker)"
    page.goto(site.url)
    page.get_by_role("button", name="Change", exact=True).click()
    expect(rows.first.locator(".price")).not_to_be_empty()
    rows.nth(4).hover()
    before = rows.evaluate_all(names)
    last = before[-1]
    bars = site.bars[last]
    site.bars[last] = [*bars[:-1], replace(bars[-1], close=bars[-1].close * 1.5)]
    site.put_quotes()
    try:
        expect(rows.nth(9).locator(".change")).to_have_attribute("data-heat", "3")
        assert rows.evaluate_all(names) == before
        page.mouse.move(5, 5)
        expect(rows.first).to_have_attribute("data-ticker", last)
    finally:
        site.bars[last] = bars
