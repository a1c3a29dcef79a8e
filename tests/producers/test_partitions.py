"""Partitions are stable, and spread evenly over the hash keys."""

from __future__ import annotations

from collections import Counter

import pytest

from producers.partitions import explicit_hash_key, partition_key, partition_of


def test_the_hash_is_the_same_everywhere() -> None:
    # 0xCBF43926 is the check value of CRC-32/ISO-HDLC over "123456789" in the catalogue of CRCs.
    assert partition_of("123456789", 1 << 20) == 0xCBF43926 % (1 << 20)
    assert [partition_of(symbol, 4) for symbol in ("AAPL", "MSFT", "KO")] == [0, 3, 0]


def test_symbols_spread_over_the_partitions() -> None:
    counts = Counter(partition_of(f"SYM{i}", 4) for i in range(4000))
    assert set(counts) == {0, 1, 2, 3}
    assert max(counts.values()) < 1.2 * min(counts.values())


@pytest.mark.parametrize("shards", [1, 2, 4])
def test_partitions_spread_evenly_over_the_shards(shards: int) -> None:
    keys = [int(explicit_hash_key(partition, 4)) for partition in range(4)]
    assert Counter(key * shards >> 128 for key in keys) == dict.fromkeys(range(shards), 4 // shards)


def test_a_partition_out_of_range_is_rejected() -> None:
    assert partition_key(3) == "3"
    with pytest.raises(ValueError, match="partition is 4; must be 0 to 3"):
        explicit_hash_key(4, 4)
