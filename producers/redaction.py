"""Takes the keys of a source out of what it says, before that is logged, shown or stored."""

from __future__ import annotations

from collections.abc import Iterable

SHOWN = 160
_SECRETS: dict[str, frozenset[str]] = {}
"""Values of the keys of each source that was made in this process."""


def keep_secret(source: str, values: Iterable[str]) -> None:
    """Take these values out of what the source says from now on."""
    _SECRETS[source] = frozenset(filter(None, values))


def shows_key(source: str, text: str) -> bool:
    """Return whether a text holds a key of the source."""
    return any(secret in text for secret in _SECRETS.get(source, ()))


def redacted(source: str, text: str) -> str:
    """Return what a source said without its keys, then shortened."""
    for secret in _SECRETS.get(source, ()):
        text = text.replace(secret, "***")
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
