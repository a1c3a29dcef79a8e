"""What channels over HTTP share: one POST with a deadline, and what its answer means."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, urlsplit

import urllib3

from consumers.alerts.channels import Channel, ChannelError, Setup
from consumers.alerts.model import Message
from consumers.alerts.rendering.texts import Content
from producers.http import NoReplyError, pool_for, reason_of, seconds_to_wait, within

CONNECT_SECONDS, READ_SECONDS = 2.0, 3.0
ANSWER_SECONDS = CONNECT_SECONDS + READ_SECONDS
"""How long it takes at most until the status is known, however slowly it drips."""
ANSWER_BYTES = 64 * 1024
PICTURE_NAME = "chart.png"
SAID = 200
"""Characters of an answer that an error quotes."""
_WORD = re.compile("[a-z]{1,10}")
_BETWEEN = re.compile("[/:]")
_TIMEOUT = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
# Another try may succeed: too many requests, a timeout of theirs, and keys or hooks that a person can mend meanwhile.
PASSING = frozenset({401, 403, 404, 408, 410, 425, 429})


@dataclass(frozen=True, slots=True)
class Post:
    """What is posted where."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"


class HttpChannel(Channel):
    """A channel that posts JSON. Redirects are not followed: they would take the secret elsewhere.

    A status of success says that a message was taken, unless the answer plainly says otherwise: see `rejects`.
    """

    content_type: ClassVar[str] = "application/json; charset=utf-8"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        if url := setup.secrets.get("webhook_url"):
            _checked(self.name, url)

    @classmethod
    def check(cls, settings: Mapping[str, str]) -> None:
        """See `Channel.check`."""
        super().check(settings)
        if url := settings.get("url"):
            _checked(cls.name, url)

    @abstractmethod
    def post(self, message: Message, content: Content) -> Post:
        """Return what is posted for a message."""

    def rejects(self, answer: Any) -> bool:
        """Return whether an answer of success (parsed JSON, or text) says that the message was not taken.

        A page for people is not the vendor's: it is of a proxy, or of a network that wants a sign-in. What is merely
        unknown is none: a message would be sent again that was taken.
        """
        return isinstance(answer, str) and answer.lstrip("\ufeff \t\r\n").startswith("<")

    def receipt(self, answer: Any) -> str:
        """Return what the channel calls the message, from its answer (parsed JSON, or text)."""
        return str(answer)

    def send(self, message: Message, content: Content) -> str:
        """See `Channel.send`."""
        return self._without_secrets(self.receipt(self.exchange(self.post(message, content))))[:SAID]

    def exchange(self, post: Post) -> Any:
        """Post, and return the answer (parsed JSON, or text); what is not taken is a `ChannelError`."""
        headers = {"Content-Type": self.content_type, "User-Agent": "stock-monitor", **post.headers}
        if not all(value.isascii() and value.isprintable() for value in headers.values()):
            raise ChannelError(
                "a header cannot be sent", where=self.name, allowed="a secret of printable ASCII characters"
            )
        try:
            _checked(self.name, post.url)
            response = within(ANSWER_SECONDS, partial(_posted, post, headers))
        except NoReplyError as error:
            raise ChannelError(f"no answer ({error.reason})", where=self.name) from None
        except urllib3.exceptions.HTTPError as error:
            said = self._without_secrets(reason_of(error) or type(error).__name__)[:SAID]
            raise ChannelError(f"no answer ({said})", where=self.name) from None
        answer = _read(response)
        is_success = 200 <= response.status < 300
        if is_success and not self.rejects(answer):
            return answer
        raise ChannelError(
            f"HTTP {response.status}: {self._said(response, answer)}",
            where=self.name,
            final=400 <= response.status < 500 and response.status not in PASSING,
            retry_after_ms=self.retry_after_ms(answer, response.headers),
        )

    def _said(self, response: urllib3.BaseHTTPResponse, answer: Any) -> str:
        """Return what an answer says, for people; of a redirect where it leads, which a person can set instead."""
        said = self._without_secrets(str(answer))[:SAID]
        if not 300 <= response.status < 400:
            return said
        host = _host(response.headers.get("Location", ""))
        return (
            f"it redirects to {self._without_secrets(host)[:SAID] or 'another path'}, which is not followed"
        )

    def server(self, usual: str) -> str:
        """Return the address of the vendor's server, without a slash at its end: the setting `url`, or `usual`."""
        return (self.setup.settings.get("url") or usual).rstrip("/")

    def retry_after_ms(self, answer: Any, headers: Mapping[str, str]) -> int:
        """Return how long the channel wants to be left alone; 0 where it does not say."""
        del answer
        return wait_ms(headers.get("Retry-After", ""), self.setup.clock())

    def _without_secrets(self, text: str) -> str:
        """Return a text without secrets, or parts of them; before it is cut, for a part would remain."""
        parts = {part for secret in self.setup.secrets.values() for part in _parts(secret)}
        for part in sorted(parts, key=len, reverse=True):
            text = text.replace(part, "***")
        return text


def _parts(secret: str) -> list[str]:
    """Return a secret as it may be written, and what makes an address secret: its path and query, the tokens in it.

    An answer may quote a token without the address that it is of, or write it with escapes.
    """
    try:
        parts = urlsplit(secret)
    except ValueError:
        parts = urlsplit("")  # no address
    values = [pair.partition("=")[2] for pair in parts.query.split("&")]
    plain = [value for _, value in parse_qsl(parts.query)]
    found = [part for part in (secret, quote(secret, safe=""), parts.path, parts.query) if len(part) > 1]
    # A word is as in /services/ and /webhooks/; what is longer, or has a capital, may be a token.
    tokens = [part for part in _BETWEEN.split(parts.path) if len(part) > 7 and not _WORD.fullmatch(part)]
    return [*found, *tokens, *(value for value in (*values, *plain) if len(value) > 3)]


def as_form(png: bytes, file_field: str, **texts: str) -> tuple[bytes, dict[str, str]]:
    """Return a form (RFC 7578) of texts and a picture, and the headers that say what it is."""
    fields: dict[str, Any] = {**texts, file_field: (PICTURE_NAME, png, "image/png")}
    boundary = f"stock-monitor-{hashlib.sha256(png).hexdigest()[:32]}"
    body, content_type = urllib3.encode_multipart_formdata(fields, boundary)
    return body, {"Content-Type": content_type}


def as_json(value: object) -> bytes:
    """Return a value as JSON."""
    return json.dumps(value, ensure_ascii=False).encode()


def utf16(text: str) -> int:
    """Return the length of a text in UTF-16 units: no vendor counts more for a character."""
    return len(text.encode("utf-16-le")) // 2


def utf8(text: str) -> int:
    """Return the length of a text in bytes of UTF-8."""
    return len(text.encode())


def cut(text: str, limit: int, size: Callable[[str], int] = utf16) -> str:
    """Return the start of a text; that it was cut is shown.

    Examples
    --------
    >>> cut("a long text", 7), cut("a text", 7)
    ('a long…', 'a text')
    """
    if size(text) <= limit:
        return text
    kept = text[: max(0, limit)]
    while kept and size(f"{kept}…") > limit:
        kept = kept[: -max(1, (size(kept) - limit) // 4)]
    return f"{kept.rstrip()}…" if kept else ""


def fitted(
    lines: Sequence[str],
    limit: int,
    size: Callable[[str], int] = utf16,
    write: Callable[[str], str] = str,
) -> str:
    r"""Return as many whole lines as a channel takes, and how many more there are.

    Parameters
    ----------
    write
        Escapes a line. What is cut is cut before: half an escape would be shown, or rejected.

    Examples
    --------
    >>> fitted(["one", "two", "a third and longer line"], 25)
    'one\ntwo\nand 1 more line'
    """
    for kept in range(len(lines), 0, -1):
        rest = len(lines) - kept
        more = [f"and {rest} more {'line' if rest == 1 else 'lines'}"] if rest else []
        text = "\n".join([*map(write, lines[:kept]), *more])
        if size(text) <= limit:
            return text
    longest = max(0, limit)
    while size(text := write(cut(lines[0], longest, size))) > limit and longest:
        longest = longest * 4 // 5
    return text


def field_of(answer: Any, *path: str) -> str:
    """Return a field of a JSON answer as text; "" where it is not there."""
    for name in path:
        answer = answer.get(name) if isinstance(answer, dict) else None
    return "" if answer is None else str(answer)


def _posted(
    post: Post, headers: Mapping[str, str], is_abandoned: threading.Event
) -> urllib3.BaseHTTPResponse:
    response = _pool(*urlsplit(post.url)[:2]).request(
        post.method,
        post.url,
        body=post.body,
        headers=headers,
        timeout=_TIMEOUT,
        redirect=False,
        preload_content=False,
    )
    if is_abandoned.is_set():
        response.close()
    return response


@cache
def _pool(scheme: str, server: str) -> urllib3.PoolManager:
    """Return the connections to a server, which are kept from one message to the next."""
    return pool_for(f"{scheme}://{server}")


def is_reachable(url: str) -> bool:
    """Return whether a link may lead anywhere for others: vendors reject links to hosts without a dot."""
    host = _host(url)
    return ("." in host or ":" in host) and not host.startswith("127.") and host != "::1"


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _checked(name: str, url: str) -> None:
    try:
        parts = urllib3.util.parse_url("" if re.search(r"\s", url) else url)
    except urllib3.exceptions.LocationParseError:
        parts = urllib3.util.parse_url("")
    if parts.auth is not None:
        raise ChannelError(
            "its address holds a login, which is not sent",
            where=name,
            allowed="an https:// address without one",
        )
    if not parts.host or (parts.scheme != "https" and (parts.scheme, parts.host) != ("http", "127.0.0.1")):
        raise ChannelError("its address is not acceptable", where=name, allowed="an https:// address")


def _read(response: urllib3.BaseHTTPResponse) -> Any:
    """Return the answer as far as it comes: the status says whether the message was taken."""
    deadline, found = time.monotonic() + READ_SECONDS, b""
    try:
        while len(found) < ANSWER_BYTES and time.monotonic() < deadline and (chunk := response.read1(4096)):
            found += chunk
    except urllib3.exceptions.HTTPError:
        found = b""
    finally:
        response.close()
    try:
        return json.loads(found)
    except (ValueError, RecursionError):
        return found.decode(errors="replace")


def wait_ms(text: str, now_ms: int) -> int:
    """Return how long a text asks to wait: seconds, or a date as in Retry-After; 0 where it is neither."""
    return round(1000 * (seconds_to_wait(text, now_ms) or 0))
