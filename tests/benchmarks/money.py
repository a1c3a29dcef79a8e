"""Dollars per million ticks of this design, of a read and a write per tick, and of a Flink application.

Prices are the table of `stock-monitor cost`; Flink's is from its own page, below. Only what differs by design is
compared: the stream, the compute and the state. Anomalies, alerts and the dashboard cost all of them the same.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from stream_infra.operations import prices
from stream_infra.operations.cost import SESSION_HOURS
from stream_infra.operations.prices import Price

SYMBOLS = 5000
BATCH_SECONDS = 5
# https://aws.amazon.com/managed-service-apache-flink/pricing/, us-east-1, as of 2025-06; one more for orchestration.
KPU_HOUR = Price("Flink", 0.11, 1, "KPU hours", "managed-service-apache-flink/pricing/")
TICKS_PER_KPU = 5000  # a second; random cut forests in SQL need more, a plain z-score less
RECORDS_PER_SHARD, BYTES_PER_SHARD = 1000, 1_000_000  # a second; quotas of Kinesis Data Streams
HEADROOM = 0.7
PUT_UNIT_BYTES = 25_600
CALL_SECONDS = 0.0025  # a read or a write of DynamoDB, waited for
NAIVE_GB, DETECTOR_GB = 0.5, 1.0
TICKS = SYMBOLS * SESSION_HOURS["regular"] * 3600  # of a month


class Asked(NamedTuple):
    """What a tick asks of AWS: units, requests (in all, and puts to S3), bytes on the stream, processor seconds."""

    write_units: float
    read_units: float
    calls: float
    s3_puts: float
    stream_bytes: float
    cpu_seconds: float


def _dollars(price: Price, quantity: float) -> float:
    return quantity * price.dollars / price.per


def _shards(records: float, size: float) -> int:
    """Shards for so many records and bytes a second."""
    return math.ceil(max(records / RECORDS_PER_SHARD, size / BYTES_PER_SHARD) / HEADROOM)


def _stream(records_a_tick: float, bytes_a_tick: float) -> float:
    """Dollars a month."""
    shards = _shards(SYMBOLS * records_a_tick, SYMBOLS * bytes_a_tick)
    units = max(records_a_tick, bytes_a_tick / PUT_UNIT_BYTES)
    return _dollars(prices.SHARD_HOUR, shards * prices.HOURS) + _dollars(prices.PUT_UNIT, units * TICKS)


def ours(asked: Asked, partitions: int = 4) -> float:
    """Dollars a month: one record a second and partition, one invocation in five seconds."""
    invocations = TICKS / (SYMBOLS * BATCH_SECONDS)
    seconds = asked.cpu_seconds * TICKS + asked.calls * TICKS * CALL_SECONDS
    units = partitions * math.ceil(SYMBOLS / partitions * asked.stream_bytes / PUT_UNIT_BYTES) / SYMBOLS
    shards = _shards(partitions, SYMBOLS * asked.stream_bytes)
    return (
        _dollars(prices.SHARD_HOUR, shards * prices.HOURS)
        + _dollars(prices.PUT_UNIT, units * TICKS)
        + _dollars(prices.LAMBDA_REQUEST, invocations)
        + _dollars(prices.LAMBDA_GB_SECOND, seconds * DETECTOR_GB)
        + _dollars(prices.WRITE_UNIT, asked.write_units * TICKS)
        + _dollars(prices.READ_UNIT, asked.read_units * TICKS)
        + _dollars(prices.S3_PUT, asked.s3_puts * TICKS)
    )


def naive(asked: Asked) -> float:
    """Dollars a month: a record a tick, a hundred records an invocation, a read and a write a tick."""
    seconds = (asked.cpu_seconds + 2 * CALL_SECONDS) * TICKS
    return (
        _stream(1.0, 112.0)
        + _dollars(prices.LAMBDA_REQUEST, TICKS / 100)
        + _dollars(prices.LAMBDA_GB_SECOND, seconds * NAIVE_GB)
        + _dollars(prices.WRITE_UNIT, asked.write_units * TICKS)
        + _dollars(prices.READ_UNIT, asked.read_units * TICKS)
    )


def flink_24x7(stream_bytes: float) -> float:
    """Dollars a month: the same stream, and an application that runs all the time."""
    units = math.ceil(SYMBOLS / TICKS_PER_KPU) + 1
    stream = _dollars(prices.SHARD_HOUR, _shards(4, SYMBOLS * stream_bytes) * prices.HOURS)
    return stream + _dollars(KPU_HOUR, units * prices.HOURS)
