"""The few operations in which every signal and detector is written: those that compile to one instruction or two.

Compiled (see `compiler`) or not, the bits are the same: + - * / and sqrt are correctly rounded in both, comparisons
are exact, and there is neither NaN nor -0.0, on which languages disagree about maximum and minimum. Python evaluates
both sides of `where`, so a divisor is guarded before the division, never by it.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Number: TypeAlias = float
Condition: TypeAlias = bool


@dataclass(frozen=True, slots=True)
class Namespace:
    """`where(c, a, b)`, `maximum`, `minimum`, `sqrt`, `absolute` and `negate` (logical not).

    `if xp.any(c)` is `if c`.
    """

    where: Callable[[Condition, Number, Number], Number]
    maximum: Callable[[Number, Number], Number]
    minimum: Callable[[Number, Number], Number]
    sqrt: Callable[[Number], Number]
    absolute: Callable[[Number], Number]
    negate: Callable[[Condition], Condition]
    any: Callable[[Condition], bool]


FLOATS = Namespace(
    where=lambda condition, yes, no: yes if condition else no,
    maximum=lambda a, b: a if a > b else b,
    minimum=lambda a, b: a if a < b else b,
    sqrt=math.sqrt,
    absolute=abs,
    negate=operator.not_,
    any=bool,
)
