"""Run every detector once before the engine starts: what would fail on some tick later fails now, by name.

A score that names a field nobody declared, or divides by what may be 0, fails only when it runs. So it runs here, on
two ticks. Then the second tick is put into words, as if it were an anomaly. Detectors of packages, whose tests are
not ours, are run over ticks of all kinds as well, and each of their readings is checked later, too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from consumers.contracts.detector import UNIT_CHARACTERS, DetectorSpec, DetectorSpecError, Facts
from consumers.detectors.engine.signals import DAY_MS, WARMUP_TICKS, Signals, learn, read
from consumers.detectors.engine.state import FIELDS, State
from producers import declaration
from producers.declaration import is_text
from producers.extensions import PACKAGE

if TYPE_CHECKING:
    from consumers.contracts.kinds import Registered

_WRITTEN = "plain Python on floats (docs/extending.md)"
# Price, bid, ask and day's volume of a symbol's first tick, and of one that is judged.
_TICKS = ((100.0, 99.99, 100.01, 1000.0), (101.0, 100.99, 101.01, 1000.0))
_FIRST_MS = 1_763_996_400_000
_CALIBRATED = 2.5

Score = Callable[[State, Signals], tuple[float, ...]]


def check(detectors: Collection[Registered]) -> None:
    """Run the score of each detector on two ticks, and say what it would say of the second.

    Raises
    ------
    DetectorSpecError
        If a score fails, does not return four numbers, is negative or not finite; if what it says is no window,
        sentence or note. Names the detector's place.
    """
    for place, spec in detectors:
        s, x, score = _new_state(), Signals(), checked(place, spec)
        for turn, tick in enumerate(_TICKS):
            _read(s, x, _FIRST_MS + 1000 * turn, tick)
            x.warm = turn > 0
            score(s, x)
            learn(s, x)
        _say(place, spec, s, x)
    if any(place.startswith(PACKAGE) for place, _ in detectors):
        _run_over_all_kinds(detectors)


def score_of(registered: Registered) -> Score:
    """Return the score of a detector; that of a package raises an error that says what it does wrong, and where."""
    place, spec = registered
    return checked(place, spec) if place.startswith(PACKAGE) else spec.score


def checked(place: str, spec: DetectorSpec) -> Score:
    """Return the score of a detector, which raises a `DetectorSpecError` where it fails or returns no reading."""

    def score(s: State, x: Signals) -> tuple[float, ...]:
        try:
            reading = tuple(0.0 + number for number in spec.score(s, x))
        except Exception as error:
            said = f"score fails: {type(error).__name__}: {error} ({_tick(x)})"
            raise DetectorSpecError(said, where=place, allowed=_WRITTEN) from error
        if len(reading) != 4:
            allowed = "four: score, value, expected, tolerance"
            raise DetectorSpecError(f"score returns {len(reading)} numbers", where=place, allowed=allowed)
        if not all(map(math.isfinite, reading)) or reading[0] < 0.0:
            allowed = "finite numbers, of which the score is at least 0"
            said = f"score returns {list(reading)} ({_tick(x)})"
            raise DetectorSpecError(said, where=place, allowed=allowed)
        return reading

    return score


def _tick(x: Signals) -> str:
    return f"tick {x.age:.0f} of a symbol, with price {x.shown:g}, bid {x.bid:g} and ask {x.ask:g}, where 0 is unknown"


def _run_over_all_kinds(detectors: Collection[Registered]) -> None:
    """Run all detectors over ticks of all kinds; check those of packages, and put what they find into words."""
    s, x, ts = _new_state(), Signals(), float(_FIRST_MS)
    scores = [(*registered, score_of(registered)) for registered in detectors]
    for pause_ms, *tick in _kinds_of_ticks():
        ts += pause_ms
        _read(s, x, ts, tick)
        for place, spec, score in scores:
            found, value, expected, tolerance = score(s, x)
            if found >= _CALIBRATED and place.startswith(PACKAGE):
                _say(place, spec, s, x, (value, expected, tolerance))
        learn(s, x)
    for place, spec in detectors:
        for name in spec.fields if place.startswith(PACKAGE) else ():
            value = getattr(s, name)
            if not isinstance(value, int | float) or not math.isfinite(value):
                said = f"score leaves {value!r} in the field {name}"
                raise DetectorSpecError(said, where=place, allowed="a finite number")


def _kinds_of_ticks() -> Iterator[tuple[float, ...]]:
    """Yield ticks: the ms since the one before, price, bid, ask and the volume of the day; NaN is unknown."""
    unknown = (math.nan, math.nan, math.nan)
    yield 0, math.nan, *unknown
    for turn in range(round(WARMUP_TICKS) + 1):
        price = 100.0 + turn % 7 / 100
        yield 1000, price, price - 0.01, price + 0.01, 1000.0 * turn
    yield from ((1000, 100.0, 99.99, 100.01, 90_000.0),) * 8  # all as before
    for price in (0.0, -37.63, 1e-10, 1e12, 160.0, 100.0):
        yield 1000, price, *unknown
        yield 1000, price, price - 0.01, price + 0.01, 1e15
    yield 1000, 100.0, 101.0, 99.0, 0.0  # crossed
    yield 1000, 100.0, 100.0, 100.0, 0.0  # locked
    yield 1000, 100.0, 1.0, 100.01, 1.0
    for pause_ms in (1, 600_000, 20_000_000, 86_400_000):
        yield pause_ms, 100.0, 99.99, 100.01, 2.0
        yield pause_ms, 50.0, math.nan, 50.01, math.nan


def _new_state() -> State:
    s = State()
    for name in FIELDS:
        setattr(s, name, 0.0)
    return s


def _read(s: State, x: Signals, ts: float, tick: Iterable[float]) -> None:
    x.ts, x.time = float(ts), float(ts % DAY_MS)
    x.price, x.bid, x.ask, x.day_volume = tick
    read(s, x)


def _say(
    place: str,
    spec: DetectorSpec,
    s: State,
    x: Signals,
    facts: tuple[float, float, float] = (1.0, 0.5, 0.25),
) -> None:
    """Check what is said of a tick: a window that is JSON with its unit, a sentence, and a note or none."""
    try:
        window = spec.window(s, x)
        text = json.dumps(window, allow_nan=False)
        said = spec.sentence(Facts(*facts, json.loads(text)))
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
