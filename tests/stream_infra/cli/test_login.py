"""A person signs in to a private API with the command line, against a stand-in that follows Cognito's documents.

Cognito guide, "The redirection and authorization endpoint", "The token issuer endpoint"; RFC 7636 (PKCE), RFC 8252.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import urlopen

import pytest
from typer.testing import CliRunner

from stream_infra import names
from stream_infra.cli.commands import login, tail
from stream_infra.cli.main import app
from stream_infra.cli.shell import exports
from stream_infra.operations import sign_in
from stream_infra.operations.endpoints import Endpoints, SignInAddress
from stream_infra.operations.errors import FailedError
from stream_infra.operations.sign_in import TokenFile, token
from tests.http_server import Handler

CLIENT = "command-line-client"


class Cognito(ThreadingHTTPServer):
    """A user pool's domain and, at /prod, the API behind its authorizer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.address = SignInAddress(self.url, CLIENT)
        self.rejects: dict[str, str] = {}
        self.forged_first = False
        self.codes: dict[str, dict[str, str]] = {}
        self.revoked = False
        self.valid = ""
        self.given = 0

    def id_token(self) -> str:
        self.given += 1
        self.valid = f"id-{self.given}"
        return self.valid


class _Handler(Handler):
    server: Cognito

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(asked.query).items()}
        if asked.path == "/oauth2/authorize":
            self._authorize(query)
        elif asked.path == "/prod/anomalies":
            # API Gateway guide, "Control access to REST APIs using Amazon Cognito user pools": 401 without a token.
            if self.headers.get("Authorization") != self.server.valid or not self.server.valid:
                self._send(401, {"message": "Unauthorized"})
            else:
                self._send(200, {"anomalies": [], "next": None})
        else:
            self._send(404, {})

    def _authorize(self, query: dict[str, str]) -> None:
        urls = [f"http://localhost:{port}/" for port in names.SIGN_IN_PORTS]
        if query["client_id"] != CLIENT or query["redirect_uri"] not in urls:
            self._send(400, {"error": "redirect_mismatch"})
            return
        assert (query["response_type"], query["code_challenge_method"]) == ("code", "S256")
        code = f"code-{len(self.server.codes)}"
        self.server.codes[code] = query
        brought = self.server.rejects or {"code": code}
        # Of the browser: `localhost` is this machine whatever its resolver says.
        back = query["redirect_uri"].replace("localhost", "127.0.0.1")
        if self.server.forged_first:
            urlopen(f"{back}?{urlencode({'code': 'stolen', 'state': 'made-up'})}").close()
        self.answer(302, headers={"Location": f"{back}?{urlencode({**brought, 'state': query['state']})}"})

    def do_POST(self) -> None:
        assert self.path == "/oauth2/token"
        assert self.headers["Content-Type"] == "application/x-www-form-urlencoded"
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {key: values[0] for key, values in parse_qs(body).items()}
        answer: dict[str, Any] = {"access_token": "a", "token_type": "Bearer", "expires_in": 3600}
        if form["grant_type"] == "authorization_code":
            asked = self.server.codes.pop(form["code"], None)
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            if asked is None or (asked["code_challenge"], asked["redirect_uri"]) != (
                challenge,
                form["redirect_uri"],
            ):
                self._send(400, {"error": "invalid_grant"})
                return
            answer["refresh_token"] = "refresh"
        elif form.get("refresh_token") != "refresh" or self.server.revoked:
            self._send(400, {"error": "invalid_grant"})
            return
        self._send(200, {**answer, "id_token": self.server.id_token()})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        self.answer(status, json.dumps(body).encode())


@pytest.fixture
def cognito() -> Iterator[Cognito]:
    with Cognito() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def here(cognito: Cognito, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Endpoints:
    """The monitor on AWS, as the outputs of its stacks describe it, and a browser."""
    found = Endpoints(None, f"{cognito.url}/prod", None, None, sign_in=cognito.address)
    for module in (login, tail):
        monkeypatch.setattr(module, "resolve", lambda _: found)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(names, "SIGN_IN_PORTS", _free_ports(2))
    browsers = ThreadPoolExecutor()
    monkeypatch.setattr("webbrowser.open", lambda url: browsers.submit(_browse, url))
    return found


def _free_ports(count: int) -> tuple[int, ...]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = tuple(of.getsockname()[1] for of in sockets)
    for of in sockets:
        of.close()
    return ports


def _browse(url: str) -> None:
    try:
        urlopen(url, timeout=10).close()
    except HTTPError as error:
        error.close()


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, [*arguments])


def test_a_person_signs_in_and_commands_carry_the_token(cognito: Cognito, tmp_path: Path) -> None:
    before = run("tail", "anomalies", "--no-follow")
    assert before.exit_code == 1
    assert "stock-monitor login --aws" in before.output
    done = run("login")
    assert done.exit_code == 0, done.output
    assert run("tail", "anomalies", "--no-follow").exit_code == 0
    assert run("login", "--print-token").output == f"{cognito.valid}\n"
    kept = tmp_path / "stock-monitor" / "tokens.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert list(kept.parent.iterdir()) == [kept]
    assert run("login", "--forget").exit_code == 0
    assert run("tail", "anomalies", "--no-follow").exit_code == 1
    assert run("login", "--print-token").exit_code == 1


def test_an_old_token_is_renewed_and_one_that_cannot_be_is_forgotten(cognito: Cognito) -> None:
    """Cognito guide, "Refresh tokens": a new ID token, and no new refresh token unless they rotate."""
    assert run("login").exit_code == 0
    file, first = TokenFile(), cognito.valid
    assert token(cognito.address, file) == first
    kept = file.read(cognito.address)
    assert kept is not None
    assert token(cognito.address, file, lambda: kept.ends_at - 30) == cognito.valid != first
    renewed = file.read(cognito.address)
    assert renewed is not None
    assert renewed.refresh_token == "refresh"
    cognito.revoked = True
    with pytest.raises(FailedError, match=r"the sign-in has ended.*invalid_grant.*stock-monitor login --aws"):
        token(cognito.address, file, lambda: renewed.ends_at)
    assert file.read(cognito.address) is None


def test_a_code_that_was_not_asked_for_is_not_taken(cognito: Cognito) -> None:
    """RFC 6749, section 10.12: the state tells the answer to one's own question."""
    cognito.forged_first = True
    assert run("login").exit_code == 0
    assert cognito.given == 1


def test_who_is_rejected_is_told_why(cognito: Cognito) -> None:
    cognito.rejects = {"error": "access_denied", "error_description": "User is not confirmed"}
    rejected = run("login")
    assert rejected.exit_code == 1
    assert "User is not confirmed" in rejected.output


def test_a_connection_on_which_nothing_comes_holds_nothing_up(
    cognito: Cognito, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Browsers open connections ahead."""
    monkeypatch.setattr(sign_in._Request, "timeout", 0.05)
    idle: list[socket.socket] = []

    def browse(url: str) -> None:
        idle.append(socket.create_connection(("127.0.0.1", names.SIGN_IN_PORTS[0])))
        threading.Thread(target=_browse, args=[url]).start()

    sign_in.sign_in(cognito.address, TokenFile(), browse, wait_seconds=20)
    assert token(cognito.address, TokenFile()) == cognito.valid
    idle[0].close()


def test_nobody_is_waited_for_for_ever(cognito: Cognito) -> None:
    with pytest.raises(FailedError, match="in time"):
        sign_in.sign_in(cognito.address, TokenFile(), lambda _: None, wait_seconds=0.05)


def test_the_next_port_is_taken_where_the_first_is_in_use() -> None:
    first, second, *_ = names.SIGN_IN_PORTS
    with socket.create_server(("127.0.0.1", first)):
        assert run("login").exit_code == 0
        with socket.create_server(("127.0.0.1", second)):
            failed = run("login")
    assert failed.exit_code == 1
    assert f"{first}, {second}" in failed.output


def test_the_token_of_the_runbooks_shell_goes_to_the_api_and_nowhere_else(here: Endpoints) -> None:
    lines = exports(here, "111122223333", "us-east-1")
    assert '*" $API"*) command curl -H "Authorization: $(stock-monitor login --print-token' in lines
    assert "curl()" not in exports(Endpoints(None, None, None, None), "111122223333", "us-east-1")


def test_a_file_that_cannot_be_read_is_no_sign_in(cognito: Cognito, tmp_path: Path) -> None:
    file = TokenFile({"XDG_STATE_HOME": str(tmp_path)})
    file.path.parent.mkdir(parents=True)
    for text in ("", "[]", '{"command-line-client": {"id_token": 1}}', '{"command-line-client": 3}'):
        file.path.write_text(text)
        assert token(cognito.address, file) is None
