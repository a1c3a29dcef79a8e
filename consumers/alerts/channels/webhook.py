"""Any program: JSON, signed with HMAC-SHA256 over a timestamp and the body."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import asdict
from typing import Any, ClassVar

from consumers.alerts.channels import ChannelError, Setup
from consumers.alerts.http_channel import HttpChannel, Post, as_json, field_of
from consumers.alerts.model import Message
from consumers.alerts.rendering.texts import Content
from consumers.contracts.anomaly import iso_ms

KEY_CHARACTERS = 16
SIGNATURE = "X-Stock-Monitor-Signature"


class Webhook(HttpChannel):
    """Posts to an address. The receiver acknowledges with any 2xx, and tells repetitions by `id`."""

    name: ClassVar[str] = "webhook"
    settings: ClassVar[dict[str, str]] = {"url": "an https:// address"}
    secrets: ClassVar[dict[str, str]] = {
        "signing_key": f"a text of at least {KEY_CHARACTERS} characters that both sides know"
    }
    characters: ClassVar[int] = 256 * 1024

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        if len(setup.secrets["signing_key"]) < KEY_CHARACTERS:
            raise ChannelError(
                "its secret signing_key is too short", where=self.name, allowed=self.secrets["signing_key"]
            )

    def post(self, message: Message, content: Content) -> Post:
        """See `HttpChannel.post`."""
        body = as_json(_payload(message, content))
        seconds = self.setup.clock() // 1000
        signature = sign(self.setup.secrets["signing_key"], seconds, body)
        return Post(self.setup.settings["url"], body, {SIGNATURE: signature, "Idempotency-Key": message.id})

    def rejects(self, answer: Any) -> bool:
        """See `HttpChannel.rejects`: what a receiver says beside its status is its own affair."""
        del answer
        return False

    def receipt(self, answer: Any) -> str:
        """See `HttpChannel.receipt`."""
        return field_of(answer, "id") or "2xx"


def sign(key: str, seconds: int, body: bytes) -> str:
    """Return the signature of a body sent at a time (epoch seconds).

    Examples
    --------
    >>> sign("key", 1, b"{}")[:30]
    't=1,v1=1ba6b8171186efc613e8bcc'
    """
    digest = hmac.new(key.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def _payload(message: Message, content: Content) -> dict[str, Any]:
    incident = message.incident
    about = {
        "id": message.id,
        "kind": message.kind,
        "made_at": iso_ms(message.made_ms),
        "title": content.title,
        "lines": list(content.lines),
        "link": content.link or None,
        "buttons": [{"label": button.label, "url": button.url} for button in content.buttons],
    }
    if incident is None:
        return {**about, "incident": None}
    return {
        **about,
        "incident": {
            "id": incident.id,
            "origin": incident.origin,
            "subject": incident.subject,
            "severity": incident.severity,
            "state": incident.state(message.made_ms),
            "anomaly_count": incident.anomalies,
            "anomalies": [one.id for one in incident.samples],
            "tickers": [move.row() for move in incident.tickers],
            "context": incident.context and asdict(incident.context),
        },
    }
