"""The kinds of anomaly: one for each detector there is. Free of numpy.

Every file in `consumers/detectors/` declares one detector by a constant ``DETECTOR`` (a
`consumers.contracts.detector.DetectorSpec`). A package of its own adds one by an entry point in the group
``stock_monitor.detectors`` whose value is such a constant. Nothing else lists them. docs/extending.md builds one.

The files are imported by name, when this module is: detectors depend on the contract, not the contract on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from typing import Any, Final, NamedTuple

from consumers.contracts.detector import DetectorSpec, DetectorSpecError
from producers.simulation.distortion import Distortion

ENTRY_POINT_GROUP: Final = "stock_monitor.detectors"
FOLDER: Final = "consumers.detectors"
CONSTANT: Final = "DETECTOR"


class Registered(NamedTuple):
    """A detector, and the module or package that declares it."""

    place: str
    spec: DetectorSpec


def _declarations() -> Iterator[tuple[str, Any]]:
    for module in iter_modules(import_module(FOLDER).__path__):
        if not module.ispkg:
            name = f"{FOLDER}.{module.name}"
            yield f"{name.replace('.', '/')}.py", getattr(import_module(name), CONSTANT, None)
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        yield f"package {point.dist.name if point.dist else point.value}", point.load()


def register(declarations: Iterable[tuple[str, Any]]) -> dict[str, Registered]:
    """Return detectors by kind, from (place, declaration): those that run first, then the others, each sorted.

    Raises
    ------
    DetectorSpecError
        If a place declares no detector, or one whose kind or field another one has.
    """
    found: dict[str, Registered] = {}
    owners: dict[str, str] = {}
    for place, spec in declarations:
        if not isinstance(spec, DetectorSpec):
            raise DetectorSpecError(
                f"{CONSTANT} is {spec!r}" if spec is not None else f"{CONSTANT} is missing",
                where=place,
                allowed="a DetectorSpec (docs/extending.md)",
            )
        if spec.kind in found:
            raise DetectorSpecError(f"kind {spec.kind!r} is taken by {found[spec.kind].place}", where=place)
        for name in spec.fields:
            if name in owners:
                raise DetectorSpecError(f"field {name!r} is taken by {owners[name]}", where=place)
            owners[name] = place
        found[spec.kind] = Registered(place, spec)
    in_order = sorted(found.values(), key=lambda each: (not each.spec.is_first, each.spec.kind))
    return {registered.spec.kind: registered for registered in in_order}


REGISTRY: Final = register(_declarations())
KINDS: Final[tuple[str, ...]] = tuple(REGISTRY)
"""All kinds, in the order in which detectors run and in which every table of scores and thresholds has them."""


def spec_of(kind: str) -> DetectorSpec:
    """Return what the detector of `kind` declares.

    Raises
    ------
    KeyError
        If no detector finds that kind.
    """
    return REGISTRY[kind].spec


def distortions() -> tuple[Distortion, ...]:
    """Return how the simulated market shows each kind, in the order of `KINDS`."""
    return tuple(registered.spec.distortion for registered in REGISTRY.values())
