# ruff: noqa: T201 - it prints a report
"""How long it takes from `make up SOURCE=…` to the first live price on the page, and until what is wrong is said.

``PYTHONPATH=. python tests/benchmarks/first_price.py [NAME …]``: every start is the first of its data, on ports of its
own and vendors of this machine (tests/vendors.py), in the environment that is installed. A price is there when a
Chromium that looks on from the beginning shows it, with the feed as live. Tickers are such as trade around the
clock, so that it is the same on any day; AAPL, or another whose market is closed now, shows what is said then.
Exits with 1 where one takes longer than its bar, or is not said.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, Error, Page

from producers.markets import is_open
from producers.markets.listings import Listings
from tests.conftest import running_chromium
from tests.ports import free_port
from tests.vendors import Vendors

ROOT = Path(__file__).parents[2]
PRICE_BAR_S = 60.0
SAID_BAR_S = 10.0
_GIVEN_UP_S = 300.0
_SHOWS_PRICE = """ticker => document.getElementById("feed-text").textContent.startsWith("Live")
  && [...document.querySelectorAll("#watch tbody tr")].some((row) => row.textContent.includes(ticker)
     && /[0-9]/.test(row.querySelector("td.price")?.textContent ?? ""))"""


class Start(NamedTuple):
    """A start to be timed: what `make up` is given, and what `stock-monitor status` says of it."""

    name: str
    source: str
    ticker: str
    status: str
    mode: str = "poll"


STARTS = (
    Start("simulated", "simulated", "AAPL", r"simulated, by poll, .*needs no key"),
    Start("coinbase", "coinbase", "BTC-USD", r"coinbase, by poll, market 24/7 open; needs no key"),
    Start("kraken", "kraken", "BTC/USD", r"kraken, by poll, market 24/7 open; needs no key"),
    Start("yahoo", "yahoo", "BTC-USD", r"yahoo, by poll, market 24/7 open; needs no key"),
    Start("alpaca", "alpaca", "BTC/USD", r"alpaca, by poll, .*keys present: APCA_API_KEY_ID, APCA_API_SECRET_KEY"),
    Start("alpaca-stream", "alpaca", "BTC/USD", r"alpaca, by stream, .*keys present: APCA_API_KEY_ID", "stream"),
    Start("finnhub", "finnhub", "BINANCE:BTCUSDT", r"finnhub, by poll, .*keys present: FINNHUB_API_KEY"),
)  # fmt: skip


class Mistake(NamedTuple):
    """A start that cannot bring quotes: what is given, and the sentence that says so."""

    name: str
    source: str
    ticker: str
    said: str
    changed: dict[str, str]


def mistakes() -> list[Mistake]:
    """Return them; the closed market is one that is closed now."""
    market_of = Listings("", "XNYS")
    closed = next(
        each
        for each in ("AAPL", "7203.T", "VOD.L")
        if not is_open("regular", datetime.now(UTC), market_of(each))
    )
    remedy = r"finnhub rejects the key .*check FINNHUB_API_KEY.*make one at https://finnhub.io/register"
    none = r"FINNHUB_API_KEY is not set: make one at https://finnhub.io/register"
    wrong = {"APCA_API_KEY_ID": "wrong", "SOURCE_MODE": "stream"}
    return [
        Mistake("no key", "finnhub", "AAPL", none, {"FINNHUB_API_KEY": ""}),
        Mistake("wrong key", "finnhub", "AAPL", remedy, {"FINNHUB_API_KEY": "wrong"}),
        Mistake("wrong key of a stream", "alpaca", "BTC/USD", r"alpaca .*auth failed.*check the keys", wrong),
        Mistake("unknown ticker", "coinbase", "NOPE-USD", r"has no quote of any ticker .*name others", {}),
        Mistake("unknown ticker of yahoo", "yahoo", "NOPE", r"has no quote of any ticker .*name others", {}),
        Mistake("unknown source", "conbase", "BTC-USD", r"did you mean 'coinbase'\?", {}),
        Mistake("closed market", "yahoo", closed, r"is closed now: quotes come when it opens", {}),
    ]  # fmt: skip


class Timed(NamedTuple):
    """What was measured; `seconds` is None where it did not come to it."""

    name: str
    seconds: float | None
    bar: float
    notes: str


class Local:
    """A folder and ports for one monitor; its output as it comes, with the second of each line."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        ports = {"STOCK_MONITOR_AWS_PORT": str(free_port()), "STOCK_MONITOR_PORT": str(free_port())}
        ours = {**ports, "STOCK_MONITOR_DIR": str(folder / ".local"), "COLUMNS": "400"}
        self.environment = {**os.environ, **environment, **ours}
        self.origin = f"http://127.0.0.1:{ports['STOCK_MONITOR_PORT']}"
        self.lines: list[tuple[float, str]] = []
        self.began = 0.0

    def up(self, source: str, ticker: str, **settings: str) -> subprocess.Popen[str]:
        """Run `make up`; what it says is collected."""
        given = {"SOURCE": source, "TICKERS": ticker, **settings}
        self.began = time.monotonic()
        process = subprocess.Popen(
            ["make", "up", *(f"{name}={value}" for name, value in given.items())],
            cwd=ROOT, env=self.environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        threading.Thread(target=self._collect, args=(process,), daemon=True).start()
        return process

    def _collect(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        for line in process.stdout:
            self.lines.append((time.monotonic() - self.began, line.rstrip()))

    def said(self, pattern: str) -> float | None:
        """Return the second at which a line was said that the pattern finds."""
        return next((at for at, line in list(self.lines) if re.search(pattern, line)), None)

    def run(self, *command: str) -> str:
        """Return what a command of the monitor prints."""
        program = [str(ROOT / ".venv" / "bin" / command[0]), *command[1:]]
        done = subprocess.run(
            program, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    def clean(self) -> None:
        """End it and forget its data."""
        subprocess.run(["make", "clean"], cwd=ROOT, env=self.environment, capture_output=True, check=False)


@contextmanager
def local(environment: dict[str, str]) -> Iterator[Local]:
    """Make a place for a monitor that is ended afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        made = Local(Path(folder), environment)
        try:
            yield made
        finally:
            made.clean()


def wait_for(holds: Callable[[], bool], seconds: float) -> bool:
    """Return whether it holds within so many seconds."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if holds():
            return True
        time.sleep(0.1)
    return False


def shows(page: Page, expression: str, argument: str = "") -> bool:
    """Return whether a function of the page returns true; False while there is no page."""
    try:
        return bool(page.evaluate(expression, argument))
    except Error:
        return False


def is_there(page: Page, origin: str) -> bool:
    """Open the page; return whether there is one."""
    try:
        page.goto(f"{origin}/")
    except Error:
        return False
    return True


def time_start(start: Start, chromium: Browser, vendors: Vendors) -> Iterator[Timed]:
    """Bring the monitor up, and yield what was measured."""
    with local(vendors.environment) as monitor:
        page = chromium.new_page()
        process = monitor.up(start.source, start.ticker, SOURCE_MODE=start.mode)
        is_shown = wait_for(lambda: is_there(page, monitor.origin), _GIVEN_UP_S) and wait_for(
            lambda: shows(page, _SHOWS_PRICE, start.ticker), _GIVEN_UP_S
        )
        seconds = time.monotonic() - monitor.began
        process.wait(_GIVEN_UP_S)
        badge = page.locator("#source-badge").get_attribute("title") or "" if is_shown else ""
        status = monitor.run("stock-monitor", "status")
        secrets = [vendors.environment[name] for name in ("APCA_API_SECRET_KEY",)]
        unsaid = [
            what
            for what, holds in (
                ("the page names the source", f"source: {start.source}" in badge),
                ("status names source, mode, market and keys", bool(re.search(start.status, status))),
                ("no key is shown", not any(secret in status + str(monitor.lines) for secret in secrets)),
            )
            if not holds
        ]
        steps = ", ".join(
            f"{name} {line.rpartition('(')[2].rstrip(')')}"
            for _, line in monitor.lines
            if (name := next(iter(re.findall(r"^[✓!] ([^:]+):", line)), ""))
        )
        yield Timed(
            start.name, seconds if is_shown and not unsaid else None, PRICE_BAR_S, "; ".join([*unsaid, steps])
        )
        if start.name == "alpaca":
            yield from time_revoked(monitor, page, vendors)
        page.close()


def time_revoked(monitor: Local, page: Page, vendors: Vendors) -> Iterator[Timed]:
    """Revoke the key of a monitor that runs, and yield when the command and the page say so."""
    vendors.revoke_keys()
    began = time.monotonic()
    of_page: list[float] = []
    said = r"rejects the key|unauthorized"
    text = f"() => /{said}/.test(document.getElementById('banner').textContent)"

    def is_said() -> bool:
        if not of_page and shows(page, text):
            of_page.append(time.monotonic() - began)
        return bool(re.search(said, monitor.run("stock-monitor", "status")))

    is_in_status = wait_for(is_said, 60)
    of_status = time.monotonic() - began
    wait_for(lambda: shows(page, text), 20)
    of_page = of_page or ([time.monotonic() - began] if shows(page, text) else [])
    yield Timed("key revoked, on status", of_status if is_in_status else None, SAID_BAR_S, "")
    yield Timed("key revoked, on the page", next(iter(of_page), None), SAID_BAR_S, "")


def time_mistake(mistake: Mistake, vendors: Vendors) -> Timed:
    """Start what cannot bring quotes, until it is said."""
    environment = vendors.environment | mistake.changed
    settings = {"SOURCE_MODE": environment.pop("SOURCE_MODE", "")}
    with local(environment) as monitor:
        process = monitor.up(mistake.source, mistake.ticker, **settings)
        wait_for(lambda: monitor.said(mistake.said) is not None or process.poll() is not None, 60)
        time.sleep(0.2)
        seconds = monitor.said(mistake.said)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
        line = next(
            (line for _, line in monitor.lines if re.search(mistake.said, line)), str(monitor.lines[-2:])
        )
        return Timed(mistake.name, seconds, SAID_BAR_S, line)


def main(wanted: list[str]) -> int:
    """Measure, print, and return the exit code."""
    found: list[Timed] = []

    def report(timed: Timed) -> None:
        found.append(timed)
        seconds = "never" if timed.seconds is None else f"{timed.seconds:.1f} s"
        print(f"{timed.name:26} {seconds:>8} of {timed.bar:.0f} s  {timed.notes}", flush=True)

    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for mistake in mistakes():
        if not wanted or mistake.name in wanted:
            vendors = Vendors()
            report(time_mistake(mistake, vendors))
            vendors.close()
    with running_chromium() as chromium:
        for start in STARTS:
            if not wanted or start.name in wanted:
                vendors = Vendors()
                for timed in time_start(start, chromium, vendors):
                    report(timed)
                vendors.close()
    return int(any(each.seconds is None or each.seconds > each.bar for each in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
