"""The sign-in pages of a user pool on the local AWS, with the second factor that its own lack.

The local AWS has the pool, its pages, codes and tokens. A pool whose second factor is required lets nobody in without
it (Cognito guide, "Adding MFA to a user pool", "TOTP software token MFA"), and whoever signed in is asked for nothing
for an hour in the same browser ("The redirection and authorization endpoint"): both stand here, between the local AWS's
answer to a right password and the browser.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import struct
import time
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

PATHS = ("/oauth2/authorize", "/login", "/logout")


def totp(secret: str, at: float) -> str:
    """Return the code that an authenticator shows (RFC 6238).

    >>> totp(base64.b32encode(b"12345678901234567890").decode(), 59)
    '287082'
    """
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", int(at) // 30), "sha1")
    begin = digest[-1] & 0xF
    return f"{(struct.unpack('>I', digest[begin : begin + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


class Page(NamedTuple):
    """What a browser gets."""

    status: int
    text: str
    leads_to: str = ""


class SignInPages:
    """The pages of the pools' domains on one local AWS, for one browser."""

    def __init__(self, aws: str) -> None:
        self._aws = urlsplit(aws).netloc
        self._secret = self._username = ""
        """Of the authenticator, empty until one was set up; and who gave a password last."""
        self._person: dict[str, str] | None = None
        """Who has signed in, as the local AWS is asked for another code for the same person."""
        self._waiting: dict[str, tuple[str, dict[str, str]]] = {}
        """Where those lead to, and who they are, whose code of the authenticator is asked for."""

    def answer(self, method: str, target: str, body: str) -> Page:
        """Return what a browser gets that asks for a path with its query."""
        url, form = urlsplit(target), dict(parse_qsl(body, keep_blank_values=True))
        if waiting := form.get("waiting"):
            return self._second_factor(waiting, form)
        if url.path == "/oauth2/authorize" and self._person:
            return self._ask("POST", "/login", {**dict(parse_qsl(url.query)), **self._person})
        if url.path == "/logout":
            self._person = None
        self._username = form.get("username", self._username)
        page = self._ask(method, target, form)
        if url.path != "/login" or not page.leads_to:
            return page
        waiting, password = secrets.token_hex(8), form.get("new_password") or form["password"]
        self._waiting[waiting] = page.leads_to, {"username": self._username, "password": password}
        return self._second_factor(waiting, {})

    def _second_factor(self, waiting: str, form: Mapping[str, str]) -> Page:
        secret = self._secret or form.get("secret") or base64.b32encode(secrets.token_bytes(20)).decode()
        if form.get("code") not in {totp(secret, time.time() - ago) for ago in (0, 30)}:
            says = "Enter the code" if self._secret else f"Set up authenticator app MFA: {secret}"
            kept = f'<input type="hidden" name="waiting" value="{waiting}">'
            kept += "" if self._secret else f'<input type="hidden" name="secret" value="{secret}">'
            shown = '<label>Code <input name="code"></label><button>Sign in</button>'
            return Page(
                200, f'<p id="says">{says}</p><form method="post" action="/login">{kept}{shown}</form>'
            )
        self._secret = secret
        where, self._person = self._waiting.pop(waiting)
        return Page(302, "", where)

    def _ask(self, method: str, target: str, form: Mapping[str, str]) -> Page:
        """Return what the local AWS answers."""
        connection = HTTPConnection(self._aws, timeout=60)
        try:
            kind = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
            connection.request(method, target, urlencode(form) or None, kind)
            answer = connection.getresponse()
            return Page(answer.status, answer.read().decode(), answer.getheader("Location") or "")
        finally:
            connection.close()
