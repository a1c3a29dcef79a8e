"""Bars of some seconds, from archived ticks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from consumers.contracts.charts import Bar
from producers.archive import ArchivedTick


def short_bars(ticks: Iterable[ArchivedTick], length_ms: int) -> Iterator[Bar]:
    """Yield bars that start at multiples of their length; as in minute bars, prices that are not positive are left out.

    Parameters
    ----------
    ticks
        Of one ticker, by time. The volume of a bar is what the session's count grew by since the bar before.
    length_ms
        How long a bar lasts.

    Examples
    --------
    >>> ticks = [ArchivedTick("A", 0, 2.0), ArchivedTick("A", 900, 3.0), ArchivedTick("A", 1000, 1.0)]
    >>> [(bar.minute_ms, bar.open, bar.close, bar.ticks) for bar in short_bars(ticks, 1000)]
    [(0, 2.0, 3.0, 2), (1000, 1.0, 1.0, 1)]
    """
    before: float | None = None
    priced = (tick for tick in ticks if tick.price > 0)
    for number, group in groupby(priced, lambda tick: tick.ts // length_ms):
        own = list(group)
        prices = [tick.price for tick in own]
        spreads = [spread for tick in own if (spread := _spread(tick)) is not None]
        newest = next((tick.day_volume for tick in reversed(own) if tick.day_volume is not None), None)
        yield Bar(
            number * length_ms,
            prices[0],
            max(prices),
            min(prices),
            prices[-1],
            _grown(before, newest),
            len(own),
            own[-1].bid,
            own[-1].ask,
            min(spreads, default=None),
            max(spreads, default=None),
        )
        before = before if newest is None else newest


def _spread(tick: ArchivedTick) -> float | None:
    """Return ask less bid; crossed quotes have none."""
    if tick.bid is None or tick.ask is None or not 0 < tick.bid <= tick.ask:
        return None
    return tick.ask - tick.bid


def _grown(before: float | None, newest: float | None) -> float | None:
    """Return what was traded: unknown in the first bar, and where the session's count began anew."""
    if before is None or newest is None or newest < before:
        return None
    return newest - before
