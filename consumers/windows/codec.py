"""Columns of ticks as few bytes: integer deltas, byte planes, Zstandard. Lossless to the last bit.

Prices are integers of a decimal scale where every one of them comes back exactly, raw float64 otherwise.
"""

from __future__ import annotations

import ctypes
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from consumers.detectors.engine.engine import Ticks
from consumers.stream.library import LIBRARY, Library, address
from consumers.stream.rows import Bools, Floats, Ints
from consumers.windows.compression import compress, decompress

_SCALES = tuple(float(10**exponent) for exponent in range(9))
_WIDTHS = tuple(np.dtype(code) for code in ("i1", "<i2", "<i4", "<i8"))
_EXACT = float(1 << 52)
_RAW = -1
_ALL, _NONE, _SOME = 0, 1, 2
_MAX_LAYOUT, _END = 16, -2


def pack(ticks: Ticks, header: dict[str, Any]) -> bytes:
    """Return ticks, sorted by slot and in order within a slot, and a JSON-able header as bytes."""
    columns, layout = columns_of(ticks) if LIBRARY is None else compiled_columns_of(ticks, LIBRARY)
    head = msgspec.json.encode({**header, "rows": len(ticks.slot), "layout": layout})
    return compress(b"".join((len(head).to_bytes(4, "little"), head, columns)))


def columns_of(ticks: Ticks) -> tuple[bytes, list[int]]:
    """Return the columns of ticks as bytes, and what a reader must know to take them off in their order."""
    writer = _Writer()
    writer.ints(np.diff(ticks.slot, prepend=0))
    first = _firsts(ticks.slot)
    writer.runs(ticks.ts, first)
    scale = writer.floats(ticks.price, first)
    for side in (ticks.bid, ticks.ask):
        writer.quotes(side, ticks.price, scale)
    known = writer.known(ticks.day_volume)
    if known.all():
        writer.floats(ticks.day_volume, first)
    else:
        writer.floats(ticks.day_volume[known], _firsts(ticks.slot[known]))
    return b"".join(writer.parts), writer.layout


def compiled_columns_of(ticks: Ticks, library: Library) -> tuple[bytes, list[int]]:
    """Return the same, by the compiled library."""
    count = len(ticks.slot)
    scratch, layout = np.empty(6 * count, np.int64), np.full(_MAX_LAYOUT, _END)
    packed = np.empty(6 * 8 * count + 3 * (count // 8 + 1), np.uint8)
    size = library.code.pack_ticks(
        ctypes.c_int64(count), *map(address, (*map(np.ascontiguousarray, ticks), scratch, layout, packed))
    )
    return packed[:size].tobytes(), layout[layout != _END].tolist()


def unpack(packed: bytes) -> tuple[Ticks, dict[str, Any]]:
    """Return the ticks and the header that `pack` packed."""
    data = decompress(packed)
    size = 4 + int.from_bytes(data[:4], "little")
    header: dict[str, Any] = msgspec.json.decode(data[4:size])
    rows: int = header.pop("rows")
    reader = _Reader(data, size, header.pop("layout"))
    slot = np.cumsum(reader.ints(rows))
    ts = reader.runs(_firsts(slot))
    price = reader.floats(slot)
    bid, ask = reader.quotes(price), reader.quotes(price)
    known = reader.known(rows)
    day_volume = np.full(rows, np.nan)
    day_volume[known] = reader.floats(slot[known])
    return Ticks(slot, ts, price, bid, ask, day_volume), header


class _Writer:
    """Appends arrays to `parts`, and to `layout` what a reader must know to take them off in that order."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.layout: list[int] = []

    def ints(self, values: Ints) -> None:
        low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
        width = next(i for i, t in enumerate(_WIDTHS) if np.iinfo(t).min <= low and high <= np.iinfo(t).max)
        self.layout.append(width)
        self.parts.append(_planes(values.astype(_WIDTHS[width])))

    def runs(self, values: Ints, first: Bools) -> None:
        """Differences within the run of a slot, and those between the runs' first values."""
        deltas = np.diff(values, prepend=0)
        self.ints(np.diff(values[first], prepend=0))
        self.ints(deltas[~first])

    def floats(self, values: Floats, first: Bools) -> int:
        scale = _scale(values, range(len(_SCALES)))
        self.layout.append(scale)
        if scale == _RAW:
            self.parts.append(_planes(values.astype("<f8")))
        else:
            self.runs(_integers(values, scale), first)
        return scale

    def quotes(self, side: Floats, price: Floats, price_scale: int) -> None:
        """Return a side of the quote as its distance from the price."""
        known = self.known(side)
        values = side
        if not known.all():
            values, price = side[known], price[known]
        scale = _RAW if price_scale == _RAW else _scale(values, (price_scale,))
        self.layout.append(scale)
        if scale == _RAW:
            self.parts.append(_planes(values.astype("<f8")))
        else:
            self.ints(_integers(values, scale) - _integers(price, scale))

    def known(self, values: Floats) -> Bools:
        unknown = np.isnan(values)
        kind = _SOME if unknown.any() else _ALL
        if kind == _SOME and unknown.all():
            kind = _NONE
        self.layout.append(kind)
        if kind == _SOME:
            self.parts.append(np.packbits(unknown).tobytes())
        return ~unknown


class _Reader:
    def __init__(self, data: bytes, start: int, layout: list[int]) -> None:
        self._data = data
        self._at = start
        self._layout = iter(layout)

    def ints(self, count: int) -> Ints:
        return self._array(_WIDTHS[next(self._layout)], count).astype(np.int64)

    def runs(self, first: Bools) -> Ints:
        heads = np.cumsum(self.ints(int(first.sum())))
        values = np.empty(len(first), np.int64)
        values[~first] = self.ints(len(first) - len(heads))
        values[first] = 0
        sums = np.cumsum(values)
        run = np.cumsum(first) - 1
        result: Ints = heads[run] + sums - sums[first][run]
        return result

    def floats(self, slot: Ints) -> Floats:
        scale = next(self._layout)
        if scale == _RAW:
            return self._array(np.dtype("<f8"), len(slot)).astype(np.float64)
        return self.runs(_firsts(slot)) / _SCALES[scale]

    def quotes(self, price: Floats) -> Floats:
        known = self.known(len(price))
        side = np.full(len(price), np.nan)
        count = int(known.sum())
        scale = next(self._layout)
        if scale == _RAW:
            side[known] = self._array(np.dtype("<f8"), count)
        else:
            side[known] = (self.ints(count) + _integers(price[known], scale)) / _SCALES[scale]
        return side

    def known(self, rows: int) -> Bools:
        kind = next(self._layout)
        if kind != _SOME:
            return np.full(rows, kind == _ALL)
        unknown = np.unpackbits(self._array(np.dtype("u1"), -(-rows // 8)), count=rows)
        known: Bools = unknown == 0
        return known

    def _array(self, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
        size = dtype.itemsize * count
        raw = np.frombuffer(self._data, np.uint8, size, self._at)
        self._at += size
        planes = raw.reshape(dtype.itemsize, count)
        return np.ascontiguousarray(planes.T).reshape(-1).view(dtype)


def _planes(values: NDArray[Any]) -> bytes:
    """All lowest bytes, then all second ones, ...: a compressor finds more to shorten."""
    raw = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), values.dtype.itemsize)
    return raw.T.tobytes()


def _firsts(slot: Ints) -> Bools:
    first = np.ones(len(slot), np.bool_)
    first[1:] = slot[1:] != slot[:-1]
    return first


def _integers(values: Floats, scale: int) -> Ints:
    return np.rint(values * _SCALES[scale]).astype(np.int64)


def _scale(values: Floats, candidates: Any) -> int:
    """Return the first of the decimal scales in which all values are integers that come back bit for bit."""
    if len(values) and np.abs(values).max() * _SCALES[candidates[-1]] >= _EXACT:
        candidates = [c for c in candidates if np.abs(values).max() * _SCALES[c] < _EXACT]
    # The first values rule out most scales that do not fit.
    fits = (scale for scale in candidates if _comes_back(values[:64], scale) and _comes_back(values, scale))
    return int(next(fits, _RAW))


def _comes_back(values: Floats, scale: int) -> bool:
    back = _integers(values, scale) / _SCALES[scale]
    return np.array_equal(back.view(np.int64), values.view(np.int64))
