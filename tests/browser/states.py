"""Every state that the page has, each reached on one page: for axe, and for pictures of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import urlencode

from playwright.sync_api import Locator, Page, Route, expect

from consumers.alerts.context import Context
from consumers.alerts.event import Change
from consumers.alerts.model import Acknowledgement, Silence
from consumers.alerts.store import AlertStore
from consumers.alerts.table import DynamoTable
from consumers.contracts.anomaly import Anomaly, ms_of_iso
from tests.browser.site import TICKERS, UNITS, Levers, Site, epoch_now_ms

HOUR_MS = 3_600_000
SUNDAY = datetime(2026, 12, 6, 15, tzinfo=UTC)


@dataclass
class Known:
    """What `prepare` put into the monitor: the anomaly of the incident in each state."""

    open: Anomaly
    acknowledged: Anomaly
    resolved: Anomaly
    escalated: Anomaly
    silenced: Anomaly


@dataclass(frozen=True)
class State:
    """A name, and how a page of the monitor gets there.

    Attributes
    ----------
    view
        Which of its three a phone shows: events, watch or chart.
    part
        What is new on it, as a selector: the rest was seen in other states.
    """

    name: str
    show: Callable[[Page, Site, Known], None]
    view: str = "events"
    part: str = "body"
    errors: tuple[str, ...] = ()
    """What the browser itself logs there."""
    storage: dict[str, str] = field(default_factory=dict)
    """What the viewer chose before."""


def prepare(site: Site) -> Known:
    """Put an incident of each state into the monitor, before a page reads it: moto's tables are of one thread."""
    alerts = AlertStore(DynamoTable(site.dynamodb, "stock-alerts"))
    now_ms = epoch_now_ms()

    def incident(ticker: str, minutes_ago: int, severity: str, kind: str = "price_spike") -> Anomaly:
        at_ms = site.bars[ticker][-minutes_ago].minute_ms + 9000
        move = 0.0141
        anomaly = site.put_anomaly(
            ticker, at_ms, kind, severity=severity, value=move, expected=0.0, score=9.1, direction="up",
            window={"unit": UNITS.get(kind, "return"), "ticks": 240},
            explanation=f"{ticker} rose 1.41% in one tick, 18 times its usual move of 0.078% over the last 240 ticks.",
        )  # fmt: skip
        site.announce(anomaly, Context("company", "", move, 0.0004, 9, "SPY", 0.001, 1.2, move - 0.0012))
        return anomaly

    def later(anomaly: Anomaly, change: Change, after_ms: int, severity: str) -> None:
        at_ms = ms_of_iso(anomaly.timestamp.partition("#")[0]) + after_ms
        site.announce(replace(anomaly, severity=severity), change=change, at_ms=at_ms)

    known = Known(
        incident("AAPL", 21, "critical"),
        incident("TSLA", 26, "high", "volume_burst"),
        incident("JPM", 55, "high"),
        incident("AMZN", 18, "medium"),
        incident("XOM", 12, "low", "spread_blowout"),
    )
    later(known.escalated, "escalated", 20_000, "critical")
    later(known.resolved, "ended", 95_000, "high")
    taken = alerts.incident_of(known.acknowledged.id)
    assert taken is not None
    note = Acknowledgement(
        "ann@example.com", now_ms + 4 * HOUR_MS, 3, "looking into it", known.acknowledged.id
    )
    alerts.acknowledge(taken.id, note, now_ms)
    alerts.put_silence(Silence(now_ms + HOUR_MS, "XOM", "spread_blowout", "wide all day", "ann@example.com"))
    for ticker in ("AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META"):
        at_ms = site.bars[ticker][-70].minute_ms + 500
        said = f"{ticker} had no quote for 3 min."
        site.put_anomaly(ticker, at_ms, "gap", severity="low", window={"unit": "seconds"}, explanation=said)
    site.put_quotes()
    return known


def reset(page: Page, site: Site) -> None:
    """Take away what the state before changed."""
    page.unroute_all(behavior="ignoreErrors")
    site.levers = Levers()
    site.put_quotes()


def go(page: Page, site: Site, known: Known, state: State) -> None:
    """Bring a page to a state."""
    reset(page, site)
    page.goto(f"{site.url}favicon.svg")  # of the same origin, so that storage is the page's
    wanted = {"tour": "done", **state.storage}
    page.evaluate("(wanted) => { localStorage.clear(); Object.assign(localStorage, wanted) }", wanted)
    state.show(page, site, known)


def turn_to(page: Page, state: State) -> None:
    """Let a phone show the view that the state is about."""
    if page.locator("dialog[open]").count() == 0:
        page.locator(f'.tabs [data-view="{state.view}"]').click()


def _open(page: Page, site: Site, **query: str) -> None:
    page.goto(f"{site.url}?{urlencode(query)}")


def _loaded(page: Page, site: Site, **query: str) -> None:
    _open(page, site, **query)
    expect(page.locator("#watch tbody tr").first).to_be_attached()
    expect(page.locator("#events .event").first).to_be_attached()
    expect(page.locator("#chart")).to_have_attribute("data-bars", re.compile(r"\d"))


def _connecting(page: Page, site: Site, _known: Known) -> None:
    page.route("**/api/**", lambda _route: None)
    _open(page, site)
    expect(page.locator("#feed-text")).to_have_text("Connecting")
    expect(page.locator("#events .skeleton")).to_be_attached()


def _desk(page: Page, site: Site, _known: Known) -> None:
    _loaded(page, site)


def _empty(page: Page, site: Site, _known: Known) -> None:
    site.levers.tickers = []
    site.levers.stand_in = lambda path, _query: (
        {"anomalies": [], "count": 0, "next": None} if path == "anomalies" else None
    )
    _open(page, site)
    expect(page.locator("#events")).to_contain_text("Nothing is watched")
    expect(page.locator("#watch")).to_contain_text("No tickers")


def _stale(page: Page, site: Site, _known: Known) -> None:
    site.levers.ahead_ms, site.levers.problem = 600_000, "alpaca rejects the key: check it"
    _loaded(page, site, ticker="AAPL")
    expect(page.locator("#feed-text")).to_contain_text("No new quotes for")


def _disconnected(page: Page, site: Site, _known: Known) -> None:
    _loaded(page, site)
    site.levers.reachable = False
    expect(page.locator("#banner")).to_contain_text("No connection")


def _never_connected(page: Page, site: Site, _known: Known) -> None:
    site.levers.reachable = False
    _open(page, site, ticker="AAPL")
    expect(page.locator("#ticker-view")).to_contain_text("No connection")


def _forbidden(page: Page, site: Site, _known: Known) -> None:
    page.route("**/api/**", lambda route: route.fulfill(status=403, json={"message": "Forbidden"}))
    _open(page, site)
    expect(page.locator("#events")).to_contain_text("This monitor is not open to you")
    expect(page.locator("#watch")).to_contain_text("cannot be shown")


def _closed(page: Page, site: Site, _known: Known) -> None:
    site.levers.session, site.levers.ahead_ms = "regular", int(SUNDAY.timestamp() * 1000) - epoch_now_ms()
    _loaded(page, site, ticker="AAPL")
    expect(page.locator("#market-closed")).to_contain_text("Market closed since")


def _warming_up(page: Page, site: Site, _known: Known) -> None:
    site.levers.tickers = ["AAPL", "NEWCO", "NEXT"]
    site.bars["NEWCO"] = site.bars["KO"][-3:]
    site.put_bars("simulated", "NEWCO", site.bars["NEWCO"])
    site.put_quotes()
    del site.bars["NEWCO"]
    _loaded(page, site, ticker="NEWCO")
    expect(page.locator("#warm-up")).to_contain_text("Warming up")


def _live(page: Page, site: Site, _known: Known) -> None:
    def as_live(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(json=answer.json() | {"origin": "live", "source": "alpaca"})

    page.route("**/api/tickers*", as_live)
    site.levers.stand_in = lambda path, _query: (
        {"status": "degraded", "stream_lag_seconds": 75.2, "failed_batches": 3} if path == "health" else None
    )
    _loaded(page, site)
    expect(page.locator("#source-badge")).to_have_text("Live")
    expect(page.locator("#failed")).to_have_text("3 failed batches")


def _replay(page: Page, site: Site, _known: Known) -> None:
    site.put_quotes("replay")
    site.put_bars("replay", "AAPL", site.bars["AAPL"])
    _loaded(page, site, source="replay", ticker="AAPL")
    expect(page.locator("#source-badge")).to_have_text("Replay")


def _anomaly(page: Page, site: Site, known: Known) -> None:
    _loaded(page, site, anomaly=known.open.id)
    expect(page.locator(".detail")).to_be_visible()


def _silenced(page: Page, site: Site, known: Known) -> None:
    _loaded(page, site, anomaly=known.silenced.id)
    expect(page.locator("#silence-status")).to_contain_text(
        re.compile(r"Silenced until .+, by ann@example.com \(wide all day\)")
    )


def _incident(page: Page, site: Site, anomaly: Anomaly, state: str) -> None:
    _open(page, site, incidents=state, anomaly=anomaly.id)
    expect(page.locator("#incidents .event[aria-current]")).to_be_attached()
    expect(page.locator(".detail")).to_be_attached()
    expect(page.locator(".incident-feedback").first).to_be_attached()


def _incident_of(name: str, state: str) -> Callable[[Page, Site, Known], None]:
    return lambda page, site, known: _incident(page, site, getattr(known, name), state)


def _none_acknowledged(page: Page, site: Site, _known: Known) -> None:
    site.levers.stand_in = lambda path, _query: {"incidents": [], "count": 0} if path == "incidents" else None
    _open(page, site, incidents="acknowledged")
    expect(page.locator("#incidents")).to_contain_text("No acknowledged incident")


def _no_match(page: Page, site: Site, _known: Known) -> None:
    _open(page, site, kind="price_spike", severity="low", ticker="APPL")
    expect(page.locator("#events")).to_contain_text("Nothing matches these filters")
    expect(page.locator(".chart-empty")).to_contain_text("Did you mean")


def _bad_filter(page: Page, site: Site, _known: Known) -> None:
    _open(page, site, kind="nonsense")
    expect(page.locator("#events")).to_contain_text("These filters cannot be used")


def _bad_ticker(page: Page, site: Site, _known: Known) -> None:
    _open(page, site, ticker="NOT A TICKER")
    expect(page.locator(".chart-empty")).to_contain_text("This cannot be shown")


def _folded(page: Page, site: Site, _known: Known) -> None:
    _loaded(page, site, kind="gap", severity="low")
    expect(page.get_by_role("button", name="and 5 more tickers at once")).to_be_attached()


def _compared(page: Page, site: Site, _known: Known) -> None:
    _loaded(page, site, ticker="AAPL", compare="MSFT", bars="5", style="line")
    expect(page.locator(".chart-legend")).to_contain_text("vs MSFT")


def _moved_back(page: Page, site: Site, _known: Known) -> None:
    _loaded(page, site, ticker="AAPL", range="1h")
    box = page.locator("#chart").bounding_box()
    if box:  # on a phone another view is shown
        page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 3)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 1.2, box["y"] + box["height"] / 3, steps=4)
        page.mouse.up()
        expect(page.get_by_role("button", name="Back to live")).to_be_visible()


def _long_list(page: Page, site: Site, _known: Known) -> None:
    """Only said to be long: hundreds of rows take axe seconds."""

    def as_one_of_pages(route: Route) -> None:
        answer = route.fetch()
        found = answer.json()
        route.fulfill(json=found | {"next": 500, "feed": found["feed"] | {"total": 1_210}})

    page.route("**/api/tickers*", as_one_of_pages)
    _loaded(page, site)
    expect(page.locator("#watch-pages")).to_contain_text("of 1,210")


def _groups(page: Page, site: Site, _known: Known) -> None:
    site.levers.tickers = [*TICKERS, "BTC-USD", "7203.T", "EURUSD=X"]
    _loaded(page, site)
    expect(page.locator("#watch [data-group]").first).to_be_attached()


def _large_text(page: Page, site: Site, known: Known) -> None:
    _anomaly(page, site, known)
    page.evaluate("document.documentElement.style.fontSize = '200%'")


def _settings(page: Page, site: Site, _known: Known) -> None:
    dialog = _settings_open(page, site)
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.locator(".preview")).to_contain_text("a day")
    expect(dialog.locator(".silences")).to_contain_text("XOM")


def _settings_open(page: Page, site: Site) -> Locator:
    _loaded(page, site)
    page.get_by_role("button", name="Settings").click()
    dialog = page.get_by_role("dialog", name="Settings")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("sns: email and SMS")
    return dialog


def _shortcuts(page: Page, site: Site, _known: Known) -> None:
    _loaded(page, site)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()


def _tour(page: Page, site: Site, _known: Known) -> None:
    _loaded(page, site)
    expect(page.get_by_role("complementary")).to_contain_text("1 of 3")


CHART, EVENTS, WATCH = ".ticker-view", ".events-panel", ".watch-panel"
STATES = (
    State("connecting", _connecting),
    State("desk", _desk),
    State("desk-watch", _desk, "watch", WATCH),
    State("comfortable", _desk, "watch", WATCH, storage={"density": "comfortable"}),
    State("empty", _empty, "watch"),
    State("stale", _stale, "chart"),
    State("disconnected", _disconnected, errors=("502",)),
    State("never-connected", _never_connected, "chart", errors=("502",)),
    State("forbidden", _forbidden, errors=("403",)),
    State("market-closed", _closed, "chart"),
    State("warming-up", _warming_up, "chart", CHART),
    State("live-and-late", _live, part=".topbar"),
    State("replay", _replay, "chart"),
    State("anomaly", _anomaly, "chart"),
    State("silenced", _silenced, "chart", CHART),
    State("incident-open", _incident_of("open", "open"), part=EVENTS),
    State("incident-escalated", _incident_of("escalated", "open"), part=EVENTS),
    State("incident-acknowledged", _incident_of("acknowledged", "acknowledged"), part=EVENTS),
    State("incident-resolved", _incident_of("resolved", "resolved"), part=EVENTS),
    State("no-incident", _none_acknowledged, part=EVENTS),
    State("no-match", _no_match, part=EVENTS),
    State("typo", _no_match, "chart", CHART),
    State("bad-filter", _bad_filter, part=EVENTS, errors=("400",)),
    State("bad-ticker", _bad_ticker, "chart", CHART, errors=("400",)),
    State("stall-folded", _folded, part=EVENTS),
    State("compared", _compared, "chart", CHART),
    State("moved-back", _moved_back, "chart", CHART),
    State("long-list", _long_list, "watch", WATCH),
    State("groups", _groups, "watch", WATCH, storage={"groups": "market", "groupsFolded": '["New York"]'}),
    State("large-text", _large_text, "chart"),
    State("settings", _settings, part="#settings"),
    State("shortcuts", _shortcuts, part="#shortcuts"),
    State("tour", _tour, part=".tour", storage={"tour": ""}),
)
