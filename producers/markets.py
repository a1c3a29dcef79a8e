"""When the New York Stock Exchange trades: regular hours, extended hours, half days, holidays.

A scheduler's rule knows no time zone and no holiday, so the scan asks here. Holidays and half days are
those of the `holidays` package; New York's daylight saving time is the rule in force since 2007
(Energy Policy Act of 2005), so that no time zone database has to be there.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import lru_cache
from typing import Literal, get_args

Session = Literal["regular", "extended", "always"]
SESSIONS: tuple[Session, ...] = get_args(Session)

_REGULAR = time(9, 30), time(16, 0)
_REGULAR_HALF_DAY = time(9, 30), time(13, 0)
_EXTENDED = time(4, 0), time(20, 0)
_EXTENDED_HALF_DAY = time(4, 0), time(17, 0)  # late trading ends at 5 p.m. when the close is at 1 p.m.


def is_open(session: Session, at: datetime) -> bool:
    """Return whether the session is on at this time (aware); it holds its opening instant and not its closing."""
    if session == "always":
        return True
    hours = trading_hours(session, at.astimezone(new_york(at.date())).date())
    return hours is not None and hours[0] <= at < hours[1]


def trading_hours(session: Literal["regular", "extended"], day: date) -> tuple[datetime, datetime] | None:
    """Return opening and closing time (UTC) on a New York day, or None when the exchange is closed all day."""
    closed, half = _exceptions(day.year)
    if day.weekday() >= 5 or day in closed:
        return None
    if session == "regular":
        start, end = _REGULAR_HALF_DAY if day in half else _REGULAR
    else:
        start, end = _EXTENDED_HALF_DAY if day in half else _EXTENDED
    zone = new_york(day)
    return (
        datetime.combine(day, start, zone).astimezone(UTC),
        datetime.combine(day, end, zone).astimezone(UTC),
    )


@lru_cache(maxsize=64)
def _exceptions(year: int) -> tuple[frozenset[date], frozenset[date]]:
    # Imported here because it takes a third of a second, which a scan of session `always` need not pay.
    from holidays.constants import HALF_DAY, PUBLIC  # noqa: PLC0415
    from holidays.financial.ny_stock_exchange import NewYorkStockExchange  # noqa: PLC0415

    closed = NewYorkStockExchange(years=year, categories=PUBLIC)  # type: ignore[no-untyped-call]
    half = NewYorkStockExchange(years=year, categories=HALF_DAY)  # type: ignore[no-untyped-call]
    return frozenset(closed), frozenset(half)


def new_york(day: date) -> timezone:
    """Return New York's offset in the trading hours of a day; it changes on Sundays, outside of them."""
    first_sunday_of_march = _first_sunday(date(day.year, 3, 1))
    summer = first_sunday_of_march + timedelta(days=7) <= day < _first_sunday(date(day.year, 11, 1))
    return timezone(timedelta(hours=-4 if summer else -5))


def _first_sunday(day: date) -> date:
    return day + timedelta(days=6 - day.weekday())
