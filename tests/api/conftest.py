"""The API on moto's DynamoDB and SSM, with a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest

from api.services import Services
from tests.api.client import Api, Table, create_services, create_tables
from tests.aws import aws_in_memory

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def dynamodb() -> Iterator[DynamoDBClient]:
    """A DynamoDB client whose tables are as StorageStack makes them."""
    with aws_in_memory():
        client = boto3.client("dynamodb")
        create_tables(client)
        yield client


@pytest.fixture
def services(dynamodb: DynamoDBClient) -> Services:
    """Stores on those tables, a watch list of AAPL and MSFT, and the clock at NOW_MS."""
    return create_services(dynamodb)


@pytest.fixture
def api(services: Services) -> Api:
    """One instance of the function."""
    return Api(services)


@pytest.fixture
def table(dynamodb: DynamoDBClient) -> Table:
    """`stock-anomalies`, to be written to."""
    return Table(dynamodb)
