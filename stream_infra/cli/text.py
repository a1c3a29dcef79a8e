"""Text for a terminal: nothing in it moves the cursor, and times say their zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_HARMLESS = {"\n", "\t"}


def printable(text: str) -> str:
    """Return `text` with control characters as escapes, so that data cannot command the terminal.

    Line feeds and tabs stay; bidirectional and other invisible format characters are escaped too.

    Examples
    --------
    >>> printable("AAPL\\x1b[2J")
    'AAPL\\\\x1b[2J'
    >>> printable("Zürich: 5 %")
    'Zürich: 5 %'
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in _HARMLESS
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )


def one_line(text: str) -> str:
    r"""Return `text` as `printable` does, with line feeds and tabs escaped too.

    Examples
    --------
    >>> one_line("a\nb")
    'a\\nb'
    """
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def clock(ms: int) -> str:
    """Return an epoch time in milliseconds as people read it, in UTC.

    Examples
    --------
    >>> clock(1_763_996_400_123)
    '2025-11-24 15:00:00Z'
    """
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"


def console(*, errors: bool = False) -> Console:
    """Return where text for people goes: standard output, or standard error; as wide as the terminal, else 80."""
    from rich.console import Console  # noqa: PLC0415  --help must not pay for it

    return Console(stderr=errors, highlight=False, markup=False, emoji=False)
