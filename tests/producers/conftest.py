"""A Kinesis that enforces AWS's documented limits, and builders of quote batches."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aws_kinesis_agg.deaggregator  # noqa: F401 - the message class imports only after it
import boto3
import pytest
from aws_kinesis_agg import MAGIC, messages_pb2
from botocore.exceptions import ClientError
from moto import mock_aws

from producers.partitions import partition_of
from producers.quote_batch import QuoteBatch, decode
from producers.vendor import Vendor, VendorClient

MIB = 1024 * 1024


@dataclass
class StrictKinesis:
    """PutRecords with its documented limits: 500 entries, 5 MiB a call, 1 MiB a record with its keys.

    `failures` says for each call which of its entries fail ("fail all" raises before anything is stored,
    "lose the answer" raises after everything was).
    """

    stream: str = "stock-quotes"
    failures: Iterator[Any] = field(default_factory=lambda: iter(()))
    calls: list[list[dict[str, Any]]] = field(default_factory=list)
    stored: list[dict[str, Any]] = field(default_factory=list)

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        if StreamName != self.stream:
            raise ClientError(
                {"Error": {"Code": "ResourceNotFoundException", "Message": "no such stream"}}, "PutRecords"
            )
        self._check(Records)
        self.calls.append(Records)
        plan = next(self.failures, ())
        if plan == "fail all":
            raise ClientError({"Error": {"Code": "InternalFailure", "Message": "try again"}}, "PutRecords")
        answers: list[dict[str, Any]] = []
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
    def _check(records: list[dict[str, Any]]) -> None:
        assert 1 <= len(records) <= 500
        sizes = [len(record["Data"]) + len(record["PartitionKey"].encode()) for record in records]
        assert max(sizes) <= MIB
        assert sum(sizes) + sum(len(record["ExplicitHashKey"]) for record in records) <= 5 * MIB
        for record in records:
            assert 1 <= len(record["PartitionKey"]) <= 256
            assert 0 <= int(record["ExplicitHashKey"]) < 2**128

    def batches(self) -> list[QuoteBatch]:
        """All batches stored, in the order of the stream; none may hold a refused row."""
        found = []
        for record in self.stored:
            for payload in user_records(record["Data"]):
                batch, refused = decode(payload)
                assert refused == []
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
    """PutEvents with its limit of 10 entries; `refuse` says why it takes none."""

    sent: list[dict[str, Any]] = field(default_factory=list)
    refuse: str = ""

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        assert 1 <= len(Entries) <= 10
        if self.refuse:
            refused = {"ErrorCode": "InternalFailure", "ErrorMessage": self.refuse}
            return {"FailedEntryCount": len(Entries), "Entries": [refused for _ in Entries]}
        self.sent += [{**entry, "Detail": json.loads(entry["Detail"])} for entry in Entries]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in Entries]}

    @property
    def told(self) -> list[tuple[str, list[str]]]:
        """What was said, in order: detail type and tickers (none: the feed)."""
        return [(entry["DetailType"], entry["Detail"]["data"]["tickers"]) for entry in self.sent]


@dataclass
class Aws:
    """The scanner's AWS: names, and clients of moto."""

    s3: Any
    ssm: Any
    dynamodb: Any
    bus: Any
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


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def clock_class() -> type[Clock]:
    return Clock


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        made = Aws(boto3.client("s3"), boto3.client("ssm"), boto3.client("dynamodb"), Bus())
        boto3.client("events").create_event_bus(Name="stock-market")
        made.s3.create_bucket(Bucket=made.bucket)
        made.dynamodb.create_table(
            TableName=made.table,
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        yield made


@pytest.fixture
def kinesis() -> StrictKinesis:
    return StrictKinesis()


@pytest.fixture(scope="session")
def strict_kinesis() -> type[StrictKinesis]:
    return StrictKinesis


@pytest.fixture(scope="session")
def read_aggregate() -> Callable[[bytes], list[bytes]]:
    return user_records


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., QuoteBatch]:
    def make(
        symbols: list[str], ts: int, price: float = 100.0, missing: list[str] | None = None
    ) -> QuoteBatch:
        n = len(symbols)
        return QuoteBatch(
            "simulated", symbols, [ts] * n, [price] * n, [price - 0.01] * n, [price + 0.01] * n,
            [1000.0 + ts] * n, [None] * n, missing or [],
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def symbols_of_partition() -> Callable[[int, int, int], list[str]]:
    def find(partition: int, partitions: int, count: int) -> list[str]:
        names = (f"S{i}" for i in range(100_000))
        matching = (name for name in names if partition_of(name, partitions) == partition)
        return [next(matching) for _ in range(count)]

    return find


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
    answer: Callable[[Call], tuple[int, dict[str, str], bytes] | None] = lambda _call: (200, {}, b"{}")
    calls: list[Call] = field(default_factory=list)

    def script(self, *answers: Any) -> None:
        """Answers with these in turn, and with the last of them from then on."""
        left = list(answers)
        self.answer = lambda _call: left.pop(0) if len(left) > 1 else left[0]


@pytest.fixture
def vendor() -> Iterator[VendorStub]:
    stub = VendorStub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            parameters = {name: values[0] for name, values in parse_qs(url.query).items()}
            call = Call(url.path, parameters, {k.lower(): v for k, v in self.headers.items()})
            stub.calls.append(call)
            answer = stub.answer(call)
            if answer is None:
                self.close_connection = True
                return
            status, headers, body = answer
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # a client that no longer waits
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stub.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield stub
    server.shutdown()
    server.server_close()


@pytest.fixture
def vendor_client(clock: Clock) -> Iterator[Callable[..., VendorClient]]:
    """Makes clients whose time passes only while they wait."""
    made: list[VendorClient] = []

    def make(url: str, name: str = "acme", calls_per_minute: float = 600, seconds: float = 4) -> VendorClient:
        vendor = Vendor(name, url, {"X-Key": "s3cr3t-key"}, calls_per_minute, "check ACME_KEY")
        client = VendorClient(vendor, seconds, clock_ms=clock, sleep=clock.sleep, rng=random.Random(1))
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()
