"""Recorded ticks as arrays: of Arrow where all rows of a block are plain, else of the columns that were read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from consumers.detectors.engine.engine import Ticks
from consumers.stream.rows import Floats, Ints
from consumers.windows.order import rows_that_are_newer
from producers.errors import MonitorError
from producers.quote_values import MAX_PRICE, MAX_TS_MS, MAX_VOLUME
from producers.recorded_rows import DAY_MS, RowReader, TickColumns
from producers.recorded_values import SECONDS_NOT_MS, BadRowError, may_be_dates, symbol_of

_NUMBERS = {"int64", "double"}


class TickBlock(NamedTuple):
    """Ticks that follow one another.

    Attributes
    ----------
    new
        Tickers that were not met before; `ticks.slot` counts all of them in the order in which they came.
    """

    new: list[str]
    ticks: Ticks


class _NotPlainError(MonitorError):
    """A block has to be read another way, which says what is wrong if anything is."""


class ArrayReader:
    """Makes arrays of one file's blocks, in their order."""

    def __init__(self) -> None:
        self._slots: dict[str, int] = {}
        self._symbols: dict[Any, str] = {}
        self._last_ts: Ints = np.zeros(0, np.int64)

    def of_columns(self, columns: TickColumns) -> TickBlock:
        """Return columns as arrays."""
        new = self._numbered(columns.symbol)
        ticks = Ticks(
            slot=np.array(list(map(self._slots.__getitem__, columns.symbol)), np.int64),
            ts=np.array(columns.ts, np.int64),
            price=np.array(columns.price, np.float64),
            bid=_optional(columns.bid),
            ask=_optional(columns.ask),
            day_volume=_optional(columns.day_volume),
        )
        self._last_ts[ticks.slot] = ticks.ts
        return TickBlock(new, ticks)

    def of_arrow(self, batch: Any, line: int, reader: RowReader) -> TickBlock | None:
        """Return a record batch as arrays; None, and nothing is changed, unless all rows are plain and in order.

        What `reader` makes of the same rows is the same.

        Parameters
        ----------
        batch
            A record batch of Arrow.
        line
            The number of the first row; each has a line of its own.
        reader
            Receives what was read.
        """
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        try:
            symbols, at = self._symbol(columns["symbol"])
            ts = _times(columns["ts"])
            price = _numbers(columns["price"], -MAX_PRICE, MAX_PRICE, len(ts))
            bid, ask = (
                _numbers(columns.get(name), -MAX_PRICE, MAX_PRICE, len(ts)) for name in ("bid", "ask")
            )
            day_volume, volume = (
                _numbers(columns.get(name), 0, MAX_VOLUME, len(ts)) for name in ("day_volume", "volume")
            )
            if np.isnan(price).any():
                return None
            if "quote_ts" in columns and columns["quote_ts"].null_count < len(ts):
                _times(columns["quote_ts"].drop_null())
        except (_NotPlainError, BadRowError):
            return None
        found = np.array([self._slots.get(symbol, -1) for symbol in symbols], np.int64)
        slots, new = self._slots, list[str]()
        if (is_new := found[at] < 0).any():
            new = list(dict.fromkeys(symbols[i] for i in at[is_new].tolist()))
            slots = {**slots, **dict(zip(new, range(len(slots), len(slots) + len(new)), strict=True))}
            found = np.array([slots.get(symbol, -1) for symbol in symbols], np.int64)
        slot = found[at]
        last_ts = np.append(self._last_ts, np.full(len(new), -1))
        by_slot = rows_that_are_newer(slot, ts, last_ts)
        if len(by_slot) < len(ts):
            return None
        self._slots = slots
        last_row = np.full(len(last_ts), -1)
        last_ts[slot], last_row[slot] = ts, np.arange(len(ts))
        self._last_ts = last_ts
        rows = np.flatnonzero(last_row >= 0)
        names = list(slots)
        reader.passed(
            [names[i] for i in rows.tolist()], last_ts[rows].tolist(), (last_row[rows] + line).tolist()
        )
        ticks = Ticks(slot, ts, price, bid, ask, day_volume)
        if "volume" in columns:
            ticks = ticks._replace(day_volume=_summed(names, ticks, volume, by_slot, reader))
        return TickBlock(new, ticks)

    def _numbered(self, symbols: Sequence[str]) -> list[str]:
        new = [symbol for symbol in dict.fromkeys(symbols) if symbol not in self._slots]
        self._slots.update(zip(new, range(len(self._slots), len(self._slots) + len(new)), strict=True))
        self._last_ts = np.append(self._last_ts, np.full(len(new), -1))
        return new

    def _symbol(self, column: Any) -> tuple[list[str], Ints]:
        """Return the symbols of a column, of which some may be in none of its rows, and which one is in each row."""
        if column.null_count or not str(column.type).startswith("dictionary<values=string"):
            raise _NotPlainError("a column is not plain")
        raw = column.dictionary.to_pylist()
        for one in raw:
            if one not in self._symbols:
                self._symbols[one] = symbol_of(one)
        return [self._symbols[one] for one in raw], _array(column.indices)


def _array(column: Any) -> Any:
    """Return Arrow's numbers; its own `to_numpy` imports pandas if that is there, and swallows Ctrl-C meanwhile."""
    return np.from_dlpack(column)


def _times(column: Any) -> Ints:
    kind = str(column.type)
    if column.null_count or not (kind == "int64" or kind.startswith("timestamp[us")):
        raise _NotPlainError("a column is not plain")
    whole = column if kind == "int64" else column.cast("int64")
    times: Ints = _array(whole)
    if kind != "int64":
        times = times // 1000
    lowest = SECONDS_NOT_MS if kind == "int64" else 0
    low, high = times.min(), times.max()
    if not lowest <= low <= high <= MAX_TS_MS or (kind == "int64" and may_be_dates(low, high)):
        raise _NotPlainError("a column is not plain")
    return times


def _numbers(column: Any, low: float, high: float, rows: int) -> Floats:
    """Return the numbers of a column, NaN for those that are unknown, and for all where there is no column."""
    if column is None or column.null_count == rows:
        return np.full(rows, np.nan)
    if str(column.type) not in _NUMBERS:
        raise _NotPlainError("a column is not plain")
    column = column.cast("double", safe=False)
    if column.null_count:
        whole = column.from_buffers(column.type, rows, [None, column.buffers()[1]], offset=column.offset)
        values: Floats = np.where(_array(column.is_null().cast("int8")), np.nan, _array(whole))
    else:
        values = _array(column)
    if ((values < low) | (values > high)).any():
        raise _NotPlainError("a column is not plain")
    return values


def _summed(names: list[str], ticks: Ticks, volume: Floats, by_slot: Ints, reader: RowReader) -> Floats:
    """Return the day's volumes, those that are not given as the sums of `volume`, as far as `reader` and rows say.

    Parameters
    ----------
    by_slot
        All rows, sorted by their slots.
    """
    rows = by_slot[(np.isnan(ticks.day_volume) & ~np.isnan(volume))[by_slot]]
    slot, day, sums = ticks.slot[rows], ticks.ts[rows] // DAY_MS, volume[rows]
    is_first = np.append(True, (slot[1:] != slot[:-1]) | (day[1:] != day[:-1]))[: len(rows)]
    starts = np.flatnonzero(is_first).tolist()
    for start, stop in zip(starts, [*starts[1:], len(rows)], strict=False):
        symbol, its_day, part = names[slot[start]], int(day[start]), sums[start:stop]
        part[0] += reader.volume_of(symbol, its_day)
        # One after the other, as rows are: the order decides about the last bit.
        np.add.accumulate(part, out=part)
        reader.set_volume(symbol, its_day, float(part[-1]))
    found = ticks.day_volume.copy()
    found[rows] = sums
    return found


def _optional(values: list[float | None]) -> Floats:
    return np.array(values, np.float64)  # None becomes NaN
