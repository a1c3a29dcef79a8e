"""What the values of a quote may be: prices, volumes and times."""

from __future__ import annotations

import math
from typing import Any, TypeVar

from producers.errors import shown
from producers.symbols import SYMBOL_RULE, is_symbol

MAX_PRICE = 1e15  # beyond it a float64 no longer holds cents, and squares leave the range of a score
MAX_VOLUME = 1e18
MAX_TS_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, the last instant that ISO 8601 can name

T = TypeVar("T")


def known(value: T) -> T | None:
    """Return a value beside the price, None for NaN and infinity, which JSON lacks: nothing is known."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def why_rejected(values: tuple[Any, ...]) -> str | None:
    """Return why a row, its values in the order of the columns, is rejected; None if it is usable."""
    symbol, ts, *quote = values
    if not isinstance(symbol, str) or not is_symbol(symbol):
        return f"symbol is {shown(symbol)}; must be {SYMBOL_RULE}"
    return _bad_time("ts", ts) or why_no_quote(*quote)


def why_no_quote(price: Any, bid: Any, ask: Any, day_volume: Any, quote_ts: Any) -> str | None:
    """Return why these are not the fields of a `Quote`, with what is allowed; None if they are."""
    return (
        _bad_number("price", price, -MAX_PRICE, MAX_PRICE)
        or (bid is not None and _bad_number("bid", bid, -MAX_PRICE, MAX_PRICE))
        or (ask is not None and _bad_number("ask", ask, -MAX_PRICE, MAX_PRICE))
        or (day_volume is not None and _bad_number("day_volume", day_volume, 0, MAX_VOLUME))
        or (quote_ts is not None and _bad_time("quote_ts", quote_ts))
        or None
    )


def finer_unit(number: float) -> str | None:
    """Return in which unit a number plainly is that is no time in milliseconds, None if in none.

    >>> finer_unit(1_763_996_400_000_000)
    'microseconds'
    """
    for unit, in_ms in (("microseconds", 1_000), ("nanoseconds", 1_000_000)):
        if MAX_TS_MS < number <= MAX_TS_MS * in_ms:
            return unit
    return None


def _bad_time(name: str, value: Any) -> str | None:
    # 5.0 is a whole number, as it is for the schema.
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if is_whole and not isinstance(value, bool):
        if 0 <= value <= MAX_TS_MS:
            return None
        if unit := finer_unit(value):
            return f"{name} is {shown(value)}, which looks like {unit}; must be milliseconds since 1970"
    return f"{name} is {shown(value)}; must be a whole number of milliseconds since 1970, 0 to {MAX_TS_MS}"


def _bad_number(name: str, value: Any, low: float, high: float) -> str | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and low <= value <= high:  # NaN is in no range
        return None
    return f"{name} is {shown(value)}; must be a number from {low:g} to {high:g}"
