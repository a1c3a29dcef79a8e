"""Discord, by a webhook: https://docs.discord.com/developers/resources/webhook#execute-webhook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from consumers.alerts.channels._http import HttpChannel, Post, as_json, cut, field_of
from consumers.alerts.model import Message
from consumers.alerts.rendering.texts import Content

TITLE, DESCRIPTION = 256, 4096
"""Characters of an embed's title and description (Embed Limits)."""
_COLOURS = {"low": 0x8A8D91, "medium": 0xC98A00, "high": 0xD9480F, "critical": 0xC2255C, "": 0x3B5B92}


class Discord(HttpChannel):
    """Posts an embed, and mentions nobody."""

    name: ClassVar[str] = "discord"
    secrets: ClassVar[dict[str, str]] = {"webhook_url": "the address of a webhook"}
    characters: ClassVar[int] = DESCRIPTION

    def post(self, message: Message, content: Content) -> Post:
        """See `HttpChannel.post`."""
        del message
        embed: dict[str, Any] = {
            "title": cut(content.title, TITLE),
            "description": cut("\n".join(content.lines), DESCRIPTION),
            "color": _COLOURS[content.severity],
        }
        if content.link:
            embed["url"] = content.link
        body = {"embeds": [embed], "allowed_mentions": {"parse": []}}
        return Post(f"{self.setup.secrets['webhook_url']}?wait=true", as_json(body))

    def receipt(self, answer: Any) -> str:
        """See `HttpChannel.receipt`."""
        return field_of(answer, "id")

    def retry_after_ms(self, answer: Any, headers: Mapping[str, str]) -> int:
        """See `HttpChannel.retry_after_ms`; the answer has fractions of a second that the header rounds."""
        try:
            return round(float(field_of(answer, "retry_after")) * 1000)
        except (ValueError, OverflowError):
            return super().retry_after_ms(answer, headers)
