"""The page of the outbox: each message as its subscriber would have got it, newest first, by channel. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from urllib.parse import urlencode

from localstack.outbox import OutboxMessage

PER_PAGE = 20
CHANNELS = {"": "All", "email": "Email", "sms": "SMS"}
STYLE = """
:root{color-scheme:light dark;--line:color-mix(in srgb,currentColor 22%,transparent);
--soft:color-mix(in srgb,currentColor 78%,Canvas)}
body{font:15px/1.5 system-ui,sans-serif;max-width:46rem;margin:0 auto;padding:1rem}
h1{font-size:1.25rem;margin:0}nav{display:flex;flex-wrap:wrap;gap:.5rem;margin:.75rem 0}
nav a{padding:.25rem .75rem;border:1px solid var(--line);border-radius:99px;color:inherit;text-decoration:none}
nav a[aria-current]{border-color:currentColor;font-weight:650}
header.page{display:flex;flex-wrap:wrap;gap:0 1rem;align-items:baseline;justify-content:space-between}
p.note,article header{color:var(--soft);font-size:.85rem;margin:0}
article{border:1px solid var(--line);border-radius:.6rem;padding:.6rem .9rem;margin:.6rem 0}
article.sms{max-width:22rem;border-radius:1rem 1rem 1rem .2rem}
h2{font-size:1rem;margin:.15rem 0 .35rem;overflow-wrap:anywhere}
.text{white-space:pre-wrap;overflow-wrap:anywhere;margin:0}
"""
SCRIPT = """
const note = document.querySelector("#new");
const last = Number(document.body.dataset.last);
setInterval(async () => {
  if (document.hidden) return;
  const answer = await fetch(`outbox.json?after=${last}`).then((each) => each.json(), () => null);
  const count = answer?.messages.length ?? 0;
  note.hidden = !count;
  note.textContent = `${count} new: show`;
}, 5000);
"""
"""Says how many came since: a page that reloaded by itself would lose what somebody reads."""
_LINK = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:)]")


def html(messages: Sequence[OutboxMessage], channel: str, page: int) -> str:
    """Return a page, from 1, of the messages of a channel ("" for all), of which the last is the newest."""
    of_channel = [one for one in reversed(messages) if channel in {"", one.protocol}]
    pages = max(1, -(-len(of_channel) // PER_PAGE))
    at = min(page, pages)
    shown = "".join(map(_article, of_channel[(at - 1) * PER_PAGE : at * PER_PAGE]))
    tabs = "".join(
        f'<a href="{_href(name, 1)}"{_current(name == channel)}>{words}'
        f" {sum(name in {'', one.protocol} for one in messages):,}</a>"
        for name, words in CHANNELS.items()
    )
    older = f'<a href="{_href(channel, at + 1)}" rel="next">Older</a>' if at < pages else ""
    newer = f'<a href="{_href(channel, at - 1)}" rel="prev">Newer</a>' if at > 1 else ""
    where = f'<nav aria-label="Pages">{newer}{older}</nav><p class="note">Page {at:,} of {pages:,}</p>'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width, initial-scale=1"><title>Outbox</title>'
        '<link rel="icon" href="/favicon.svg"><link rel="stylesheet" href="/outbox.css">'
        '<script type="module" src="/outbox.js"></script></head>'
        f'<body data-last="{len(messages)}"><main><header class="page"><h1>Outbox</h1>'
        '<a href="/">Back to the page</a></header>'
        '<p class="note">Emails and SMS that SNS would have sent. On this machine nothing leaves.</p>'
        f'<nav aria-label="Channels">{tabs}<a id="new" href="{_href(channel, 1)}" hidden></a></nav>'
        f"{shown or '<p>Nothing was sent yet.</p>'}{where if pages > 1 else ''}</main></body></html>"
    )


def _href(channel: str, page: int) -> str:
    return escape(
        f"/outbox?{urlencode({'channel': channel, 'page': page})}" if channel else f"/outbox?page={page}"
    )


def _current(is_current: bool) -> str:
    return ' aria-current="page"' if is_current else ""


def _article(message: OutboxMessage) -> str:
    subject = f"<h2>{escape(message.subject)}</h2>" if message.subject else ""
    sent = datetime.fromisoformat(message.sent_at).astimezone(UTC)
    when = f'<time datetime="{escape(message.sent_at)}">{sent:%a %d %b, %H:%M:%S} UTC</time>'
    head = f"{escape(CHANNELS.get(message.protocol, message.protocol))} to {escape(message.to)}, {when}"
    return (
        f'<article class="{escape(message.protocol)}"><header>{head}</header>{subject}'
        f'<p class="text">{linked(message.body)}</p></article>'
    )


def linked(text: str) -> str:
    """Return text as HTML, with its addresses as links.

    Examples
    --------
    >>> linked("See <it>: https://m.example/?a=1&b=2.")
    'See &lt;it&gt;: <a href="https://m.example/?a=1&amp;b=2">https://m.example/?a=1&amp;b=2</a>.'
    """
    parts, at = [], 0
    for found in _LINK.finditer(text):
        url = escape(found[0])
        parts += [escape(text[at : found.start()]), f'<a href="{url}">{url}</a>']
        at = found.end()
    return "".join([*parts, escape(text[at:])])
