"""What becomes of ticks whose symbols find no place in a partition any more. Pure."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from consumers.stream.records import Quarantined
from consumers.stream.rows import split_key
from consumers.windows.state import MAX_WINDOWS
from producers.quote_batch import QuoteBatch, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from consumers.windows.state import Step

_FIRST_INDEX = 100_000
"""Their entries come after those of the record's user records, and keep apart by row."""


def without_place(step: Step, partition: int, quarantined: Sequence[Quarantined]) -> list[Quarantined]:
    """Return the entries for the rows of a step that found no place, with those that their records have already."""
    rows = step.rows
    entries = []
    for record, of in groupby(step.rejected.tolist(), lambda i: int(rows.record[i])):
        stream_record = rows.records[record]
        for source, group in groupby(of, lambda i: int(rows.source[i])):
            at = list(group)
            entries.append(
                Quarantined(
                    shard=stream_record.shard,
                    sequence=stream_record.sequence,
                    index=_FIRST_INDEX + int(rows.row[at[0]]),
                    partition=partition,
                    arrival_ms=stream_record.arrival_ms,
                    reason=f"symbol {split_key(rows.key_of(at[0]))[1]}: partition {partition} remembers {MAX_WINDOWS}"
                    f" symbols already, which is the most; {len(at)} rows",
                    payload=encode(_batch(step, rows.sources[source], at)),
                )
            )
    records = {(entry.shard, entry.sequence) for entry in entries}
    return [*(entry for entry in quarantined if (entry.shard, entry.sequence) in records), *entries]


def _batch(step: Step, source: str, at: Sequence[int]) -> QuoteBatch:
    rows = step.rows
    bid, ask, day_volume = (
        list(_known(column[at].tolist())) for column in (rows.bid, rows.ask, rows.day_volume)
    )
    return QuoteBatch(
        source,
        [split_key(rows.key_of(i))[1] for i in at],
        rows.ts[at].tolist(),
        rows.price[at].tolist(),
        bid,
        ask,
        day_volume,
        [None] * len(at),
        [],
    )


def _known(values: Sequence[float]) -> Iterator[float | None]:
    return (None if np.isnan(value) else value for value in values)
