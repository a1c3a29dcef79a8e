"""A seeded monitor and a Chromium page.

`page` knows nothing of the server: a test against another stack takes `page` and its own address.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.aws import aws_in_memory
from tests.browser.site import Levers, Site, running_site
from tests.conftest import running_chromium

PATIENCE_MS = 30_000
"""How long a condition may take on a busy machine; what asserts a speed is in `make bench`."""

NOT_NEW = "localStorage.tour ??= 'done'"
"""Whoever opens the page was here before: the tour is shown to newcomers only."""


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One Chromium for all of these tests, each of which has a context, as a new browser would be, of its own."""
    with running_chromium() as browser:
        yield browser


def open_context(chromium: Browser, *, newcomer: bool = False, **options: Any) -> BrowserContext:
    """Return a context without animations, as they would be drawn sixty times a second for nobody to see."""
    context = chromium.new_context(**{"reduced_motion": "reduce", **options})
    context.set_default_timeout(PATIENCE_MS)
    if not newcomer:
        context.add_init_script(NOT_NEW)
    expect.set_options(timeout=PATIENCE_MS)
    return context


# Not of the session: while one mocked AWS is there, no other test gets an empty one.
@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A monitor with ten tickers, four hours of bars and a few anomalies, all simulated."""
    with aws_in_memory(), running_site() as running:
        yield running


@pytest.fixture(autouse=True)
def _as_it_was(site: Site) -> Iterator[None]:
    """Fresh quotes before each test, and every lever back where it was after it."""
    site.put_quotes()
    yield
    site.levers = Levers()


class Console:
    """What the page logs as an error; a test fails for what it does not expect."""

    def __init__(self, page: Page) -> None:
        self.errors: list[str] = []
        self._expected: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(f"exception: {error}"))
        page.on(
            "console", lambda message: self.errors.append(message.text) if message.type == "error" else None
        )
        page.add_init_script(
            "addEventListener('securitypolicyviolation', (e) => console.error(`CSP: ${e.violatedDirective}`))"
        )

    def expect(self, part: str) -> None:
        """Let errors pass that hold this text, such as the status of a bad response that the browser itself logs."""
        self._expected.append(part)

    @property
    def unexpected(self) -> list[str]:
        """The errors that no test expected."""
        return [error for error in self.errors if not any(part in error for part in self._expected)]


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A fresh page of 1440 x 900."""
    context = open_context(chromium, viewport={"width": 1440, "height": 900}, timezone_id="Europe/Berlin")
    yield context.new_page()
    context.close()


@pytest.fixture(autouse=True)
def console(page: Page) -> Iterator[Console]:
    """The page's console; the test fails if it logged an error that the test did not expect."""
    console = Console(page)
    yield console
    assert console.unexpected == []
