"""Checks of declarations: whether what a detector or a source says of itself is whole, and may be so."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from inspect import signature
from math import inf
from types import UnionType
from typing import Any, TypeGuard

from producers.errors import MonitorError

Check = tuple[str, object, str, bool]
"""A part's name, its value, what it must be, and whether it is."""


def check(checks: Iterable[Check], error: type[MonitorError], where: str) -> None:
    """Raise an error of the given type for the first part that is not what it must be."""
    for name, value, allowed, is_allowed in checks:
        if not is_allowed:
            raise error(f"{name} is {value!r}", where=where, allowed=allowed)


def is_text(value: object) -> TypeGuard[str]:
    """Return whether it is a text that says something."""
    return isinstance(value, str) and bool(value.strip())


def is_count(value: object) -> TypeGuard[int]:
    """Return whether it is a whole number from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_positive(value: object) -> TypeGuard[float]:
    """Return whether it is a finite number above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < inf


def is_list(value: object, kind: type | UnionType) -> TypeGuard[tuple[Any, ...]]:
    """Return whether it is a tuple, or a list, of things of one kind; True and False are no numbers."""
    return isinstance(value, tuple | list) and all(
        isinstance(item, kind) and not isinstance(item, bool) for item in value
    )


def are_some(value: object, known: Collection[str]) -> bool:
    """Return whether it is a tuple, or a list, of names that are known, each at most once."""
    return is_list(value, str) and set(value) <= set(known) and len(set(value)) == len(value)


def takes(function: object, count: int) -> bool:
    """Return whether it can be called with so many arguments by position."""
    if not callable(function):
        return False
    try:
        signature(function).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True
