"""Where quotes come from, by the name of their source: a live market, its past, a simulation, a replay, a proof."""

from __future__ import annotations

from typing import Final, Literal

Origin = Literal["live", "simulated", "replay", "backfill", "verify"]
_BACKFILL: Final = "backfill-"


def origin_of(source: str) -> Origin:
    """Return the origin of a source's quotes.

    Examples
    --------
    >>> origin_of("alpaca"), origin_of("simulated"), origin_of("replay-2025-11-24"), origin_of("backfill-alpaca")
    ('live', 'simulated', 'replay', 'backfill')
    >>> origin_of("verify-20261129T0010-1f2e")  # of `stock-monitor verify`: nobody is notified, and it is deleted after
    'verify'
    """
    match source.partition("-")[0]:
        case "simulated" | "replay" | "backfill" | "verify" as origin:
            return origin
        case _:
            return "live"


def backfill_of(source: str) -> str:
    """Return the name under which the past quotes of a live source are sent, to warm up its windows.

    Examples
    --------
    >>> backfill_of("coinbase")
    'backfill-coinbase'
    """
    return _BACKFILL + source


def windows_of(source: str) -> str:
    """Return the source whose windows the quotes of a source move: a backfill moves those of the live source.

    Examples
    --------
    >>> windows_of("backfill-coinbase"), windows_of("coinbase")
    ('coinbase', 'coinbase')
    """
    return source.removeprefix(_BACKFILL)
