"""A stand-in for Cognito that answers as its guide says: no local AWS here has a hosted sign-in.

Cognito guide, "The redirection and authorization endpoint", "The managed sign-in endpoint", "The token issuer
endpoint", "The managed logout endpoint", "Creating user accounts as administrator" (a temporary password has to be
changed), "TOTP software token MFA", "Understanding the identity (ID) token". Its pages are plain forms.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

TOKEN_SECONDS = 3600
POOL = "us-east-1_Example"
ISSUER = f"https://cognito-idp.us-east-1.amazonaws.com/{POOL}"


def totp(secret: str, at: float) -> str:
    """Return the code that an authenticator shows (RFC 6238).

    >>> totp(base64.b32encode(b"12345678901234567890").decode(), 59)
    '287082'
    """
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", int(at) // 30), "sha1")
    begin = digest[-1] & 0xF
    return f"{(struct.unpack('>I', digest[begin : begin + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


@dataclass
class Person:
    """Someone whom an administrator made; the password is temporary until it was changed."""

    email: str
    password: str
    sub: str = field(default_factory=lambda: secrets.token_hex(16))
    is_temporary: bool = True
    secret: str = ""
    """Of the authenticator; empty until one was set up."""


@dataclass(frozen=True)
class _Code:
    query: Mapping[str, str]
    person: Person


class UserPool(ThreadingHTTPServer):
    """The pool's domain: invited people sign in, and clients exchange codes for tokens."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Pages)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.clients: dict[str, frozenset[str]] = {}
        """Callback and sign-out URLs of each client, compared whole."""
        self.people: dict[str, Person] = {}
        self.sessions: dict[str, Person] = {}
        self.codes: dict[str, _Code] = {}
        self.refresh: dict[str, _Code] = {}
        self._key = secrets.token_bytes(32)

    def invite(self, email: str) -> str:
        """Return the temporary password that the invitation holds."""
        password = f"Aa1!{secrets.token_hex(8)}"
        self.people[email] = Person(email, password)
        return password

    def id_token(self, client: str, person: Person) -> str:
        """Return a token for the API; with a key of both sides in place of the pool's own pair."""
        now = int(time.time())
        claims = {
            "sub": person.sub,
            "email": person.email,
            "email_verified": True,
            "iss": ISSUER,
            "aud": client,
            "token_use": "id",
            "iat": now,
            "exp": now + TOKEN_SECONDS,
        }
        head = ".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": "HS256"}, claims))
        return f"{head}.{self._signature(head)}"

    def claims(self, token: str) -> dict[str, str] | None:
        """Return what API Gateway's authorizer hands to the function, all of it text; None for no token of ours.

        API Gateway guide, "Control access to REST APIs using Amazon Cognito user pools as an authorizer".
        """
        head, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature, self._signature(head)):
            return None
        part = head.partition(".")[2]
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        is_ours = found["aud"] in self.clients and found["token_use"] == "id" and found["exp"] > time.time()
        return (
            {key: str(of).lower() if of is True else str(of) for key, of in found.items()}
            if is_ours
            else None
        )

    def _signature(self, head: str) -> str:
        return _base64url(hmac.digest(self._key, head.encode(), "sha256"))


class _Pages(BaseHTTPRequestHandler):
    server: UserPool
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked, query = urlsplit(self.path), self._query()
        urls = self.server.clients.get(query.get("client_id", ""), frozenset())
        if asked.path == "/logout":
            self._sign_out(query, urls)
        elif query.get("redirect_uri") not in urls:
            self._page(400, "An error was encountered with the requested page: redirect_mismatch")
        elif asked.path == "/oauth2/authorize":
            wrong = query.get("response_type") != "code" or query.get("code_challenge_method") != "S256"
            person = self.server.sessions.get(self._session())
            if wrong:
                self._back(query, {"error": "invalid_request"})
            elif person:  # "The session cookie is valid for 1 hour"
                self._back(query, self._code(query, person))
            else:
                self._redirect(f"/login?{asked.query}")
        elif asked.path == "/login":
            self._form("Sign in", {"username": "Email address", "password": "Password"})
        else:
            self._page(404, "not found")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        form = {key: values[0] for key, values in parse_qs(body).items()}
        if self.path == "/oauth2/token":
            status, answer = self._tokens(form)
            self._send(status, json.dumps(answer), "application/json")
        elif self.path.startswith("/login?"):
            self._sign_in(form)
        else:
            self._page(404, "not found")

    def _sign_in(self, form: Mapping[str, str]) -> None:
        person = self.server.people.get(form.get("username", ""))
        if person is None or not hmac.compare_digest(person.password, form.get("password", "")):
            self._form(
                "Incorrect username or password.", {"username": "Email address", "password": "Password"}
            )
            return
        known = {"username": person.email}
        if person.is_temporary:
            if "new_password" not in form:
                self._form(
                    "Change password",
                    {"new_password": "New password"},
                    **known,
                    password=form["password"],
                )
                return
            person.password, person.is_temporary = form["new_password"], False
        secret = person.secret or form.get("secret") or base64.b32encode(secrets.token_bytes(20)).decode()
        if form.get("code") not in {totp(secret, time.time() - ago) for ago in (0, 30)}:
            shown = "" if person.secret else f"Set up authenticator app MFA: {secret}"
            hidden = {} if person.secret else {"secret": secret}
            self._form(
                shown or "Enter the code", {"code": "Code"}, **known, **hidden, password=person.password
            )
            return
        person.secret = secret
        session = secrets.token_hex(16)
        self.server.sessions[session] = person
        self._back(self._query(), self._code(self._query(), person), session)

    def _code(self, query: Mapping[str, str], person: Person) -> dict[str, str]:
        code = secrets.token_hex(16)
        self.server.codes[code] = _Code(query, person)
        return {"code": code}

    def _tokens(self, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        client = form.get("client_id", "")
        if client not in self.server.clients:
            return 400, {"error": "invalid_client"}
        renews = form.get("grant_type") == "refresh_token"
        found = (
            self.server.refresh.get(form.get("refresh_token", ""))
            if renews
            else self.server.codes.pop(form.get("code", ""), None)  # once only
        )
        if found is None or found.query["client_id"] != client:
            return 400, {"error": "invalid_grant"}
        if not renews:
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            proof = (_base64url(digest), form.get("redirect_uri"))
            if proof != (found.query["code_challenge"], found.query["redirect_uri"]):
                return 400, {"error": "invalid_grant"}
        answer: dict[str, Any] = {"token_type": "Bearer", "expires_in": TOKEN_SECONDS}
        answer |= {
            "id_token": self.server.id_token(client, found.person),
            "access_token": secrets.token_hex(16),
        }
        if not renews:
            answer["refresh_token"] = secrets.token_hex(16)
            self.server.refresh[answer["refresh_token"]] = found
        return 200, answer

    def _sign_out(self, query: Mapping[str, str], urls: frozenset[str]) -> None:
        if query.get("logout_uri") not in urls:
            self._page(400, "redirect_mismatch")
            return
        self.server.sessions.pop(self._session(), None)
        self._redirect(query["logout_uri"])

    def _query(self) -> dict[str, str]:
        return {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}

    def _session(self) -> str:
        return self.headers.get("Cookie", "").partition("cognito=")[2].partition(";")[0]

    def _back(self, query: Mapping[str, str], brings: Mapping[str, str], session: str = "") -> None:
        state = {"state": query["state"]} if "state" in query else {}
        self._redirect(f"{query['redirect_uri']}?{urlencode({**brings, **state})}", session)

    def _redirect(self, where: str, session: str = "") -> None:
        cookie = {"Set-Cookie": f"cognito={session}; HttpOnly; Path=/"} if session else {}
        self._send(302, "", "text/html", {"Location": where, **cookie})

    def _form(self, title: str, fields: Mapping[str, str], **hidden: str) -> None:
        shown = "".join(f'<label>{label} <input name="{key}"></label>' for key, label in fields.items())
        kept = "".join(
            f'<input type="hidden" name="{key}" value="{escape(value)}">' for key, value in hidden.items()
        )
        self._page(
            200,
            f'<p id="says">{escape(title)}</p><form method="post">{kept}{shown}<button>Next</button></form>',
        )

    def _page(self, status: int, text: str) -> None:
        self._send(
            status, f"<!doctype html><title>Sign in</title><link rel=icon href=data:>{text}", "text/html"
        )

    def _send(self, status: int, text: str, kind: str, headers: Mapping[str, str] | None = None) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    """Let a server respond meanwhile."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
