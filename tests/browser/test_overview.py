"""What a visitor sees first: is it alive, what is unusual now, how is each ticker."""

from __future__ import annotations

import gzip
import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Response, Route, expect

from tests.browser.conftest import Console
from tests.browser.site import Site

DASHBOARD = Path(__file__).parents[2] / "dashboard"
pytestmark = pytest.mark.browser


def test_the_first_view_answers_three_questions(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.locator("#source-badge")).to_have_text("Simulated")
    expect(page.locator("#feed-text")).to_have_text(re.compile(r"Live, last quote \d+ s ago"))
    newest = page.locator("#events .event").first
    expect(newest).to_contain_text("NVDA")
    expect(newest).to_contain_text("Critical")
    expect(newest).to_contain_text("fell 1.41% in one tick")
    moments = page.locator("#events time").evaluate_all("times => times.map((time) => time.dateTime)")
    assert moments == sorted(moments, reverse=True)
    assert len(moments) >= 10
    rows = page.locator("#watch tbody tr")
    assert rows.evaluate_all("rows => rows.map((row) => row.dataset.ticker)") == site.levers.tickers
    last = site.bars["AAPL"][-1].close
    expect(rows.first.locator(".price")).to_have_text(f"{last:,.2f}")
    expect(rows.first.locator(".sparkline polyline")).to_be_attached()
    expect(page.locator("#watch-summary")).to_have_text("10 of 10 with fresh quotes")


def test_an_anomaly_arrives_without_a_reload(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.locator("#events .event").first).to_be_visible()
    page.evaluate("window.sameDocument = true")
    page.locator("#events .event").nth(1).focus()
    focused = page.evaluate("document.activeElement.dataset.id")
    anomaly = site.put_anomaly("TSLA", int(time.time() * 1000), explanation="TSLA rose while you looked on.")
    arrived = page.locator(f'#events .event[data-id="{anomaly.id}"]')
    expect(arrived).to_be_visible()
    assert page.locator("#events .event").first.get_attribute("data-id") == anomaly.id
    expect(page.locator("#announcer")).to_have_text("New: TSLA, Price spike, high.")
    assert page.evaluate("window.sameDocument")
    assert page.evaluate("document.activeElement.dataset.id") == focused


def test_an_idle_poll_costs_a_304(page: Page, site: Site) -> None:
    answers: list[Response] = []
    page.goto(site.url)
    expect(page.locator("#watch .sparkline")).to_have_count(10, timeout=30_000)
    page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108  a builtin method has no attributes
    for path in ("/api/anomalies", "/api/tickers"):
        for _ in range(3):
            with page.expect_response(f"**{path}*"):
                pass
        polled = [answer for answer in answers if urlsplit(answer.url).path == path]
        tags = [answer.headers["etag"] for answer in polled]
        repeated = [
            answer.status
            for answer, tag, before in zip(polled[1:], tags[1:], tags, strict=False)
            if tag == before
        ]
        assert repeated
        assert set(repeated) == {304}


def test_a_hidden_page_asks_rarely_and_catches_up_when_shown(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.locator("#watch .sparkline")).to_have_count(10, timeout=30_000)
    page.evaluate(
        "Object.defineProperty(document, 'hidden', { configurable: true, get: () => window.isHidden });"
        "window.isHidden = true"
    )
    page.wait_for_timeout(2500)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.wait_for_timeout(4000)
    # What was due already when the page was hidden may be asked once; shown, it asks for anomalies each second.
    asked = [request.partition("?")[0] for request in requests]
    assert len(asked) == len(set(asked))
    with page.expect_request("**/api/anomalies?*"), page.expect_request("**/api/tickers?*"):
        page.evaluate("window.isHidden = false; document.dispatchEvent(new Event('visibilitychange'))")


def test_it_is_light(page: Page, site: Site) -> None:
    responses: list[Response] = []
    page.on("response", lambda response: responses.append(response))  # noqa: PLW0108  a builtin has no attributes
    page.goto(site.url)
    expect(page.locator("#events .event").first).to_be_visible()
    expect(page.locator("#chart canvas").first).to_be_visible()
    expect(page.locator("#watch tbody tr").first).to_be_visible()
    size = sum(len(gzip.compress(response.body())) for response in responses if response.status == 200)
    assert 10_000 < size < 200_000


def test_every_module_is_asked_for_at_once() -> None:
    page = (DASHBOARD / "index.html").read_text(encoding="utf-8")
    named = re.findall(r'<link rel="modulepreload" href="([^"]+)">', page)
    modules = [*DASHBOARD.glob("scripts/*.js"), DASHBOARD / "vendor" / "lightweight-charts.js"]
    assert sorted(named) == sorted(path.relative_to(DASHBOARD).as_posix() for path in modules)


def test_what_every_page_asks_first_does_not_wait_for_its_modules(page: Page, site: Site) -> None:
    held: list[Route] = []
    asked: list[str] = []

    def once(route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path not in asked:
            route.continue_()
        asked.append(path)  # a second one is not answered: the first answer is what is shown

    page.route("**/scripts/main.js", lambda route: held.append(route))  # noqa: PLW0108  a builtin has no attributes
    page.route(re.compile(r"/api/(tickers|anomalies)\?"), once)
    with page.expect_response("**/api/tickers?limit=500"), page.expect_response("**/api/anomalies?limit=50"):
        page.goto(site.url, wait_until="commit")
    held[0].continue_()
    expect(page.locator("#watch tbody tr")).to_have_count(10)
    expect(page.locator("#events .event").first).to_be_visible()


def test_filters_live_in_the_address(page: Page, site: Site) -> None:
    page.goto(site.url)
    severities = page.locator("#events .event .severity span")
    page.get_by_role("button", name="Critical").click()
    expect(page).to_have_url(re.compile(r"severity=critical"))
    expect(page.locator('#events .event:not([data-severity="critical"])')).to_have_count(0)
    page.get_by_role("button", name="Low").click()
    expect(page).to_have_url(re.compile(r"severity=critical%2Clow"))
    expect(severities.filter(has_text="Low").first).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Critical")).to_have_attribute("aria-pressed", "true")
    expect(
        page.locator('#events .event:not([data-severity="critical"], [data-severity="low"])')
    ).to_have_count(0)
    page.get_by_label("Kind").select_option("frozen_feed")
    expect(page.locator("#events .event")).to_have_count(1)
    expect(page.locator("#events .event")).to_contain_text("KO")
    page.go_back()
    expect(page.get_by_label("Kind")).to_have_value("")
    page.go_back()
    expect(page.get_by_role("button", name="Low")).to_have_attribute("aria-pressed", "false")


def test_a_link_with_filters_opens_filtered(page: Page, site: Site) -> None:
    page.goto(f"{site.url}?kind=volume_burst&severity=high")
    expect(page.locator("#events .event")).to_have_count(1)
    expect(page.locator("#events .event")).to_contain_text("184,300")
    expect(page.get_by_role("button", name="High")).to_have_attribute("aria-pressed", "true")


def test_a_link_with_a_filter_that_does_not_exist_says_so(page: Page, site: Site, console: Console) -> None:
    page.goto(f"{site.url}?severity=urgent")
    expect(page.locator("#events")).to_contain_text("These filters cannot be used")
    expect(page.locator("#events")).to_contain_text("low, medium, high, critical")
    console.expect("400")
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("#events .event").first).to_be_visible()


def test_older_ones_are_loaded_on_request(page: Page, site: Site) -> None:
    first = site.bars["KO"][0].minute_ms - 86_400_000
    for n in range(60):
        site.put_anomaly("KO", first + n * 1000, "gap", severity="low", explanation=f"KO paused, number {n}.")
    page.goto(f"{site.url}?kind=gap")
    expect(page.locator("#events .event")).to_have_count(50)
    older = page.get_by_role("button", name="Show older")
    older.scroll_into_view_if_needed()  # items take their real height in the frame after a jump, and move it
    older.click()
    expect(page.locator("#events .event")).to_have_count(60)
    expect(page.get_by_role("button", name="Show older")).to_have_count(0)
    identities = page.locator("#events .event").evaluate_all(
        "events => events.map((event) => event.dataset.id)"
    )
    assert len(set(identities)) == 60


def test_asking_for_older_ones_survives_what_arrives_meanwhile(page: Page, site: Site) -> None:
    first = site.bars["XOM"][0].minute_ms - 2 * 86_400_000
    for n in range(60):
        site.put_anomaly("XOM", first + n * 1000, "slow_drift", explanation=f"XOM drifted, number {n}.")
    page.goto(f"{site.url}?kind=slow_drift&severity=high")
    expect(page.locator("#events .event")).to_have_count(50)
    older = page.get_by_role("button", name="Show older")
    older.focus()
    page.keyboard.down("Space")
    arrived = site.put_anomaly("XOM", first + 100_000, "slow_drift", explanation="XOM drifted once more.")
    expect(page.locator(f'#events .event[data-id="{arrived.id}"]')).to_be_visible()
    page.keyboard.up("Space")
    expect(page.locator("#events .event")).to_have_count(61)


@pytest.mark.parametrize("width", [768, 1440])
def test_more_tickers_than_are_laid_out_together(page: Page, site: Site, width: int) -> None:
    site.levers.tickers = [*site.levers.tickers, *[f"T{n:03d}" for n in range(60)]]
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(site.url)
    rows = page.locator("#watch tbody tr")
    expect(rows).to_have_count(70)
    names = "rows => rows.map((row) => row.dataset.ticker)"
    assert rows.evaluate_all(names) == site.levers.tickers
    moved = page.locator('#watch tr[data-ticker="T015"] a')  # the first of the second group
    moved.focus()
    site.levers.tickers = ["MSFT", *site.levers.tickers[2:]]
    expect(rows).to_have_count(69)
    assert rows.evaluate_all(names) == site.levers.tickers
    expect(moved).to_be_focused()
    along = "left" if width == 768 else "top"
    neighbours = rows.evaluate_all(
        "(rows, along) => rows.slice(1).map((row, n) => {"
        "  row.scrollIntoView();"
        "  const [before, after] = [rows[n], row].map((each) => each.getBoundingClientRect());"
        "  return after[along] - before[along === 'left' ? 'right' : 'bottom'];"
        "})",
        along,
    )
    assert all(-1 <= gap <= 10 for gap in neighbours), neighbours
