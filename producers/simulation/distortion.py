"""How the simulated market is distorted for a while, so that a detector has something to find.

A `Distortion` is data: a detector declares its own, and the scanner receives all of them as JSON in the variable
``DISTORTIONS``. So the simulation knows no kind of anomaly, and `producers` imports nothing of the detectors.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Final, Literal, get_args

import msgspec

from producers.declaration import Check, check, is_list, is_positive, is_text
from producers.errors import MonitorError

VARIABLE: Final = "DISTORTIONS"
Move = Literal["none", "jump", "shift", "drift", "shake"]
MOVES: Final[tuple[Move, ...]] = get_args(Move)
LONGEST_SECONDS: Final = 240.0


class DistortionError(MonitorError, ValueError):
    """A distortion cannot be simulated; says which field, and what it must be."""


class Distortion(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is done to a ticker's quotes while one anomaly of a kind is simulated.

    Parameters
    ----------
    kind
        The kind of anomaly that is to be found.
    seconds
        How long it is to be seen, up to 240. Several polls of the default interval (5 s) fit in.
    move
        What the price does, by some 15 to 50 standard deviations of a return over five seconds: ``jump`` and come
        back at the end, ``shift`` and come back slowly afterwards, ``drift`` there over the whole time, ``shake`` to
        and fro.
    spread_factor, volume_factor
        What the bid-ask spread, and the volume a second, are multiplied with.
    price_factors
        One of these is chosen, and the last price multiplied with it; quotes stay. Empty leaves the price alone.
    is_frozen
        Quotes repeat.
    is_silent
        No quote comes.

    Examples
    --------
    >>> Distortion(kind="price_spike", seconds=8.0, move="jump").move
    'jump'
    """

    kind: str
    seconds: float
    move: Move = "none"
    spread_factor: float = 1.0
    volume_factor: float = 1.0
    price_factors: tuple[float, ...] = ()
    is_frozen: bool = False
    is_silent: bool = False

    def __post_init__(self) -> None:
        is_short = is_positive(self.seconds) and self.seconds <= LONGEST_SECONDS
        factors = [("spread_factor", self.spread_factor), ("volume_factor", self.volume_factor)]
        flags = [("is_frozen", self.is_frozen), ("is_silent", self.is_silent)]
        checks: tuple[Check, ...] = (
            ("kind", self.kind, "the name of a kind", is_text(self.kind)),
            ("seconds", self.seconds, "above 0 and at most 240", is_short),
            ("move", self.move, f"one of {', '.join(MOVES)}", self.move in MOVES),
            *((name, value, "at least 1", is_positive(value) and value >= 1.0) for name, value in factors),
            ("price_factors", self.price_factors, "numbers, as a tuple", _are_numbers(self.price_factors)),
            *((name, value, "True or False", isinstance(value, bool)) for name, value in flags),
        )
        check(checks, DistortionError, f"distortion {self.kind!r}")


def _are_numbers(factors: object) -> bool:
    return is_list(factors, int | float) and all(map(isfinite, factors))


def to_text(distortions: Iterable[Distortion]) -> str:
    """Return distortions as the JSON text that the environment of the scanner holds."""
    return msgspec.json.encode(list(distortions)).decode()


def from_text(text: str) -> tuple[Distortion, ...]:
    """Return the distortions of a JSON text; an empty text is none.

    Raises
    ------
    DistortionError
        If the text is not the JSON that `to_text` writes.
    """
    if not text:
        return ()
    try:
        return tuple(msgspec.json.decode(text, type=list[Distortion]))
    except (msgspec.MsgspecError, ValueError) as error:
        raise DistortionError(f"no list of distortions: {error}", where=VARIABLE) from error
