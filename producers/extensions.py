"""Where sources, detectors and channels are declared: a file each, or an entry point of an installed package."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from importlib import import_module, metadata
from pkgutil import iter_modules
from types import ModuleType
from typing import Generic, NamedTuple, TypeVar

PACKAGE = "package "
"""What the place of an entry point begins with, before the name of its distribution."""
_Spec = TypeVar("_Spec")


class Declaration(NamedTuple):
    """A declaration, unread: the likely name of what it declares, how to call its place, and how to load it."""

    name: str
    place: str
    load: Callable[[], object]


class Found(NamedTuple, Generic[_Spec]):
    """What a place declares; `spec` is None where it cannot be used, and `problem` then says why, in words."""

    name: str
    place: str
    spec: _Spec | None
    problem: str = ""


def declarations(
    package: str, group: str, declared: Callable[[ModuleType], object], name: str | None = None
) -> Iterator[Declaration]:
    """Yield declarations: of the modules of a package here, then of the entry points of a group by name.

    Parameters
    ----------
    declared
        Returns what a module declares.
    name
        Leave out those whose name says that they declare another one.
    """
    for module in iter_modules(import_module(package).__path__):
        if not module.ispkg and name in (None, module.name):
            load = partial(_loaded, f"{package}.{module.name}", declared)
            yield Declaration(module.name, f"{package.replace('.', '/')}/{module.name}.py", load)
    for point in sorted(entry_points(group), key=lambda point: point.name):
        if name in (None, point.name):
            yield Declaration(
                point.name, f"{PACKAGE}{point.dist.name if point.dist else point.value}", point.load
            )


def _loaded(module: str, declared: Callable[[ModuleType], object]) -> object:
    return declared(import_module(module))


def without_twins(found: Iterable[Found[_Spec]]) -> list[Found[_Spec]]:
    """Make one of what is declared twice, which cannot be used: which of the two is meant nobody can know."""
    by_name: dict[str, list[Found[_Spec]]] = {}
    for each in found:
        by_name.setdefault(each.name, []).append(each)
    result: list[Found[_Spec]] = []
    for name, declared in by_name.items():
        if len(declared) == 1:
            result += declared
            continue
        listed = " and by ".join(each.place for each in declared)
        result.append(Found(name, listed, None, f"is declared twice: by {listed}"))
    return result


def unusable(found: Iterable[Found[_Spec]]) -> str:
    """Return what an error says, at its end, of those that cannot be used; an empty text if all can."""
    broken = [f"{each.name} ({each.problem})" for each in found if each.spec is None]
    return f"; these cannot be used: {', '.join(broken)}" if broken else ""


def entry_points(group: str) -> metadata.EntryPoints:
    """Return the entry points of a group.

    The metadata of all packages are read once for all groups, as that takes 25 ms; again only where the import path is
    another one.
    """
    return _read(tuple(sys.path)).select(group=group)


@cache
def _read(path: tuple[str, ...]) -> metadata.SelectableGroups:
    del path  # what is found depends on it
    return metadata.entry_points()
