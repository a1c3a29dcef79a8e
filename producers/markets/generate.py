"""Writes calendars.json from exchange_calendars; `make lock` runs it, so that no pandas is there at run time.

For each exchange: the days on which it trades in a usual week, its usual sessions from a day on, the days of the
week on which it is closed all the same, and the days with another session. A session is a list of minutes from
midnight UTC of its day: opening and closing time, for each part where there is a lunch break.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

EXCHANGES = (
    "XNYS", "XNAS", "XTSE", "XTSX", "BVMF", "XMEX", "XBUE", "XSGO", "XBOG", "XLIM", "CMES",
    "XLON", "XDUB", "XPAR", "XAMS", "XBRU", "XLIS", "XETR", "XFRA", "XMIL", "XMAD", "XSWX", "XWBO", "XSTO", "XHEL",
    "XCSE", "XOSL", "XWAR", "XPRA", "XBUD", "XMOS", "XIST", "XSAU", "XJSE",
    "ASEX", "XBSE", "XTAE", "XICE", "XTAL", "XRIS", "XLIT",
    "XBOM", "XKAR", "XHKG", "XSHG", "XTKS", "XKRX", "XTAI", "XSES", "XKLS", "XIDX", "XBKK", "XPHS", "XASX", "XNZE",
)  # fmt: skip
FIRST, LAST = date(2015, 1, 1), date(2028, 12, 31)
_SINCE = {"XTAE": date(2026, 1, 5)}
"""Tel Aviv trades from Monday to Friday since then; exchange_calendars 4 fails for its years before."""
FILE = Path(__file__).with_name("calendars.json")
_NEIGHBOURS = 7  # sessions on either side that say what is usual at a time of the year

Minutes = tuple[int, ...]


def main() -> None:
    """Write the file."""
    calendars = {exchange: compact(sessions_of(exchange)) for exchange in EXCHANGES}
    FILE.write_text(json.dumps(calendars, separators=(",", ":"), sort_keys=True) + "\n")


def sessions_of(exchange: str) -> dict[date, Minutes]:
    """Return all sessions that exchange_calendars knows of from 2015 to 2028, as minutes from midnight UTC."""
    schedule = _calendar(exchange).schedule
    found: dict[date, Minutes] = {}
    for day, row in zip(schedule.index, schedule.itertuples(index=False), strict=True):
        times = [row.open, row.break_start, row.break_end, row.close]
        seconds = [(at.tz_localize(None) - day).total_seconds() for at in times if at == at]  # noqa: PLR0124 - NaT
        found[day.date()] = tuple(round(second / 60) for second in seconds)
    return found


def compact(sessions: dict[date, Minutes]) -> dict[str, Any]:
    """Return sessions as what is usual, and what is not."""
    days = sorted(sessions)
    weekdays = Counter(day.weekday() for day in days)
    usual_weekdays = sorted(
        weekday for weekday, count in weekdays.items() if count > max(weekdays.values()) / 2
    )
    usual = _usual([sessions[day] for day in days])
    runs: list[tuple[date, Minutes]] = []
    for day, minutes in zip(days, usual, strict=True):
        if not runs or runs[-1][1] != minutes:
            runs.append((day, minutes))
    every = (days[0] + timedelta(days=n) for n in range((days[-1] - days[0]).days + 1))
    closed = [day for day in every if day.weekday() in usual_weekdays and day not in sessions]
    special = {
        day: sessions[day]
        for day, minutes in zip(days, usual, strict=True)
        if sessions[day] != minutes or day.weekday() not in usual_weekdays
    }
    return {
        "weekdays": usual_weekdays,
        "first": days[0].toordinal(),
        "last": days[-1].toordinal(),
        "runs": [[day.toordinal(), *minutes] for day, minutes in runs],
        "closed": _steps(day.toordinal() for day in closed),
        "special": {str(day.toordinal()): list(minutes) for day, minutes in special.items()},
    }


def _usual(sessions: Sequence[Minutes]) -> list[Minutes]:
    found = []
    for index, session in enumerate(sessions):
        around = sessions[max(0, index - _NEIGHBOURS) : index + _NEIGHBOURS + 1]
        (most, count), *_ = Counter(around).most_common(1)
        found.append(session if Counter(around)[session] == count else most)
    return found


def _steps(ordinals: Any) -> list[int]:
    """Return growing numbers as the first and the steps after it, which take a third of the bytes."""
    listed = list(ordinals)
    return [after - before for before, after in zip([0, *listed], listed, strict=False)]


def _calendar(exchange: str) -> Any:
    from exchange_calendars import get_calendar  # noqa: PLC0415 - brings pandas, which only this program needs

    _mend_orthodox_easter()
    first, last = _SINCE.get(exchange, FIRST), LAST
    while True:  # some know neither the first years nor the last
        try:
            return get_calendar(exchange, start=str(first), end=str(last))
        except ValueError as error:
            if "earliest date" in str(error):
                first = date(first.year + 1, 1, 1)
            elif last.year > first.year:
                last = date(last.year - 1, 12, 31)
            else:
                raise


def _mend_orthodox_easter() -> None:
    """Let exchange_calendars 4 add its Orthodox Easter to a time: pandas 3 calls another method than pandas 2 did."""
    from exchange_calendars.pandas_extensions.offsets import OrthodoxEaster  # noqa: PLC0415

    OrthodoxEaster._add_datetime = OrthodoxEaster._apply


if __name__ == "__main__":
    main()
