"""What an invocation asks of AWS: requests, and write and read units, through the shipped adapters against moto.

moto does not say what a call consumes. Units are counted by size as AWS does ("DynamoDB item sizes and formats"
and "DynamoDB read and write operations" in its developer guide): a write unit for each begun KiB of an item, the
same again for each index that holds it, a read unit for each begun 4 KiB of a strongly consistent read.
"""

from __future__ import annotations

import logging
import math
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import boto3
import pytest
from aws_lambda_powertools import Logger, Metrics
from botocore.model import OperationModel

from consumers.detector.settings import DetectorSettings
from consumers.detector.wiring import Detector
from consumers.stores.charts import GROUPS
from producers.partitions import partition_of
from producers.quote_batch import QuoteBatch, encode
from tests.aws import aws_in_memory, create_table
from tests.consumers import kit
from tests.json_types import Json

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


PARTITIONS = 4
BATCH_SECONDS = 5
START_MS = 1_795_000_020_000  # a full minute
SETTINGS = DetectorSettings(
    partitions=PARTITIONS,
    anomalies_table="anomalies",
    windows_table="windows",
    charts_table="charts",
    data_bucket="data",
    bus_name="bus",
    threshold_parameter="/threshold",
)
INDEXES = 2  # of the anomalies, both hold all of an item


logger = logging.getLogger(__name__)


def item_bytes(item: Json) -> int:
    return sum(len(name.encode()) + value_bytes(value) for name, value in item.items())


def value_bytes(value: Json) -> int:
    ((kind, of),) = value.items()
    if kind == "S":
        return len(of.encode())
    if kind == "B":
        return len(of)
    if kind == "N":  # one byte, and one for two significant digits
        return 1 + math.ceil(len(of.lower().split("e")[0].replace(".", "").strip("-0") or "0") / 2)
    if kind == "L":
        return 3 + sum(1 + value_bytes(element) for element in of)
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + value_bytes(element) for name, element in of.items())
    assert kind in {"BOOL", "NULL"}, kind
    return 1


def write_units(item: Json) -> int:
    return math.ceil(item_bytes(item) / 1024)


@dataclass
class Meter:
    """Counts calls by operation and table or bucket, and what DynamoDB would charge for them."""

    calls: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    reads: int = 0
    updated: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def asked(self, params: Json, model: OperationModel, **_: object) -> None:
        name, table = model.name, params.get("TableName", "")
        self.calls[f"{name} {table}".strip()] += 1
        if name == "PutItem":
            self.writes[table] += write_units(params["Item"]) * (1 + INDEXES * (table == "anomalies"))
        elif name == "UpdateItem":
            self.updated[table, params["Key"]["pk"]["S"], params["Key"]["sk"]["S"]] += 1
        elif name == "BatchWriteItem":
            for of, requests in params["RequestItems"].items():
                for request in requests:
                    units = write_units(request["PutRequest"]["Item"])
                    self.writes[of] += units * (1 + INDEXES * (of == "anomalies"))

    def answered(self, parsed: Json, model: OperationModel, **_: object) -> None:
        if model.name in {"Query", "GetItem"}:
            items = parsed.get("Items", [parsed["Item"]] if "Item" in parsed else [])
            self.reads += max(1, math.ceil(sum(map(item_bytes, items)) / 4096))

    def clear(self) -> None:
        """Count from nothing again."""
        self.calls, self.writes, self.reads, self.updated = Counter(), Counter(), 0, Counter()

    def settle(self, client: DynamoDBClient) -> None:
        """Charge updates at the size that their items have now, which only grow."""
        for (table, pk, sk), times in self.updated.items():
            item = client.get_item(TableName=table, Key={"pk": {"S": pk}, "sk": {"S": sk}})["Item"]
            self.writes[table] += times * write_units(item)


@contextmanager
def aws() -> Iterator[Meter]:
    """moto's AWS, in which every client that is made by default is metered."""
    with pytest.MonkeyPatch.context() as patch, aws_in_memory():
        create()
        meter, session = Meter(), boto3.Session()
        session.events.register("before-parameter-build", meter.asked)
        session.events.register("after-call.dynamodb", meter.answered)
        patch.setattr(boto3, "DEFAULT_SESSION", session)
        yield meter


def invocations(symbols: int, minutes: int, warm: int) -> list[Meter]:
    """What AWS is asked in each invocation of a warm detector, after `warm` minutes."""
    metered, market = [], Market(symbols)
    metrics = Metrics(service="stock-detector", namespace="StockMonitor")
    with aws() as meter:
        detector = Detector(SETTINGS, Logger(service="stock-detector"), metrics)
        for _ in range(minutes * 60 // BATCH_SECONDS):
            meter.clear()
            assert detector.handle(market.batch(), 600_000) == {"batchItemFailures": []}
            metrics.clear_metrics()
            metered.append(replace(meter))
        client = boto3.Session().client("dynamodb")
        for of in metered:
            of.settle(client)
    return metered[warm * 60 // BATCH_SECONDS :]


def create() -> None:
    dynamodb = boto3.client("dynamodb")
    for table, keys in (
        ("anomalies", ("ticker", "timestamp")),
        ("windows", ("pk", "sk")),
        ("charts", ("pk", "sk")),
    ):
        create_table(table, *keys, client=dynamodb)
    boto3.client("s3").create_bucket(Bucket="data")
    boto3.client("events").create_event_bus(Name="bus")
    boto3.client("ssm").put_parameter(Name="/threshold", Type="String", Value="2.5")


class Market:
    """Random walks of liquid stocks: prices in cents, a spread of cents, volume that grows."""

    def __init__(self, symbols: int) -> None:
        self._rng = random.Random(5)
        self._of = [
            [s for s in map("S{}".format, range(symbols)) if partition_of(s, PARTITIONS) == p]
            for p in range(4)
        ]
        self._price = {s: self._rng.uniform(5, 500) for of in self._of for s in of}
        self._volume = dict.fromkeys(self._price, 0)
        self._second = 0

    def batch(self) -> Json:
        """The event of the next five seconds: a record a second and partition."""
        sent = []
        for _ in range(BATCH_SECONDS):
            ts = START_MS + self._second * 1000
            for partition, symbols in enumerate(self._of):
                data = kit.aggregate([encode(self._quotes(symbols, ts))], str(partition))
                sequence = str(10**20 + self._second * PARTITIONS + partition)
                sent.append(kit.Sent(data, sequence, ts + 900, str(partition)))
            self._second += 1
        event: Json = kit.event(sent)
        return event

    def _quotes(self, symbols: list[str], ts: int) -> QuoteBatch:
        rng, n = self._rng, len(symbols)
        # A source is asked for some 100 symbols at a time, and each answer has its own time.
        times = [ts + 40 * (i // 100) + rng.randrange(20) for i in range(0, n, 100)]
        price: list[float] = []
        bid: list[float | None] = []
        ask: list[float | None] = []
        for symbol in symbols:
            self._price[symbol] *= 1 + rng.gauss(0, 1e-4)
            self._volume[symbol] += rng.randrange(2000)
            price.append(round(self._price[symbol], 2))
            bid.append(round(price[-1] - rng.choice((0.01, 0.01, 0.02)), 2))
            ask.append(round(price[-1] + rng.choice((0.01, 0.01, 0.02)), 2))
        volume: list[float | None] = [float(self._volume[symbol]) for symbol in symbols]
        return QuoteBatch(
            "alpaca", symbols, [times[i // 100] for i in range(n)], price, bid, ask, volume, [None] * n, []
        )


@pytest.fixture(scope="module")
def minute() -> list[Meter]:
    """A minute of 5,000 symbols, a tick a second, in batches of five seconds: 300,000 ticks."""
    return invocations(5000, minutes=2, warm=1)


def test_units_of_a_million_ticks(minute: list[Meter]) -> None:
    per_million = 1e6 / (5000 * 60)
    writes = sum((of.writes for of in minute), Counter[str]())
    reads = sum(of.reads for of in minute)
    # pytest --log-cli-level=INFO
    logger.info("write units per million ticks: %.0f %s", writes.total() * per_million, dict(writes))
    logger.info("read units per million ticks: %.0f", reads * per_million)
    assert set(writes) <= {"windows", "charts", "anomalies"}
    assert writes.total() * per_million <= 10_000
    assert reads * per_million <= 5_000


def test_requests_of_an_invocation(minute: list[Meter]) -> None:
    for of in minute:
        calls = of.calls
        assert calls["Query windows"] == 0  # nobody else goes on with the partitions
        assert calls["PutItem windows"] == PARTITIONS  # the commits
        assert calls["PutItem charts"] <= PARTITIONS  # last quotes
        assert calls["PutObject"] <= PARTITIONS  # snapshots
        assert calls["GetParameter"] <= 2  # the threshold and the rules, every 25 s
        assert calls["UpdateItem charts"] <= GROUPS  # bars of a minute that others closed before
        usual = {"PutItem windows", "PutItem charts", "PutObject", "GetParameter"}
        assert set(calls) <= usual | {"UpdateItem charts", "BatchWriteItem", "PutEvents"}
    whole = sum((of.calls for of in minute), Counter[str]())
    assert whole["PutObject"] == PARTITIONS
    assert whole["PutItem charts"] == PARTITIONS * 4  # many symbols: every 15 s
    assert whole["BatchWriteItem"] <= 40


def test_write_units_do_not_grow_with_the_window() -> None:
    after = invocations(200, minutes=12, warm=2)
    early, late = (
        sum(of.writes["windows"] + of.writes["charts"] for of in part) for part in (after[:48], after[-48:])
    )
    assert abs(late - early) <= 0.03 * early
