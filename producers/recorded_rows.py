"""What recorded rows say: row by row with exact errors, or a block of rows by columns where all of them are plain.

Both give the same ticks. Times grow and volumes add up over a symbol's rows, so one `RowReader` reads a whole file.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from producers.quote_values import MAX_PRICE, MAX_TS_MS, MAX_VOLUME
from producers.recorded_values import (
    BadRowError,
    is_unknown,
    number_of,
    numbers_of,
    optional_number,
    read_each,
    symbol_of,
    time_ms,
    times_of,
)

DAY_MS = 86_400_000


class RecordedTick(NamedTuple):
    """One recorded tick, ready to be published."""

    symbol: str
    ts: int
    price: float
    bid: float | None
    ask: float | None
    day_volume: float | None
    quote_ts: int | None


class TickColumns(NamedTuple):
    """Ticks by columns of equal length, in the order of `RecordedTick`."""

    symbol: list[str]
    ts: list[int]
    price: list[float]
    bid: list[float | None]
    ask: list[float | None]
    day_volume: list[float | None]
    quote_ts: list[int | None]


class RowReader:
    """Gives each symbol growing times and a cumulative volume."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[int, int]] = {}  # the file's own ts of the row before, and its line
        self._given: dict[str, int] = {}
        self._latest = -1  # of all that were given
        self._volume: dict[str, tuple[int, float]] = {}  # UTC day, shares so far

    def tick(self, row: Mapping[str, Any], line: int) -> RecordedTick:
        """Return the tick of a row; `line` is its number, for errors.

        Raises
        ------
        BadRowError
            If the row cannot be used.
        """
        symbol = symbol_of(row.get("symbol"))
        own_ts = time_ms("ts", row.get("ts"))
        price = number_of("price", row.get("price"), -MAX_PRICE, MAX_PRICE)
        if price is None:
            raise BadRowError("price is empty; must be a number")
        bid = optional_number("bid", row.get("bid"), -MAX_PRICE, MAX_PRICE)
        ask = optional_number("ask", row.get("ask"), -MAX_PRICE, MAX_PRICE)
        day_volume = optional_number("day_volume", row.get("day_volume"), 0, MAX_VOLUME)
        volume = optional_number("volume", row.get("volume"), 0, MAX_VOLUME)
        quote_ts = None if is_unknown(row.get("quote_ts")) else time_ms("quote_ts", row["quote_ts"])
        ts = self._growing(symbol, own_ts, line)
        if day_volume is None and volume is not None:
            day_volume = self.summed(symbol, own_ts // DAY_MS, volume)
        return RecordedTick(symbol, ts, price, bid, ask, day_volume, quote_ts)

    def columns(self, values: Mapping[str, Sequence[Any]], line: int) -> TickColumns | None:
        """Return the ticks of a block of rows; None, and nothing is changed, unless all of them are plain.

        What `tick` makes of the same rows is the same. Rows that are not plain are wrong, or written in one of the
        rarer ways that `tick` takes.

        Parameters
        ----------
        values
            The columns of the file, by name.
        line
            The number of the first row; each has a line of its own.
        """
        try:
            symbols = read_each(values["symbol"], symbol_of)
            own = times_of("ts", values["ts"])
            price = numbers_of(values["price"], -MAX_PRICE, is_required=True)
            bid, ask = (numbers_of(values.get(name), -MAX_PRICE, MAX_PRICE) for name in ("bid", "ask"))
            day_volume, volume = (
                numbers_of(values.get(name), 0, MAX_VOLUME) for name in ("day_volume", "volume")
            )
            quoted = values.get("quote_ts")
            quote_ts = None if quoted is None else times_of("quote_ts", quoted)
        except (ValueError, TypeError):  # BadRowError is one
            return None
        if day_volume is not None and volume is not None and None in day_volume:
            return None
        grown = self._grown(symbols, own, line)
        if grown is None:
            return None
        if day_volume is None and volume is not None:
            day_volume = [
                None if one is None else self.summed(symbol, ts // DAY_MS, one)
                for symbol, ts, one in zip(symbols, own, volume, strict=True)
            ]
        unknown: list[Any] = [None] * len(symbols)
        return TickColumns(
            symbols,
            grown,
            price,  # type: ignore[arg-type] # required ones are all known
            unknown if bid is None else bid,
            unknown if ask is None else ask,
            unknown if day_volume is None else day_volume,
            unknown if quote_ts is None else quote_ts,
        )

    def passed(self, symbols: Sequence[str], own: Sequence[int], lines: Sequence[int]) -> None:
        """Note the newest times of symbols, and their lines, that were read without it and left as they were."""
        self._given |= zip(symbols, own, strict=True)
        self._read |= zip(symbols, zip(own, lines, strict=True), strict=True)
        self._latest = max(self._latest, *own)

    def _grown(self, symbols: list[str], own: list[int], line: int) -> list[int] | None:
        """Return growing times of all rows, or None if those of a symbol are not in order."""
        if self._is_growing(symbols, own):
            self._given |= zip(symbols, own, strict=True)
            newest = dict(zip(symbols, range(len(own)), strict=True))
            self._read |= {symbol: (own[row], line + row) for symbol, row in newest.items()}
            self._latest = own[-1]
            return own
        given, grown = dict(self._given), list[int]()
        # Where the file's own time is before the one that was given, both.
        apart = {symbol: (given[symbol], ts) for symbol, (ts, _) in self._read.items() if ts != given[symbol]}
        for symbol, ts in zip(symbols, own, strict=True):
            last = given.get(symbol, -1)
            if ts > last:
                given[symbol] = ts
                grown.append(ts)
                continue
            at, before = apart.get(symbol, (last, last))
            if ts < (before if at == last else last) or last == MAX_TS_MS:
                return None
            given[symbol] = last + 1
            apart[symbol] = last + 1, ts
            grown.append(last + 1)
        self._given = given
        self._latest = max(self._latest, *given.values())
        lines = range(line, line + len(own))
        self._read |= dict(zip(symbols, zip(own, lines, strict=True), strict=True))
        return grown

    def _is_growing(self, symbols: list[str], own: list[int]) -> bool:
        """Return whether times grow over all symbols, as polls and minutes do, and for each one strictly."""
        if own[0] < self._latest or own != sorted(own):
            return False
        start = 0
        while start < len(own):
            stop = bisect_right(own, own[start], start)
            polled = symbols[start:stop]
            if len(set(polled)) < len(polled):
                return False
            if own[start] == self._latest and any(self._given.get(one) == self._latest for one in polled):
                return False
            start = stop
        return True

    def _growing(self, symbol: str, own_ts: int, line: int) -> int:
        before, its_line = self._read.get(symbol, (-1, 0))
        if own_ts < before:
            raise BadRowError(
                f"ts {own_ts} is before ts {before} of {symbol} in line {its_line}:"
                " rows must be in the order of time for each symbol, oldest first"
            )
        ts = max(own_ts, self._given.get(symbol, -1) + 1)
        if ts > MAX_TS_MS:
            raise BadRowError(f"ts {own_ts} of {symbol} stands twice, and is the last that can be named")
        self._read[symbol] = own_ts, line
        self._given[symbol] = ts
        self._latest = max(self._latest, ts)
        return ts

    def volume_of(self, symbol: str, day: int) -> float:
        """Return the shares of a symbol so far, on a day since 1970 by UTC; 0 unless it is the newest one."""
        its_day, so_far = self._volume.get(symbol, (day, 0.0))
        return so_far if its_day == day else 0.0

    def set_volume(self, symbol: str, day: int, total: float) -> None:
        """Set the shares of a symbol so far, on its newest day."""
        self._volume[symbol] = day, total

    def summed(self, symbol: str, day: int, volume: float) -> float:
        """Return the shares of a symbol so far with those of one more tick."""
        total = self.volume_of(symbol, day) + volume
        self.set_volume(symbol, day, total)
        return total
