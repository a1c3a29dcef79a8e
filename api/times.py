"""Instants and days as requests give them: one parser for all, and one range that every calendar holds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from producers.quote_values import MAX_TS_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def epoch_ms(instant: datetime) -> int:
    """Return the epoch milliseconds of an instant; one without an offset is UTC.

    Examples
    --------
    >>> epoch_ms(datetime.fromisoformat("1970-01-01T01:00:01.5+01:00"))
    1500
    """
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)


def iso_text(value: object) -> object:
    """Return a text that may be ISO 8601; pydantic would take numbers for seconds or milliseconds.

    Raises
    ------
    ValueError
        For a number, or a text that is one.
    """
    if not isinstance(value, str) or value.replace(".", "").lstrip("+-").isdecimal():
        raise ValueError("must be an ISO 8601 instant such as 2026-11-24T14:30:00Z")
    return value


def within_epoch(instant: datetime) -> datetime:
    """Return the instant if ISO 8601 can name it in UTC: an offset may carry one beyond the calendar.

    Raises
    ------
    ValueError
        Before 1970 or after 9999.
    """
    if not 0 <= epoch_ms(instant) <= MAX_TS_MS:
        raise ValueError("must be an ISO 8601 instant from 1970-01-01T00:00:00Z to 9999-12-31T23:59:59.999Z")
    return instant


def day_text(value: object) -> object:
    """Return a text that may be a date.

    Raises
    ------
    ValueError
        For anything that is not written YYYY-MM-DD.
    """
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise ValueError("must be a date such as 2026-11-24")
    return value
