"""Microsoft Teams, by a workflow that posts what a webhook gets.

https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

from __future__ import annotations

from typing import Any, ClassVar

from consumers.alerts.channels._http import HttpChannel, Post, as_json, cut
from consumers.alerts.model import Message
from consumers.alerts.rendering.texts import Content

_STYLES = {"critical": "attention", "high": "warning"}


class Teams(HttpChannel):
    """Posts an adaptive card."""

    name: ClassVar[str] = "teams"
    secrets: ClassVar[dict[str, str]] = {"webhook_url": "the address of the workflow"}
    characters: ClassVar[int] = 5000  # of 28 KB for the whole card, in UTF-16 and escaped

    def post(self, message: Message, content: Content) -> Post:
        """See `HttpChannel.post`."""
        del message
        title = {
            "type": "TextBlock",
            "text": content.title,
            "size": "large",
            "weight": "bolder",
            "wrap": True,
        }
        lines = {"type": "TextBlock", "text": cut("\n\n".join(content.lines), self.characters), "wrap": True}
        style = _STYLES.get(content.severity, "default")
        card: dict[str, Any] = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": [{"type": "Container", "style": style, "items": [title]}, lines],
        }
        if content.link:
            card["actions"] = [{"type": "Action.OpenUrl", "title": "See it", "url": content.link}]
        attachment = {
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": None,
            "content": card,
        }
        return Post(
            self.setup.secrets["webhook_url"], as_json({"type": "message", "attachments": [attachment]})
        )
