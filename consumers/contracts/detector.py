"""What a detector declares: the base of the files in `consumers/detectors/`. Free of numpy.

A detector is one file with a constant ``DETECTOR``, a `DetectorSpec`. It declares all that the rest of the monitor
needs: thresholds, the event schema, OpenAPI, the page's filter, sentences, the simulation and the tables in the docs
derive from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from keyword import iskeyword
from types import FunctionType
from typing import Any, Final, Literal, NamedTuple, get_args

from producers.declaration import Check, check, is_count, is_text, takes
from producers.errors import MonitorError
from producers.simulation.distortion import Distortion

KIND_RULE: Final = "2 to 32 of a-z 0-9 _, beginning with a letter"
KIND_PATTERN: Final = "[a-z][a-z0-9_]{1,31}"
UNIT_CHARACTERS: Final = 16
"""Of the unit that a window names."""
_KIND = re.compile(KIND_PATTERN)
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,31}")
Subject = Literal["market", "feed", "print"]
SUBJECTS: Final[tuple[Subject, ...]] = get_args(Subject)


class DetectorSpecError(MonitorError, ValueError):
    """A detector is declared in part, or wrongly; names the file or package and what is missing."""


class Facts(NamedTuple):
    """What a sentence can say: `value` against `expected` and the `tolerance` around it, in the unit of `window`."""

    value: float
    expected: float
    tolerance: float
    window: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSpec:
    """Declares a detector.

    Parameters
    ----------
    kind
        The kind of anomaly that it finds, as it stands in thresholds, events and keys: ``"price_spike"``.
    label
        The same for people: ``"Price spike"``.
    summary
        What is compared with what, as a clause for tables.
    score
        ``score(s, x)`` returns (score, value, expected, tolerance) of one tick. A score of 2.5 is the point at
        which anomalies begin; it never depends on the threshold. `s` is the state before the tick, which it moves
        on, and `x` the signals of the tick. It is a function of the module that declares it, which is compiled to C
        where it can be.
    window
        ``window(s, x)`` returns what the tick was compared with, as JSON-able values; ``unit`` is the unit of value,
        expected and tolerance, in at most `UNIT_CHARACTERS` characters.
    sentence
        What happened, from the `Facts`: a clause that follows the ticker.
    over
        What is so again when it ends: ``"the spread is usual again"``.
    fields
        What the detector remembers of a symbol: names of float64 fields of the state (0.0 = never seen), with what
        each means.
    distortion
        How the simulated market shows one.
    rearm_ticks
        It ends, and can begin anew, after so many ticks of less than half the threshold.
    is_first
        True for a detector that completes the signals, before all others read them.
    may_follow_halt
        True if an anomaly of this kind right after a halt is said to follow it.
    has_direction
        False where up and down mean nothing, as in a gap; the direction is ``none`` then.
    concerns
        What is wrong when it finds something: the ``market``, the ``feed``, or the one ``print``. Anomalies of many
        tickers at once that concern the market, or the feed, are one incident.
    is_feigned_by_misprints
        True if a misprint of the same ticker explains an anomaly of this kind, so that nobody is notified of it.
    note
        ``note(s, x)`` returns what else is to be said of the tick, or an empty text.

    Raises
    ------
    DetectorSpecError
        If a part is missing or not allowed.
    """

    kind: str
    label: str
    summary: str
    score: Callable[[Any, Any], tuple[float, float, float, float]]
    window: Callable[[Any, Any], dict[str, Any]]
    sentence: Callable[[Facts], str]
    over: str
    distortion: Distortion
    fields: Mapping[str, str] = field(default_factory=dict)
    rearm_ticks: int = 15
    is_first: bool = False
    may_follow_halt: bool = False
    has_direction: bool = True
    concerns: Subject = "market"
    is_feigned_by_misprints: bool = False
    note: Callable[[Any, Any], str] | None = None

    def __post_init__(self) -> None:
        is_own = self.is_feigned_by_misprints and self.concerns == "print"
        flags = ("is_first", "may_follow_halt", "has_direction", "is_feigned_by_misprints")
        checks: tuple[Check, ...] = (
            ("kind", self.kind, KIND_RULE, isinstance(self.kind, str) and bool(_KIND.fullmatch(self.kind))),
            ("label", self.label, "the kind's name for people", is_text(self.label)),
            ("summary", self.summary, "a clause: what is compared with what", is_text(self.summary)),
            ("score", self.score, "a function (s, x) of its file", _is_score(self.score)),
            ("window", self.window, "a function of (s, x)", takes(self.window, 2)),
            ("sentence", self.sentence, "a function of Facts", takes(self.sentence, 1)),
            ("note", self.note, "a function of (s, x)", self.note is None or takes(self.note, 2)),
            ("over", self.over, "a clause: what is so again when it ends", is_text(self.over)),
            ("fields", self.fields, "names of fields with what they mean", _are_fields(self.fields)),
            ("rearm_ticks", self.rearm_ticks, "a whole number from 1", is_count(self.rearm_ticks)),
            ("concerns", self.concerns, f"one of {', '.join(SUBJECTS)}", self.concerns in SUBJECTS),
            *(
                (name, value := getattr(self, name), "True or False", isinstance(value, bool))
                for name in flags
            ),
            ("is_feigned_by_misprints", True, "left out of what concerns the print", not is_own),
            (
                "distortion",
                self.distortion,
                f"a Distortion of kind {self.kind!r}",
                self._has_own_distortion(),
            ),
        )
        check(checks, DetectorSpecError, f"detector {self.kind!r}")

    def _has_own_distortion(self) -> bool:
        return isinstance(self.distortion, Distortion) and self.distortion.kind == self.kind


def _is_score(function: object) -> bool:
    """Whether it can be compiled: a function of (s, x) with a name in its module."""
    is_named = isinstance(function, FunctionType) and function.__qualname__ == function.__name__.strip("<>")
    return is_named and takes(function, 2)


def _are_fields(fields: object) -> bool:
    return isinstance(fields, Mapping) and all(
        isinstance(name, str) and _FIELD.fullmatch(name) and not iskeyword(name) and is_text(meaning)
        for name, meaning in fields.items()
    )
