"""A simulation of the stream and its consumer by AWS's published limits: what bends first, shards 1 to 64.

Limits: 1 MB and 1,000 records a second into a shard, 2 MB a second out of it (Kinesis Data Streams quotas); 6 MB in
an event; one invocation at a time of a shard times the parallelization factor; 1,000 write units a second of one
partition key (DynamoDB). Time goes in steps of a second; what an invocation takes is what was measured.
"""

from __future__ import annotations

from typing import NamedTuple

SHARD_BYTES = 1_000_000
EVENT_BYTES = 6_000_000 * 3 // 4  # of records, which are in base64 there
KEY_WRITE_UNITS = 1000
SECONDS = 120


class Cost(NamedTuple):
    """What was measured: stream bytes and processor seconds a tick, seconds an invocation waits, write units a tick."""

    stream_bytes: float
    tick_seconds: float
    waited_seconds: float
    block_units: float


class Load(NamedTuple):
    """Highest share in use of a shard's bytes, of an invocation's time, of a key's write units; the delay (s)."""

    bytes: float
    time: float
    units: float
    delay_seconds: float

    @property
    def keeps_up(self) -> bool:
        """Whether nothing falls behind."""
        return max(self.bytes, self.time, self.units) <= 1.0


def simulate(ticks_a_second: float, shards: int, partitions: int, window_seconds: int, cost: Cost) -> Load:
    """The busiest shard under a steady load."""
    used = min(shards, partitions)
    of_shard = -(-partitions // used) / partitions * ticks_a_second
    of_key = ticks_a_second / partitions
    waiting = oldest = busy_until = worked = worst = 0.0
    for second in range(1, SECONDS + 1):
        waiting += of_shard
        oldest = second if waiting == of_shard else oldest
        while waiting > 0 and busy_until <= second and second >= oldest + window_seconds - 1:
            taken = min(waiting, EVENT_BYTES / cost.stream_bytes)
            took = cost.waited_seconds + taken * cost.tick_seconds
            begins = max(busy_until, float(second))
            busy_until, worked = begins + took, worked + took
            worst = max(worst, busy_until - oldest + 1)
            waiting -= taken
            oldest = second + 1.0
    return Load(
        of_shard * cost.stream_bytes / SHARD_BYTES,
        worked / SECONDS,
        of_key * cost.block_units / KEY_WRITE_UNITS,
        worst,
    )


def most(shards: int, partitions: int, window_seconds: int, cost: Cost) -> int:
    """The most ticks a second that keep up, to one percent."""
    low, high = 0.0, 1e8
    while high - low > 0.005 * high:
        middle = (low + high) / 2
        if simulate(middle, shards, partitions, window_seconds, cost).keeps_up:
            low = middle
        else:
            high = middle
    return round(low)
