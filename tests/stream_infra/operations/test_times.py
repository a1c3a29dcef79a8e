"""Times as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from stream_infra.operations.errors import InputError
from stream_infra.operations.times import end, moment

NOW = datetime(2026, 11, 24, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", NOW - timedelta(seconds=30)),
        ("2h", NOW - timedelta(hours=2)),
        ("1d", NOW - timedelta(days=1)),
        ("2026-11-24T14:00Z", NOW.replace(minute=0)),
        ("2026-11-24T16:00+02:00", NOW.replace(minute=0)),
        ("2013-06-01", datetime(2013, 6, 1, tzinfo=UTC)),
    ],
)
def test_since_takes_ages_and_times(text: str, expected: datetime) -> None:
    assert moment(text, NOW) == expected


@pytest.mark.parametrize("text", ["yesterday", "5x", "-3m", "", "١d", "99999999999d", "999999999d"])
def test_since_says_what_is_allowed(text: str) -> None:
    with pytest.raises(InputError, match="must be an age such as 30s"):
        moment(text, NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30m", NOW + timedelta(minutes=30)),
        ("7d", NOW + timedelta(days=7)),
        ("2026-11-24T18:00", NOW.replace(hour=18, minute=0)),
        ("2026-11-24T18:00+02:00", NOW.replace(hour=16, minute=0)),
    ],
)
def test_an_end_is_a_duration_or_a_time(text: str, expected: datetime) -> None:
    assert end(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "0s", "-1h", "400d", "2026-11-24T14:30Z", "2028-01-01"])
def test_an_end_is_in_the_future_and_not_too_far(text: str) -> None:
    with pytest.raises(InputError, match="must be a duration such as 30m"):
        end(text, NOW)
