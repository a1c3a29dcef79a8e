"""What a viewer sets: time zone, rows, notifications, silences, a look at thresholds; the tour; what an app needs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import boto3
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from consumers.stores.rules import RuleParameter
from tests.browser.conftest import Console, open_context
from tests.browser.site import Site
from tests.browser.test_axe import violations

pytestmark = pytest.mark.browser
DASHBOARD = Path(__file__).parents[2] / "dashboard"


@pytest.mark.parametrize(
    ("viewer", "zone", "name"),
    [("Asia/Tokyo", "viewer", "GMT+9"), ("America/New_York", "market", "ET"), ("Asia/Tokyo", "utc", "UTC")],
)
def test_18_the_page_tells_one_time_and_names_its_zone(
    chromium: Browser, site: Site, viewer: str, zone: str, name: str
) -> None:
    context = open_context(chromium, timezone_id=viewer, viewport={"width": 1440, "height": 900})
    context.add_init_script(f"localStorage.zone = '{zone}'")
    page = context.new_page()
    page.goto(site.url)
    expect(page.locator("#zone")).to_have_text(name)
    expect(page.locator(".chart-foot")).to_contain_text(re.compile(rf"\d\d:\d\d {re.escape(name)}"))
    page.locator("#events .event").first.click()
    facts = page.locator(".facts")
    expect(facts).to_contain_text(f" {name}")
    expect(facts.get_by_text("Your time")).to_have_count(1 if zone == "utc" else 0)
    expect(page.locator("#clock-local-item")).to_be_visible(visible=viewer == "Asia/Tokyo")
    context.close()


def test_settings_of_the_device_and_of_the_monitor(page: Page, site: Site) -> None:
    page.add_init_script(
        "window.shown = []; window.Notification = class { static permission = 'granted';"
        " static requestPermission() { return Promise.resolve('granted') }"
        " constructor(title, { body }) { shown.push(`${title}: ${body}`) } }"
    )
    page.goto(site.url)
    expect(page.locator("#events .event").first).to_be_visible()
    expect(page.locator("#watch tbody tr")).to_have_count(10)
    page.keyboard.press(",")
    dialog = page.get_by_role("dialog", name="Settings")
    dialog.get_by_label("Rows").select_option("Comfortable")
    assert page.locator("#watch tbody tr").first.evaluate("row => row.offsetHeight") == 32
    dialog.get_by_label("Desktop notification").select_option("High and worse")
    expect(dialog).to_contain_text("Shown while this page is open.")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.locator(".preview")).to_contain_text(re.compile(r"2\.5\d+ a day.*10\.00 a day"))
    threshold = dialog.locator("section", has_text="Threshold")
    score = threshold.get_by_label("Score")
    expect(score).to_have_value("2.5")
    threshold.get_by_label("Kind").select_option("gap")
    score.fill("4.2")
    expect(dialog.locator(".preview .is-own")).to_have_text(re.compile(r"4\.2\d+ a day"))
    score.fill("4.25")
    threshold.get_by_role("button", name="Set", exact=True).click()
    expect(threshold).to_contain_text("Set by somebody to 4.25. In force within a minute.")
    assert "Rule" not in threshold.get_by_label("Kind").locator("option").all_text_contents()
    threshold.get_by_label("Kind").select_option("All kinds")
    expect(score).to_have_value("2.5")
    threshold.get_by_label("Kind").select_option("gap")
    expect(score).to_have_value("4.25")
    score.fill("0")
    threshold.get_by_role("button", name="Set", exact=True).click()
    assert score.evaluate("input => !input.validity.valid")
    threshold.get_by_role("button", name="Back to the usual").click()
    expect(threshold).to_contain_text("Set by somebody to 2.5.")
    quiet = dialog.locator("section", has_text="Silences")
    quiet.get_by_label("Ticker").select_option("TSLA")
    quiet.get_by_label("Reason").fill("earnings")
    quiet.get_by_role("button", name="Silence", exact=True).click()
    expect(dialog.locator(".silences")).to_contain_text("TSLA (until")
    dialog.get_by_role("button", name="Expire TSLA").click()
    expect(dialog.locator(".silence-item")).to_have_count(0)
    asked: list[object] = []

    def change(route: Route) -> None:
        if route.request.method != "PUT":
            route.fallback()
            return
        asked.append(route.request.post_data_json)
        answer = {"tickers": ["AAPL"], "added": ["SPY"], "removed": ["KO"], "by": "ann@example.com", "at": ""}
        route.fulfill(json=answer)

    page.route("**/api/tickers", change)
    site.levers.tickers = [*site.levers.tickers, "IBM"]  # by somebody else, while the dialog is open
    dialog.locator("section", has_text="Watch list").get_by_label("Tickers").fill("AAPL, SPY")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_contain_text("Saved by ann@example.com: added SPY; removed KO.")
    assert asked == [{"tickers": ["AAPL", "SPY", "IBM"]}]
    assert violations(page, "#settings") == []
    dialog.get_by_role("button", name="Close").click()
    newest = site.bars["JPM"][-1].minute_ms
    # A route is handled while this thread waits for the browser: no poll gets between the two writes.
    page.route("**/api/anomalies?*", lambda route: route.fallback())
    with page.expect_response("**/api/anomalies?*"):
        pass
    site.put_anomaly("JPM", newest + 2, severity="low", explanation="JPM: nothing to speak of.")
    site.put_anomaly("JPM", newest + 3, severity="high", explanation="JPM rose.")
    page.wait_for_function("() => shown.length")
    assert page.evaluate("shown") == ["JPM: Price spike, high (and 1 more): JPM rose."]
    page.reload()
    assert page.locator("html").get_attribute("data-density") == "comfortable"


def test_a_rule_is_added_and_removed(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.locator("#watch tbody tr")).to_have_count(10)
    page.keyboard.press(",")
    rules = page.get_by_role("dialog", name="Settings").locator("section", has_text="Your own rules")
    rules.get_by_label("Value").fill("410.5")
    add = rules.get_by_role("button", name="Add")
    add.click()
    told = rules.get_by_label("Ticker").evaluate("field => field.validationMessage")
    assert told == "Choose a ticker: the limit is a price"
    rules.get_by_label("Ticker").select_option("TSLA")
    add.click()
    expect(rules.get_by_role("listitem")).to_contain_text(
        "TSLA-above-410-5: TSLA: price above 410.50, every time, high"
    )
    now = site.bars["TSLA"][-1].close
    already = f"TSLA is at {now:.2f} already: the rule is met once it was below the level and comes back."
    note = rules.get_by_role("status")
    expect(note).to_have_text("Added. In force within a minute." + (f" {already}" if now >= 410.5 else ""))
    rules.get_by_label("Value").fill("1.5")
    add.click()
    expect(note).to_have_text(f"Added. In force within a minute. {already}")
    rules.locator('[data-rule="TSLA-above-1-5"]').click()
    expect(note).to_have_text("Removed. In force within a minute.")
    rules.get_by_label("Ticker").select_option("")
    rules.get_by_label("When").select_option("moves")
    rules.get_by_label("Value").fill("2")
    add.click()
    expect(rules.get_by_role("listitem")).to_have_count(2)
    rules.get_by_label("Within minutes").fill("")
    add.click()  # rejected by the field
    rules.get_by_label("Within minutes").fill("2.5")
    add.click()
    expect(rules.get_by_role("listitem")).to_have_count(3)
    (first, second, third) = RuleParameter(boto3.client("ssm")).read()
    assert (third.id, third.minutes) == ("any-moves-2-2-5", 2.5)
    assert (first.ticker, first.when, first.value) == ("TSLA", "above", 410.5)
    assert (second.ticker, second.when, second.value, second.minutes) == ("", "moves", 2, 5)
    for rule in (first, second, third):
        rules.get_by_role("button", name="Remove").first.click()
        expect(rules.locator(f'[data-rule="{rule.id}"]')).to_have_count(0)
    assert violations(page, "#settings") == []


def test_a_rule_is_added_where_its_price_cannot_be_read(page: Page, site: Site, console: Console) -> None:
    console.expect("503")
    page.route("**/api/safety/*", lambda route: route.fulfill(status=503, json={"detail": "try again"}))
    page.goto(site.url)
    expect(page.locator("#watch tbody tr")).to_have_count(10)
    page.keyboard.press(",")
    rules = page.get_by_role("dialog", name="Settings").locator("section", has_text="Your own rules")
    rules.get_by_label("Ticker").select_option("TSLA")
    rules.get_by_label("Value").fill("1.5")
    rules.get_by_role("button", name="Add").click()
    expect(rules.get_by_role("status")).to_have_text(
        "Added. In force within a minute. Where the price is now is not known: try again"
    )
    expect(rules.get_by_role("listitem")).to_contain_text("TSLA: price above 1.50")


def test_routes_and_channels_are_set_and_tried(page: Page, site: Site, console: Console) -> None:
    console.expect("400")
    page.goto(site.url)
    expect(page.locator("#events .event").first).to_be_visible()
    expect(page.locator("#watch tbody tr")).to_have_count(10)
    page.keyboard.press(",")
    dialog = page.get_by_role("dialog", name="Settings")
    section = dialog.locator("section", has_text="Routes and channels")
    expect(section).to_contain_text("sns: email and SMS, always there")
    section.get_by_label("Type").select_option("ntfy")
    section.get_by_label("Name").fill("desk")
    section.get_by_label("url").fill("no address")
    section.get_by_role("button", name="Add channel").click()
    expect(section.get_by_role("status")).to_contain_text("That was not done: ")
    section.get_by_label("url").fill("https://ntfy.sh/desk")
    section.get_by_role("button", name="Add channel").click()
    expect(section.get_by_role("status")).to_contain_text(
        "Channel added by somebody. In force within a minute."
    )
    expect(section).to_contain_text(
        "desk: ntfy (sends once its topic is set: stock-monitor alerts secret desk"
    )
    section.locator("label", has_text="Low and worse").locator("select").select_option("High and worse")
    section.locator("label", has_text="All channels").locator("select").select_option("desk")
    section.locator("label", has_text="In digests").locator("select").select_option("At once")
    section.get_by_role("button", name="Add route").click()
    expect(section.locator("ol li")).to_contain_text(["Critical, High: desk, at once"])
    value = boto3.client("ssm").get_parameter(Name="/stock-tracker/alerts")["Parameter"]["Value"]
    assert json.loads(value)["routes"][0]["severity"] == ["critical", "high"]
    # A channel that a route leads to cannot go before its route.
    section.get_by_role("button", name="Remove channel desk").click()
    expect(section.get_by_role("status")).to_contain_text("'desk' is no channel")
    # What another page changed since this one was opened stays.
    hours = {"from": "09:30", "until": "16:00", "weekday": ["mon", "fri"], "time_zone": "UTC"}
    mine, others = json.loads(value)["routes"][0], {"severity": "low", "hours": hours, "notify": "never"}
    written = {**json.loads(value), "routes": [others, mine]}
    boto3.client("ssm").put_parameter(
        Name="/stock-tracker/alerts", Value=json.dumps(written), Type="String", Overwrite=True
    )
    section.get_by_role("button", name="Remove route 1").click()
    expect(section.locator("ol li")).to_have_text(
        ["Low; 09:30 to 16:00 on Mon, Fri (UTC): all channels, never Remove"]
    )
    section.get_by_role("button", name="Remove channel desk").click()
    expect(section).not_to_contain_text("desk: ntfy")
    section.get_by_role("button", name="Send a test").click()
    expect(section.get_by_role("status")).to_have_text("A test message is on its way to every channel.")
    assert [event.detail_type for event in site.sent] == ["AlertTest"]
    assert violations(page, "#settings") == []


def test_the_watch_list_is_that_of_the_monitor_whatever_the_page_shows(page: Page, site: Site) -> None:
    page.goto(f"{site.url}?source=replay")
    page.locator("#open-settings").click()
    section = page.get_by_role("dialog", name="Settings").locator("section", has_text="Watch list")
    expect(section.get_by_label("Tickers")).to_have_value(" ".join(site.levers.tickers))
    site.levers.tickers = [f"T{n}" for n in range(1001)]
    page.get_by_role("button", name="Close").click()
    page.locator("#open-settings").click()
    expect(section.get_by_role("status")).to_contain_text("cannot be changed here: it has 1,001 tickers")
    expect(section.get_by_role("button", name="Save")).to_have_count(0)


def test_a_newcomer_sees_three_cards_once(chromium: Browser, site: Site) -> None:
    context = open_context(chromium, newcomer=True)
    page = context.new_page()
    page.set_viewport_size({"width": 375, "height": 760})
    page.goto(site.url)
    card = page.get_by_role("complementary")
    expect(card).to_be_in_viewport(ratio=1)
    last = page.locator("#events .event").last
    last.wait_for()
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    last.click(trial=True)  # no card is over it
    for n, button in enumerate(("Next", "Next", "Done"), start=1):
        expect(card).to_contain_text(f"{n} of 3")
        card.get_by_role("button", name=button).click()
    expect(card).to_have_count(0)
    page.reload()
    expect(page.locator("#events .event").first).to_be_visible()
    expect(card).to_have_count(0)
    context.close()


def test_the_watch_list_is_sorted_by_what_is_pressed(page: Page, site: Site) -> None:
    page.goto(site.url)
    rows = page.locator("#watch tbody tr")
    expect(rows).to_have_count(10)
    expect(page.locator('#watch tr[data-ticker="NVDA"] .severity')).to_be_visible()
    names = "rows => rows.map((row) => row.dataset.ticker)"
    page.get_by_role("button", name="Ticker").click()
    assert rows.evaluate_all(names) == sorted(site.levers.tickers)
    page.get_by_role("button", name="Age").click()
    expect(rows.first).to_have_attribute("data-ticker", "NVDA")  # critical a moment ago
    page.get_by_role("button", name="Age").click()
    assert rows.evaluate_all(names) == site.levers.tickers


def test_it_can_be_installed() -> None:
    manifest = json.loads((DASHBOARD / "manifest.webmanifest").read_text(encoding="utf-8"))
    assert {"name", "start_url", "display", "icons"} <= manifest.keys()
    for icon in manifest["icons"]:
        if icon["type"] == "image/png":
            data = (DASHBOARD / icon["src"]).read_bytes()
            width, height = (int.from_bytes(data[at : at + 4]) for at in (16, 20))
            assert f"{width}x{height}" == icon["sizes"]
    assert {icon["sizes"] for icon in manifest["icons"]} >= {"192x192", "512x512"}
