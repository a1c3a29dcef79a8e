"""Numbers as sentences say them: percentages, multiples, durations. Free of numpy."""

from __future__ import annotations

import re

from consumers.contracts.detector import Facts

_ASIDE = re.compile(r"; severity \w+, score [\d.,e+-]+ where alerts begin at [\d.e+-]+\.$")


def moved(value: float) -> str:
    """Return what a return did.

    Examples
    --------
    >>> moved(-0.0213)
    'fell 2.13%'
    """
    return f"{'rose' if value > 0.0 else 'fell'} {percent(value)}"


def against_returns(facts: Facts) -> str:
    """Return how a return compares with the scale of returns, its tolerance."""
    times_usual = abs(facts.value) / facts.tolerance
    return (
        f"{number(times_usual)} times its usual move of {percent(facts.tolerance)} over the last"
        f" {facts.window['ticks']} ticks"
    )


def times(facts: Facts) -> str:
    """Return the value as a multiple of what was expected."""
    if facts.expected <= 0.0:
        return "far beyond"
    return f"{number(facts.value / facts.expected)} times"


def percent(share: float) -> str:
    """Return the size of a share, without its sign: 0.0213 is 2.13%."""
    return f"{number(abs(share) * 100.0)}%"


def number(value: float) -> str:
    """Return three significant digits, none lost of those before the point: 0.0123, 1.23, 1,234."""
    for bound, digits in ((100.0, 0), (10.0, 1), (1.0, 2)):
        if abs(value) >= bound:
            return f"{value:,.{digits}f}"
    return f"{value:.3g}"


def price(value: float) -> str:
    """Return a price with up to eight significant digits."""
    return f"{value:,.8g}"


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits its length.

    Examples
    --------
    >>> duration(42.0), duration(180.0), duration(7500.0)
    ('42.0 s', '3 min', '2 h 5 min')
    """
    if seconds < 90.0:
        return f"{number(seconds)} s"
    minutes = round(seconds / 60.0)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def without_aside(explanation: str) -> str:
    """Return an explanation without its severity and score, for where they stand beside it.

    Examples
    --------
    >>> without_aside("AAPL rose 4.2 % in one tick; severity high, score 2.80 where alerts begin at 2.5.")
    'AAPL rose 4.2 % in one tick.'
    """
    return _ASIDE.sub(".", explanation)
