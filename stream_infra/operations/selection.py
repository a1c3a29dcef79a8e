"""How a person names things of a list: by the beginning of their ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from stream_infra.operations.errors import InputError

T = TypeVar("T")


def chosen(items: Sequence[T], ids: Sequence[str], id_of: Callable[[T], str], where: str) -> list[T]:
    """Return the items whose ids begin with `ids`, each once; all of them if `ids` is empty.

    Raises
    ------
    InputError
        An id is nobody's, or that of several.

    Examples
    --------
    >>> chosen(["ab1", "cd2"], ["c"], str, "the queue")
    ['cd2']
    """
    found: dict[str, T] = {}
    for wanted in ids:
        fitting = [item for item in items if id_of(item).startswith(wanted)]
        if len(fitting) != 1:
            what = (
                f"no entry of {where}" if not fitting else f"the beginning of {len(fitting)} ids of {where}"
            )
            raise InputError(f"{wanted!r} is {what}", allowed="an id as `list` shows it")
        found[id_of(fitting[0])] = fitting[0]
    return list(found.values()) if ids else list(items)
