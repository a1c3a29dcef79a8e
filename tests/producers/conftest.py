"""Fixtures: the stand-ins of `fakes`, made and closed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from producers.vendor_client import Vendor, VendorClient
from tests.aws import aws_in_memory, create_table
from tests.http_server import Handler, serving
from tests.producers.fakes import Aws, Bus, Call, Clock, MakeClient, StrictKinesis, VendorStub


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def aws() -> Iterator[Aws]:
    with aws_in_memory():
        made = Aws(boto3.client("s3"), boto3.client("ssm"), boto3.client("dynamodb"), Bus())
        boto3.client("events").create_event_bus(Name="stock-market")
        made.s3.create_bucket(Bucket=made.bucket)
        create_table(made.table, client=made.dynamodb)
        yield made


@pytest.fixture
def kinesis() -> StrictKinesis:
    return StrictKinesis()


@pytest.fixture
def vendor() -> Iterator[VendorStub]:
    stub = VendorStub()

    class VendorHandler(Handler):
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
            self.answer(status, body, headers)

    with serving(VendorHandler) as stub.url:
        yield stub


@pytest.fixture
def vendor_client(clock: Clock) -> Iterator[MakeClient]:
    """Makes clients whose time passes only while they wait."""
    made: list[VendorClient] = []

    def make(
        url: str,
        name: str = "acme",
        calls_per_minute: float = 600,
        seconds: float = 4,
        read: Callable[[Any], Any] = lambda content: content,
        **more: float,
    ) -> VendorClient:
        vendor = Vendor(name, url, {"X-Key": "s3cr3t-key"}, calls_per_minute, "check ACME_KEY", read)
        client = VendorClient(
            vendor,
            seconds,
            clock_ms=clock,
            sleep=clock.sleep,
            rng=random.Random(1),
            **more,
        )
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()
