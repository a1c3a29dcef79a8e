"""Stand-ins for AWS and for vendors: a Kinesis with AWS's documented limits, a clock, a bus, an HTTP server."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import aws_kinesis_agg.deaggregator  # noqa: F401 - the message class imports only after it
from aws_kinesis_agg import MAGIC, messages_pb2
from botocore.exceptions import ClientError

from producers.partitions import partition_of
from producers.quote_batch import QuoteBatch, decode
from producers.scan.scan import Parts
from producers.vendor_client import VendorClient
from tests.json_types import Json

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient


MakeClient = Callable[..., VendorClient]
MakeParts = Callable[..., Parts]
Reply = tuple[int, dict[str, str], bytes]
"""Status, headers and body of an HTTP answer."""

MIB = 1024 * 1024


Failure = str | Collection[int]
"""How a call fails: as a whole, or by the numbers of its entries."""


@dataclass
class StrictKinesis:
    """PutRecords with its documented limits: 500 entries, 5 MiB a call, 1 MiB a record with its keys.

    `failures` says for each call which of its entries fail ("fail all" raises before anything is stored,
    "lose the answer" raises after everything was).
    """

    stream: str = "stock-quotes"
    failures: Iterator[Failure] = field(default_factory=lambda: iter(()))
    calls: list[list[Json]] = field(default_factory=list)
    stored: list[Json] = field(default_factory=list)

    @property
    def client(self) -> KinesisClient:
        """This, as the client that the product takes."""
        return cast("KinesisClient", self)

    def put_records(self, *, StreamName: str, Records: list[Json]) -> Json:  # noqa: N803
        if StreamName != self.stream:
            raise ClientError(
                {"Error": {"Code": "ResourceNotFoundException", "Message": "no such stream"}}, "PutRecords"
            )
        self._check(Records)
        self.calls.append(Records)
        plan = next(self.failures, ())
        if plan == "fail all":
            raise ClientError({"Error": {"Code": "InternalFailure", "Message": "try again"}}, "PutRecords")
        answers: list[Json] = []
        for index, record in enumerate(Records):
            if plan != "lose the answer" and index in plan:
                answers.append(
                    {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow down"}
                )
            else:
                self.stored.append(record)
                answers.append({"SequenceNumber": str(len(self.stored)), "ShardId": "shardId-000000000000"})
        if plan == "lose the answer":
            raise ClientError({"Error": {"Code": "RequestTimeout", "Message": "lost"}}, "PutRecords")
        return {"FailedRecordCount": sum("ErrorCode" in a for a in answers), "Records": answers}

    @staticmethod
    def _check(records: list[Json]) -> None:
        assert 1 <= len(records) <= 500
        sizes = [len(record["Data"]) + len(record["PartitionKey"].encode()) for record in records]
        assert max(sizes) <= MIB
        assert sum(sizes) + sum(len(record["ExplicitHashKey"]) for record in records) <= 5 * MIB
        for record in records:
            assert 1 <= len(record["PartitionKey"]) <= 256
            assert 0 <= int(record["ExplicitHashKey"]) < 2**128

    def batches(self) -> list[QuoteBatch]:
        """All batches stored, in the order of the stream; none may hold a rejected row."""
        found = []
        for record in self.stored:
            for payload in user_records(record["Data"]):
                batch, rejected = decode(payload)
                assert rejected == []
                found.append(batch)
        return found


def user_records(data: bytes) -> list[bytes]:
    """The user records of a KPL aggregate, read with the message class, not with the package's iterator."""
    assert data.startswith(MAGIC)
    message = messages_pb2.AggregatedRecord()
    message.ParseFromString(data[len(MAGIC) : -16])
    return [record.data for record in message.records]


@dataclass
class Clock:
    """Time that passes only while someone sleeps."""

    now_ms: int = 1_763_996_400_000  # 2025-11-24T15:00:00Z, a Monday, 10:00 in New York

    def __call__(self) -> int:
        return self.now_ms

    def monotonic(self) -> float:
        self.now_ms += 1
        return self.now_ms / 1000

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now_ms += round(seconds * 1000)


@dataclass
class Bus:
    """PutEvents with its limit of 10 entries; `reject` says why it takes none."""

    sent: list[Json] = field(default_factory=list)
    reject: str = ""

    @property
    def client(self) -> EventBridgeClient:
        """This, as the client that the product takes."""
        return cast("EventBridgeClient", self)

    def put_events(self, *, Entries: list[Json]) -> Json:  # noqa: N803
        assert 1 <= len(Entries) <= 10
        if self.reject:
            rejected = {"ErrorCode": "InternalFailure", "ErrorMessage": self.reject}
            return {"FailedEntryCount": len(Entries), "Entries": [rejected for _ in Entries]}
        self.sent += [{**entry, "Detail": json.loads(entry["Detail"])} for entry in Entries]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in Entries]}

    @property
    def sent_events(self) -> list[tuple[str, list[str]]]:
        """What was said, in order: detail type and tickers (none: the feed)."""
        return [(entry["DetailType"], entry["Detail"]["data"]["tickers"]) for entry in self.sent]


@dataclass
class Aws:
    """The scanner's AWS: names, and clients of moto."""

    s3: S3Client
    ssm: SSMClient
    dynamodb: DynamoDBClient
    bus: Bus
    table: str = "stock-windows"
    bucket: str = "stock-scan-data-123456789012"
    parameter: str = "/stock-tracker/ticker"

    def watch(self, value: str) -> None:
        self.ssm.put_parameter(Name=self.parameter, Value=value, Type="String", Overwrite=True)

    def keys(self, prefix: str) -> list[str]:
        answer = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for item in answer.get("Contents", [])]

    def body(self, key: str) -> bytes:
        data: bytes = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return data


def make_batch(
    symbols: list[str], ts: int, price: float = 100.0, missing: list[str] | None = None
) -> QuoteBatch:
    """A batch of the source simulated, every ticker with the same price."""
    n = len(symbols)
    return QuoteBatch(
        "simulated", symbols, [ts] * n, [price] * n, [price - 0.01] * n, [price + 0.01] * n,
        [1000.0 + ts] * n, [None] * n, missing or [],
    )  # fmt: skip


def symbols_of_partition(partition: int, partitions: int, count: int) -> list[str]:
    """So many symbols that belong to a partition."""
    names = (f"S{i}" for i in range(100_000))
    matching = (name for name in names if partition_of(name, partitions) == partition)
    return [next(matching) for _ in range(count)]


@dataclass(frozen=True)
class Call:
    """A request as the vendor's stub received it."""

    path: str
    parameters: dict[str, str]
    headers: dict[str, str]


@dataclass
class VendorStub:
    """A vendor on 127.0.0.1: `answers` gives (status, headers, body) for each call, or closes the line."""

    url: str = ""
    answer: Callable[[Call], Reply | None] = lambda _call: (200, {}, b"{}")
    calls: list[Call] = field(default_factory=list)

    def script(self, *answers: Reply | None) -> None:
        """Return these in turn, and the last of them from then on."""
        left = list(answers)
        self.answer = lambda _call: left.pop(0) if len(left) > 1 else left[0]
