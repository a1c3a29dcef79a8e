"""Push messages to a phone by ntfy: https://docs.ntfy.sh/publish/#publish-as-json."""

from __future__ import annotations

from typing import Any, ClassVar

from consumers.alerts.channels._http import HttpChannel, Post, as_json, cut, field_of, fitted, utf8
from consumers.alerts.model import Message
from consumers.alerts.rendering.texts import Content

_PRIORITIES = {"critical": 5, "high": 4, "medium": 3, "low": 2, "": 3}


class Ntfy(HttpChannel):
    """Publishes to a topic; whoever knows the topic's name can read it, so choose one that nobody guesses."""

    name: ClassVar[str] = "ntfy"
    settings: ClassVar[dict[str, str]] = {"url": "the address of a server of one's own"}
    optional: ClassVar[frozenset[str]] = frozenset({"url"})
    secrets: ClassVar[dict[str, str]] = {"topic": "the name of the topic"}
    characters: ClassVar[int] = (
        4096 // 4
    )  # the limit is 4,096 bytes: https://docs.ntfy.sh/publish/#limitations

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
        token = self.setup.secrets.get("token")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return Post(self.setup.settings.get("url", "https://ntfy.sh"), as_json(body), headers)

    def receipt(self, answer: Any) -> str:
        """See `HttpChannel.receipt`."""
        return field_of(answer, "id")
