"""What the values of recorded rows say: one by one with exact errors, or by columns where all of them are plain."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from producers.errors import MonitorError, shortened
from producers.quote_values import MAX_PRICE, MAX_TS_MS, finer_unit, known
from producers.symbols import SYMBOL_RULE, in_capitals, is_symbol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS_NOT_MS = 100_000_000_000  # as milliseconds this is March 1973
_SERIAL_DAYS = 25_569, 73_051  # 1970 to 2099, from 1900 on; as seconds they are of the first day of 1970
_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{0,20})?")
_DATE = re.compile(
    r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:(?:[01][0-9]|2[0-3])[0-5][0-9](?:[0-5][0-9](?:[0-9]{3})?)?)?"
)
"""A date in digits alone, YYYYMMDD[hhmm[ss[fff]]]: as milliseconds it would be in 1976, or after 2571."""
_DATES = ((190001010000, 209912312359), (19000101000000, 20991231235959))
"""Numbers among which such dates are; those of eight digits look like seconds, those of seventeen like microseconds."""
_SURROGATE = re.compile(r"[\ud800-\udfff]")
"""What `Lines.texts` makes of bytes that are no UTF-8, and JSON of half a character."""
_WHOLE = re.compile(r"-?[0-9]{1,19}(?:\.0*)?")  # JSON Schema's integer: 5 and 5.0 are the same number


class BadRowError(MonitorError, ValueError):
    """A row cannot be used; the message says why and what is allowed."""


def read_each(column: Sequence[Any], read: Callable[[Any], Any]) -> list[Any]:
    """Return what is read of each value, reading equal ones once."""
    found = {value: read(value) for value in set(column)}
    return list(map(found.__getitem__, column))


def times_of(name: str, column: Sequence[Any]) -> list[Any]:
    """Return times of a column of texts or numbers; empty ones are None where they may be.

    Raises
    ------
    ValueError, TypeError
        One is none, or not plain.
    """
    if isinstance(column[0], int) and set(map(type, column)) == {int}:
        low, high = min(column), max(column)
        if not SECONDS_NOT_MS <= low <= high <= MAX_TS_MS or may_be_dates(low, high):
            raise ValueError(name)
        return list(column)
    if name == "ts":
        return read_each(column, lambda value: time_ms(name, value))
    return read_each(column, lambda value: None if is_unknown(value) else time_ms(name, value))


def numbers_of(
    column: Sequence[Any] | None, low: float, high: float = MAX_PRICE, *, is_required: bool = False
) -> list[float | None] | None:
    """Return the numbers of a column of texts or numbers; empty ones are None where they may be.

    Raises
    ------
    ValueError, TypeError
        One is none, or not plain.
    """
    if column is None:
        return None
    if isinstance(column[0], bool):  # a number to Python alone
        raise TypeError(bool)
    try:
        found = _floats(column)
    except (ValueError, TypeError):
        if is_required:
            raise
        return _partial(column, low, high)
    # A sum is finite if all are: comparisons do not see what is none.
    if not (low <= min(found) and max(found) <= high and math.isfinite(sum(found))):
        raise ValueError(low, high)
    return found  # type: ignore[return-value] # all are known


def _floats(column: Sequence[Any]) -> list[float]:
    """Return the numbers of a column without an empty one.

    Texts are read as JSON, at a third of the time, unless one of them is none or has a sign: JSON's -0 has none.

    Raises
    ------
    ValueError, TypeError
        One is no number.
    """
    if isinstance(column[0], str):
        text = ",".join(column)
        if not _is_written_plainly(text):
            raise ValueError(text)
        if "-" not in text:
            with suppress(msgspec.DecodeError):
                found = _decode(f"[{text}]")
                if len(found) == len(column):
                    return found
    return list(map(float, column))


def _is_written_plainly(text: str) -> bool:
    """Return whether a text has neither of what Python alone takes in a number: 1_000, and digits of other scripts."""
    return text.isascii() and "_" not in text


_decode = msgspec.json.Decoder(list[float]).decode


def _partial(column: Sequence[Any], low: float, high: float) -> list[float | None]:
    """Return the numbers of a column in which some are left empty."""
    given = [value for value in column if value is not None and value != ""]
    if not given:
        return [None] * len(column)
    if len(given) == len(column):
        raise ValueError(column)
    left = iter(numbers_of(given, low, high) or ())
    return [None if value is None or value == "" else next(left) for value in column]


_UNKNOWN = frozenset(
    ["", "nan", "-nan", "1.#qnan", "-1.#ind", "null", "none", "nil", "\\n", "na", "n/a", "#na", "#n/a", "#n/a n/a",
     "<na>", "nat", "-", "--", ".", "inf", "-inf", "+inf", "infinity", "-infinity", "1.#inf", "-1.#inf",
     "#div/0!", "#num!", "#value!", "#ref!", "#name?", "#null!"]
)  # fmt: skip


_NO_TIME = "0001-01-01"
"""With this date Go and .NET write a time that is not set."""


def is_unknown(value: Any) -> bool:
    """Return whether an optional value is left empty, as pandas, NumPy, JSON, R, spreadsheets and vendors write it."""
    if not isinstance(value, str | datetime):
        return known(value) is None
    text = str(value).strip().lower()
    return text in _UNKNOWN or text.startswith(_NO_TIME)


def optional_number(name: str, value: Any, low: float, high: float) -> float | None:
    """Return the number, or None where it is left empty."""
    return None if is_unknown(value) else number_of(name, value, low, high)


def symbol_of(value: Any) -> str:
    """Return the symbol that a value of column `symbol` says.

    Raises
    ------
    BadRowError
        If it is none.
    """
    # Some writers of Parquet, old ones among them, leave texts as bytes, perhaps filled up to one length.
    text = value.rstrip(b"\0").decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
    symbol = in_capitals(text.strip()) if isinstance(text, str) else text
    if isinstance(symbol, str) and is_symbol(symbol):
        return symbol
    what = "missing" if value is None else _shown(text)
    if type(value) in {int, float}:  # 700 may have been 0700
        raise BadRowError(f"symbol is the number {what}; must be a text")
    raise BadRowError(f"symbol is {what}; must be {SYMBOL_RULE}")


def number_of(name: str, value: Any, low: float, high: float) -> float | None:
    """Return the number, or None when there is none."""
    if value is None or value == "":
        return None
    is_other = isinstance(value, bool) or (isinstance(value, str) and not _is_written_plainly(value))
    try:
        number = math.nan if is_other else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high:
        raise BadRowError(
            f"{name} is {_shown(value)}; must be a number from {low:g} to {high:g}, written as 1234.5"
        )
    return number


def time_ms(name: str, value: Any) -> int:
    """Return the time that a value of column `name` says, in epoch milliseconds.

    Raises
    ------
    BadRowError
        If it is none.
    """
    if unit := _other_unit(value):
        raise BadRowError(
            f"{name} is {_shown(value)}, which looks like {unit}; must be milliseconds since 1970,"
            " or a time such as 2025-11-24T14:30:00.123Z"
        )
    if lack := _lack(value):
        raise BadRowError(
            f"{name} is {_shown(value)}, which has no {lack}; must end in Z or an offset,"
            " as 2025-11-24T14:30:00.123Z or 2025-11-24T09:30:00-05:00"
        )
    ms = _whole_ms(value)
    if ms is None or not 0 <= ms <= MAX_TS_MS:
        raise BadRowError(
            f"{name} is {'missing' if value is None else _shown(value)}; must be a whole number of milliseconds since"
            " 1970, or a time such as 2025-11-24T14:30:00.123Z"
        )
    return ms


def _other_unit(value: Any) -> str | None:
    """Return in which unit a bare number plainly is, if not in milliseconds; a date of 1971 is one like any other."""
    if not isinstance(value, int | float | Decimal | str) or isinstance(value, bool):
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        return None
    if _DATE.fullmatch(str(value).strip()):
        return "a date written as YYYYMMDDhhmmss"
    number = value if isinstance(value, int) else float(value)  # a whole number may be too large for a float
    if _SERIAL_DAYS[0] <= number < _SERIAL_DAYS[1]:
        return "days, as spreadsheets count them"
    if 1 <= number < SECONDS_NOT_MS:
        return "seconds"
    return finer_unit(number)


def may_be_dates(low: int, high: int) -> bool:
    """Return whether numbers from `low` to `high` may be dates written in digits alone, such as 20251124143000."""
    return any(low <= last and high >= first for first, last in _DATES)


def _whole_ms(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float | Decimal) and value % 1 == 0:  # NaN and infinity leave NaN
        return int(value)
    if isinstance(value, datetime):  # from Parquet, where no offset means UTC
        return _epoch_ms(value if value.tzinfo else value.replace(tzinfo=UTC))
    return _parsed_ms(value.strip()) if isinstance(value, str) else None


def _parsed_ms(text: str) -> int | None:
    if _WHOLE.fullmatch(text):
        return int(text.partition(".")[0])
    try:
        at = datetime.fromisoformat(_iso(text))
    except ValueError:
        return None
    return _epoch_ms(at) if at.tzinfo else None


def _iso(text: str) -> str:
    """Return a time as ISO 8601 has it: RFC 3339 takes t and z as well, and BigQuery has a blank before UTC."""
    text = text.upper()
    return text[:11] + text[11:].replace(" ", "").replace("UTC", "Z") if " " in text[11:] else text


def _lack(value: Any) -> str | None:
    """Return what a time lacks to say when it is, if it is one; a `datetime` of Parquet without an offset is in UTC."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return "time of day"
    text = value.strip() if isinstance(value, str) else ""
    try:
        if _WHOLE.fullmatch(text) or datetime.fromisoformat(_iso(text)).tzinfo is not None:
            return None
    except ValueError:
        return None
    return "time of day" if _is_date(text) else "time zone"


def _is_date(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text.upper()))
    except ValueError:
        return False


def _epoch_ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float | list | dict) else str(value)
    text = shortened(text, 60)
    return f"{text} (not UTF-8)" if isinstance(value, str) and _SURROGATE.search(value) else text
