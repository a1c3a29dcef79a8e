"""Times as people type them: an age or a duration such as 15m, or a time in ISO 8601."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from stream_infra.operations.errors import InputError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def moment(text: str, now: datetime, option: str = "--since") -> datetime:
    """Return the moment that `text` names: an age such as 15m, or a time in ISO 8601 (UTC unless it says otherwise).

    Parameters
    ----------
    option
        The option that it was given by, for errors.

    Raises
    ------
    InputError
        It is neither.
    """
    try:
        age = _seconds(text)
        return time(text) if age is None else now - timedelta(seconds=age)
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{text!r}",
            where=option,
            allowed="an age such as 30s, 15m, 2h, 1d or a time such as 2026-11-24T14:30Z",
        ) from error


def span(since: str, until: str | None, now: datetime) -> tuple[int, int]:
    """Return the span from ``--from`` to ``--to``, or to now, in epoch milliseconds.

    Raises
    ------
    InputError
        One of them is no time, or the span is empty.
    """
    begin, stop = moment(since, now, "--from"), now if until is None else moment(until, now, "--to")
    if begin >= stop:
        raise InputError(
            f"{since!r}", where="--from", allowed="before now" if until is None else f"before --to {until!r}"
        )
    return round(begin.timestamp() * 1000), round(stop.timestamp() * 1000)


def end(text: str, now: datetime) -> datetime:
    """Return when a silence ends, as `text` names it: a duration such as 2h from now, or a time in ISO 8601.

    Raises
    ------
    InputError
        It is neither, not in the future, or more than `LONGEST_SILENCE_DAYS` from now.
    """
    from consumers.alerts.model import LONGEST_SILENCE_DAYS  # noqa: PLC0415  --help must not pay for it

    try:
        seconds = _seconds(text)
        found = time(text) if seconds is None else now + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        found = now
    if not now < found <= now + timedelta(days=LONGEST_SILENCE_DAYS):
        raise InputError(
            f"{text!r}",
            where="--for",
            allowed="a duration such as 30m, 2h, 7d or a time such as 2026-11-24T14:30Z,"
            f" at most {LONGEST_SILENCE_DAYS} days from now",
        )
    return found


def time(text: str) -> datetime:
    """Return a time in ISO 8601, UTC unless it says otherwise.

    Raises
    ------
    ValueError
        It is none.
    """
    given = datetime.fromisoformat(text)
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def _seconds(text: str) -> int | None:
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    return int(match[1]) * _UNITS[match[2]] if match else None
