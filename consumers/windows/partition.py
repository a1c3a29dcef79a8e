"""What is remembered of a partition, what is forgotten in time, and where the clock was set back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from consumers.contracts.counts import TickCounts
from consumers.detectors.engine import engine
from consumers.stream.records import StreamOffset
from consumers.stream.rows import Floats, Ints, Rows, split_key
from consumers.windows import bars, rules
from producers.origin import origin_of

CROWDED = 20_000
"""With more windows than that, those that nothing touches are forgotten after a day."""
# A run of a replay is over in hours; a ticker may be taken off the watch list and come back weeks later.
REPLAY_KEPT_HOURS = 24
KEPT_HOURS = 90 * 24
HOUR_MS = 3_600_000
SET_BACK_MS = 60_000
"""Arrivals that go back by more than that show a clock of the stream that was set right."""


class SetBack(NamedTuple):
    """The stream's clock was set back to `at_ms`; where `renumbered`, its sequence numbers with it."""

    at_ms: int
    renumbered: bool


class Total(NamedTuple):
    """Totals of a source and when it last sent something (hours since 1970, by arrival)."""

    counts: TickCounts
    seen_hour: int


@dataclass(frozen=True, slots=True)
class PartitionState:
    """Everything remembered of a partition after block `number`; one column per window in `keys`.

    `last_ts` is the ts (ms) of a window's newest tick, `touched_hour` when that arrived (hours since 1970; a
    block never spans two, so that what is dropped does not depend on how ticks are cut). `detection` and
    `minutes` are what the detectors and the bars remember. `checkpoints` is the newest row applied by lane,
    `digests` those of the last records. `snapshot` is the newest snapshot's block, `snapshot_ms` when that
    arrived; they say where the state is kept, not what it is.
    """

    partition: int
    number: int = 0
    keys: tuple[str, ...] = ()
    last_ts: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    touched_hour: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    detection: Floats = field(default_factory=lambda: engine.new_states(0))
    minutes: Floats = field(default_factory=lambda: bars.new_minutes(0))
    checkpoints: Mapping[str, StreamOffset] = field(default_factory=dict)
    digests: tuple[str, ...] = ()
    totals: Mapping[str, Total] = field(default_factory=dict)
    snapshot: int = 0
    snapshot_ms: int = 0
    slots: dict[str, int] = field(default_factory=dict)
    rules: rules.Memory = field(default_factory=dict)


def next_clock(state: PartitionState, rows: Rows, now_ms: int) -> tuple[SetBack | None, int]:
    """Return whether the stream's clock was set back just before the rows, and before which of them it is next.

    Kinesis gives the records of a shard growing sequence numbers, and stamps them with its clock. A record that
    follows another of its lane and arrived long before it shows that the clock was set back in between. So do
    arrivals that still lie ahead of `now_ms`, where an emulator takes its sequence numbers from the same clock.
    """
    found = None
    newest_ms = max((offset.arrival_ms for offset in state.checkpoints.values()), default=0)
    latest_ms = now_ms + SET_BACK_MS
    if newest_ms > latest_ms >= rows.record_of(0).arrival_ms:
        found = SetBack(now_ms, renumbered=True)
    last = dict(state.checkpoints) if found is None else {}
    starts = rows.starts()
    for at, ordinal in zip(starts, rows.record[starts].tolist(), strict=True):
        record = rows.records[ordinal]
        offset = StreamOffset(record.sequence, 0, record.arrival_ms)
        before = last.get(record.lane)
        if before is not None and offset.is_at_or_before(before):
            continue
        last[record.lane] = offset
        if before is not None and offset.arrival_ms < before.arrival_ms - SET_BACK_MS:
            if at > 0:
                return found, at
            found = SetBack(offset.arrival_ms, renumbered=False)
    return found, len(rows)


def set_back(state: PartitionState, clock: SetBack | None) -> PartitionState:
    """Return the state without what lies ahead of a clock that was set back.

    The windows that are ahead begin anew: they would take no tick until their time has come.
    """
    if clock is None:
        return state
    latest_ms = clock.at_ms + SET_BACK_MS
    checkpoints = state.checkpoints
    if clock.renumbered:
        checkpoints = {lane: of for lane, of in checkpoints.items() if of.arrival_ms <= latest_ms}
    ahead = np.flatnonzero(state.last_ts > latest_ms).tolist()
    # The next snapshot is due by the new clock.
    return replace(_without(state, ahead), checkpoints=checkpoints, snapshot_ms=0)


def without_stale(state: PartitionState, arrival_ms: int) -> PartitionState:
    """Return the state without the windows and totals that nothing touched for too long before `arrival_ms`."""
    hour = arrival_ms // HOUR_MS
    old = np.flatnonzero(state.touched_hour < hour - REPLAY_KEPT_HOURS).tolist()
    is_crowded = len(state.keys) > CROWDED
    stale = [
        i for i in old if _beyond(hour, int(state.touched_hour[i]), state.keys[i], is_crowded=is_crowded)
    ]
    totals = {
        source: total
        for source, total in state.totals.items()
        if total.seen_hour >= hour - _kept_hours(origin_of(source))
    }
    return (
        replace(_without(state, stale), totals=totals) if stale or len(totals) < len(state.totals) else state
    )


def _without(state: PartitionState, slots: Sequence[int]) -> PartitionState:
    """Return the state without the windows in `slots`."""
    if not slots:
        return state
    kept = np.delete(np.arange(len(state.keys)), slots)
    keys = tuple(state.keys[i] for i in kept.tolist())
    return replace(
        state,
        keys=keys,
        last_ts=state.last_ts[kept],
        touched_hour=state.touched_hour[kept],
        detection=state.detection[:, kept],
        minutes=state.minutes[:, kept],
        slots={key: slot for slot, key in enumerate(keys)},
        rules={key: of for key, of in state.rules.items() if key in keys},
    )


def _kept_hours(origin: str) -> int:
    return REPLAY_KEPT_HOURS if origin in {"replay", "verify"} else KEPT_HOURS


def _beyond(hour: int, touched_hour: int, key: str, *, is_crowded: bool) -> bool:
    kept = REPLAY_KEPT_HOURS if is_crowded else _kept_hours(split_key(key)[0])
    return touched_hour < hour - kept
