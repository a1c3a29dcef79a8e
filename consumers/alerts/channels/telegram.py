"""Telegram, by a bot: https://core.telegram.org/bots/api#sendmessage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from consumers.alerts.http_channel import (
    HttpChannel,
    Post,
    as_form,
    as_json,
    cut,
    field_of,
    fitted,
    is_reachable,
    wait_ms,
)
from consumers.alerts.model import Message
from consumers.alerts.rendering.texts import Content

CAPTION = 1024
"""Characters of a photo's caption "after entities parsing"."""


class Telegram(HttpChannel):
    """Sends plain text to a chat, so that nothing in it is markup."""

    name: ClassVar[str] = "telegram"
    settings: ClassVar[dict[str, str]] = {
        "chat_id": "the id of the chat, or @ and the name of a channel",
        "url": "the address of another Bot API server",
    }
    optional: ClassVar[frozenset[str]] = frozenset({"url"})
    secrets: ClassVar[dict[str, str]] = {"bot_token": "the token that BotFather gave"}
    characters: ClassVar[int] = 4096  # "after entities parsing"; there are none
    carries_pictures: ClassVar[bool] = True

    def post(self, message: Message, content: Content) -> Post:
        """See `HttpChannel.post`."""
        del message
        lines = [content.title, "", *content.lines]
        body: dict[str, Any] = {
            "chat_id": self.setup.settings["chat_id"],
            "text": fitted(lines, self.characters),
            "link_preview_options": {"is_disabled": True},
        }
        if content.links and is_reachable(content.link):  # else it rejects the message
            keyboard = [[{"text": label, "url": url}] for label, url in content.links]
            body["reply_markup"] = {"inline_keyboard": keyboard}
        return Post(self._method("sendMessage"), as_json(body))

    def add_picture(self, receipt: str, message: Message, content: Content, png: bytes) -> None:
        """See `Channel.add_picture`; the picture is a silent reply: https://core.telegram.org/bots/api#sendphoto."""
        del message
        reply = {"message_id": int(receipt), "allow_sending_without_reply": True}
        body, headers = as_form(
            png,
            "photo",
            chat_id=self.setup.settings["chat_id"],
            caption=cut(content.title, CAPTION),
            disable_notification="true",
            reply_parameters=json.dumps(reply),
        )
        self.exchange(Post(self._method("sendPhoto"), body, headers))

    def _method(self, name: str) -> str:
        return f"{self.server('https://api.telegram.org')}/bot{self.setup.secrets['bot_token']}/{name}"

    def receipt(self, answer: Any) -> str:
        """See `HttpChannel.receipt`."""
        return field_of(answer, "result", "message_id")

    def rejects(self, answer: Any) -> bool:
        """See `HttpChannel.rejects`: https://core.telegram.org/bots/api#making-requests."""
        return field_of(answer, "ok") == "False" or super().rejects(answer)

    def retry_after_ms(self, answer: Any, headers: Mapping[str, str]) -> int:
        """See `HttpChannel.retry_after_ms`: https://core.telegram.org/bots/api#responseparameters."""
        said = field_of(answer, "parameters", "retry_after")
        return wait_ms(said, self.setup.clock()) or super().retry_after_ms(answer, headers)
