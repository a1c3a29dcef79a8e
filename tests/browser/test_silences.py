"""Acknowledging and silencing from the page, and what is silenced."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from consumers.alerts.context import Context
from consumers.alerts.model import Acknowledgement, Silence
from consumers.alerts.store import AlertStore
from consumers.alerts.table import DynamoTable
from consumers.contracts.anomaly import Anomaly, iso_ms
from tests.browser.conftest import Console
from tests.browser.site import Site

pytestmark = pytest.mark.browser
HOUR_MS = 3_600_000


@pytest.fixture
def alerts(site: Site) -> Iterator[AlertStore]:
    store = AlertStore(DynamoTable(site.dynamodb, "stock-alerts"))
    yield store
    for silence in store.silences():
        store.delete_silence(silence.scope)
    for incident in store.acknowledged(0):
        store.acknowledge(incident.id, None, incident.updated_ms)


def _open(page: Page, site: Site) -> Anomaly:
    """Open the moment of a new anomaly of META."""
    moment = site.bars["META"][-40].minute_ms + 9000
    anomaly = site.put_anomaly("META", moment, "volume_burst", severity="medium")
    site.announce(anomaly)
    page.goto(f"{site.url}?ticker=META&at={iso_ms(moment)}&source=simulated&anomaly={anomaly.id}")
    expect(page.locator(".detail")).to_be_visible()
    return anomaly


def test_an_anomaly_is_acknowledged_and_that_undone(page: Page, site: Site, alerts: AlertStore) -> None:
    anomaly = _open(page, site)
    page.get_by_role("button", name="Acknowledge", exact=True).click()
    expect(page.locator("#silence-status")).to_contain_text("no more of its incident is sent until")
    expect(page.locator("#silence-note")).to_have_text("Acknowledged.")
    now_ms = page.evaluate("Date.now()")
    (incident,) = alerts.acknowledged(now_ms)
    assert incident.acknowledgement is not None
    assert (incident.subject, incident.acknowledgement.anomaly) == ("META", anomaly.id)
    undo = page.get_by_role("button", name="Undo acknowledgement")
    expect(undo).to_be_focused()  # it is the same button
    expect(page.locator('.ticker-side .event[aria-current="true"]')).to_contain_text("Acknowledged")
    undo.click()
    expect(page.get_by_role("button", name="Acknowledge", exact=True)).to_be_visible()
    assert alerts.acknowledged(now_ms) == []


def test_focus_and_press_stay_when_an_item_changes(page: Page, site: Site, alerts: AlertStore) -> None:
    anomaly = site.put_anomaly(
        "META", site.bars["META"][-30].minute_ms + 9000, "volume_burst", severity="medium"
    )
    page.goto(site.url)
    item = page.locator(f'#events .event[data-id="{anomaly.id}"]')
    item.focus()
    item.hover()
    page.mouse.down()
    site.announce(anomaly)
    incident = alerts.incident_of(anomaly.id)
    assert incident is not None
    now_ms = page.evaluate("Date.now()")
    alerts.acknowledge(incident.id, Acknowledgement("me", now_ms + HOUR_MS, 3, anomaly=anomaly.id), now_ms)
    expect(item).to_contain_text("Acknowledged", timeout=40_000)
    expect(item).to_be_focused()
    page.mouse.up()
    expect(page.locator("#ticker-title")).to_have_text("META")


def test_more_of_the_same_is_silenced_for_as_long_as_chosen(
    page: Page, site: Site, alerts: AlertStore
) -> None:
    _open(page, site)
    page.get_by_label("Ends after").select_option("1 day")
    page.get_by_role("button", name="Silence META volume burst").click()
    expect(page.get_by_role("button", name="Expire silence of META volume burst")).to_be_visible()
    (silence,) = alerts.silences()
    left_ms = silence.until_ms - page.evaluate("Date.now()")
    assert (silence.scope, round(left_ms / HOUR_MS)) == ("META#volume_burst", 24)


def test_what_is_silenced_is_seen_and_expired_on_the_first_page(
    page: Page, site: Site, alerts: AlertStore
) -> None:
    now_ms = page.evaluate("Date.now()")
    alerts.put_silence(Silence(now_ms + HOUR_MS, "TSLA", reason="earnings"))
    alerts.put_silence(Silence(now_ms + 2 * HOUR_MS))
    page.goto(site.url)
    strip = page.locator("#silences")
    expect(strip).to_contain_text(re.compile(r"TSLA \(until .* ET\)"))
    expect(strip).to_contain_text("everything")
    page.get_by_role("button", name="Expire TSLA").click()
    expect(strip).not_to_contain_text("TSLA")
    page.get_by_role("button", name="Expire everything").click()
    expect(strip).to_be_hidden()
    assert alerts.silences() == []


def test_a_rejected_change_says_why(page: Page, site: Site, console: Console, alerts: AlertStore) -> None:
    _open(page, site)
    refusal = {"status": 401, "title": "Unauthorized", "detail": "changing alerts needs a sign-in"}
    page.route("**/acknowledgement", lambda route: route.fulfill(status=401, json=refusal))
    page.get_by_role("button", name="Acknowledge", exact=True).click()
    expect(page.locator("#silence-note")).to_have_text("That was not done: changing alerts needs a sign-in")
    assert alerts.silences() == []
    console.expect("401")


@pytest.mark.usefixtures("alerts")
def test_an_incident_is_one_line_by_state_and_opens_in_place(page: Page, site: Site) -> None:
    moment = site.bars["KO"][-20].minute_ms + 9000
    first = site.put_anomaly("KO", moment, "volume_burst", severity="critical")
    second = site.put_anomaly("KO", moment + 5000, "price_spike", severity="high")
    site.announce(first)
    site.announce(second)
    page.goto(f"{site.url}?incidents=open")
    incident = page.locator("#incidents .event", has_text="KO")
    expect(incident).to_have_count(1)
    expect(incident).to_contain_text("2×")
    incident.click()
    expect(page).to_have_url(re.compile("incidents=open"))
    expect(page.locator("#ticker-title")).to_have_text("KO")
    expect(page.locator(".facts")).to_contain_text(re.compile(r"Stategoes on, for \d+ min"))
    detail = page.locator(".incident-detail", has_text="2 anomalies")
    expect(detail.get_by_role("link")).to_have_count(2)
    page.get_by_role("button", name="Acknowledge", exact=True).click()
    expect(incident).to_have_count(0)
    page.get_by_role("button", name=re.compile("^Acknowledged")).click()
    expect(incident).to_have_count(1)
    page.get_by_role("button", name="Anomalies", exact=True).click()
    expect(page.locator("#events .event").first).to_be_visible()


def test_an_opened_incident_says_what_the_market_did_and_is_called_useful_or_noise(
    page: Page, site: Site, alerts: AlertStore
) -> None:
    minute_ms = site.bars["JPM"][-20].minute_ms
    anomaly = site.put_anomaly("JPM", minute_ms + 9000, "price_spike", severity="high")
    context = Context("company", "", 0.031, 0.0004, 9, "SPY", 0.001, 1.2, 0.0298)
    alerts.put_silence(Silence(minute_ms + 60_000, "JPM"))  # as of then
    site.announce(anomaly, context)
    incident = alerts.incident_of(anomaly.id)
    assert incident is not None
    page.goto(f"{site.url}?incidents=open")
    page.locator("#incidents .event", has_text="JPM").click()
    detail = page.locator(".incident-detail", has_text="Not the market: in 5 min JPM +3.10%")
    expect(detail).to_contain_text("SPY +0.10% (beta 1.20)")
    expect(detail).to_contain_text(re.compile(r"The price since: .*% after 5 min"))
    expect(detail).to_contain_text("A silence or a mute timing keeps news of it back.")
    noise = detail.get_by_role("button", name="Noise")
    expect(noise).to_have_attribute("aria-pressed", "false")
    noise.click()
    expect(noise).to_have_attribute("aria-pressed", "true")
    expect(detail).to_contain_text("noise, says")
    detail.get_by_role("button", name="Useful").click()
    expect(noise).to_have_attribute("aria-pressed", "false")
    assert [one.useful for one in alerts.feedback_of(incident.id)] == [False, True]


@pytest.mark.usefixtures("alerts")
def test_15_an_escalation_and_an_end_are_shown_with_the_anomaly(page: Page, site: Site) -> None:
    moment = site.bars["AMZN"][-10].minute_ms + 9000
    anomaly = site.put_anomaly("AMZN", moment, "volume_burst", severity="medium")
    site.announce(anomaly)
    page.goto(f"{site.url}?anomaly={anomaly.id}")
    facts = page.locator(".facts")
    expect(facts).to_contain_text(re.compile(r"Stategoes on, for \d+ min"))
    expect(page.locator(".action-acknowledge")).to_be_visible()
    site.announce(replace(anomaly, severity="critical"), change="escalated", at_ms=moment + 20_000)
    expect(facts).to_contain_text(re.compile(r"goes on, for \d+ min; escalated to critical"))
    row = page.locator(f'#events .event[data-id="{anomaly.id}"]')
    expect(row.get_by_title("Reached critical").locator(".severity-critical")).to_have_count(1)
    marked = page.locator("#watch tbody tr", has_text="AMZN").locator(".severity-critical")
    expect(marked).to_have_attribute("title", "Volume burst, critical, in the last 15 minutes")
    site.announce(replace(anomaly, severity="critical"), change="ended", at_ms=moment + 95_000)
    expect(facts).to_contain_text("over after 2 min; escalated to critical")
    expect(page.locator(".action-acknowledge")).to_be_hidden()


@pytest.mark.usefixtures("alerts")
def test_15_on_a_phone_the_severity_reached_takes_no_line_of_its_own(page: Page, site: Site) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    moment = site.bars["KO"][-10].minute_ms + 9000
    anomaly = site.put_anomaly("KO", moment, "volume_burst", severity="medium")
    site.announce(anomaly)
    site.announce(replace(anomaly, severity="critical"), change="escalated", at_ms=moment + 20_000)
    page.goto(f"{site.url}?view=events")
    row = page.locator(f'#events .event[data-id="{anomaly.id}"]')
    reached, sentence = (row.locator(part).bounding_box() for part in (".event-reached", ".event-sentence"))
    assert reached is not None
    assert sentence is not None
    assert reached["y"] + reached["height"] <= sentence["y"] + 1


@pytest.mark.usefixtures("alerts")
def test_15_an_anomaly_that_gets_worse_is_notified_of_again(page: Page, site: Site) -> None:
    page.add_init_script(
        "window.shown = []; window.Notification = class { static permission = 'granted';"
        " static requestPermission() { return Promise.resolve('granted') }"
        " constructor(title) { shown.push(title) } }"
    )
    page.goto(site.url)
    page.keyboard.press(",")
    dialog = page.get_by_role("dialog", name="Settings")
    dialog.get_by_label("Desktop notification").select_option("Critical")
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator("#events .event").first).to_be_visible()
    moment = site.bars["JPM"][-1].minute_ms + 20_000
    anomaly = site.put_anomaly("JPM", moment, "slow_drift", severity="low")
    site.announce(anomaly)
    expect(page.locator("#announcer")).to_have_text("New: JPM, Slow drift, low.")
    assert page.evaluate("shown") == []
    site.announce(replace(anomaly, severity="critical"), change="escalated", at_ms=moment + 5_000)
    page.wait_for_function("() => shown.length")
    assert page.evaluate("shown") == ["JPM: Slow drift, critical"]


@pytest.mark.usefixtures("alerts")
def test_a_rejected_judgement_says_why(page: Page, site: Site, console: Console) -> None:
    anomaly = site.put_anomaly("XOM", site.bars["XOM"][-15].minute_ms + 9000, "price_spike", severity="high")
    site.announce(anomaly)
    page.goto(f"{site.url}?incidents=open")
    page.locator("#incidents .event", has_text="XOM").click()
    refusal = {"status": 503, "title": "Unavailable", "detail": "a store did not respond"}
    page.route("**/feedback", lambda route: route.fulfill(status=503, json=refusal))
    page.locator(".incident-detail:visible").get_by_role("button", name="Useful").click()
    expect(page.locator("#announcer")).to_have_text("That was not done: a store did not respond")
    console.expect("503")
