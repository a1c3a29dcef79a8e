"""axe finds nothing in any state of the page: in both themes, and on a phone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Console
from tests.browser.site import Site
from tests.browser.states import STATES, go, prepare, turn_to

pytestmark = pytest.mark.browser
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
Scheme = Literal["light", "dark"]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page, part: str = "html") -> list[str]:
    """What axe finds, in words; evaluated by the debugger, so that the page's policy stays as it is."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE.read_text(encoding="utf-8"))
    # What arrives is highlighted for a moment: axe would measure a colour in motion.
    page.evaluate(
        "Promise.all(document.getAnimations().map((a) => a.effect.getTiming().iterations === 1 && a.finished))"
    )
    found = page.evaluate(
        "([part, values]) => axe.run(part, { runOnly: { type: 'tag', values }, resultTypes: ['violations'] })",
        [part, RULES],
    )
    assert len(found["passes"]) > (15 if part == "html" else 3)  # it did look
    return [
        f"{violation['id']}: {violation['help']}: {node['html'][:160]}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


def test_axe_finds_nothing_in_any_state(page: Page, site: Site, console: Console) -> None:
    known = prepare(site)
    found = {}
    for state in STATES:
        for error in state.errors:
            console.expect(error)
        page.set_viewport_size({"width": 1440, "height": 900})
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        go(page, site, known, state)
        found[state.name, "dark"] = violations(page, state.part)
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.set_viewport_size({"width": 375, "height": 760})
        turn_to(page, state)
        found[state.name, "light, phone"] = violations(page, state.part)
    assert {where: what for where, what in found.items() if what} == {}


LOOKS: list[tuple[int, Scheme]] = [(375, "light"), (768, "dark"), (1440, "dark"), (2560, "light")]
"""Colours depend on the theme, places on the width: each of both in each view."""


def test_axe_finds_nothing_on_any_view(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.locator("#watch tbody tr")).to_have_count(10)
    expect(page.locator("#events .event").first).to_be_visible()
    for view in ("events", "chart"):
        if view == "chart":
            page.set_viewport_size({"width": 1440, "height": 900})
            page.locator("#events .event").first.click()
            expect(page.locator("#chart")).to_have_attribute("aria-label", re.compile("anomalies marked"))
            expect(page.locator(".detail")).to_be_visible()
        for width, scheme in LOOKS:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            assert violations(page) == [], (view, width, scheme)
