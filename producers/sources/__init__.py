"""Where quotes come from: one small protocol, one file per source, found by name.

A package of its own can add a source by an entry point in the group `stock_monitor.sources`, whose
name is the source's and whose value is a factory that takes the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol, cast, runtime_checkable

from producers.origin import origin_of
from producers.quote_batch import SOURCE_RULE, QuoteBatch, is_source

ENTRY_POINT_GROUP = "stock_monitor.sources"
_BUILT_IN = {
    name: f"producers.sources.{name}:{name.title()}Source.from_environment"
    for name in ("alpaca", "finnhub", "simulated", "yahoo")
}


@runtime_checkable
class Source(Protocol):
    """Something that can be asked for the current quotes of a list of symbols."""

    name: str

    def quotes(self, symbols: Sequence[str], now_ms: int) -> QuoteBatch:
        """One poll: the quotes as of `now_ms` (epoch ms UTC), at most one row per symbol.

        Symbols that the source does not know or did not answer are named in `missing`.

        Raises
        ------
        SourceError
            If the source as a whole cannot answer now.
        """


SourceFactory = Callable[[Mapping[str, str]], Source]


class SourceError(Exception):
    """A source could not answer, or there is no such source; says which, why and what is allowed."""


def create(name: str, environment: Mapping[str, str]) -> Source:
    """The source called `name`, set up from the environment (where its keys are, if it needs any).

    Raises
    ------
    SourceError
        If there is no source of that name; the message lists those that there are.
    """
    if not is_source(name):
        raise SourceError(f"source {name!r}: allowed is a name of {SOURCE_RULE}")
    if origin_of(name) == "replay":
        raise SourceError(
            f"source {name!r} cannot be polled: run `stock-monitor replay FILE` for a recording"
        )
    return _factory(name)(environment)


def names() -> list[str]:
    """The names of all sources that can be polled, sorted."""
    return sorted({*_BUILT_IN, *(point.name for point in entry_points(group=ENTRY_POINT_GROUP))})


def _factory(name: str) -> SourceFactory:
    if name in _BUILT_IN:
        module, _, path = _BUILT_IN[name].partition(":")
        factory: object = import_module(module)
        for attribute in path.split("."):
            factory = getattr(factory, attribute)
        return cast(SourceFactory, factory)
    for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        return cast(SourceFactory, point.load())
    raise SourceError(f"source {name!r} is not installed: allowed are {', '.join(names())}")
