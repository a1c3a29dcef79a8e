"""A scan may be killed at any call to AWS: at most the poll in flight is lost, and nothing is reported twice."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import ParamSpec, TypeVar, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.archive import Archive
from producers.publisher import Publisher
from producers.quote_batch import Quote
from producers.scan.feed_keeper import FeedKeeper
from producers.scan.lease import Lease
from producers.scan.scan import Parts, Scan
from producers.scan.unsent import UnsentStore
from producers.settings import ScannerSettings, ScanRequest
from producers.source import Quotes
from producers.sources.simulated import SimulatedSource
from producers.watch_list import WatchListReader
from tests.producers.fakes import Aws, Clock, StrictKinesis

P = ParamSpec("P")
T = TypeVar("T")

SETTINGS = ScannerSettings(
    stream_name="stock-quotes",
    scan_table="stock-windows",
    data_bucket="stock-scan-data-123456789012",
    source="simulated",
    session="always",
)


class KilledError(BaseException):
    """The process is gone: no handler runs any more, no call gets out."""


class Mortal:
    """Clients of one process; its n-th call to AWS is made and its answer lost, or is not made at all."""

    def __init__(self, calls: int, *, made: bool) -> None:
        self._left = calls
        self._made = made

    def client(self, real: T) -> T:
        mortal = self

        class Client:
            exceptions = getattr(real, "exceptions", None)

            def __getattr__(self, name: str) -> Callable[..., object]:
                return mortal.call(getattr(real, name))

        return cast("T", Client())

    def call(self, real: Callable[P, T]) -> Callable[P, T]:
        def one(*positional: P.args, **named: P.kwargs) -> T:
            self._left -= 1
            if self._left < 0 or (self._left == 0 and not self._made):
                raise KilledError
            answer = real(*positional, **named)
            if self._left == 0:
                raise KilledError
            return answer

        return one


class Noting(SimulatedSource):
    """Notes what it answers."""

    def __init__(self, answered: list[set[tuple[str, int]]]) -> None:
        super().__init__()
        self._answered = answered

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:
        quotes = super().quotes(symbols, now_ms)
        self._answered.append(
            {(ticker, now_ms) for ticker, quote in quotes.items() if isinstance(quote, Quote)}
        )
        return quotes


@pytest.fixture
def scan(aws: Aws, kinesis: StrictKinesis, clock: Clock) -> Callable[..., None]:
    aws.watch("IBM,GE,BA,CAT")

    def run(answered: list[set[tuple[str, int]]], mortal: Mortal, owner: str, seconds: int) -> None:
        s3, ssm, dynamodb = mortal.client(aws.s3), mortal.client(aws.ssm), mortal.client(aws.dynamodb)
        parts = Parts(
            source=Noting(answered),
            watch_list=WatchListReader(ssm, s3, aws.parameter, clock),
            publisher=Publisher(
                mortal.client(kinesis.client),
                "stock-quotes",
                4,
                clock=clock.monotonic,
                sleep=clock.sleep,
                rng=random.Random(1),
            ),
            lease=Lease(dynamodb, aws.table, owner, 40_000),
            unsent=UnsentStore(s3, aws.bucket, 4),
            archive=Archive(s3, aws.bucket),
            feed=FeedKeeper(dynamodb, aws.table, mortal.client(aws.bus.client), "stock-market"),
            clock_ms=clock,
            sleep=clock.sleep,
        )
        Scan(parts, SETTINGS).run(ScanRequest(), clock.now_ms + seconds * 1000)

    return run


kills = st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=4)
plans = st.lists(st.one_of(st.just("fail all"), st.frozensets(st.integers(0, 3), max_size=4)), max_size=40)


@given(kills=kills, plan=plans)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_killed_scan_loses_at_most_the_poll_in_flight(
    *,
    scan: Callable[..., None],
    aws: Aws,
    kinesis: StrictKinesis,
    clock: Clock,
    kills: list[tuple[int, bool]],
    plan: list[tuple[int, bool]],
) -> None:
    kinesis.stored.clear()
    kinesis.failures = iter(plan)
    needed: set[tuple[str, int]] = set()
    for number, (calls, made) in enumerate(kills):
        answered: list[set[tuple[str, int]]] = []
        killed = False
        try:
            scan(answered, Mortal(calls, made=made), str(number), seconds=20)
        except KilledError:
            killed = True
        for poll in answered[:-1] if killed else answered:
            needed |= poll
        clock.sleep(60)  # the lease of the dead one has run out
    kinesis.failures = iter(())
    rest: list[set[tuple[str, int]]] = []
    scan(rest, Mortal(10**6, made=True), "last", seconds=0)
    needed |= set().union(*rest)

    assert aws.keys("unsent/") == []
    records = Counter(record["Data"] for record in kinesis.stored)
    assert {tick for data in kinesis.batches() for tick in zip(data.symbol, data.ts, strict=True)} >= needed
    once = dict.fromkeys(record["Data"] for record in kinesis.stored)  # what came twice came byte for byte
    assert sum(records.values()) >= len(once)
    newest: dict[str, list[int]] = {}
    for data in once:
        kinesis.stored[:] = [{"Data": data}]
        for batch in kinesis.batches():
            for symbol, ts in zip(batch.symbol, batch.ts, strict=True):
                newest.setdefault(symbol, []).append(ts)
    assert all(a < b for times in newest.values() for a, b in pairwise(times))
