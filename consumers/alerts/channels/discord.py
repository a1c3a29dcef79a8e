"""Discord, by a webhook: https://docs.discord.com/developers/resources/webhook#execute-webhook."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

from consumers.alerts.http_channel import (
    PICTURE_NAME,
    HttpChannel,
    Post,
    as_form,
    as_json,
    field_of,
    fitted,
    is_reachable,
    utf16,
    wait_ms,
)
from consumers.alerts.model import Message
from consumers.alerts.rendering.texts import Content

TITLE, DESCRIPTION, DESCRIBED = 256, 4096, 1024
"""Characters of an embed's title and description, and of what describes a file.

6,000 is the limit of all embeds of a message together:
https://docs.discord.com/developers/resources/message#embed-object-embed-limits
"""
_MARKUP = re.compile(r"([\\*_~`|<>\[\]#])")
"""What begins markup: https://support.discord.com/hc/en-us/articles/210298617"""
_COLOURS = {"low": 0x8A8D91, "medium": 0xC98A00, "high": 0xD9480F, "critical": 0xC2255C, "": 0x3B5B92}


class Discord(HttpChannel):
    """Posts an embed, and mentions nobody."""

    name: ClassVar[str] = "discord"
    secrets: ClassVar[dict[str, str]] = {"webhook_url": "the address of a webhook"}
    characters: ClassVar[int] = DESCRIPTION
    carries_pictures: ClassVar[bool] = True

    def post(self, message: Message, content: Content) -> Post:
        """See `HttpChannel.post`."""
        del message
        body = {"embeds": [_embed(content)], "allowed_mentions": {"parse": []}}
        return Post(self._hook("", "wait=true"), as_json(body))

    def add_picture(self, receipt: str, message: Message, content: Content, png: bytes) -> None:
        """See `Channel.add_picture`; the message is edited, which notifies nobody.

        https://docs.discord.com/developers/resources/webhook#edit-webhook-message, with the file as
        https://docs.discord.com/developers/reference#uploading-files says.
        """
        del message
        embed = {**_embed(content), "image": {"url": f"attachment://{PICTURE_NAME}"}}
        attachment = {"id": 0, "filename": PICTURE_NAME, "description": content.title[:DESCRIBED]}
        payload = {"embeds": [embed], "attachments": [attachment], "allowed_mentions": {"parse": []}}
        body, headers = as_form(png, "files[0]", payload_json=json.dumps(payload, ensure_ascii=False))
        self.exchange(Post(self._hook(f"/messages/{receipt}"), body, headers, "PATCH"))

    def _hook(self, path: str, query: str = "") -> str:
        """Return the webhook's address with more behind it; its own query names a thread of its channel."""
        hook = urlsplit(self.setup.secrets["webhook_url"])
        queries = "&".join(filter(None, (hook.query, query)))
        return urlunsplit(hook._replace(path=f"{hook.path.rstrip('/')}{path}", query=queries))

    def receipt(self, answer: Any) -> str:
        """See `HttpChannel.receipt`."""
        return field_of(answer, "id")

    def retry_after_ms(self, answer: Any, headers: Mapping[str, str]) -> int:
        """See `HttpChannel.retry_after_ms`; the answer has fractions of a second that the header rounds."""
        said = field_of(answer, "retry_after")
        return wait_ms(said, self.setup.clock()) or super().retry_after_ms(answer, headers)


def _embed(content: Content) -> dict[str, Any]:
    buttons = ""
    for button in content.buttons:
        longer = f"{buttons} · [{_escaped(button.label)}]({button.url})".removeprefix(" · ")
        if utf16(longer) <= DESCRIPTION // 2:  # the text comes first
            buttons = longer
    room = DESCRIPTION - utf16(buttons) - 2
    lines = fitted(content.lines, room, write=_escaped)
    embed: dict[str, Any] = {
        "title": fitted([content.title], TITLE, write=_escaped),
        "description": f"{lines}\n\n{buttons}" if buttons else lines,
        "color": _COLOURS[content.severity],
    }
    if is_reachable(content.link):  # else it rejects the message
        embed["url"] = content.link
    return embed


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text)
