"""Slack, by an incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks."""

from __future__ import annotations

from typing import Any, ClassVar

from consumers.alerts.channels._http import HttpChannel, Post, as_json, cut
from consumers.alerts.model import Message
from consumers.alerts.rendering.texts import Content

HEADER, TEXT = 150, 3000
"""Characters of a header block's text, and of a section's (Block Kit reference)."""


class Slack(HttpChannel):
    """Posts blocks: a header, the lines, and a button to the page."""

    name: ClassVar[str] = "slack"
    secrets: ClassVar[dict[str, str]] = {"webhook_url": "the address of an incoming webhook"}
    characters: ClassVar[int] = TEXT

    def post(self, message: Message, content: Content) -> Post:
        """See `HttpChannel.post`."""
        del message
        title = {"type": "plain_text", "text": cut(content.title, HEADER), "emoji": False}
        lines = cut("\n".join(map(_escaped, content.lines)), TEXT)
        blocks: list[dict[str, Any]] = [
            {"type": "header", "text": title},
            {"type": "section", "text": {"type": "mrkdwn", "text": lines, "verbatim": True}},
        ]
        if content.link:
            see = {"type": "plain_text", "text": "See it"}
            button = {"type": "button", "text": see, "url": content.link, "action_id": "see"}
            blocks.append({"type": "actions", "elements": [button]})
        return Post(
            self.setup.secrets["webhook_url"], as_json({"text": _escaped(content.title), "blocks": blocks})
        )


def _escaped(text: str) -> str:
    """Return text without Slack's three control characters (so that nothing mentions or links)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
