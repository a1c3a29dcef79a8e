"""Links in messages by which a person acts without a sign-in: signed, for a day, each for one use. Pure.

A link leads to the page, with what it allows behind ``#do=``: a fragment is sent to no server, so what fetches
addresses ahead of people does nothing. The page says what the link would do, and posts it once a person agrees.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Annotated, Final, Literal, get_args

import msgspec

from consumers.alerts.model import HOUR_MS, Message
from producers.errors import MonitorError

Action = Literal["acknowledge", "silence", "useful", "noise"]
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
VALID_MS: Final = 24 * HOUR_MS
ACKNOWLEDGED_MS: Final = 4 * HOUR_MS
SILENCED_MS: Final = HOUR_MS
KEY_BYTES: Final = 32
TOKEN_CHARACTERS: Final = 1024


class LinkError(MonitorError):
    """A link allows nothing: it is not ours, it was changed, it expired, or it was used."""

    def __init__(self, what: str, allowed: str = "one that a message of the last day holds, whole") -> None:
        super().__init__(what, where="token", allowed=allowed)


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """What a link allows: one action on one incident.

    Attributes
    ----------
    message
        Id of the message that holds the link. A message's links of the same action are one, whatever the channel.
    channel
        Where it was sent, to say by whom something was done.
    until_s
        When it expires, epoch seconds UTC.
    """

    action: Action
    incident: Annotated[str, msgspec.Meta(max_length=256)]
    message: Annotated[str, msgspec.Meta(max_length=300)]
    channel: Annotated[str, msgspec.Meta(max_length=64)]
    until_s: int

    @property
    def use(self) -> str:
        """What is remembered once it was used."""
        return f"{self.action}#{self.message}"

    @property
    def by(self) -> str:
        """Who acts, as far as is known."""
        return f"a link sent to {self.channel}"


def grant(action: Action, message: Message, channel: str) -> Grant:
    """Return what a message's link allows."""
    assert message.incident is not None  # noqa: S101  only messages about incidents have links
    return Grant(action, message.incident.id, message.id, channel, (message.made_ms + VALID_MS) // 1000)


def sign(key: bytes, allowed: Grant) -> str:
    """Return the token of a grant.

    Examples
    --------
    >>> token = sign(b"k" * 32, Grant("acknowledge", "live-AAPL-1", "live-AAPL-1#1", "desk", 100))
    >>> verify(b"k" * 32, token, 99_999).incident
    'live-AAPL-1'
    """
    return _signed(key, msgspec.json.encode(allowed))


def verify(key: bytes, token: str, now_ms: int) -> Grant:
    """Return what a token allows at `now_ms` (epoch ms UTC).

    Raises
    ------
    LinkError
        It is not ours, or it expired.
    """
    try:
        given = token.encode()
        body = base64.urlsafe_b64decode(given.partition(b".")[0] + b"==")
    except ValueError as error:
        raise LinkError("the link is damaged") from error
    if not hmac.compare_digest(given, _signed(key, body).encode()):
        raise LinkError("the link is not of this monitor")
    try:
        found = msgspec.json.decode(body, type=Grant)
    except msgspec.MsgspecError as error:  # signed by another version
        raise LinkError("the link is of another version") from error
    if now_ms >= found.until_s * 1000:
        raise LinkError("the link has expired")
    return found


def _signed(key: bytes, body: bytes) -> str:
    signature = hmac.new(key, body, hashlib.sha256).digest()[:16]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (body, signature))
