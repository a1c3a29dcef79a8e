"""Numbers as sentences say them: percentages, multiples, durations; and texts on one line. Free of numpy."""

from __future__ import annotations

import re
from decimal import Decimal

from consumers.contracts.detector import Facts

_ASIDE = re.compile(r"; severity \w+, score [\d.,e+-]+ where alerts begin at [\d.e+-]+\.$")

_SMALLEST, _LARGEST = 1e-15, 1e15


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
    """Return three significant digits, and all of those before the point.

    Examples
    --------
    >>> [number(value) for value in (0.0000123, 0.0123, 1.234, 1234.5)]
    ['0.0000123', '0.0123', '1.23', '1,234']
    """
    return _digits(value, 3, keeps_zeros=True)


def price(value: float) -> str:
    """Return a price with up to ten significant digits, as the page, all of those before the point, at least cents.

    Examples
    --------
    >>> [price(value) for value in (189.12, 414.9, 110.515625, 0.00001234, 1_612_345_678.0, -37.63, -0.0)]
    ['189.12', '414.90', '110.515625', '0.00001234', '1,612,345,678.00', '-37.63', '0.00']
    """
    value += 0.0  # -0 is 0
    before = len(f"{abs(value):.0f}")
    text = _digits(value, max(10, before + 2))
    decimals = len(text.partition(".")[2])
    return f"{value:,.2f}" if decimals < 2 and "e" not in text else text


def _digits(value: float, significant: int, *, keeps_zeros: bool = False) -> str:
    """Return a number without an exponent, but for one of more than fifteen digits on either side of the point."""
    if value == 0.0 or not _SMALLEST <= abs(value) < _LARGEST:
        return f"{value:.{significant}g}"
    before = len(f"{abs(value):.0f}") if abs(value) >= 1.0 else 0
    if keeps_zeros and before:
        return f"{value:,.{max(0, significant - before)}f}"
    rounded = Decimal(f"{value:.{max(significant, before)}g}")
    return f"{rounded:,f}"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number of things.

    Examples
    --------
    >>> counted(1, "row"), counted(1234, "row"), counted(2, "anomaly", "anomalies")
    ('1 row', '1,234 rows', '2 anomalies')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits its length.

    Examples
    --------
    >>> [duration(seconds) for seconds in (4.638, 42.0, 152.26, 180.0, 1234.0, 7200.0, 7500.0)]
    ['4.64 s', '42 s', '2 min 32 s', '3 min', '21 min', '2 h', '2 h 5 min']
    """
    if seconds < 90.0:
        return f"{_digits(seconds, 3)} s"
    if seconds < 600.0:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(round(seconds / 60.0), 60)
    if hours == 0 or (hours == 1 and rest < 30):
        return f"{60 * hours + rest} min"
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def without_aside(explanation: str) -> str:
    """Return an explanation without its severity and score, for where they stand beside it.

    Examples
    --------
    >>> without_aside("AAPL rose 4.2% in one tick; severity high, score 2.80 where alerts begin at 2.5.")
    'AAPL rose 4.2% in one tick.'
    """
    return _ASIDE.sub(".", explanation)


def one_line(text: str) -> str:
    r"""Return `text` with a space for each character that a terminal or a mail would act upon.

    Examples
    --------
    >>> one_line("AAPL\r\nBcc: all")
    'AAPL  Bcc: all'
    """
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)
