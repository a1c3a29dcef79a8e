"""The few operations in which every signal and detector is written, for arrays and for floats.

One source runs on float64 arrays (one element per symbol) and on Python floats (one symbol, see `inline`), with
the same bits: + - * / and sqrt are correctly rounded in both, comparisons are exact, and there is neither NaN
nor -0.0, on which libraries disagree about maximum and minimum. On arrays `where` evaluates both of its sides,
so a divisor is guarded before the division, never by it.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

# A float or a float64 array, a bool or a bool array: the code that uses them does not know which.
Number = Any
Condition = Any


@dataclass(frozen=True, slots=True)
class Namespace:
    """`where(c, a, b)`, `maximum`, `minimum`, `sqrt`, `absolute`, `negate` (logical not), `any` and `maybe`.

    `if xp.maybe(c)` skips what changes nothing where `c` is false: on floats by `c`, on arrays never, as asking
    all of them costs more than a few operations.
    """

    where: Callable[[Condition, Number, Number], Number]
    maximum: Callable[[Number, Number], Number]
    minimum: Callable[[Number, Number], Number]
    sqrt: Callable[[Number], Number]
    absolute: Callable[[Number], Number]
    negate: Callable[[Condition], Condition]
    any: Callable[[Condition], bool]
    maybe: Callable[[Condition], bool]


def _always(condition: Condition) -> bool:
    del condition
    return True


def _any(condition: Condition) -> bool:
    return bool(condition.any())


# What is not compiled in place (see `inline`), as a function that a detector shares with another file, runs on these.
FLOATS = Namespace(
    where=lambda condition, yes, no: yes if condition else no,
    maximum=lambda a, b: a if a > b else b,
    minimum=lambda a, b: a if a < b else b,
    sqrt=math.sqrt,
    absolute=abs,
    negate=operator.not_,
    any=bool,
    maybe=bool,
)
ARRAYS = Namespace(np.where, np.maximum, np.minimum, np.sqrt, np.abs, np.logical_not, _any, _always)
