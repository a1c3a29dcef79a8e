"""Run every detector once before the engine starts: what would fail on some tick later fails now, by name.

A score that branches on a number runs on floats and fails on arrays, as soon as enough symbols come at once; one that
names a field nobody declared fails on either. Both are run here, on two ticks, and must give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.contracts.detector import DetectorSpecError
from consumers.detectors.engine.columns import Ticks, read_columns
from consumers.detectors.engine.pipeline import step_of
from consumers.detectors.engine.plan import plan_rounds
from consumers.detectors.engine.signals import COLUMN_FIELDS
from consumers.detectors.engine.state import RECURSIVE_FIELDS, STATE_FIELDS, State

if TYPE_CHECKING:
    from consumers.contracts.kinds import Registered

SYMBOLS = 2
_WRITTEN = "written with xp, & and | for arrays and floats alike (docs/extending.md)"
Row = tuple[Any, ...]


def check(detectors: Iterable[Registered]) -> None:
    """Run the score of each detector on two ticks, on arrays and on floats.

    Raises
    ------
    DetectorSpecError
        If a score fails, does not return four numbers, is negative or not finite, or differs between the two; names
        the detector's place.
    """
    arrays = _two_ticks()
    floats = [tuple(column[0].item() for column in row) for row in arrays]
    for place, spec in detectors:
        on_arrays = _readings(place, lambda: step_of((spec,)), arrays, np.zeros(SYMBOLS))  # noqa: B023 - called at once
        on_floats = _readings(place, lambda: step_of((spec,), is_compiled=True), floats, 0.0)  # noqa: B023
        if on_arrays != on_floats:
            differ = f"score gives {on_arrays} on arrays and {on_floats} on floats"
            raise DetectorSpecError(differ, where=place, allowed=_WRITTEN)


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


def _readings(place: str, make: Callable[[], Any], rows: list[Row], unseen: Any) -> list[list[float]]:
    s = State()
    for name in RECURSIVE_FIELDS:
        setattr(s, name, unseen)
    try:
        step = make()
        with np.errstate(all="raise"):
            readings = [[float(np.ravel(part)[0]) for part in step(s, row)[1][0]] for row in rows]
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
    return readings
