"""The exchange's calendar, against an independent one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from producers.markets import is_open, trading_hours

exchange_calendars = pytest.importorskip(
    "exchange_calendars", reason="the oracle for market hours is a development extra"
)

# The oracle uses a part of pandas that pandas 3.1 announces to change.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values:DeprecationWarning")


@pytest.fixture(scope="module")
def sessions() -> dict[object, tuple[datetime, datetime]]:
    calendar = exchange_calendars.get_calendar("XNYS", start="2015-01-01", end="2027-12-31")
    schedule = calendar.schedule
    return {
        day.date(): (opens.to_pydatetime(), closes.to_pydatetime())
        for day, opens, closes in zip(schedule.index, schedule["open"], schedule["close"], strict=True)
    }


def test_every_session_of_2015_to_2027_opens_and_closes_as_in_the_independent_calendar(
    sessions: dict[date, tuple[datetime, datetime]],
) -> None:
    day, last, ours = datetime(2015, 1, 1, tzinfo=UTC).date(), datetime(2027, 12, 31, tzinfo=UTC).date(), {}
    while day <= last:
        hours = trading_hours("regular", day)
        if hours is not None:
            ours[day] = hours
        day += timedelta(days=1)
    assert ours == sessions
    half_days = [day for day, (opens, closes) in ours.items() if closes - opens < timedelta(hours=6)]
    assert len(half_days) > 20


def test_the_opening_instant_is_in_and_the_closing_instant_is_not(
    sessions: dict[date, tuple[datetime, datetime]],
) -> None:
    for opens, closes in list(sessions.values())[::97]:
        assert not is_open("regular", opens - timedelta(milliseconds=1))
        assert is_open("regular", opens)
        assert is_open("regular", closes - timedelta(milliseconds=1))
        assert not is_open("regular", closes)


@pytest.mark.parametrize(
    ("at", "regular", "extended"),
    [
        ("2025-11-24T13:00:00Z", False, True),  # a Monday in winter, 8:00 in New York
        ("2025-11-24T14:30:00Z", True, True),
        ("2025-07-07T13:30:00Z", True, True),  # in summer it is an hour earlier
        ("2025-07-07T13:29:59Z", False, True),
        ("2025-11-25T00:59:00Z", False, True),  # still Monday evening in New York
        ("2025-11-25T01:00:00Z", False, False),
        ("2025-11-28T19:00:00Z", False, True),  # the half day after Thanksgiving
        ("2025-11-28T22:00:00Z", False, False),
        ("2025-11-27T16:00:00Z", False, False),  # Thanksgiving
        ("2025-11-29T16:00:00Z", False, False),  # a Saturday
        ("2025-01-09T16:00:00Z", False, False),  # the day of mourning for President Carter
    ],
)
def test_known_hours(at: str, regular: bool, extended: bool) -> None:
    instant = datetime.fromisoformat(at)
    assert is_open("regular", instant) == regular
    assert is_open("extended", instant) == extended
    assert is_open("always", instant)
