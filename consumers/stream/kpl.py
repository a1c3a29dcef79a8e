"""Takes KPL aggregates apart, by the rules of aws-kinesis-agg. Free of numpy."""

from __future__ import annotations

import hashlib

from aws_kinesis_agg import DIGEST_SIZE, MAGIC, deaggregator  # noqa: F401  messages_pb2 needs its path
from aws_kinesis_agg.messages_pb2 import AggregatedRecord
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

# A tick of 100 bytes is a small user record, and 1 MiB the usual limit of a record.
MAX_USER_RECORDS = 10_000


def is_whole_aggregate(data: bytes) -> bool:
    """Return whether this is a KPL aggregate: the magic number, and an MD5 digest that fits."""
    message, digest = memoryview(data)[len(MAGIC) : -DIGEST_SIZE], data[-DIGEST_SIZE:]
    is_aggregate = data.startswith(MAGIC) and len(message) > 0
    return is_aggregate and hashlib.md5(message, usedforsecurity=False).digest() == digest


def record_digest(data: bytes, is_whole: bool) -> str:
    """Return what tells a record sent again from another one; a whole aggregate brings its own."""
    digest = data[-DIGEST_SIZE:] if is_whole else hashlib.blake2b(data, digest_size=8).digest()
    return digest[:8].hex()


def user_records(data: bytes, *, is_whole: bool | None = None) -> tuple[list[bytes], str | None]:
    """Return the payloads in a Kinesis record, and what is wrong with it as a KPL aggregate, if it looks like one.

    A record with the magic number whose MD5 does not fit, or that is no protobuf message, is a plain record.
    The iterator of aws-kinesis-agg is not used: it prints what goes wrong in the middle of an aggregate and
    drops the rest.

    Parameters
    ----------
    is_whole
        What `is_whole_aggregate` says of the data, where that is known.
    """
    if not (is_whole_aggregate(data) if is_whole is None else is_whole):
        looks_like_one = data.startswith(MAGIC) and len(data) - len(MAGIC) > DIGEST_SIZE
        problem = "looks like a KPL aggregate, but its MD5 digest does not fit: cut short or changed"
        return [data], problem if looks_like_one else None
    try:
        aggregate = AggregatedRecord.FromString(data[len(MAGIC) : -DIGEST_SIZE])
    except DecodeError as error:
        return [data], f"looks like a KPL aggregate, but is no protobuf message of one ({error})"
    if len(aggregate.records) > MAX_USER_RECORDS:
        return [
            data
        ], f"an aggregate of {len(aggregate.records)} user records; must be at most {MAX_USER_RECORDS}"
    if not aggregate.records:
        return [data], "looks like a KPL aggregate, but holds no user record"
    return [user_record.data for user_record in aggregate.records], None
