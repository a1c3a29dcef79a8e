"""Run every detector once before the engine starts: what would fail on some tick later fails now, by name.

A score that names a field nobody declared, or divides by what may be 0, fails only when it runs. So it runs here, on
two ticks. Then the second tick is put into words, as if it were an anomaly.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from consumers.contracts.detector import UNIT_CHARACTERS, DetectorSpec, DetectorSpecError, Facts
from consumers.detectors.engine.signals import DAY_MS, Signals, learn, read
from consumers.detectors.engine.state import FIELDS, State
from producers import declaration
from producers.declaration import is_text

if TYPE_CHECKING:
    from consumers.contracts.kinds import Registered

_WRITTEN = "plain Python on floats (docs/extending.md)"
# Price, bid, ask and day's volume of a symbol's first tick, and of one that is judged.
_TICKS = ((100.0, 99.99, 100.01, 1000.0), (101.0, 100.99, 101.01, 1000.0))
_FIRST_MS = 1_763_996_400_000


def check(detectors: Iterable[Registered]) -> None:
    """Run the score of each detector on two ticks, and say what it would say of the second.

    Raises
    ------
    DetectorSpecError
        If a score fails, does not return four numbers, is negative or not finite; if what it says is no window,
        sentence or note. Names the detector's place.
    """
    for place, spec in detectors:
        s, x = State(), Signals()
        for name in FIELDS:
            setattr(s, name, 0.0)
        for turn, tick in enumerate(_TICKS):
            x.ts, x.time = float(_FIRST_MS + 1000 * turn), float(_FIRST_MS % DAY_MS)
            x.price, x.bid, x.ask, x.day_volume = tick
            read(s, x)
            x.warm = turn > 0
            _check_reading(place, _reading(place, spec, s, x))
            learn(s, x)
        _say(place, spec, s, x)


def _reading(place: str, spec: DetectorSpec, s: State, x: Signals) -> tuple[float, ...]:
    try:
        return tuple(map(float, spec.score(s, x)))
    except Exception as error:
        said = f"score fails: {type(error).__name__}: {error}"
        raise DetectorSpecError(said, where=place, allowed=_WRITTEN) from error


def _check_reading(place: str, reading: tuple[float, ...]) -> None:
    if len(reading) != 4:
        allowed = "four: score, value, expected, tolerance"
        raise DetectorSpecError(f"score returns {len(reading)} numbers", where=place, allowed=allowed)
    if not all(map(math.isfinite, reading)) or reading[0] < 0.0:
        allowed = "finite numbers, of which the score is at least 0"
        raise DetectorSpecError(f"score returns {list(reading)}", where=place, allowed=allowed)


def _say(place: str, spec: DetectorSpec, s: State, x: Signals) -> None:
    """Check what is said of a tick: a window that is JSON with its unit, a sentence, and a note or none."""
    try:
        window = spec.window(s, x)
        text = json.dumps(window, allow_nan=False)
        said = spec.sentence(Facts(1.0, 0.5, 0.25, json.loads(text)))
        noted = spec.note(s, x) if spec.note is not None else ""
    except Exception as error:
        failed = f"window, sentence or note fails: {type(error).__name__}: {error}"
        allowed = "functions that take any tick, and a window of JSON-able values"
        raise DetectorSpecError(failed, where=place, allowed=allowed) from error
    unit = window.get("unit") if isinstance(window, dict) else None
    is_unit = is_text(unit) and len(unit) <= UNIT_CHARACTERS
    checks = (
        (
            "window",
            window,
            f"a dict with a text of at most {UNIT_CHARACTERS} characters called unit",
            is_unit,
        ),
        ("sentence", said, "a function that returns a text", is_text(said)),
        ("note", noted, "a function that returns a text, or an empty one", isinstance(noted, str)),
    )
    declaration.check(checks, DetectorSpecError, place)
