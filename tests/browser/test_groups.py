"""The watch list in groups: by market, or the viewer's own."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import TICKERS, Site
from tests.browser.test_axe import violations

pytestmark = pytest.mark.browser
ROWS = "rows => rows.map((row) => row.dataset.ticker ?? `[${row.dataset.group}]`)"


def test_the_watch_list_is_grouped_as_a_viewer_wants_it_and_folds_by_keyboard(page: Page, site: Site) -> None:
    site.levers.tickers = [*TICKERS, "BTC-USD"]
    page.goto(site.url)
    rows = page.locator("#watch tbody tr")
    expect(rows).to_have_count(11)
    page.keyboard.press(",")
    dialog = page.get_by_role("dialog", name="Settings")
    dialog.get_by_label("Group tickers").select_option("By market")
    expect(rows).to_have_count(13)
    assert rows.evaluate_all(ROWS)[:2] == ["[Around the clock]", "BTC-USD"]
    dialog.get_by_label("Group tickers").select_option("My own groups")
    own = dialog.get_by_label("Groups, a line each")
    own.fill("no colon")
    own.blur()
    assert own.evaluate("area => area.validationMessage") == "“no colon” must be a name, a colon and tickers."
    own.fill("Chips: nvda, TSM\nAlso: NVDA jpm")
    own.blur()
    expect(rows.first).to_have_attribute("data-group", "Chips")
    assert rows.evaluate_all(ROWS)[:5] == ["[Chips]", "NVDA", "[Also]", "JPM", "[Others]"]
    dialog.get_by_role("button", name="Close").click()
    for width in (375, 768, 1440, 2560):
        page.set_viewport_size({"width": width, "height": 900})
        if width == 375:
            page.get_by_role("button", name="Watch", exact=True).click()
        expect(rows.first).to_be_in_viewport()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if width == 768:  # a strip
            assert violations(page, ".watch-panel") == []
    page.locator("#watch a", has_text="NVDA").focus()
    page.keyboard.press("ArrowUp")
    chips = page.get_by_role("button", name="Chips")
    expect(chips).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#watch tr[data-ticker=NVDA]")).to_have_count(0)
    expect(chips).to_have_accessible_name("Chips 1 Critical")
    page.reload()
    expect(rows.nth(1)).to_have_attribute("data-group", "Also")
    page.locator("#watch").get_by_role("button", name="Chips").click()
    assert rows.evaluate_all(ROWS)[:2] == ["[Chips]", "NVDA"]
