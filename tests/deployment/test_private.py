"""A private monitor as `stock-monitor deploy` makes it of nothing, and as a person uses it who was invited.

All of it is deployed to a local AWS of its own: the distribution, the API with its authorizer, the user pool. Only the
second factor of the sign-in is a stand-in (`tests.cognito`). That AWS itself answers like the local AWS is drill 1 of
docs/aws-drills.md.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from producers.publisher import Publisher
from stream_infra import names
from tests.cognito import PATHS, SignInPages, totp
from tests.deployment.account import Account, new_account
from tests.e2e.test_browser import calm_then_a_jump

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
EMAIL, PASSWORD = "ann@example.com", "Correct-horse-7-battery"
SETTINGS = f"""
[prod]
source = "simulated"
people = ["{EMAIL}"]
concurrency_limit = 0
"""
_OF_A_CONNECTION = {"host", "origin", "connection", "content-length", "accept-encoding", "transfer-encoding"}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """A new account: nothing is in it."""
    with new_account(tmp_path_factory.mktemp("deployment"), SETTINGS) as made:
        yield made


@pytest.fixture(scope="module")
def deployed(account: Account) -> Account:
    """The monitor in that account, deployed by the command alone."""
    before = account.run("deploy", "prod", "--check", "--json")
    assert before.returncode != 0
    (lacking,) = json.loads(before.stdout)["missing"]
    assert "bootstrapped" in lacking["what"]
    assert account.client("cloudformation").describe_stacks()["Stacks"] == [], "nothing was changed"
    first = account.run("deploy", "prod", "--bootstrap")
    assert "nobody-is-notified" in first.stdout + first.stderr, first.stdout + first.stderr
    found = account.client("cloudformation").describe_stacks()["Stacks"]
    status = {of["StackName"]: of["StackStatus"] for of in found}
    assert status == dict.fromkeys(("CDKToolkit", *names.STACKS), "CREATE_COMPLETE")
    return account


def test_the_same_again_changes_nothing_and_ends_with_the_proof(deployed: Account) -> None:
    """CloudFormation API reference, ExecuteChangeSet: a change set without changes cannot be executed."""
    for topic in (names.ALERTS_TOPIC, names.OPERATIONS_TOPIC):
        deployed.subscribe(topic, "a-person")
    subscribed = deployed.client("sns").list_subscriptions()["Subscriptions"]
    again = deployed.run("deploy", "prod")
    said = again.stdout + again.stderr
    assert again.returncode == 0, said
    assert said.count("(no changes)") == len(names.STACKS), said
    assert "Proved in" in said
    assert deployed.client("sns").list_subscriptions()["Subscriptions"] == subscribed


@dataclass
class Person:
    """Somebody at a browser, to whom AWS's names lead to the local AWS, and nothing else does."""

    account: Account
    sign_in: SignInPages
    url: str
    """Of the page, as the stack says it."""

    @contextmanager
    def browser(self, chromium: Browser) -> Iterator[BrowserContext]:
        context = chromium.new_context(reduced_motion="reduce")
        context.add_init_script("localStorage.tour ??= 'done'")
        anywhere = re.compile("https://|" + re.escape(self.account.aws.aws))
        context.route(anywhere, self._serve)
        yield context
        context.close()

    def _serve(self, route: Route) -> None:
        request, url = route.request, urlsplit(route.request.url)
        target = f"{url.path}?{url.query}" if url.query else url.path
        if url.path in PATHS:
            page = self.sign_in.answer(request.method, target, request.post_data or "")
            # Playwright's routes do not see where a 302 leads to.
            on = f"<script>location.replace({json.dumps(page.leads_to)})</script>" if page.leads_to else ""
            route.fulfill(status=200 if on else page.status, content_type="text/html", body=on or page.text)
        elif url.hostname == urlsplit(self.url).hostname:
            status, headers, body = self.requested(
                request.method, target, request.post_data_buffer, request.headers
            )
            route.fulfill(status=status, headers=headers, body=body)
        else:
            route.abort()

    def requested(
        self, method: str, target: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Return the distribution's status, headers and body."""
        label = str(urlsplit(self.url).hostname).removesuffix(".cloudfront.net")
        sent = {
            key: of
            for key, of in (headers or {}).items()
            if key not in _OF_A_CONNECTION and not key.startswith("sec-")
        }
        connection = HTTPConnection("127.0.0.1", self.account.aws.aws_port, timeout=60)
        try:
            connection.request(method, target, body, {**sent, "Host": f"{label}.cloudfront.localhost"})
            answer: HTTPResponse = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def json(self, method: str, target: str, token: str = "", body: Any = None) -> tuple[int, Any]:
        headers = {"content-type": "application/json"} | ({"authorization": token} if token else {})
        data = None if body is None else json.dumps(body).encode()
        status, _, text = self.requested(method, target, data, headers)
        return status, json.loads(text)


@pytest.fixture
def person(deployed: Account) -> Person:
    return Person(deployed, SignInPages(deployed.aws.aws), deployed.output(names.DASHBOARD_STACK, "Url"))


def sign_in_for_the_first_time(page: Page, password: str) -> None:
    """With the password of the invitation: another one, an authenticator, its code."""
    page.get_by_label("Username").fill(EMAIL)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button").click()
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_label("Confirm new password").fill(PASSWORD)
    page.get_by_role("button").click()
    secret = page.locator("#says").inner_text().rpartition(" ")[2]
    page.get_by_label("Code").fill(totp(secret, time.time()))
    page.get_by_role("button").click()


def test_an_invited_person_signs_in_sees_and_acknowledges_by_page_and_by_command_line(
    deployed: Account, person: Person, chromium: Browser
) -> None:
    pool = deployed.output(names.API_STACK, "UserPoolId")
    found = deployed.client("cognito-idp").describe_user_pool(UserPoolId=pool)["UserPool"]
    assert found["MfaConfiguration"] == "ON"
    assert person.json("GET", "/api/health") == (200, {"status": "healthy"})
    assert person.json("GET", "/api/incidents") == (401, {"message": "Unauthorized"})
    batch = calm_then_a_jump("PRIVATE", int(time.time() * 1000))
    Publisher(deployed.client("kinesis"), names.STREAM, 4).publish([batch])

    with person.browser(chromium) as context:
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{person.url}?incidents=open")
        sign_in_for_the_first_time(page, deployed.invitation(EMAIL))
        expect(page).to_have_url(f"{person.url}?incidents=open", timeout=60_000)
        expect(page.locator("#watch tbody tr")).to_have_count(10, timeout=60_000)
        incident = page.locator("#incidents .event", has_text="PRIVATE")
        incident.click(timeout=120_000)
        page.locator(".incident-detail:visible .incident-acknowledge").click()
        expect(incident).to_have_count(0, timeout=60_000)
        page.get_by_role("button", name=re.compile("^Acknowledged")).click()
        expect(incident).to_have_count(1, timeout=60_000)

        signed_out = deployed.run("tail", "anomalies", "--no-follow")
        assert signed_out.returncode == 1, signed_out.stdout + signed_out.stderr
        with deployed.terminal("login", "--no-browser") as signing_in:
            assert signing_in.stderr is not None
            where = next(line for line in signing_in.stderr if line.startswith("http"))
            context.new_page().goto(where.strip())  # whose person is signed in: no second password
            out, error = signing_in.communicate(timeout=60)
        assert signing_in.returncode == 0, out + error
        seen = deployed.run("tail", "anomalies", "--no-follow", "--json", "--ticker", "PRIVATE")
        assert seen.returncode == 0, seen.stderr
        assert {json.loads(line)["ticker"] for line in seen.stdout.splitlines()} == {"PRIVATE"}

        token = deployed.run("login", "--print-token").stdout.strip()
        status, answer = person.json("GET", "/api/incidents", token)
        (known,) = (of for of in answer["incidents"] if of["subject"] == "PRIVATE")
        assert (status, known["state"], known["acknowledged_by"]) == (200, "acknowledged", EMAIL)
        of_incident = f"/api/incidents/{known['id']}/acknowledge"
        assert person.json("DELETE", of_incident)[0] == 401
        assert person.json("DELETE", of_incident, token)[0] == 200
        until = {"until": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))}
        status, said = person.json("POST", of_incident, token, until)
        assert (status, said["acknowledged_by"]) == (200, EMAIL)

        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Username")).to_be_visible(timeout=60_000)
        assert errors == []
