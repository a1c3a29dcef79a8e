# ruff: noqa: T201 - it prints a report
"""A very large watch list on the local AWS: polls on time, ticks in balance, memory, sizes, and the page.

``PYTHONPATH=. python tests/benchmarks/large.py 50000 30`` beside ``make up``, for 30 minutes. `[local]` in
monitor.toml says what docs/cost.md has for so many tickers: ``shards = 4``, ``partitions = 16``,
``batching_window_seconds = 5``, and ``poll_interval_seconds = 10``, as one machine of two cores is vendor, AWS and
functions at once. ``threshold = 10`` leaves 0.2 anomalies a ticker and hour, as a market has them: the simulated one
has 1.2, to be looked at. 0 if all held.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import workload
from page_speed import OBSERVE, timed
from playwright.sync_api import sync_playwright
from typer.testing import CliRunner

from consumers.contracts.counts import TickCounts
from consumers.contracts.kinds import distortions
from consumers.stores.windows import Ledger
from localstack.clients import client
from localstack.settings import ROOT, LocalSettings, read_settings
from localstack.source import configure
from producers.sources.simulated import SimulatedSource
from stream_infra import names
from stream_infra.cli.main import app

FUNCTIONS_MB = 512
SAMPLE = 50
MOST_ITEM_BYTES, MOST_ANSWER_BYTES = 400 * 1024, 6_291_556
"""DynamoDB developer guide, "Quotas": an item; Lambda developer guide, "Lambda quotas": a response."""


def main(tickers: int, minutes: int) -> int:
    """Print a row a minute, then what was largest; 1 if something did not hold."""
    settings = read_settings()
    config = configure(settings, os.environ)
    _watch(tickers - feed(settings)["total"])
    ledger = Ledger(client(settings, "dynamodb"), names.WINDOWS_TABLE, config.partitions)
    _until_they_are_quoted(settings, tickers)
    first_minute = int(time.time()) // 60 + 1
    last, problems = ledger.totals(), []
    print("minute  ticks in windows  other ends  balance  scanner MB  detector MB  load")
    for number in range(minutes):
        time.sleep(max(0.0, (first_minute + number + 1) * 60 - time.time()))
        now = ledger.totals()
        counts, before = sum(now.values(), TickCounts()), sum(last.values(), TickCounts())
        other = counts.ticks_in - counts.in_windows - (before.ticks_in - before.in_windows)
        memory = peak_mb(settings)
        print(
            f"{number + 1:6d}  {counts.in_windows - before.in_windows:16,d}  {other:10,d}  {counts.balance()!s:>7}"
            f"  {memory['scanner']:10.0f}  {memory['detector']:11.0f}  {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        problems += [] if counts.balance() else [f"minute {number + 1}: ticks do not balance"]
        problems += [f"minute {number + 1}: {other} ticks are in no window"] if other else []
        last = now
    memory = peak_mb(settings)
    problems += [f"{name} took {mb:.0f} MB" for name, mb in memory.items() if mb > FUNCTIONS_MB]
    sample = random.Random(7).sample(workload.symbol_names(tickers // 2), min(SAMPLE, tickers // 2))
    polls = polls_a_minute(settings, sample, first_minute, minutes)
    expected = 60 / config.poll_interval_seconds
    print(f"ticks a minute of {len(sample)} tickers: {dict(sorted(polls.items()))}; expected {expected:g}")
    problems += [
        f"{n} minutes of {polls.total()} have {of} ticks" for of, n in polls.items() if of != expected
    ]
    problems += _sizes(settings)
    median, slowest = page_ms(settings)
    print(f"interactions on the page: median {median:.0f} ms, slowest {slowest:.0f} ms")
    problems += ["the page takes more than 100 ms"] if median > 100 else []
    print("\n".join(["", *problems] if problems else ["all held"]))
    return int(bool(problems))


def _watch(more: int) -> None:
    if more <= 0:
        return
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(workload.symbol_names(more)))
        file.flush()
        done = CliRunner().invoke(app, ["watch", "import", file.name, "--unchecked"])
    print(done.output.strip())
    if done.exception is not None:
        raise done.exception


def _until_they_are_quoted(settings: LocalSettings, tickers: int) -> None:
    # Not all: the simulated market halts some at any time.
    while (live := feed(settings)["live"]) < 0.99 * tickers:
        print(f"{live:,} of {tickers:,} tickers are quoted", flush=True)
        time.sleep(15)


def feed(settings: LocalSettings) -> Any:
    """Return how many tickers are watched, and how many of them are quoted."""
    return get(settings, "/api/tickers?limit=1000")["feed"]


def get(settings: LocalSettings, path: str) -> Any:
    """Return what the API answers."""
    with urllib.request.urlopen(settings.origin + path, timeout=60) as answer:
        body = answer.read()
    _answers[path.partition("?")[0]] = max(_answers[path.partition("?")[0]], len(body))
    return json.loads(body)


_answers: Counter[str] = Counter()
"""Bytes of the largest answer by path."""


def peak_mb(settings: LocalSettings) -> dict[str, float]:
    """Return the peak memory of the largest process of each function: what Lambda would count."""
    found = {"scanner": 0.0, "detector": 0.0}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, status = (process / "cmdline").read_text(), (process / "status").read_text()
        except OSError:
            continue
        peak = re.search(r"VmHWM:\s+(\d+) kB", status)
        name = next((each for each in found if f"-stock-{each}-" in command), None)
        if name and peak and f"{settings.directory}/" in command:
            found[name] = max(found[name], int(peak[1]) / 1024)
    return found


def polls_a_minute(settings: LocalSettings, tickers: list[str], first: int, minutes: int) -> Counter[int]:
    """Return how many minutes of the tickers have how many ticks, but for those of a halt that is simulated.

    A minute without a bar has none.
    """
    found: Counter[int] = Counter()
    market = SimulatedSource(distortions=distortions())
    for ticker in tickers:
        bars = get(settings, f"/api/quotes/{ticker}?minutes=120")["bars"]
        ticks = {bar["minute"][:16]: bar["ticks"] for bar in bars}
        events = market.injected_events([ticker], (first - 10) * 60_000, (first + minutes) * 60_000)
        halted = {
            minute
            for event in events
            if event.distortion.is_silent
            for minute in range(event.start_ms // 60_000, event.end_ms // 60_000 + 1)
        }
        for minute in range(first, first + minutes - 1):  # the last may still be open
            if minute not in halted:
                found[ticks.get(time.strftime("%Y-%m-%dT%H:%M", time.gmtime(60 * minute)), 0)] += 1
    return found


def _sizes(settings: LocalSettings) -> list[str]:
    problems = []
    dynamodb = client(settings, "dynamodb")
    for table in names.TABLES:
        largest = 0
        for page in dynamodb.get_paginator("scan").paginate(TableName=table):
            largest = max([largest, *map(_item_bytes, page["Items"])])
        print(f"largest item of {table}: {largest:,} bytes")
        problems += [f"an item of {table} has {largest:,} bytes"] if largest > MOST_ITEM_BYTES else []
    for path in ("/api/tickers", "/api/anomalies", "/api/incidents", "/api/alerts"):
        try:
            get(settings, path)
        except HTTPError as error:
            problems.append(f"{path} answers {error.code}")
    for path, size in _answers.items():
        problems += [f"{path} answers {size:,} bytes"] if size > MOST_ANSWER_BYTES else []
    print(f"largest answers: {dict(_answers.most_common(3))}")
    return problems


def _item_bytes(item: dict[str, Any]) -> int:
    """Return about what DynamoDB counts: the names, and the values as bytes."""
    size = 0
    for name, value in item.items():
        ((kind, of),) = value.items()
        size += len(name.encode()) + (len(of) if kind in {"B", "S"} else len(json.dumps(value, default=str)))
    return size


def page_ms(settings: LocalSettings) -> tuple[float, float]:
    """Return the median and the slowest of interactions on the page, from the press to the next frame (ms)."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium-headless-shell") or shutil.which("chromium")
    took: list[tuple[float, str]] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=False)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.add_init_script(OBSERVE)
        page.goto(settings.origin)
        page.locator("#watch tbody tr").nth(20).wait_for()
        measure = timed(page, took)
        for _ in range(5):
            for key in ("j", "k", "ArrowDown", "ArrowUp", "/"):
                measure(key, lambda key=key: page.keyboard.press(key))  # type: ignore[misc]
            page.keyboard.press("Escape")
            for row in (3, 12):
                measure("a ticker", lambda row=row: page.locator("#watch tbody tr").nth(row).click())  # type: ignore[misc]
        browser.close()
    return statistics.median(ms for ms, _ in took), max(took)[0]


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
