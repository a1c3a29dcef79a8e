"""For all tests: a browser for those that ask, Ctrl-C that reaches what they start, and examples without a clock."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser, sync_playwright


def pytest_configure() -> None:
    """A shell starts what it runs in the background with SIGINT ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # The tests share their cores with others and with browsers: how long one example takes says nothing.
    settings.register_profile(
        "shared", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("shared")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let `pytest -n` run folders beside each other: what a session makes for a folder's tests is made once."""
    for item in items:
        folder = item.nodeid.partition("::")[0].rpartition("/")[0]
        item.add_marker(pytest.mark.xdist_group(folder))
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)  # what waits longest begins first


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium: the one named by CHROMIUM, else the one on the PATH.

    Of a module, not of the session: while it is there, an event loop runs, and no other test could run its own.
    """
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    path = path or shutil.which("google-chrome")
    if not path:
        pytest.fail("no Chromium: install one, or let CHROMIUM name its executable")
    arguments = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments, chromium_sandbox=False)
        yield browser
        browser.close()
