"""The kinds of anomaly: one for each detector there is. Free of numpy.

Every file in `consumers/detectors/` declares one detector by a constant ``DETECTOR`` (a
`consumers.contracts.detector.DetectorSpec`). A package of its own adds one by an entry point in the group
``stock_monitor.detectors`` whose value is such a constant. Nothing else lists them. docs/extending.md builds one.

The files are imported by name, when this module is: detectors depend on the contract, not the contract on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
from typing import Final, NamedTuple

from consumers.contracts.detector import DetectorSpec, DetectorSpecError, Subject
from producers.errors import MonitorError
from producers.extensions import Declaration, declarations
from producers.simulation.distortion import Distortion

ENTRY_POINT_GROUP: Final = "stock_monitor.detectors"
FOLDER: Final = "consumers.detectors"
CONSTANT: Final = "DETECTOR"
RULE: Final = "rule"
"""The kind of a person's own rule that was met; no detector finds it."""
_NEEDED = ", ".join(
    each.name for each in fields(DetectorSpec) if each.default is MISSING and each.default_factory is MISSING
)
_ALLOWED = f"a DetectorSpec with {_NEEDED} (docs/extending.md)"


class Registered(NamedTuple):
    """A detector, and the module or package that declares it."""

    place: str
    spec: DetectorSpec


def _load(place: str, load: Callable[[], object]) -> DetectorSpec:
    try:
        spec = load()
    except MonitorError as error:
        raise DetectorSpecError(str(error), where=place) from error
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}".replace(
            "TypeError: DetectorSpec.__init__()", "DetectorSpec is"
        )
        raise DetectorSpecError(f"cannot be loaded: {said}", where=place, allowed=_ALLOWED) from error
    if isinstance(spec, DetectorSpec):
        return spec
    what = f"{CONSTANT} is missing" if spec is None else f"{CONSTANT} is {spec!r}"
    raise DetectorSpecError(what, where=place, allowed=_ALLOWED)


def register(declared: Iterable[Declaration]) -> dict[str, Registered]:
    """Return the detectors of places by kind: those that run first, then the others, each sorted.

    Raises
    ------
    DetectorSpecError
        If a place declares no detector, half of one, or one whose kind or field another one has; names the place.
    """
    found: dict[str, Registered] = {}
    owners: dict[str, str] = {}
    for _, place, load in declared:
        spec = _load(place, load)
        if spec.kind == RULE:
            raise DetectorSpecError(f"kind {RULE!r} is that of a person's own rules", where=place)
        if spec.kind in found:
            raise DetectorSpecError(f"kind {spec.kind!r} is taken by {found[spec.kind].place}", where=place)
        for name in spec.fields:
            if name in owners:
                raise DetectorSpecError(f"field {name!r} is taken by {owners[name]}", where=place)
            owners[name] = place
        found[spec.kind] = Registered(place, spec)
    in_order = sorted(found.values(), key=lambda each: (not each.spec.is_first, each.spec.kind))
    return {registered.spec.kind: registered for registered in in_order}


REGISTRY: Final = register(
    declarations(FOLDER, ENTRY_POINT_GROUP, lambda module: getattr(module, CONSTANT, None))
)
KINDS: Final[tuple[str, ...]] = tuple(REGISTRY)
"""All kinds, in the order in which detectors run and in which every table of scores and thresholds has them."""
EVERY_KIND: Final[tuple[str, ...]] = (*KINDS, RULE)


def spec_of(kind: str) -> DetectorSpec:
    """Return what the detector of `kind` declares.

    Raises
    ------
    KeyError
        If no detector finds that kind.
    """
    return REGISTRY[kind].spec


def name_of(kind: str) -> str:
    """Return what people call an anomaly of `kind` amid a sentence: its label, but for the capital.

    Examples
    --------
    >>> name_of("vol_shift"), name_of("rule")
    ('volatility shift', 'rule')
    """
    label = spec_of(kind).label if kind in REGISTRY else kind.replace("_", " ")
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def concern_of(kind: str) -> Subject:
    """Return what is wrong where an anomaly of `kind` is found; a newer detector's kind concerns the market."""
    return spec_of(kind).concerns if kind in REGISTRY else "market"


def is_misprint(kind: str) -> bool:
    """Return whether an anomaly of `kind` says that the print itself is wrong."""
    return concern_of(kind) == "print"


def distortions() -> tuple[Distortion, ...]:
    """Return how the simulated market shows each kind, in the order of `KINDS`."""
    return tuple(registered.spec.distortion for registered in REGISTRY.values())
