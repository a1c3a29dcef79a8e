"""500 tickers and 10,000 anomalies that keep coming, and a hand that uses all of the page."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from contextlib import suppress

from playwright.sync_api import Locator, Page, expect

from consumers.contracts.anomaly import KINDS, SEVERITIES, anomaly_id, iso_ms, sort_key
from consumers.contracts.charts import Bar
from tests.api.client import JsonObject
from tests.browser.site import Query

TICKERS = [f"T{n:03d}" for n in range(500)]
SHOWN = 10_000
PAGE = 50


def _anomaly(n: int, newest_ms: int, ticker: str) -> JsonObject:
    ts_ms, kind = newest_ms - n * 1000, KINDS[n % len(KINDS)]
    return {
        "id": anomaly_id(ticker, ts_ms, kind, "simulated"), "source": "simulated",
        "origin": "simulated", "ticker": ticker,
        "timestamp": sort_key(ts_ms, kind, "simulated"), "date": iso_ms(ts_ms)[:10], "kind": kind,
        "severity": SEVERITIES[n % 4],
        "score": 3.25, "threshold": 2.5, "value": 0.01, "expected": 0.0, "tolerance": 0.001,
        "direction": "up", "late": False, "explanation": f"{ticker} rose 1% in one tick, number {n}.",
        "window": {"ticks": 240, "unit": "return"},
    }  # fmt: skip


def _ticker(name: str, now_ms: int, step: int) -> JsonObject:
    price = 100 + step * 0.01
    return {
        "ticker": name, "state": "live", "ts": iso_ms(now_ms), "age_seconds": 0.5, "price": price, "bid": price,
        "ask": price + 0.01, "day_volume": 1e6, "reference": 99.0, "reference_kind": "open",
        "change": price - 99, "change_percent": (price - 99) / 0.99,
    }  # fmt: skip


class Crowd:
    """An API that always has more, newer, and 500 changed quotes; the answers are what counts, not the store."""

    def __init__(self, now_ms: int, bars: list[Bar], shown: int = SHOWN) -> None:
        self._now_ms = now_ms
        self._shown = shown
        self._steps = itertools.count()
        self._bars = [
            {
                "minute": iso_ms(bar.minute_ms), "open": bar.open, "high": bar.high, "low": bar.low,
                "close": bar.close, "volume": bar.volume, "ticks": bar.ticks, "bid": bar.bid, "ask": bar.ask,
            }
            for bar in bars
        ]  # fmt: skip

    def __call__(self, path: str, query: Query) -> JsonObject | None:
        resource, _, ticker = path.partition("/")
        if path == "tickers":
            return self._tickers(next(self._steps))
        if path == "anomalies":
            return self._page(next(self._steps), query.get("cursor"), query.get("severity", list(SEVERITIES)))
        if resource == "quotes":
            newest = iso_ms(self._now_ms - 60_000 * int(query.get("minutes", ["0"])[0]))
            since = query.get("since", [newest])[0]
            bars = [bar for bar in self._bars if str(bar["minute"]) >= since]
            around = {
                "since": since,
                "until": iso_ms(self._now_ms + 60_000),
                "closed_since": None,
                "opens_at": None,
            }
            return {"ticker": ticker, "origin": "simulated", **around, "bars": bars, "count": len(bars)}
        if resource == "anomalies" and "/" not in ticker:
            own = [_anomaly(n * 60, self._now_ms, ticker) for n in range(40)]
            return {"anomalies": own, "count": len(own), "next": None}
        return None

    def _page(self, step: int, cursor: list[str] | None, severities: list[str]) -> JsonObject:
        start = int(cursor[0]) if cursor else -2 * step
        fitting = (n for n in itertools.count(start) if SEVERITIES[n % 4] in severities)
        wanted = list(itertools.islice(fitting, 200 if cursor else PAGE))
        anomalies = [_anomaly(n, self._now_ms, TICKERS[n * 7 % 500]) for n in wanted]
        following = str(wanted[-1] + 1) if wanted[-1] < self._shown else None
        return {"anomalies": anomalies, "count": len(anomalies), "next": following}

    def _tickers(self, step: int) -> JsonObject:
        as_of = iso_ms(self._now_ms)
        feed = {"state": "live", "last_quote_at": as_of, "age_seconds": 0.5, "live": 500, "total": 500}
        return {
            "source": "simulated", "origin": "simulated", "as_of": as_of, "feed": feed,
            "tickers": [_ticker(name, self._now_ms, step) for name in TICKERS], "count": 500, "offset": 0, "next": None,
        }  # fmt: skip


class Hand:
    """Presses; `measure` wraps what is done, and what is on the page afterwards."""

    def __init__(self, page: Page, measure: Callable[[str, Callable[[], None]], None] | None = None) -> None:
        self._page = page
        self._measure = measure or (lambda _what, act: act())

    def press(self, what: str, target: Locator) -> None:
        """Click as a person does, who sees it first: after a jump items take their real height, and move."""
        target.scroll_into_view_if_needed()
        target.click(trial=True)
        self._measure(what, lambda: self._click(target))

    def _click(self, target: Locator) -> None:
        box = target.bounding_box()
        assert box is not None
        self._page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def key(self, key: str) -> None:
        """Press a key."""
        self._measure(key, lambda: self._page.keyboard.press(key))


def browse(page: Page, hand: Hand, ticker: str) -> None:
    """What people do on the page, once; the list shows its oldest items before, and all of them are let go."""
    events = page.locator("#events .event")
    for theme in ["dark", "light"]:
        hand.press(f"{theme} theme", page.locator("#theme"))
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
    hand.press("find", page.locator("#find-ticker"))
    for key in ["T", "1", "2"]:
        hand.key(key)
    expect(page.locator("#find-ticker")).to_have_value("T12")
    for _ in "T12":
        hand.key("Backspace")
    hand.press("row of a ticker", page.locator(f'#watch tr[data-ticker="{ticker}"] a'))
    expect(page.locator("#ticker-title")).to_have_text(ticker)
    expect(page.locator("#chart")).to_have_attribute("data-bars", re.compile(r"2[34]\d"))
    for name in ("1 hour", "4 hours"):
        span = page.get_by_role("button", name=name)
        hand.press(f"range of {name}", span)
        expect(span).to_have_attribute("aria-pressed", "true")
    hand.press("anomaly in the ticker's list", page.locator(".ticker-side .event").nth(3))
    expect(page.locator(".detail")).to_be_visible()
    hand.press("anomaly in the list", events.nth(300))
    expect(events.nth(300)).to_have_attribute("aria-current", "true")
    hand.press("back to live", page.locator("a.back").first)
    hand.press("back to the newest", page.locator("#events-newer button"))
    expect(page.locator("#events-newer")).to_be_hidden()
    others = page.locator('#events .event:not([data-severity="critical"])')
    hand.press("filter", page.locator('#filters [data-severity="critical"]'))
    expect(others).to_have_count(0)
    hand.press("filter taken away", page.locator('#filters [data-severity="critical"]'))
    expect(others.first).to_be_visible()
    for _ in range(3):
        _show_older(page, hand)
    expect(page.locator("#events-newer")).to_be_visible()
    hand.key("Escape")


def _show_older(page: Page, hand: Hand) -> None:
    """Press until a page came: what is new may move the button away from under a press, as it would a person's."""
    last = page.locator("#events .event").last
    oldest = last.get_attribute("data-id") or ""
    for _ in range(10):
        hand.press("show older", page.get_by_role("button", name="Show older"))
        with suppress(AssertionError):
            expect(last).not_to_have_attribute("data-id", oldest, timeout=3000)
            return
    raise AssertionError("no older events came")
