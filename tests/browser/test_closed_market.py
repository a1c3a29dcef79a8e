"""A viewer on a Sunday: the chart shows the last session there was, since when it is over, and goes live."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from consumers.contracts.anomaly import iso_ms, ms_of_iso
from consumers.contracts.charts import MINUTE_MS, Bar, LastQuote
from consumers.stores.charts import live_pk
from tests.browser.site import Site, epoch_now_ms, random_walk
from tests.last_quotes import pack_quotes

pytestmark = pytest.mark.browser
SUNDAY = int(datetime(2026, 12, 6, 15, tzinfo=UTC).timestamp() * 1000)
LAST = {
    "AAPL": "2026-12-04T21:00:00.000Z",  # 16:00 in New York
    "7203.T": "2026-12-04T06:30:00.000Z",  # 15:30 in Tokyo
    "BTC-USD": iso_ms(SUNDAY),
}
"""When trading last ended, and now where it does not."""


@pytest.fixture
def bars(site: Site) -> dict[str, list[Bar]]:
    """The last six and a half hours of each, up to Sunday."""
    found = {
        ticker: random_walk(ticker, 200.0, ms_of_iso(end) - 390 * MINUTE_MS, 390)
        for ticker, end in LAST.items()
    }
    for ticker, own in found.items():
        site.put_bars("simulated", ticker, own)
    site.levers.tickers = list(found)
    site.levers.session = "regular"
    _quote(site, found)
    _now(site, SUNDAY)
    return found


def _now(site: Site, at_ms: int) -> None:
    site.levers.ahead_ms = at_ms - epoch_now_ms()


def _quote(site: Site, bars: dict[str, list[Bar]]) -> None:
    """Have the newest bar of each as its last quote."""
    quotes = [
        LastQuote(
            ticker,
            own[-1].minute_ms + 55_000,
            own[-1].close,
            None,
            None,
            None,
            own[0].open,
            own[0].open,
            own[-1],
        )
        for ticker, own in bars.items()
    ]
    site.dynamodb.put_item(
        TableName="stock-charts",
        Item={"pk": {"S": live_pk("simulated")}, "sk": {"S": "0"}, "columns": {"B": pack_quotes(quotes)}},
    )


@pytest.mark.parametrize(
    ("ticker", "words"),
    [
        ("AAPL", "Market closed since 4 Dec, 16:00 ET, opens 7 Dec, 09:30 ET"),
        ("7203.T", "Market closed since 4 Dec, 01:30 ET, opens 19:00 ET"),  # today, there too
    ],
)
def test_a_closed_market_shows_its_last_session(
    page: Page, site: Site, bars: dict[str, list[Bar]], ticker: str, words: str
) -> None:
    at_ms = bars[ticker][-30].minute_ms
    anomaly = site.put_anomaly(ticker, at_ms + 9000)
    page.goto(f"{site.url}?ticker={ticker}")
    expect(page.locator("#market-closed")).to_have_text(words)
    expect(page.locator("#chart")).to_have_attribute("data-bars", "240")
    expect(page.locator("#chart")).to_have_attribute("data-empty", "[]")  # nothing is missing since
    expect(page.locator(".own-events .event")).to_have_count(1)
    expect(page.locator(".own-events .event")).to_have_attribute("data-id", anomaly.id)
    expect(page.locator(f'#watch tr[data-ticker="{ticker}"] .sparkline')).to_be_attached()


def test_what_never_closes_is_as_it_was(page: Page, site: Site, bars: dict[str, list[Bar]]) -> None:
    page.goto(f"{site.url}?ticker=BTC-USD")
    expect(page.locator("#chart")).to_have_attribute("data-bars", "239")  # and the minute that is open
    expect(page.locator("#market-closed")).to_be_hidden()
    expect(page.locator("#feed-text")).to_contain_text("Live")
    # Beside what is closed it is seen over the session of that one.
    page.get_by_label("Compare with a second ticker").fill("AAPL")
    page.keyboard.press("Enter")
    expect(page.locator(".chart-legend")).to_contain_text("vs AAPL")
    assert bars["BTC-USD"][-1].minute_ms > bars["AAPL"][-1].minute_ms


def test_it_goes_live_when_it_opens(page: Page, site: Site, bars: dict[str, list[Bar]]) -> None:
    monday = ms_of_iso("2026-12-07T14:30:00.000Z")
    page.goto(f"{site.url}?ticker=AAPL")
    expect(page.locator("#chart")).to_have_attribute("data-bars", "240")
    # Until the first quote of the session the last one stays.
    _now(site, monday + 2000)
    expect(page.locator("#market-closed")).to_be_hidden()
    expect(page.locator("#chart")).to_have_attribute("data-bars", "240")
    opened = random_walk("AAPL", 201.0, monday, 3)
    site.put_bars("simulated", "AAPL", opened[:-1])
    _now(site, monday + 2 * MINUTE_MS + 30_000)
    _quote(site, {**bars, "AAPL": opened})
    expect(page.locator("#chart")).to_have_attribute("data-bars", "3")
    (newest,) = [json.loads(page.locator("#chart").get_attribute("data-scale") or "")]
    assert newest["low"] > 190
