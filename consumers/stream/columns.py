"""The columns of a quote batch as arrays: read by the compiled library where it can, else by `quote_batch.decode`.

The library reads what our publisher writes (`columns.c`), which is nearly all there is. What it leaves, and all of it
where there is no library, is decoded in Python with the same outcome (tests/consumers/stream/test_columns.py).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from consumers.stream.library import LIBRARY
from consumers.stream.rows import Floats
from producers.origin import origin_of, windows_of
from producers.quote_batch import MAX_ROWS, VERSION, QuoteBatch
from producers.symbols import is_source, is_symbol

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH = 5
"""Columns of a batch: ts (whose 8 bytes are an int64), price, bid, ask, day_volume."""


class _Start(msgspec.Struct, forbid_unknown_fields=True):
    v: int
    source: str
    symbol: list[str]


@dataclass(frozen=True, slots=True, eq=False)
class Symbols:
    """The source and the symbols of batches; `keys` names their windows. Two are the same if they are identical."""

    source: str
    symbol: tuple[str, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """A batch as columns: `values` has shape (5, rows); the bytes of the first are ts as int64, NaN is unknown."""

    symbols: Symbols
    values: Floats

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.symbols.symbol)


def symbols_of(source: str, symbol: Sequence[str]) -> Symbols:
    """Return the symbols, with the windows of a source: what is neither live nor its past has windows of its own."""
    windows = windows_of(source)
    is_live = origin_of(windows) == "live"
    keys = tuple(symbol) if is_live else tuple(f"{windows}/{one}" for one in symbol)
    return Symbols(source, tuple(symbol), keys)


def columns_of(batch: QuoteBatch) -> Columns:
    """Return a batch as columns.

    Examples
    --------
    >>> batch = QuoteBatch("a", ["A"], [7], [1.5], [None], [2.0], [None], [None], [])
    >>> columns_of(batch).values[1:].T
    array([[1.5, nan, 2. , nan]])
    """
    values = np.empty((_WIDTH, len(batch)))
    values[0] = np.array(batch.ts, np.int64).view(np.float64)
    columns: tuple[Sequence[float | None], ...] = (batch.price, batch.bid, batch.ask, batch.day_volume)
    values[1:] = [_floats(column) for column in columns]
    return Columns(symbols_of(batch.source, batch.symbol), values)


def read(payload: bytes, first_ts: int, last_ts: int) -> Columns | None:
    """Return a batch as columns where the library can read it and all its times are in first_ts <= ts <= last_ts."""
    if LIBRARY is None:
        return None
    end = payload.find(b"]") + 1
    symbols = _symbols(payload[:end])
    if symbols is None:
        return None
    rows = len(symbols.symbol)
    values = np.empty((_WIDTH, rows))
    done = LIBRARY.code.read_columns(payload, end, len(payload), rows, first_ts, last_ts, values.ctypes.data)
    return Columns(symbols, values) if done else None


@lru_cache(maxsize=64)
def _symbols(start: bytes) -> Symbols | None:
    """Return the symbols of a payload that starts so, up to the end of their column: polls bring the same again."""
    try:
        found = msgspec.json.decode(start + b"}", type=_Start)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    is_sound = found.v == VERSION and is_source(found.source) and 0 < len(found.symbol) <= MAX_ROWS
    # As many texts as three names, the source and the symbols: no name stands twice.
    is_sound = is_sound and start.count(b'"') == 2 * (4 + len(found.symbol))
    return symbols_of(found.source, found.symbol) if is_sound and all(map(is_symbol, found.symbol)) else None


def _floats(column: Sequence[float | None]) -> Floats:
    """Return a column as an array; None becomes NaN, which only the slower `array` knows."""
    try:
        return np.frombuffer(struct.pack(f"{len(column)}d", *column))
    except struct.error:
        return np.array(column, np.float64)
