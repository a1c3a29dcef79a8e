"""Rows of quote batches as columns, with where on the stream each came from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumers.stream.records import StreamOffset
from producers.origin import Origin, origin_of

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class StreamRecord(NamedTuple):
    """A Kinesis record: its shard and lane, sequence number, arrival (epoch ms), digest, place in the invocation."""

    shard: str
    lane: str
    sequence: str
    arrival_ms: int
    digest: str
    ordinal: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one partition in the order of the stream; all columns have the same length.

    `record` points into `records`, `row` counts the record's rows of this partition, `source` points into
    `sources`, and `key` into `keys`, the names of windows, of which one may stand there twice. NaN is unknown.
    A row that is `bad` is in quarantine, and its values mean nothing.
    """

    records: Sequence[StreamRecord]
    sources: Sequence[str]
    keys: Sequence[str]
    record: Ints
    row: Ints
    source: Ints
    key: Ints
    ts: Ints
    price: Floats
    bid: Floats
    ask: Floats
    day_volume: Floats
    bad: Bools

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.key)

    def slice(self, start: int, stop: int) -> Rows:
        """Return the rows start <= i < stop."""
        return _selected(self, slice(start, stop))

    def take(self, at: Ints) -> Rows:
        """Return the rows whose indices are in `at`, in that order."""
        return _selected(self, at)

    def starts(self) -> list[int]:
        """Return the first row of each record."""
        begins = np.empty(len(self.record), np.bool_)
        begins[:1] = True
        np.not_equal(self.record[1:], self.record[:-1], out=begins[1:])
        return begins.nonzero()[0].tolist()

    def key_of(self, i: int) -> str:
        """Return the name of the window of row `i`."""
        return self.keys[int(self.key[i])]

    def record_of(self, i: int) -> StreamRecord:
        """Return the record of row `i`."""
        return self.records[int(self.record[i])]

    def offset_of(self, i: int) -> StreamOffset:
        """Return where row `i` lies in its shard."""
        record = self.record_of(i)
        return StreamOffset(record.sequence, int(self.row[i]), record.arrival_ms)


def _selected(rows: Rows, at: slice | Ints) -> Rows:
    return Rows(
        rows.records,
        rows.sources,
        rows.keys,
        rows.record[at],
        rows.row[at],
        rows.source[at],
        rows.key[at],
        rows.ts[at],
        rows.price[at],
        rows.bid[at],
        rows.ask[at],
        rows.day_volume[at],
        rows.bad[at],
    )


@lru_cache(maxsize=65_536)
def split_key(key: str) -> tuple[Origin, str]:
    """Return origin and symbol of a window key.

    A symbol may hold a slash but no lower-case letter, and the names of the other origins begin with one.

    Examples
    --------
    >>> split_key("AAPL"), split_key("BTC/USD"), split_key("replay-monday/AAPL")
    (('live', 'AAPL'), ('live', 'BTC/USD'), ('replay', 'AAPL'))
    """
    prefix, slash, symbol = key.partition("/")
    origin = origin_of(prefix) if slash else "live"
    return (origin, symbol) if origin != "live" else ("live", key)
