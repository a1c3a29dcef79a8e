"""Whatever the stream rejects or answers too late: the detector gets every tick once and in order."""

from __future__ import annotations

import base64
import random
from functools import partial

import pytest
from aws_lambda_powertools import Logger, Metrics

from consumers.contracts.counts import TickCounts
from consumers.contracts.kinds import distortions
from consumers.detector.settings import DetectorSettings
from consumers.detector.wiring import Detector
from consumers.stores.windows import Ledger
from producers.archive import Archive
from producers.publisher import Publisher
from producers.scan.feed_keeper import FeedKeeper
from producers.scan.lease import Lease
from producers.scan.scan import Parts, Scan
from producers.scan.unsent import UnsentStore
from producers.settings import ScannerSettings, ScanRequest
from producers.sources.simulated import SimulatedSource
from producers.watch_list import WatchListReader
from tests.aws import create_table
from tests.json_types import Json
from tests.producers.fakes import Aws, Clock, Failure, StrictKinesis

SYMBOLS = "IBM,GE,BA,CAT,XOM,CVX,KO,PEP"
SETTINGS = ScannerSettings(
    stream_name="stock-quotes",
    scan_table="stock-windows",
    data_bucket="stock-scan-data-123456789012",
    source="simulated",
    session="always",
)


@pytest.fixture
def detector(aws: Aws) -> Detector:
    def table(name: str, keys: tuple[str, str]) -> None:
        create_table(name, *keys, client=aws.dynamodb)

    table("stock-anomalies", ("ticker", "timestamp"))
    table("stock-charts", ("pk", "sk"))
    aws.ssm.put_parameter(Name="/stock-tracker/threshold", Value="2.5", Type="String")
    settings = DetectorSettings(
        anomalies_table="stock-anomalies",
        windows_table=aws.table,
        charts_table="stock-charts",
        data_bucket=aws.bucket,
        bus_name="stock-market",
    )
    return Detector(settings, Logger(service="test"), Metrics(namespace="Test", service="test"))


def events(stored: list[Json], at_ms: int, rng: random.Random) -> list[Json]:
    """The records as Lambda delivers them: in order, in batches of any size, now and then a batch twice."""
    records = [
        {
            "eventID": f"shardId-000000000000:{number:021d}",
            "kinesis": {
                "partitionKey": record["PartitionKey"],
                "sequenceNumber": f"{number:021d}",
                "data": base64.b64encode(record["Data"]).decode(),
                "approximateArrivalTimestamp": at_ms / 1000,
            },
        }
        for number, record in enumerate(stored)
    ]
    found = []
    while records:
        size = rng.randint(1, 20)
        batch, records = records[:size], records[size:]
        found += [{"Records": batch}] * rng.choice((1, 1, 2))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_every_tick_once_and_in_order(
    aws: Aws, kinesis: StrictKinesis, clock: Clock, detector: Detector, seed: int
) -> None:
    rng = random.Random(seed)
    plans: list[Failure] = ["fail all", "lose the answer", {0}, {1, 2}, {0, 1, 2, 3}, (), ()]
    kinesis.failures = iter([rng.choice(plans) for _ in range(150)])
    aws.watch(SYMBOLS)

    def scan(owner: str, seconds: int) -> Json:
        publisher = Publisher(
            kinesis.client,
            "stock-quotes",
            4,
            clock=clock.monotonic,
            sleep=clock.sleep,
            rng=random.Random(seed),
        )
        parts = Parts(
            source=SimulatedSource(distortions=distortions()),
            watch_list=WatchListReader(aws.ssm, aws.s3, aws.parameter, clock),
            publisher=publisher,
            lease=Lease(aws.dynamodb, aws.table, owner, 40_000),
            unsent=UnsentStore(aws.s3, aws.bucket, 4),
            archive=Archive(aws.s3, aws.bucket),
            feed=FeedKeeper(aws.dynamodb, aws.table, aws.bus.client, "stock-market"),
            clock_ms=clock,
            sleep=partial(sleep, owner),
        )
        return Scan(parts, SETTINGS).run(ScanRequest(), clock.now_ms + seconds * 1000).as_dict()

    def sleep(owner: str, seconds: float) -> None:
        overlap(owner)
        clock.sleep(seconds)

    def overlap(owner: str) -> None:
        if owner == "first" and rng.random() < 0.2:
            assert scan("overlapping", 55)["status"] == "already running"

    polls = sum(scan("first", rng.choice((0, 20, 55)))["polls"] for _ in range(6))
    kinesis.failures = iter(())
    polls += scan("last", 0)["polls"]
    for event in events(kinesis.stored, clock.now_ms, rng):
        assert detector.handle(event, 900_000) == {"batchItemFailures": []}

    counts = Ledger(aws.dynamodb, aws.table, 4).totals()["simulated"]
    assert counts.balance()
    asked = polls * len(SYMBOLS.split(","))
    missing = sum(len(batch.missing) for batch in kinesis.batches())
    assert missing == 0
    assert counts == TickCounts(
        ticks_in=counts.in_windows + counts.duplicate, in_windows=asked, duplicate=counts.duplicate
    ), "out_of_order and quarantined are 0"
    assert counts.duplicate > 0
