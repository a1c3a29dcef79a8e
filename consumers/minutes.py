"""Minute bars and the state of the day, per symbol: the same for any cut of the ticks into batches.

Only first, last, highest, lowest and counts are taken, no sums: a minute's volume is the cumulative
day volume at its end less that before it. In the minute in which the session's count starts anew, what was
traded before the restart is left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from consumers.charts import MINUTE_MS, Bar, LastQuote
from consumers.rows import Bools, Floats, Ints

DAY_MS = 86_400_000
# One row per field; a field is 0.0 when nothing is known (prices are positive), volumes are -1.0 then.
FIELDS = (
    "minute",  # ms at which the open minute starts
    "open",
    "high",
    "low",
    "close",
    "ticks",
    "bid",
    "ask",
    "volume_before",  # day volume when the minute began
    "volume",  # newest day volume
    "day",  # days since 1970 of the newest price
    "day_open",
    "previous_close",
    "ts",  # ms of the newest price
)
_NEW = np.array([[-1.0 if name.startswith("volume") else 0.0] for name in FIELDS])
_M, _O, _H, _L, _C, _N, _BID, _ASK, _VB, _V, _DAY, _DO, _PC, _TS = range(len(FIELDS))


class ClosedBar(NamedTuple):
    """A minute that is over for the symbol in `slot`."""

    slot: int
    bar: Bar


def new_minutes(n: int) -> Floats:
    """The state of `n` symbols never seen, shape (len(FIELDS), n)."""
    return np.repeat(_NEW, n, axis=1)


def advance(
    minutes: Floats, slot: Ints, ts: Ints, columns: tuple[Floats, Floats, Floats, Floats]
) -> list[ClosedBar]:
    """Move `minutes` (changed in place) over ticks sorted by slot and time; answer the bars that closed.

    `columns` are price, bid, ask and day volume, NaN where unknown. Prices and quotes that are not positive
    are left out.
    """
    price, bid, ask, volume = columns
    priced = price > 0.0
    if not priced.all():
        slot, ts = slot[priced], ts[priced]
        price, bid, ask, volume = price[priced], bid[priced], ask[priced], volume[priced]
    if not len(slot):
        return []
    minute = ts // MINUTE_MS
    first = np.ones(len(slot), np.bool_)
    first[1:] = (slot[1:] != slot[:-1]) | (minute[1:] != minute[:-1])
    starts = np.flatnonzero(first)
    ends = np.append(starts[1:], len(slot)) - 1
    segments = zip(
        slot[starts].tolist(),
        (minute[starts] * MINUTE_MS).tolist(),
        price[starts].tolist(),
        np.maximum.reduceat(price, starts).tolist(),
        np.minimum.reduceat(price, starts).tolist(),
        price[ends].tolist(),
        (ends - starts + 1).tolist(),
        _newest(bid, bid > 0.0, starts, ends),
        _newest(ask, ask > 0.0, starts, ends),
        _oldest(volume, volume >= 0.0, starts, ends),
        _newest(volume, volume >= 0.0, starts, ends),
        ts[ends].tolist(),
        strict=True,
    )
    closed: list[ClosedBar] = []
    for at, *segment in segments:
        column = minutes[:, at].tolist()
        bar = _merge(column, segment)
        minutes[:, at] = column
        if bar is not None:
            closed.append(ClosedBar(at, bar))
    return closed


def open_bar(column: list[float]) -> Bar | None:
    """The open minute of a symbol's column; None if it never had a price."""
    if column[_N] == 0.0:
        return None
    return Bar(
        int(column[_M]),
        column[_O],
        column[_H],
        column[_L],
        column[_C],
        _traded(column[_VB], column[_V]),
        int(column[_N]),
        column[_BID] or None,
        column[_ASK] or None,
    )


def last_quote(symbol: str, column: list[float]) -> LastQuote | None:
    """The newest quote of a symbol's column; None if it never had a price."""
    bar = open_bar(column)
    if bar is None:
        return None
    volume = column[_V] if column[_V] >= 0.0 else None
    return LastQuote(
        symbol, int(column[_TS]), bar.close, bar.bid, bar.ask, volume, column[_DO], column[_PC] or None, bar
    )


def _merge(column: list[float], segment: list[float]) -> Bar | None:
    """Add ticks of one minute to a symbol's column; the bar that they closed, if they began a new one."""
    minute, opened, high, low, close, ticks, bid, ask, oldest, newest, ts = segment
    closed = None
    if column[_N] == 0.0 or minute != column[_M]:
        closed = open_bar(column)
        column[_M], column[_O], column[_H], column[_L] = float(minute), opened, high, low
        column[_N], column[_VB] = 0.0, column[_V]
    else:
        column[_H] = high if high > column[_H] else column[_H]
        column[_L] = low if low < column[_L] else column[_L]
    if column[_VB] < 0.0:
        column[_VB] = oldest
    day = minute // DAY_MS
    if day > column[_DAY]:
        column[_PC], column[_DAY], column[_DO] = column[_C], float(day), opened
    column[_C], column[_TS] = close, float(ts)
    column[_N] += ticks
    column[_BID] = bid if bid >= 0.0 else column[_BID]
    column[_ASK] = ask if ask >= 0.0 else column[_ASK]
    column[_V] = newest if newest >= 0.0 else column[_V]
    return closed


def _traded(before: float, now: float) -> float | None:
    if before < 0.0 or now < 0.0:
        return None
    return now - before if now >= before else now


def _newest(values: Floats, known: Bools, starts: Ints, ends: Ints) -> list[float]:
    """The last known value of each segment, -1.0 if it has none."""
    at = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))[ends]
    newest: list[float] = np.where(at >= starts, values[at], -1.0).tolist()
    return newest


def _oldest(values: Floats, known: Bools, starts: Ints, ends: Ints) -> list[float]:
    """The first known value of each segment, -1.0 if it has none."""
    last = len(values)
    at = np.minimum.accumulate(np.where(known, np.arange(last), last)[::-1])[::-1][starts]
    oldest: list[float] = np.where(at <= ends, values[np.minimum(at, last - 1)], -1.0).tolist()
    return oldest
