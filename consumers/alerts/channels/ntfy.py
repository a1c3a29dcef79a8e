"""Push messages to a phone by ntfy: https://docs.ntfy.sh/publish/#publish-as-json."""

from __future__ import annotations

from email.header import Header
from typing import Any, ClassVar
from urllib.parse import quote

from consumers.alerts.http_channel import (
    PICTURE_NAME,
    HttpChannel,
    Post,
    as_json,
    cut,
    field_of,
    fitted,
    utf8,
)
from consumers.alerts.model import Message
from consumers.alerts.rendering.texts import Content

_PRIORITIES = {"critical": 5, "high": 4, "medium": 3, "low": 2, "": 3}


class Ntfy(HttpChannel):
    """Publishes to a topic; whoever knows the topic's name can read it, so choose one that nobody guesses."""

    name: ClassVar[str] = "ntfy"
    settings: ClassVar[dict[str, str]] = {"url": "the address of a server of one's own"}
    optional: ClassVar[frozenset[str]] = frozenset({"url", "token"})
    secrets: ClassVar[dict[str, str]] = {
        "topic": "the name of the topic",
        "token": "an access token, where the topic needs one",
    }
    characters: ClassVar[int] = (
        4096 // 4
    )  # the limit is 4,096 bytes: https://docs.ntfy.sh/publish/#limitations
    carries_pictures: ClassVar[bool] = True

    def post(self, message: Message, content: Content) -> Post:
        """See `HttpChannel.post`."""
        body: dict[str, Any] = {
            "topic": self.setup.secrets["topic"],
            "title": cut(content.title, 250),
            "message": fitted(content.lines, 4 * self.characters, utf8),
            "priority": 3 if message.kind == "resolved" else _PRIORITIES[content.severity],
        }
        if content.link:
            body["click"] = content.link
        if content.buttons:  # three at most: https://docs.ntfy.sh/publish/#action-buttons
            body["actions"] = [
                {"action": "view", "label": button.label, "url": button.url} for button in content.buttons[:3]
            ]
        return Post(self._server, as_json(body), self._authorization)

    def add_picture(self, receipt: str, message: Message, content: Content, png: bytes) -> None:
        """See `Channel.add_picture`; the picture is a message of its own, of the least priority.

        https://docs.ntfy.sh/publish/#attach-local-file; headers other than ASCII are written as RFC 2047 says.
        """
        del receipt, message
        headers = {
            "Title": Header(cut(content.title, 250), "utf-8", maxlinelen=2_000).encode(),
            "Filename": PICTURE_NAME,
            "Priority": "1",
            "Content-Type": "image/png",
            **({"Click": content.link} if content.link.isascii() and content.link else {}),
            **self._authorization,
        }
        self.exchange(
            Post(f"{self._server}/{quote(self.setup.secrets['topic'], safe='')}", png, headers, "PUT")
        )

    @property
    def _server(self) -> str:
        return self.server("https://ntfy.sh")

    @property
    def _authorization(self) -> dict[str, str]:
        token = self.setup.secrets.get("token")
        return {"Authorization": f"Bearer {token}"} if token else {}

    def receipt(self, answer: Any) -> str:
        """See `HttpChannel.receipt`."""
        return field_of(answer, "id")
