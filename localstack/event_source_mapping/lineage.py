"""Which shards may be read: parents before children, also across splits and merges."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple


class Shard(NamedTuple):
    """A shard as ListShards shows it."""

    shard_id: str
    parents: tuple[str, ...]
    closed: bool


def startable(shards: Sequence[Shard], ended: Collection[str], active: Collection[str]) -> list[Shard]:
    """Shards to start reading now.

    A child waits until each parent is read to its end. A parent that is neither listed nor being read has
    expired (or the emulator dropped it): it holds nothing to wait for.
    """
    listed = {shard.shard_id for shard in shards}

    def settled(parent: str) -> bool:
        return parent in ended or (parent not in listed and parent not in active)

    return [
        shard
        for shard in shards
        if shard.shard_id not in ended
        and shard.shard_id not in active
        and all(settled(parent) for parent in shard.parents)
    ]


def forgettable(shards: Iterable[Shard], ended: Collection[str]) -> set[str]:
    """Return the ended shards that no listed shard refers to any more: their checkpoints can go."""
    named = {name for shard in shards for name in (shard.shard_id, *shard.parents)}
    return set(ended) - named
