"""Signing in where the API asks for it, against an identity provider that checks what it is asked (RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Console
from tests.browser.site import Site

pytestmark = pytest.mark.browser


class Provider:
    """Signs everyone in at once, gives a token for the right code and verifier, and refuses all other calls."""

    def __init__(self, page: Page, site: Site, console: Console, seconds: int = 3600) -> None:
        self.authorized: list[dict[str, str]] = []
        self.exchanged: list[dict[str, str]] = []
        self._site, self._seconds = site, seconds
        console.expect("401")
        page.route("**/config.json", self._config)
        page.route("**/oauth2/authorize?*", self._authorize)
        page.route("**/oauth2/token", self.exchange)
        page.route("**/logout?*", lambda route: route.fulfill(body="signed out"))
        page.route("**/api/**", self._api)

    def _config(self, route: Route) -> None:
        route.fulfill(json={"sign_in": {"domain": f"{self._site.url}idp", "client_id": "web"}})

    def _authorize(self, route: Route) -> None:
        asked = _flat(urlsplit(route.request.url).query)
        self.authorized.append(asked)
        back = urlencode({"code": f"code-{len(self.authorized)}", "state": asked["state"]})
        route.fulfill(status=302, headers={"Location": f"{asked['redirect_uri']}?{back}"})

    def exchange(self, route: Route) -> None:
        asked = _flat(route.request.post_data or "")
        self.exchanged.append(asked)
        if asked["grant_type"] == "authorization_code":
            digest = hashlib.sha256(asked["code_verifier"].encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            assert challenge == self.authorized[-1]["code_challenge"]
            assert asked["redirect_uri"] == self.authorized[-1]["redirect_uri"] == self._site.url
            assert asked["code"] == f"code-{len(self.authorized)}"
        else:
            assert asked["refresh_token"] == "refresh"
        answer = {"id_token": "good", "refresh_token": "refresh", "expires_in": self._seconds}
        route.fulfill(json=answer)

    @staticmethod
    def _api(route: Route) -> None:
        if route.request.headers.get("authorization") == "good":
            route.continue_()
        else:
            route.fulfill(status=401, json={"message": "Unauthorized"})


def _flat(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


def test_a_private_monitor_signs_in_and_comes_back(page: Page, site: Site, console: Console) -> None:
    provider = Provider(page, site, console)
    page.goto(f"{site.url}?severity=critical")
    expect(page.locator("#events .event").first).to_be_visible()
    expect(page).to_have_url(f"{site.url}?severity=critical")
    assert len(provider.authorized) == 1
    assert provider.authorized[0]["response_type"] == "code"
    assert provider.authorized[0]["code_challenge_method"] == "S256"
    page.reload()  # the tab stays signed in
    expect(page.locator("#events .event").first).to_be_visible()
    assert len(provider.authorized) == 1
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("body")).to_have_text("signed out")
    assert page.evaluate("sessionStorage.getItem('session')") is None


def test_an_old_token_is_renewed_once_for_all_requests(page: Page, site: Site, console: Console) -> None:
    provider = Provider(page, site, console, seconds=61)
    page.goto(site.url)
    expect(page.locator("#events .event").first).to_be_visible()
    with page.expect_response("**/oauth2/token"):
        pass
    grants = [asked["grant_type"] for asked in provider.exchanged]
    assert grants[:2] == ["authorization_code", "refresh_token"]
    assert len(provider.authorized) == 1


def test_a_code_that_this_tab_did_not_ask_for_is_not_taken(page: Page, site: Site, console: Console) -> None:
    provider = Provider(page, site, console)
    page.goto(f"{site.url}?code=stolen&state=made-up")
    expect(page.locator("#events .event").first).to_be_visible()
    assert "stolen" not in {asked.get("code") for asked in provider.exchanged}


def test_an_api_that_rejects_new_tokens_too_ends_in_words(page: Page, site: Site, console: Console) -> None:
    provider = Provider(page, site, console)
    page.unroute("**/api/**")
    page.route("**/api/**", lambda route: route.fulfill(status=401, json={"message": "Unauthorized"}))
    page.goto(site.url)
    expect(page.locator("#events")).to_contain_text("This monitor is not open to you")
    page.wait_for_timeout(3000)
    assert len(provider.authorized) == 1


def test_a_question_that_comes_before_the_token_waits_for_it(
    page: Page, site: Site, console: Console
) -> None:
    """The modules of a page run in any order: the one that asks ahead may be late, and find no code to wait for."""
    provider = Provider(page, site, console)
    late: list[Route] = []

    def script(route: Route) -> None:
        if provider.authorized:
            late.append(route)
        else:
            route.continue_()

    def token(route: Route) -> None:
        for held in late:
            held.continue_()
        page.wait_for_timeout(1000)
        provider.exchange(route)

    page.route("**/scripts/first.js", script)
    page.route("**/oauth2/token", token)
    page.goto(site.url)
    expect(page.locator("#events .event").first).to_be_visible()
    assert late, "nothing was late"
    assert len(provider.authorized) == 1


def test_an_open_monitor_has_no_sign_in(page: Page, site: Site) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(site.url)
    expect(page.locator("#events .event").first).to_be_visible()
    expect(page.locator("#sign-out")).to_be_hidden()
    assert not [url for url in requests if "oauth2" in url]
