"""Microsoft Teams, by a workflow that posts what a webhook gets.

https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from consumers.alerts.http_channel import HttpChannel, Post, as_json, cut, utf16
from consumers.alerts.model import Message
from consumers.alerts.rendering.texts import Content

CARD = 28 * 1024
"""Bytes of a message, at two a character.

https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
"""
TITLE = 1000
_FAILED = "returned HTTP error"
_STYLES = {"critical": "attention", "high": "warning"}
_LARGE = {"size": "large", "weight": "bolder"}


class Teams(HttpChannel):
    """Posts an adaptive card."""

    name: ClassVar[str] = "teams"
    secrets: ClassVar[dict[str, str]] = {"webhook_url": "the address of the workflow"}
    characters: ClassVar[int] = CARD // 2

    def post(self, message: Message, content: Content) -> Post:
        """See `HttpChannel.post`."""
        del message
        body = b""
        for kept in range(len(content.lines), -1, -1):
            rest = len(content.lines) - kept
            more = [f"and {rest} more lines"] if rest else []
            body = as_json(_card(content, [*content.lines[:kept], *more]))
            if 2 * utf16(body.decode()) <= CARD:
                break
        return Post(self.setup.secrets["webhook_url"], body)

    def rejects(self, answer: Any) -> bool:
        """See `HttpChannel.rejects`; errors come with status 200, too.

        https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
        """
        return super().rejects(answer) or (isinstance(answer, str) and _FAILED in answer)


def _card(content: Content, lines: Sequence[str]) -> dict[str, Any]:
    style = _STYLES.get(content.severity, "default")
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {"type": "Container", "style": style, "items": [_text(cut(content.title, TITLE), **_LARGE)]},
            *map(_text, lines),
        ],
    }
    if content.links:
        card["actions"] = [
            {"type": "Action.OpenUrl", "title": label, "url": url} for label, url in content.links
        ]
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return {"type": "message", "attachments": [attachment]}


def _text(text: str, **style: str) -> dict[str, Any]:
    """Return a text in which nothing is markup: a TextBlock has Markdown, a TextRun none."""
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}
