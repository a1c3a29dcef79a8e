"""What a change of a published contract means for those who read it, and which version it needs."""

from __future__ import annotations

from enum import IntEnum

Json = object
Path = tuple[str, ...]

_WORDING = {"description", "title", "summary"}
_NAMING = {"properties", "$defs", "enum", "schemas", "messages", "channels", "operations", "servers"}
_VERSIONS = {("$id",), ("info", "version")}


class Change(IntEnum):
    """How far a contract moved: the place in major.minor.patch that has to grow, from the right."""

    NONE = 0
    WORDING = 1
    ADDITION = 2
    BREAKING = 3


def leaves(value: Json, path: Path = ()) -> dict[Path, object]:
    """Every value by where it stands; members of lists by what they are, objects by their place."""
    parts: list[tuple[str, Json]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = [(f"[{index if isinstance(one, dict) else one}]", one) for index, one in enumerate(value)]
    if parts:
        return {where: what for name, one in parts for where, what in leaves(one, (*path, name)).items()}
    return {path: value}


def change(old: Json, new: Json, *, is_input: bool) -> Change:
    """The farthest move of any value. `is_input`: others write it, so that one more requirement breaks them."""
    before, after = leaves(old), leaves(new)
    moves = [
        _move(path, before, after, is_input)
        for path in before.keys() | after.keys()
        if path not in _VERSIONS and before.get(path, _ABSENT) != after.get(path, _ABSENT)
    ]
    return max(moves, default=Change.NONE)


_ABSENT = object()


def _move(path: Path, before: dict[Path, object], after: dict[Path, object], is_input: bool) -> Change:
    if path[-1] in _WORDING and (len(path) < 2 or path[-2] not in _NAMING):
        return Change.WORDING
    if path not in after:
        is_relaxed = is_input and "required" in path
        return Change.ADDITION if is_relaxed else Change.BREAKING
    if path in before or (is_input and not _is_new_name(path, before)):
        return Change.BREAKING
    return Change.ADDITION


def _is_new_name(path: Path, before: dict[Path, object]) -> bool:
    """Whether it belongs to a property, a definition or a value that was not there at all."""
    for index, part in enumerate(path[:-1]):
        if part in _NAMING:
            prefix = path[: index + 2]
            if not any(known[: len(prefix)] == prefix for known in before):
                return True
    return False


def grown(old: str, new: str) -> Change:
    """The place in which `new` is a higher version than `old`; NONE if it is none."""
    before, after = ([int(part) for part in version.split(".")] for version in (old, new))
    for place, (was, now) in zip(
        (Change.BREAKING, Change.ADDITION, Change.WORDING), zip(before, after, strict=True), strict=True
    ):
        if now != was:
            return place if now > was else Change.NONE
    return Change.NONE
