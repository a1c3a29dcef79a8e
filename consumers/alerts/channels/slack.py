"""Slack, by an incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from consumers.alerts.http_channel import HttpChannel, Post, as_json, cut, fitted
from consumers.alerts.model import Message
from consumers.alerts.rendering.texts import Content

HEADER, TEXT, BUTTON = 150, 3000, 75
"""Characters of the text of a header, of a section and of a button. A message has at most 50 blocks, one of buttons 25.

https://docs.slack.dev/reference/block-kit/blocks, https://docs.slack.dev/reference/block-kit/block-elements/button-element
"""
_ERROR = re.compile("[a-z]+(_[a-z]+)+")


class Slack(HttpChannel):
    """Posts blocks: a header, the lines, and buttons that lead to the page."""

    name: ClassVar[str] = "slack"
    secrets: ClassVar[dict[str, str]] = {"webhook_url": "the address of an incoming webhook"}
    characters: ClassVar[int] = TEXT

    def post(self, message: Message, content: Content) -> Post:
        """See `HttpChannel.post`."""
        del message
        blocks: list[dict[str, Any]] = [
            {"type": "header", "text": _plain(cut(content.title, HEADER))},
            {"type": "section", "text": _plain(fitted(content.lines, TEXT))},
        ]
        elements = [
            {
                "type": "button",
                "text": {"type": "plain_text", "text": cut(label, BUTTON)},
                "url": url,
                "action_id": f"button-{number}",
            }
            for number, (label, url) in enumerate(content.links)
        ]
        if elements:
            blocks.append({"type": "actions", "elements": elements})
        text = fitted([content.title], TEXT, write=_escaped)
        return Post(self.setup.secrets["webhook_url"], as_json({"text": text, "blocks": blocks}))

    def rejects(self, answer: Any) -> bool:
        """See `HttpChannel.rejects`: "ok" is success, another word such as invalid_payload is an error."""
        if isinstance(answer, dict):
            return answer.get("ok") is False
        is_error = isinstance(answer, str) and answer != "ok" and bool(_ERROR.fullmatch(answer))
        return is_error or super().rejects(answer)


def _plain(text: str) -> dict[str, Any]:
    """Return a text in which nothing is markup.

    https://docs.slack.dev/reference/block-kit/composition-objects/text-object
    """
    return {"type": "plain_text", "text": text, "emoji": False}


def _escaped(text: str) -> str:
    """Return a text of Slack's markup without its three control characters: nothing mentions or links."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
