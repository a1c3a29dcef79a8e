"""Run every detector once before the engine starts: what would fail on some tick later fails now, by name.

A score that branches on a number runs on floats and fails on arrays, as soon as enough symbols come at once; one that
names a field nobody declared fails on either. Both are run here, on two ticks, and must give the same bits. Then the
second tick is put into words, as if it were an anomaly.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.contracts.detector import DetectorSpec, DetectorSpecError, Facts
from consumers.detectors.engine.columns import Ticks, read_columns
from consumers.detectors.engine.pipeline import step_of
from consumers.detectors.engine.plan import plan_rounds
from consumers.detectors.engine.signals import COLUMN_FIELDS, Signals
from consumers.detectors.engine.state import RECURSIVE_FIELDS, STATE_FIELDS, State
from producers import declaration
from producers.declaration import is_text

if TYPE_CHECKING:
    from consumers.contracts.kinds import Registered

SYMBOLS = 2
_WRITTEN = "written with xp, & and | for arrays and floats alike (docs/extending.md)"
Row = tuple[Any, ...]


def check(detectors: Iterable[Registered]) -> None:
    """Run the score of each detector on two ticks, on arrays and on floats, and say what it would say of the second.

    Raises
    ------
    DetectorSpecError
        If a score fails, does not return four numbers, is negative or not finite, or differs between the two; if what
        it says is no window, sentence or note. Names the detector's place.
    """
    arrays = _two_ticks()
    floats = [tuple(column[0].item() for column in row) for row in arrays]
    for place, spec in detectors:
        on_arrays, _ = _run(place, lambda: step_of((spec,)), arrays, np.zeros(SYMBOLS))  # noqa: B023 - called at once
        on_floats, seen = _run(place, lambda: step_of((spec,), is_compiled=True), floats, 0.0)  # noqa: B023
        if on_arrays != on_floats:
            differ = f"score gives {on_arrays} on arrays and {on_floats} on floats"
            raise DetectorSpecError(differ, where=place, allowed=_WRITTEN)
        _say(place, spec, *seen)


def _two_ticks() -> list[Row]:
    """Return the columns of two rounds: a symbol's first tick, and one that is judged."""
    ones = np.ones(2 * SYMBOLS)
    slot, ts = np.tile(np.arange(SYMBOLS), 2), np.repeat([1_763_996_400_000, 1_763_996_401_000], SYMBOLS)
    price = np.repeat([100.0, 101.0], SYMBOLS)
    ticks = Ticks(slot, ts, price, price - 0.01, price + 0.01, 1000.0 * ones)
    plan = plan_rounds(slot)
    columns = read_columns(np.zeros((len(STATE_FIELDS), SYMBOLS)), plan, ticks)
    first, second = (tuple(column[start : start + SYMBOLS] for column in columns) for start in (0, SYMBOLS))
    warm = COLUMN_FIELDS.index("warm")
    return [first, (*second[:warm], ~second[warm], *second[warm + 1 :])]


def _run(
    place: str, make: Callable[[], Any], rows: list[Row], unseen: Any
) -> tuple[list[list[float]], tuple[State, Signals]]:
    """Return the readings of each round, and what the last one saw."""
    s = State()
    for name in RECURSIVE_FIELDS:
        setattr(s, name, unseen)
    try:
        step = make()
        with np.errstate(all="raise"):
            rounds = [step(s, row) for row in rows]
            readings = [[float(np.ravel(part)[0]) for part in found[0]] for _, found in rounds]
    except Exception as error:
        said = f"score fails: {type(error).__name__}: {error}"
        raise DetectorSpecError(said, where=place, allowed=_WRITTEN) from error
    for reading in readings:
        if len(reading) != 4:
            allowed = "four: score, value, expected, tolerance"
            raise DetectorSpecError(f"score returns {len(reading)} numbers", where=place, allowed=allowed)
        if not all(map(math.isfinite, reading)) or reading[0] < 0.0:
            allowed = "finite numbers, of which the score is at least 0"
            raise DetectorSpecError(f"score returns {reading}", where=place, allowed=allowed)
    return readings, (s, rounds[-1][0])


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
    checks = (
        ("window", window, "a dict with a text called unit", is_text(unit)),
        ("sentence", said, "a function that returns a text", is_text(said)),
        ("note", noted, "a function that returns a text, or an empty one", isinstance(noted, str)),
    )
    declaration.check(checks, DetectorSpecError, place)
