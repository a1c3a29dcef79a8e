"""Where quotes come from: one file a source, found by its name.

Every file in this folder declares one source by a constant ``SOURCE`` (a `producers.source.SourceSpec`). A
package of its own adds one by an entry point in the group ``stock_monitor.sources`` whose value is such a
constant. Nothing else lists them. docs/extending.md builds one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from producers.errors import shortened
from producers.extensions import (
    PACKAGE,
    Declaration,
    Found,
    declarations,
    entry_points,
    unusable,
    without_twins,
)
from producers.origin import origin_of
from producers.redaction import keep_secret, redacted
from producers.source import History, Mode, Source, SourceError, SourceSpec, SourceSpecError
from producers.symbols import SOURCE_RULE, is_source

ENTRY_POINT_GROUP = "stock_monitor.sources"
_CONSTANT = "SOURCE"
FoundSource = Found[SourceSpec]
T = TypeVar("T")


def describe() -> list[FoundSource]:
    """Return all sources, sorted by name, and every place that should hold one and cannot be used."""
    found = sorted(map(_loaded, _places()), key=lambda each: (each.name, each.place))
    return without_twins(found)


def names() -> list[str]:
    """Return the names of the sources that a scan can use, sorted."""
    return [found.name for found in describe() if found.spec and found.spec.modes]


def get(name: str) -> SourceSpec:
    """Return what the source called `name` declares; a run of a replay is of the source ``replay``.

    Raises
    ------
    SourceError
        If there is none of that name, or it cannot be used; names those that there are.
    """
    if not is_source(name):
        raise SourceError(f"source is {name!r}", allowed=f"a name of {SOURCE_RULE}")
    wanted = "replay" if origin_of(name) == "replay" else name
    is_alone = not entry_points(ENTRY_POINT_GROUP)  # any package may declare the same name
    there = [each for each in map(_loaded, _places(wanted if is_alone else None)) if each.name == wanted]
    found = next(iter(without_twins(there)), None)
    found = found or next((each for each in describe() if each.name == wanted), None)
    if found is None:
        raise SourceError(f"unknown source {name!r}", allowed=_allowed())
    if found.spec is None:
        raise SourceError(f"source {name} cannot be used: {found.problem}")
    return found.spec


def get_pollable(name: str) -> SourceSpec:
    """Return what the source called `name` declares, if a scan can use it.

    Raises
    ------
    SourceError
        If there is no such source, or it is a recording.
    """
    spec = get(name)
    if not spec.modes:
        raise SourceError(f"source {name} cannot be polled: run `stock-monitor replay FILE` for a recording")
    return spec


def package_of(name: str) -> str:
    """Return the distribution that adds the source called `name`; empty for one of the monitor's own."""
    if not entry_points(ENTRY_POINT_GROUP):
        return ""
    place = next((found.place for found in describe() if found.name == name), "")
    return place.removeprefix(PACKAGE) if place.startswith(PACKAGE) else ""


def create(name: str, environment: Mapping[str, str], mode: Mode | None = None) -> Source:
    """Return the source called `name`, set up from the environment for polling or streaming.

    Without `mode` it polls, if it can.

    Raises
    ------
    SourceError
        If there is no such source, it lacks a key or a package, or it does not start.
    """
    spec = get_pollable(name)
    maker = {"poll": spec.poll, "stream": spec.stream}[mode or spec.modes[0]]
    if maker is None:
        raise SourceError(f"source {name} does not {mode}", allowed=f"{' or '.join(spec.modes)}")
    source = _made(spec, maker, environment)
    if not isinstance(source, Source):
        raise SourceError(
            f"source {name} makes a {type(source).__name__}", allowed="an object with a method quotes"
        )
    return source


def history_of(name: str, environment: Mapping[str, str]) -> History:
    """Return the history of minute bars of the source called `name`.

    Raises
    ------
    SourceError
        If there is no such source, it has no history, it lacks a key or a package, or it does not start.
    """
    spec = get(name)
    if spec.history is None:
        having = [found.name for found in describe() if found.spec and found.spec.history]
        raise SourceError(f"source {name} has no history", allowed=f"one of {', '.join(having)}")
    return _made(spec, spec.history, environment)


def _made(spec: SourceSpec, maker: Callable[[Mapping[str, str]], T], environment: Mapping[str, str]) -> T:
    spec.check(environment)
    keep_secret(spec.name, (environment[key.variable].strip() for key in spec.keys))
    try:
        return maker(environment)
    except SourceError:
        raise
    except (Exception, SystemExit) as error:
        said = redacted(spec.name, f"{type(error).__name__}: {error}")
        raise SourceError(f"source {spec.name} does not start: {said}") from error


def _allowed() -> str:
    known = describe()
    usable = [found.name for found in known if found.spec and found.spec.modes]
    return f"one of {', '.join(usable)}{unusable(known)}"


def _places(name: str | None = None) -> Iterator[Declaration]:
    return declarations(__name__, ENTRY_POINT_GROUP, lambda module: getattr(module, _CONSTANT, None), name)


def _loaded(declaration: Declaration) -> FoundSource:
    try:
        spec = declaration.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what a package of others raises is reported, not swallowed
        return FoundSource(
            declaration.name,
            declaration.place,
            None,
            f"{declaration.place} cannot be loaded: {_error_text(error)}",
        )
    if not isinstance(spec, SourceSpec):
        problem = f"{declaration.place} declares no source: {_CONSTANT} must be a SourceSpec"
        return FoundSource(declaration.name, declaration.place, None, problem)
    return FoundSource(spec.name, declaration.place, spec)


def _error_text(error: BaseException) -> str:
    if isinstance(error, SourceSpecError):
        return str(error)
    text = f"{type(error).__name__}: {error}"
    return shortened(text.replace("SourceSpec.__init__()", "SourceSpec is declared in part:"), 300)
