"""Rows of quote batches as columns, with where on the stream each came from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from producers.origin import Origin, origin_of

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Position(NamedTuple):
    """Where a row lies in its shard: sequence number, and its place among the record's rows of the partition."""

    sequence: str
    offset: int


def not_after(position: Position, mark: Position) -> bool:
    """Whether `position` is `mark` or lies before it in the same shard.

    Kinesis numbers the records of a shard in growing decimal numbers, and so do the KCL and the consumers of
    KPL aggregates compare them. A sequence number that is no decimal number is only ever equal to itself. The
    outcome decides under which name a row that is too old is counted, never whether a row is applied.
    """
    if position.sequence == mark.sequence:
        return position.offset <= mark.offset
    if not (position.sequence.isdecimal() and mark.sequence.isdecimal()):
        return False
    return int(position.sequence) < int(mark.sequence)


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """A Kinesis record: its shard, sequence number, arrival (epoch ms), digest and place in the invocation."""

    shard: str
    sequence: str
    arrival_ms: int
    digest: str
    ordinal: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one partition in the order of the stream; all columns have the same length.

    `record` points into `records`, `offset` counts the record's rows of this partition, `source` points into
    `sources`. `key` is the name of the window. NaN is unknown. A row that is `bad` is in quarantine, and
    its values mean nothing.
    """

    records: Sequence[StreamRecord]
    sources: Sequence[str]
    record: Ints
    offset: Ints
    source: Ints
    key: list[str]
    ts: Ints
    price: Floats
    bid: Floats
    ask: Floats
    day_volume: Floats
    bad: Bools

    def __len__(self) -> int:
        return len(self.key)

    def slice(self, start: int, stop: int) -> Rows:
        """The rows start <= i < stop."""
        part = slice(start, stop)
        return Rows(
            self.records,
            self.sources,
            self.record[part],
            self.offset[part],
            self.source[part],
            self.key[part],
            self.ts[part],
            self.price[part],
            self.bid[part],
            self.ask[part],
            self.day_volume[part],
            self.bad[part],
        )

    def take(self, at: Ints) -> Rows:
        """The rows whose indices are in `at`, in that order."""
        return Rows(
            self.records,
            self.sources,
            self.record[at],
            self.offset[at],
            self.source[at],
            [self.key[i] for i in at.tolist()],
            self.ts[at],
            self.price[at],
            self.bid[at],
            self.ask[at],
            self.day_volume[at],
            self.bad[at],
        )

    def position(self, i: int) -> Position:
        """Where row `i` lies in its shard."""
        record = self.records[int(self.record[i])]
        return Position(record.sequence, int(self.offset[i]))


@lru_cache(maxsize=65_536)
def split_key(key: str) -> tuple[Origin, str]:
    """Origin and symbol of a window key.

    A symbol may hold a slash but no lower-case letter, and the names of the other classes begin with one.
    """
    prefix, slash, symbol = key.partition("/")
    origin = origin_of(prefix) if slash else "live"
    return (origin, symbol) if origin != "live" else ("live", key)
