"""A web page that a person opens while the monitor runs achieves nothing, on any of its ports."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.conftest import BROWSERS
from tests.e2e.monitor import Monitor
from tests.http_server import Handler, serving

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
REBOUND = "rebound.test"
"""A name of the attacker's that resolves to this machine."""
# Everything a page can send without asking: each way returns what it learned, or that it failed.
ATTACK = """async ({url, method, body}) => {
  const tries = {};
  const fetched = async (options) => {
    try { const answer = await fetch(url, options); return `${answer.status} ${await answer.text()}`; }
    catch (error) { return `failed: ${error.name}`; }
  };
  tries.fetch = await fetched({method, body});
  tries.with_json = await fetched({method, body, headers: {'content-type': 'application/json'}});
  tries.opaque = await fetched({method: method === 'GET' ? 'GET' : 'POST', body, mode: 'no-cors'});
  tries.put = await fetched({method: 'PUT', body});
  tries.delete = await fetched({method: 'DELETE'});
  tries.socket = await new Promise((done) => {
    const socket = new WebSocket(url.replace('http', 'ws'));
    socket.onopen = () => done('open'); socket.onerror = () => done('failed');
  });
  tries.image = await new Promise((done) => {
    const image = new Image(); image.onload = () => done('loaded'); image.onerror = () => done('failed');
    image.src = url;
  });
  await new Promise((done) => {
    const frame = document.createElement('iframe'); frame.name = 'sink'; frame.onload = done;
    const form = document.createElement('form'); form.target = 'sink'; form.method = 'post'; form.action = url;
    form.enctype = 'text/plain';
    const field = document.createElement('input'); field.name = body ?? 'x'; field.value = '';
    form.append(field); document.body.append(frame, form); form.submit(); setTimeout(done, 3000);
  });
  navigator.sendBeacon(url, body);
  return tries;
}"""


@pytest.fixture(scope="module")
def attackers_page() -> Iterator[Page]:
    """An empty page of another origin, in a browser that resolves `REBOUND` to this machine."""

    class AnyPage(Handler):
        def do_GET(self) -> None:
            text = b"<!doctype html><title>any web page</title><body></body>"
            self.answer(200, text, {"Content-Type": "text/html"})

    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    arguments = [f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1", "--disable-gpu"]
    with serving(AnyPage) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments, chromium_sandbox=False)
        page = browser.new_context().new_page()
        page.goto(f"http://{REBOUND}:{address.rpartition(':')[2]}/")
        yield page
        browser.close()


def function_zip(marker: str) -> str:
    """A function that leaves a mark on the disk when it runs."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr(
            "m.py", f"def handler(event, context):\n    open({marker!r}, 'w').close()\n    return 'pwned'\n"
        )
    return base64.b64encode(package.getvalue()).decode()


def functions(monitor: Monitor) -> set[str]:
    return {each["FunctionName"] for each in monitor.client("lambda").list_functions()["Functions"]}


@pytest.mark.skipif(
    "AWS_ENDPOINT_URL" in os.environ, reason="another local AWS guards its own port, or does not"
)
def test_no_page_runs_code_through_the_local_aws(monitor: Monitor, attackers_page: Page) -> None:
    marker = monitor.directory / "pwned"
    before = functions(monitor)
    create = json.dumps(
        {
            "FunctionName": "pwn",
            "Runtime": "python3.11",
            "Role": "arn:aws:iam::000000000000:role/x",
            "Handler": "m.handler",
            "Code": {"ZipFile": function_zip(str(marker))},
        }
    )
    port = monitor.aws.rsplit(":", 1)[1]
    for host in ("127.0.0.1", "localhost", REBOUND):
        for path, body in (
            ("/2015-03-31/functions", create),
            ("/2015-03-31/functions/pwn/invocations", "{}"),
        ):
            url = f"http://{host}:{port}{path}"
            tries = attackers_page.evaluate(ATTACK, {"url": url, "method": "POST", "body": body})
            # Not even that it was rejected can be read, for no header permits it.
            assert set(tries.values()) <= {"failed: TypeError", "failed", "0 "}, (url, tries)
    assert functions(monitor) == before
    assert not marker.exists()


@pytest.mark.skipif(
    "AWS_ENDPOINT_URL" in os.environ, reason="another local AWS guards its own port, or does not"
)
def test_a_rebound_name_is_no_name_of_this_machine(monitor: Monitor, attackers_page: Page) -> None:
    """After DNS rebinding the page's own origin is the local port: only the Host header tells."""
    page = attackers_page.context.new_page()
    for origin in (monitor.aws, monitor.origin):
        answer = page.goto(f"http://{REBOUND}:{origin.rsplit(':', 1)[1]}/")
        assert answer is not None
        assert answer.status in {400, 403}, origin
    page.close()


def test_no_foreign_page_changes_anything_through_the_front_door(
    monitor: Monitor, attackers_page: Page
) -> None:
    before = monitor.get("/api/alerts")
    for path in ("/api/alerts/silences", "/api/tickers"):
        body = json.dumps({"ticker": "AAPL", "minutes": 60, "tickers": ["PWNED"]})
        tries = attackers_page.evaluate(
            ATTACK, {"url": f"{monitor.origin}{path}", "method": "POST", "body": body}
        )
        assert set(tries.values()) <= {"failed: TypeError", "failed", "0 "}, tries
    assert monitor.get("/api/alerts")["silences"] == before["silences"]
    assert "PWNED" not in json.dumps(monitor.get("/api/tickers"))
