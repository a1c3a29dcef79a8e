"""The few operations in which every signal and detector is written, for arrays and for floats.

One source runs on float64 arrays (one element per symbol) and on Python floats (one symbol), with the
same bits: + - * / and sqrt are correctly rounded in both, comparisons are exact, and `maximum` and
`minimum` are spelled out because libraries differ on -0.0. `where` evaluates both of its sides in
both worlds, so a divisor is guarded before the division, never by it.
"""

from __future__ import annotations

import math
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
    """`where(c, a, b)`, `maximum`, `minimum`, `sqrt`, `absolute` and `negate` (logical not)."""

    where: Callable[[Condition, Number, Number], Number]
    maximum: Callable[[Number, Number], Number]
    minimum: Callable[[Number, Number], Number]
    sqrt: Callable[[Number], Number]
    absolute: Callable[[Number], Number]
    negate: Callable[[Condition], Condition]
    any: Callable[[Condition], bool]


def _array_maximum(a: Number, b: Number) -> Number:
    return np.where(a > b, a, b)


def _array_minimum(a: Number, b: Number) -> Number:
    return np.where(a < b, a, b)


def _array_any(condition: Condition) -> bool:
    return bool(condition.any())


def _float_where(condition: Condition, a: Number, b: Number) -> Number:
    return a if condition else b


def _float_maximum(a: Number, b: Number) -> Number:
    return a if a > b else b


def _float_minimum(a: Number, b: Number) -> Number:
    return a if a < b else b


def _float_negate(condition: Condition) -> Condition:
    return not condition


ARRAYS = Namespace(np.where, np.maximum, np.minimum, np.sqrt, np.abs, np.logical_not, _array_any)
FLOATS = Namespace(_float_where, _float_maximum, _float_minimum, math.sqrt, abs, _float_negate, bool)
