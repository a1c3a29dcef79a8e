"""Where quotes come from, by the name of their source: a live market, a simulation, a replay."""

from __future__ import annotations

from typing import Literal

Origin = Literal["live", "simulated", "replay"]


def origin_of(source: str) -> Origin:
    """Return the origin of a source's quotes.

    Examples
    --------
    >>> origin_of("alpaca"), origin_of("simulated"), origin_of("replay-2025-11-24")
    ('live', 'simulated', 'replay')
    """
    match source.partition("-")[0]:
        case "simulated" | "replay" as origin:
            return origin
        case _:
            return "live"
