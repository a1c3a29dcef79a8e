"""The one tree of errors: whatever this product raises on purpose derives from `MonitorError`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class MonitorError(Exception):
    """Base of all errors of the monitor; catch it to catch them all.

    Parameters
    ----------
    what
        What is wrong, as a clause without a full stop: ``"unknown source 'alpca'"``.
    where
        Where it is wrong: a file and line, a setting, a record. Comes first in the text.
    allowed
        What would be right, for a sentence of the form ``"… must be {allowed}"``.

    Examples
    --------
    >>> str(MonitorError("unknown source 'alpca'", where="[local] source", allowed="one of alpaca, yahoo"))
    "[local] source: unknown source 'alpca'; must be one of alpaca, yahoo"
    """

    def __init__(self, what: str = "", *, where: str = "", allowed: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.allowed = allowed

    def __str__(self) -> str:
        """Return the whole sentence: where, what, and what is allowed."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}; must be {self.allowed}" if self.allowed else text


def first_repeated(pairs: list[tuple[str, Any]]) -> str | None:
    """Return the first name that stands twice in an object of JSON, of which `json` gives its pairs to a hook."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return name
        seen.add(name)
    return None


def named_twice(text: str) -> str | None:
    """Return the first name that stands twice in an object of a JSON text, of which a reader would drop one.

    None too for what is no JSON: whoever reads it says that.

    >>> named_twice('{"a": 1, "b": {"c": 2, "c": 3}}')
    'c'
    """
    twice: list[str] = []

    def collect(pairs: list[tuple[str, object]]) -> None:
        if (name := first_repeated(pairs)) is not None:
            twice.append(name)

    try:
        json.loads(text, object_pairs_hook=collect)
    except (ValueError, RecursionError):
        return None
    return next(iter(twice), None)


def shortened(text: str, longest: int) -> str:
    """Return a text as an error quotes it: of a longer one the beginning, and three dots.

    Examples
    --------
    >>> shortened("a long answer", 9), shortened("short", 9)
    ('a long...', 'short')
    """
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def shown(value: object) -> str:
    """Return a bad value as an error quotes it: as JSON, and never long."""
    return shortened(json.dumps(value, default=str), 80)


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return a suggestion for a misspelt name, to be put behind it; empty if none of `known` is close.

    Examples
    --------
    >>> did_you_mean("Alpca", ["alpaca", "yahoo"])
    " (did you mean 'alpaca'?)"
    """
    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(given.lower(), by_lower, n=1)
    return f" (did you mean {by_lower[close[0]]!r}?)" if close else ""


class ArgumentError(MonitorError, ValueError):
    """A function was called with an argument that it cannot take; names the argument and what it must be."""
