"""Minute bars and the state of the day, per symbol: the same for any cut of the ticks into batches.

Only first, last, highest, lowest and counts are taken, no sums: a minute's volume is the cumulative
day volume at its end less that before it. In the minute in which the session's count starts anew, what was
traded before the restart is left out.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np

from consumers.contracts.charts import MINUTE_MS, Bar, QuoteColumns
from consumers.detectors.engine.engine import Ticks
from consumers.stream.library import LIBRARY, Library, address
from consumers.stream.rows import Bools, Floats, Ints

DAY_MS = 86_400_000
# One row per field; a field is 0.0 when nothing is known (prices are positive), volumes and spreads are -1.0 then.
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
    "spread_low",  # of the open minute: its least and its greatest ask less bid
    "spread_high",
)
_NEW = np.array([[-1.0 if name.startswith(("volume", "spread")) else 0.0] for name in FIELDS])
_M, _O, _H, _L, _C, _N, _BID, _ASK, _VB, _V, _DAY, _DO, _PC, _TS, _SL, _SH = range(len(FIELDS))


class ClosedBar(NamedTuple):
    """A minute that is over for the symbol in `slot`."""

    slot: int
    bar: Bar


def new_minutes(n: int) -> Floats:
    """Return the state of `n` symbols never seen, shape (len(FIELDS), n)."""
    return np.repeat(_NEW, n, axis=1)


def advance(minutes: Floats, ticks: Ticks) -> list[ClosedBar]:
    """Move `minutes` (changed in place) over ticks sorted by slot and time; return the bars that closed.

    Prices and quotes that are not positive are left out.
    """
    return advance_arrays(minutes, ticks) if LIBRARY is None else advance_compiled(minutes, ticks, LIBRARY)


def advance_compiled(minutes: Floats, ticks: Ticks, library: Library) -> list[ClosedBar]:
    """Do the same as `advance_arrays`, by the compiled library."""
    count = len(ticks.slot)
    slots, closed = np.empty(count, np.int64), np.empty((count, len(FIELDS)))
    found = library.code.advance_bars(
        ctypes.c_int64(count), *map(address, (*map(np.ascontiguousarray, ticks), minutes)),
        *(ctypes.c_int64(stride // minutes.itemsize) for stride in minutes.strides), address(slots), address(closed),
    )  # fmt: skip
    return _closed_bars(slots[:found], closed[:found].T)


def advance_arrays(minutes: Floats, ticks: Ticks) -> list[ClosedBar]:
    """Do what `advance` does where nothing is compiled."""
    priced = ticks.price > 0.0
    if not priced.all():
        ticks = Ticks(
            ticks.slot[priced],
            ticks.ts[priced],
            ticks.price[priced],
            ticks.bid[priced],
            ticks.ask[priced],
            ticks.day_volume[priced],
        )
    if not len(ticks.slot):
        return []
    segments = _segments(ticks)
    before = minutes[:, segments.slot]
    after, continued = _merged(before, segments)
    closed = _closed(before, after, segments, continued)
    last = np.append(segments.first[1:], True)
    minutes[:, segments.slot[last]] = after[:, last]
    return closed


class _Segments(NamedTuple):
    """Ticks of one symbol in one minute, as columns; -1.0 is unknown in bid, ask, spreads, oldest and newest volume."""

    slot: Ints
    first: Bools  # of its symbol in this call
    minute: Floats
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    ticks: Floats
    bid: Floats
    ask: Floats
    oldest: Floats
    newest: Floats
    ts: Floats
    spread_low: Floats
    spread_high: Floats


def _segments(ticks: Ticks) -> _Segments:
    slot, ts, price, bid, ask, volume = ticks
    minute = ts // MINUTE_MS
    first = np.ones(len(slot), np.bool_)
    first[1:] = (slot[1:] != slot[:-1]) | (minute[1:] != minute[:-1])
    starts = np.flatnonzero(first)
    ends = np.append(starts[1:], len(slot)) - 1
    of = slot[starts]
    spread = np.where((bid > 0.0) & (ask >= bid), ask - bid, -1.0)  # crossed quotes have none
    least = np.minimum.reduceat(np.where(spread < 0.0, np.inf, spread), starts)
    return _Segments(
        slot=of,
        first=np.append(True, of[1:] != of[:-1]),
        minute=(minute[starts] * MINUTE_MS).astype(np.float64),
        open=price[starts],
        high=np.maximum.reduceat(price, starts),
        low=np.minimum.reduceat(price, starts),
        close=price[ends],
        ticks=(ends - starts + 1).astype(np.float64),
        bid=_newest(bid, bid > 0.0, starts, ends),
        ask=_newest(ask, ask > 0.0, starts, ends),
        oldest=_oldest(volume, volume >= 0.0, starts, ends),
        newest=_newest(volume, volume >= 0.0, starts, ends),
        ts=ts[ends].astype(np.float64),
        spread_low=np.where(np.isinf(least), -1.0, least),
        spread_high=np.maximum.reduceat(spread, starts),
    )


def _merged(before: Floats, of: _Segments) -> tuple[Floats, Bools]:
    """Return the fields after each segment, and whether it went on with the minute that was open.

    `before` are the fields before the call. The minutes of a symbol only grow, so all but its first segment
    begin a minute.
    """
    first = of.first
    continued = first & (before[_N] != 0.0) & (of.minute == before[_M])
    after = np.empty_like(before)
    after[_M], after[_C], after[_TS] = of.minute, of.close, of.ts
    after[_O] = np.where(continued, before[_O], of.open)
    after[_H] = np.where(continued & ~(of.high > before[_H]), before[_H], of.high)
    after[_L] = np.where(continued & ~(of.low < before[_L]), before[_L], of.low)
    after[_N] = np.where(continued, before[_N], 0.0) + of.ticks
    after[_BID] = _carried(of.bid, of.bid >= 0.0, before[_BID], first)
    after[_ASK] = _carried(of.ask, of.ask >= 0.0, before[_ASK], first)
    after[_V] = _carried(of.newest, of.newest >= 0.0, before[_V], first)
    low_before = np.where(continued, before[_SL], -1.0)
    is_lower = (of.spread_low >= 0.0) & ~((low_before >= 0.0) & (low_before < of.spread_low))
    after[_SL] = np.where(is_lower, of.spread_low, low_before)
    after[_SH] = np.maximum(np.where(continued, before[_SH], -1.0), of.spread_high)
    begun_at = np.where(continued, before[_VB], _shifted(after[_V], before[_V], first))
    after[_VB] = np.where(begun_at < 0.0, of.oldest, begun_at)
    day = of.minute // DAY_MS
    day_before = _shifted(day, before[_DAY], first)
    is_new_day = day > day_before
    after[_DAY] = np.where(is_new_day, day, day_before)
    after[_PC] = _carried(_shifted(of.close, before[_C], first), is_new_day, before[_PC], first)
    after[_DO] = _carried(of.open, is_new_day, before[_DO], first)
    return after, continued


def _carried(values: Floats, known: Bools, before: Floats, first: Bools) -> Floats:
    """Each symbol's newest known value; the one before the call while there is none."""
    at = np.maximum.accumulate(np.where(known | first, np.arange(len(values)), 0))
    carried: Floats = np.where(known, values, before)[at]
    return carried


def _shifted(values: Floats, before: Floats, first: Bools) -> Floats:
    """Return the value of each symbol's segment before this one; the one before the call at its first."""
    shifted = np.empty_like(values)
    shifted[1:] = values[:-1]
    return np.where(first, before, shifted)


def _closed(before: Floats, after: Floats, of: _Segments, continued: Bools) -> list[ClosedBar]:
    """Return the bars that ended where a segment began another minute."""
    ended = np.flatnonzero(~continued & (~of.first | (before[_N] != 0.0)))
    bars = np.where(of.first[ended], before[:, ended], after[:, ended - 1])
    return _closed_bars(of.slot[ended], bars)


def _closed_bars(slots: Ints, bars: Floats) -> list[ClosedBar]:
    """Return bars from columns of their fields."""
    return [
        ClosedBar(slot, Bar(*values)) for slot, values in zip(slots.tolist(), _bar_rows(bars), strict=True)
    ]


def _bar_rows(minutes: Floats) -> list[tuple[Any, ...]]:
    """Return the bars of columns that had a price, each as the fields of `Bar`."""
    before, now = minutes[_VB], minutes[_V]
    traded = np.where(now >= before, now - before, now)
    rows = zip(
        minutes[_M].astype(np.int64).tolist(),
        *minutes[[_O, _H, _L, _C]].tolist(),
        _or_none(traded, (before >= 0.0) & (now >= 0.0)),
        minutes[_N].astype(np.int64).tolist(),
        _or_none(minutes[_BID], minutes[_BID] != 0.0),
        _or_none(minutes[_ASK], minutes[_ASK] != 0.0),
        _or_none(minutes[_SL], minutes[_SL] >= 0.0),
        _or_none(minutes[_SH], minutes[_SH] >= 0.0),
        strict=True,
    )
    return list(rows)


def _or_none(values: Floats, known: Bools) -> list[float | None]:
    listed: list[float | None] = values.tolist()
    for i in np.flatnonzero(~known).tolist():
        listed[i] = None
    return listed


def quote_columns(symbols: list[str], minutes: Floats) -> QuoteColumns:
    """Return the newest quotes of symbols, each with its column of `minutes`; without those that never had a price."""
    priced = minutes[_N] != 0.0
    if not priced.all():
        symbols = [symbols[i] for i in np.flatnonzero(priced).tolist()]
        minutes = minutes[:, priced]
    return QuoteColumns(
        symbol=symbols,
        ts=minutes[_TS].astype(np.int64).tolist(),
        price=minutes[_C].tolist(),
        bid=_or_none(minutes[_BID], minutes[_BID] != 0.0),
        ask=_or_none(minutes[_ASK], minutes[_ASK] != 0.0),
        day_volume=_or_none(minutes[_V], minutes[_V] >= 0.0),
        open=minutes[_DO].tolist(),
        previous_close=_or_none(minutes[_PC], minutes[_PC] != 0.0),
        bar=_bar_rows(minutes),
    )


def _newest(values: Floats, known: Bools, starts: Ints, ends: Ints) -> Floats:
    """Return the last known value of each segment, -1.0 if it has none."""
    if known.all():
        return values[ends]
    at = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))[ends]
    newest: Floats = np.where(at >= starts, values[at], -1.0)
    return newest


def _oldest(values: Floats, known: Bools, starts: Ints, ends: Ints) -> Floats:
    """Return the first known value of each segment, -1.0 if it has none."""
    if known.all():
        return values[starts]
    last = len(values)
    at = np.minimum.accumulate(np.where(known, np.arange(last), last)[::-1])[::-1][starts]
    oldest: Floats = np.where(at <= ends, values[np.minimum(at, last - 1)], -1.0)
    return oldest
