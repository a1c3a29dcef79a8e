"""What the stream did not take lies in S3, byte for byte and in order, until it is sent."""

from __future__ import annotations

import pytest

from producers.publisher import Aggregate
from producers.scan.unsent import UnsentError, UnsentStore
from tests.producers.fakes import Aws

NOW = 1_763_996_400_000


def test_records_come_back_as_they_were_in_their_order(aws: Aws) -> None:
    store = UnsentStore(aws.s3, aws.bucket, 4)
    first = [Aggregate(3, b"a\x00", 5), Aggregate(0, b"b", 1), Aggregate(3, b"c", 2)]
    store.store(first, NOW)
    store.store([Aggregate(3, b"d", 7)], NOW + 60_000)
    loaded = store.load()
    assert [(found.partition, found.data, found.ticks) for found in loaded] == [
        (3, b"a\x00", 5), (0, b"b", 1), (3, b"c", 2), (3, b"d", 7),
    ]  # fmt: skip


def test_what_is_stored_already_is_not_stored_again_and_what_is_sent_is_forgotten(aws: Aws) -> None:
    store = UnsentStore(aws.s3, aws.bucket, 4)
    store.store([Aggregate(0, b"a", 1), Aggregate(1, b"b", 1)], NOW)
    a, b = store.load()
    store.forget([a])
    store.store([b, Aggregate(1, b"c", 1)], NOW + 1)
    assert [found.data for found in store.load()] == [b"b", b"c"]


def test_records_of_another_number_of_partitions_are_rejected(aws: Aws) -> None:
    UnsentStore(aws.s3, aws.bucket, 4).store([Aggregate(3, b"a", 1)], NOW)
    with pytest.raises(UnsentError, match="stored for 4 partitions and there are 8 now"):
        UnsentStore(aws.s3, aws.bucket, 8).load()


def test_a_stranger_among_the_records_is_named(aws: Aws) -> None:
    aws.s3.put_object(Bucket=aws.bucket, Key="unsent/notes.txt", Body=b"x")
    with pytest.raises(UnsentError, match=r"unsent/notes\.txt is no unsent record"):
        UnsentStore(aws.s3, aws.bucket, 4).load()
