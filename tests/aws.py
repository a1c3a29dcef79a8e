"""AWS in memory for tests: moto's, in one region, whatever the shell that runs the tests is set to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


MINISTACK = (
    "-c",
    "from localstack.growth import keep_calls_small; from ministack.app import main; keep_calls_small(); main()",
)
"""What Python runs a MiniStack with that has nothing of ours but cheap calls."""


@contextmanager
def aws_in_memory() -> Iterator[None]:
    """Have every client go to moto's AWS, which is empty and takes the credentials that it sets itself."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        yield


def create_table(name: str, *keys: str, client: DynamoDBClient | None = None) -> None:
    """Create a table with a hash key and a sort key, `pk` and `sk` unless named."""
    hash_key, sort_key = keys or ("pk", "sk")
    (client or boto3.client("dynamodb")).create_table(
        TableName=name,
        KeySchema=[
            {"AttributeName": hash_key, "KeyType": "HASH"},
            {"AttributeName": sort_key, "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in (hash_key, sort_key)],
        BillingMode="PAY_PER_REQUEST",
    )
