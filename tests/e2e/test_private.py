"""A private monitor: an invited person signs in, sees the page and acknowledges; so does the command line.

Real: Chromium, the page as deployed, the command line, the function stock-api-handler on the local AWS with its role's
rights and the settings of a private deployment, all behind it. Stand-ins, as no local AWS has them: Cognito's hosted
pages (`tests.cognito`), and in front of the function the authorizer of API Gateway and the distribution. That these are
deployed so is what tests/stream_infra/cdk/test_sign_in.py reads in the templates; that AWS's own answer like the
stand-ins is drill 1 of docs/aws-drills.md.
"""

from __future__ import annotations

import contextlib
import json
import queue
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Page, expect
from typer.testing import CliRunner

from localstack.settings import free_port
from producers.publisher import Publisher
from stream_infra import names
from stream_infra.cli.commands import login, tail
from stream_infra.cli.main import app
from stream_infra.operations.endpoints import Endpoints, SignInAddress
from tests.cognito import UserPool, serving, totp
from tests.e2e.monitor import Json, Monitor
from tests.e2e.test_browser import calm_then_a_jump

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
EMAIL, PASSWORD = "ann@example.com", "Correct-horse-7-battery"
FREE = {("GET", "/health"), ("POST", "/links")}
"""What the templates let strangers do."""


@pytest.fixture(scope="module")
def private_api(monitor: Monitor) -> Iterator[str]:
    """A version of the deployed function that leaves writes to those who signed in; the alias stays where it is."""
    functions, name = monitor.client("lambda"), names.API_HANDLER
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    private = {**variables, "WRITES": "signed-in"}
    try:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": private})
        yield functions.publish_version(FunctionName=name)["Version"]
    finally:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})


class Front(ThreadingHTTPServer):
    """The distribution, and the authorizer before the API: what the private deployment's templates put there."""

    daemon_threads = True

    def __init__(self, monitor: Monitor, pool: UserPool, version: str) -> None:
        super().__init__(("127.0.0.1", 0), _Behaviours)
        self.url = f"http://localhost:{self.server_port}/"
        self.monitor, self.pool, self.version = monitor, pool, version
        self.functions = monitor.client("lambda")

    def invoke(self, event: Json) -> Json:
        answer = self.functions.invoke(
            FunctionName=names.API_HANDLER, Qualifier=self.version, Payload=json.dumps(event)
        )
        return json.load(answer["Payload"])


class _Behaviours(BaseHTTPRequestHandler):
    server: Front
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        if path.startswith("/api/"):
            self._api(path.removeprefix("/api"), body.decode())
        elif path == "/config.json":
            where = {"domain": self.server.pool.url, "client_id": "dashboard"}
            self._send(200, json.dumps({"sign_in": where}).encode(), {"Content-Type": "application/json"})
        else:
            to = self.server.pool.url if path == "/oauth2/token" else self.server.monitor.origin
            kept = {
                key: of
                for key, of in self.headers.items()
                if key.lower() in {"content-type", "if-none-match", "accept"}
            }
            asked = Request(to + self.path, body or None, kept, method=self.command)
            try:
                with urlopen(asked, timeout=60) as answer:
                    self._send(answer.status, answer.read(), dict(answer.headers))
            except HTTPError as error:
                with error:
                    self._send(error.code, error.read(), dict(error.headers))

    def _api(self, path: str, body: str) -> None:
        claims = self.server.pool.claims(self.headers.get("Authorization", ""))
        if claims is None and (self.command, path) not in FREE:
            self._send(401, b'{"message":"Unauthorized"}', {"Content-Type": "application/json"})
            return
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        context = {"authorizer": {"claims": claims}} if claims else {}
        answer = self.server.invoke(
            {
                "path": path,
                "httpMethod": self.command,
                "headers": dict(self.headers),
                "multiValueQueryStringParameters": query or None,
                "requestContext": {"requestId": "r", "stage": names.STAGE, **context},
                "body": body or None,
            }
        )
        headers = {name: values[0] for name, values in answer["multiValueHeaders"].items()}
        text = answer["body"] or ""
        assert not answer.get("isBase64Encoded"), "nothing compressed was asked for"
        self._send(answer["statusCode"], text.encode(), headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        own = {"connection", "transfer-encoding", "content-length", "date", "server"}
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in own:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        with contextlib.suppress(BrokenPipeError):  # the page was left while it was answered
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def pool() -> Iterator[UserPool]:
    server = UserPool()
    with serving(server):
        yield server


@pytest.fixture
def front(monitor: Monitor, pool: UserPool, private_api: str) -> Iterator[Front]:
    server = Front(monitor, pool, private_api)
    pool.clients["dashboard"] = frozenset({server.url})
    with serving(server):
        yield server


@pytest.fixture
def here(front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> queue.Queue[str]:
    """The command line knows the private monitor, as its stacks' outputs say; what it opens in a browser."""
    port = free_port()
    monkeypatch.setattr(names, "SIGN_IN_PORTS", (port,))
    front.pool.clients["command-line"] = frozenset({f"http://localhost:{port}/"})
    found = Endpoints(
        front.url, f"{front.url}api", None, None, sign_in=SignInAddress(front.pool.url, "command-line")
    )
    for module in (login, tail):
        monkeypatch.setattr(module, "resolve", lambda _: found)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    opened: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr("webbrowser.open", opened.put)
    return opened


def sign_in_for_the_first_time(page: Page, password: str) -> None:
    """With the password of the invitation: another one, an authenticator, its code."""
    page.get_by_label("Email address").fill(EMAIL)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button").click()
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_role("button").click()
    secret = page.locator("#says").inner_text().rpartition(" ")[2]
    page.get_by_label("Code").fill(totp(secret, time.time()))
    page.get_by_role("button").click()


def requested(method: str, url: str, token: str = "", body: Json = None) -> tuple[int, Json]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": token} if token else {})
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(url, data, headers, method=method), timeout=60) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def command(*arguments: str) -> Any:
    return CliRunner().invoke(app, [*arguments])


def test_an_invited_person_signs_in_sees_and_acknowledges_by_page_and_by_command_line(
    monitor: Monitor, front: Front, here: queue.Queue[str], chromium: Browser
) -> None:
    api = f"{front.url}api"
    assert requested("GET", f"{api}/health")[0] == 200
    assert requested("GET", f"{api}/incidents") == (401, {"message": "Unauthorized"})
    password = front.pool.invite(EMAIL)
    batch = calm_then_a_jump("PRIVATE", int(time.time() * 1000))
    Publisher(monitor.client("kinesis"), names.STREAM, 4).publish([batch])

    context = chromium.new_context()
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{front.url}?incidents=open")
    sign_in_for_the_first_time(page, password)
    expect(page).to_have_url(f"{front.url}?incidents=open", timeout=60_000)
    expect(page.locator("#watch tbody tr")).to_have_count(10, timeout=60_000)
    incident = page.locator("#incidents .event", has_text="PRIVATE")
    incident.click(timeout=120_000)
    page.locator(".incident-detail:visible .incident-acknowledge").click()
    expect(incident).to_have_count(0, timeout=60_000)
    page.get_by_role("button", name=re.compile("^Acknowledged")).click()
    expect(incident).to_have_count(1, timeout=60_000)

    def acknowledged() -> list[Json]:
        found = monitor.get("/api/incidents")["incidents"]
        return [one for one in found if one["subject"] == "PRIVATE" and one["state"] == "acknowledged"]

    (known,) = monitor.eventually(acknowledged, 30, "the incident is acknowledged")
    assert known["acknowledged_by"] == EMAIL

    assert command("tail", "anomalies", "--no-follow").exit_code == 1
    with ThreadPoolExecutor() as beside:
        signing_in = beside.submit(command, "login")
        comes_back = context.new_page()
        comes_back.goto(here.get(timeout=60))  # in the browser whose person is signed in: no second password
        assert signing_in.result(60).exit_code == 0, signing_in.result().output
    seen = command("tail", "anomalies", "--no-follow", "--json", "--ticker", "PRIVATE")
    assert seen.exit_code == 0, seen.output
    assert {json.loads(line)["ticker"] for line in seen.output.splitlines()} == {"PRIVATE"}
    token = command("login", "--print-token").output.strip()
    of_incident = f"{api}/incidents/{known['id']}/acknowledge"
    assert requested("DELETE", of_incident)[0] == 401
    assert requested("DELETE", of_incident, token)[0] == 200
    until = {"until": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))}
    status, said = requested("POST", of_incident, token, until)
    assert (status, said["acknowledged_by"]) == (200, EMAIL)

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Email address")).to_be_visible(timeout=60_000)
    context.close()
    assert errors == []
