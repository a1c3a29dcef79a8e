"""Signing in to a private API on AWS as a person: authorisation code with PKCE, the code on a port of this machine.

RFC 8252 ("OAuth 2.0 for Native Apps") and RFC 7636. Programs with AWS credentials read the tables, and need none of it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from stream_infra import names
from stream_infra.operations.endpoints import SignInAddress
from stream_infra.operations.errors import FailedError, UnreachableError

MARGIN_SECONDS = 60
"""A token that is this near to its end is renewed first."""
WAIT_SECONDS = 300.0
"""For the person to sign in."""
_HINT = "sign in first: stock-monitor login --aws"
_DONE = b"<!doctype html><title>stock-monitor</title><p>Signed in. Go back to the terminal."
_FAILED = b"<!doctype html><title>stock-monitor</title><p>Not signed in. The terminal says why."


@dataclass(frozen=True)
class Tokens:
    """What Cognito gave: the token that the API takes, the one that renews it, and when the first ends (epoch s)."""

    id_token: str
    refresh_token: str
    ends_at: float


class TokenFile:
    """Tokens of this user of the machine, by the client that they are for; nobody else may read them."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        given = os.environ if environment is None else environment
        home = given.get("XDG_STATE_HOME") or Path(given.get("HOME", "~")).expanduser() / ".local" / "state"
        self.path = Path(home) / "stock-monitor" / "tokens.json"

    def read(self, address: SignInAddress) -> Tokens | None:
        """Return the tokens for an address; None if there are none, or they cannot be read."""
        with suppress(KeyError, TypeError):
            return Tokens(**self._all()[address.client_id])
        return None

    def write(self, address: SignInAddress, tokens: Tokens | None) -> None:
        """Keep tokens, or forget them."""
        kept = {key: of for key, of in self._all().items() if key != address.client_id}
        if tokens is not None:
            kept[address.client_id] = asdict(tokens)
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self.path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(kept, file)
        partial.replace(self.path)

    def _all(self) -> dict[str, Any]:
        try:
            found = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def token(address: SignInAddress | None, file: TokenFile, now: Callable[[], float] = time.time) -> str | None:
    """Return the token that the API takes, renewed if need be; None where nobody has signed in.

    Raises
    ------
    FailedError
        It cannot be renewed any more.
    """
    if address is None or (kept := file.read(address)) is None:
        return None
    if kept.ends_at - MARGIN_SECONDS > now():
        return kept.id_token
    grant = {"grant_type": "refresh_token", "refresh_token": kept.refresh_token}
    try:
        renewed = _exchange(address, grant, now, kept.refresh_token)
    except FailedError as error:
        file.write(address, None)
        raise FailedError(f"the sign-in has ended ({error}); {_HINT}") from error
    file.write(address, renewed)
    return renewed.id_token


def sign_in(
    address: SignInAddress,
    file: TokenFile,
    open_browser: Callable[[str], object],
    *,
    now: Callable[[], float] = time.time,
    wait_seconds: float = WAIT_SECONDS,
) -> None:
    """Let a person sign in with a browser, and keep the tokens.

    Raises
    ------
    FailedError
        The person did not, within `wait_seconds`, or was rejected.
    """
    server = _listen()
    with server:
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
        redirect = f"http://localhost:{server.server_port}/"
        digest = hashlib.sha256(verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": address.client_id,
            "redirect_uri": redirect,
            "scope": "openid email",
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        open_browser(f"{address.domain}/oauth2/authorize?{urlencode(query)}")
        code = server.code(state, time.monotonic() + wait_seconds)
    grant = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect,
        "code_verifier": verifier,
    }
    file.write(address, _exchange(address, grant, now, ""))


class _Callback(HTTPServer):
    """Takes the one request with which the browser comes back."""

    def __init__(self, port: int) -> None:
        self.answer: dict[str, str] = {}
        super().__init__(("127.0.0.1", port), _Request)

    def code(self, state: str, deadline: float) -> str:
        """Return the code that came with `state`; what comes with another is not taken."""
        while (left := deadline - time.monotonic()) > 0:
            self.timeout = left
            self.answer = {}
            self.handle_request()
            if self.answer.get("state") != state:
                continue
            if "code" in self.answer:
                return self.answer["code"]
            why = self.answer.get("error_description") or self.answer.get("error", "no code")
            raise FailedError(f"not signed in: {why}")
        raise FailedError("nobody signed in in time; try again")


class _Request(BaseHTTPRequestHandler):
    server: _Callback
    timeout = 1.0
    """For a connection that a browser opened ahead, and on which it requests nothing (s)."""

    def do_GET(self) -> None:
        """Keep what the browser brings."""
        asked = urlsplit(self.path)
        if asked.path == "/":
            self.server.answer = {key: values[0] for key, values in parse_qs(asked.query).items()}
        body = _DONE if "code" in self.server.answer else _FAILED
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Write nothing: the code is part of the address."""


def _listen() -> _Callback:
    for port in names.SIGN_IN_PORTS:
        with suppress(OSError):
            return _Callback(port)
    ports = ", ".join(map(str, names.SIGN_IN_PORTS))
    raise FailedError(f"other programs use the ports {ports}, to one of which the sign-in comes back")


def _exchange(
    address: SignInAddress, grant: dict[str, str], now: Callable[[], float], refresh_token: str
) -> Tokens:
    """Return tokens for a grant.

    Cognito guide, "The token issuer endpoint": a form; for a refresh token there is no new one unless they rotate;
    errors are 400 with `{"error": "invalid_grant"}` and the like.
    """
    form = urlencode({"client_id": address.client_id, **grant}).encode()
    request = urllib.request.Request(f"{address.domain}/oauth2/token", form)  # noqa: S310  https, from the stack
    try:
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
            answer = json.load(response)
        return Tokens(
            answer["id_token"],
            answer.get("refresh_token", refresh_token),
            now() + float(answer["expires_in"]),
        )
    except urllib.error.HTTPError as error:
        text = error.read(500).decode(errors="replace")
        raise FailedError(f"{address.domain} rejects it: {text or error.code}") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise UnreachableError(f"{address.domain} does not respond ({error})") from error
    except (KeyError, TypeError, ValueError) as error:
        raise FailedError(f"{address.domain} returns no tokens") from error
