"""When scans are started."""

from __future__ import annotations

from typing import NamedTuple

from producers.markets import NEW_YORK
from producers.markets.listings import Listings
from producers.sources import get
from producers.watch_list import is_reference
from stream_infra.config import Config


class ScanSchedule(NamedTuple):
    """When scans are started (UTC, as a cron rule says it), and when they are not, in CloudWatch's metric math."""

    hours: str
    days: str
    outside: str


SCHEDULES = {
    "regular": ScanSchedule("13-21", "MON-FRI", "DAY(beat) > 5 || HOUR(beat) < 13 || HOUR(beat) > 21"),
    "extended": ScanSchedule("8-23,0-1", "MON-SAT", "DAY(beat) > 6 || (HOUR(beat) > 1 && HOUR(beat) < 8)"),
}


def scan_schedule(config: Config) -> ScanSchedule | None:
    """Return when scans are started; None for every minute.

    That is so for a source of other markets, and where the watch list begins with tickers of one: Alpaca has crypto.
    """
    spec = get(config.source)
    listings = Listings(config.markets, spec.market)
    is_american = spec.market == NEW_YORK and set(spec.assets) <= {"stocks", "etfs", "crypto"}
    if not is_reference(config.tickers):
        is_american &= all(listings(ticker) == NEW_YORK for ticker in config.tickers.split(","))
    if config.local or config.session == "always" or not is_american:
        return None
    return SCHEDULES[config.session]
