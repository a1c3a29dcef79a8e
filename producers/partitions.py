"""Which partition a symbol belongs to, and where on the stream that partition lies.

The number of partitions is part of the data's layout: per-symbol order and the stored windows hold
only while it stays the same.
"""

from __future__ import annotations

from zlib import crc32

from producers.errors import ArgumentError

_HASH_KEYS = 1 << 128  # Kinesis maps a record to a shard by a 128-bit hash key


def partition_of(symbol: str, partitions: int) -> int:
    """Return the partition (0 to partitions - 1) of a symbol: CRC-32 modulo `partitions`, the same everywhere."""
    return crc32(symbol.encode(errors="surrogatepass")) % partitions


def partition_key(partition: int) -> str:
    """Return the Kinesis partition key of a partition."""
    return str(partition)


def explicit_hash_key(partition: int, partitions: int) -> str:
    """Return the middle of the partition's even slice of the hash key space, so that shards get equal shares."""
    if not 0 <= partition < partitions:
        raise ArgumentError(f"partition is {partition}; must be 0 to {partitions - 1}")
    return str((2 * partition + 1) * _HASH_KEYS // (2 * partitions))
