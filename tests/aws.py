"""AWS in memory for tests: moto's, in one region, whatever the shell that runs the tests is set to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws
from moto.core.common_types import TYPE_RESPONSE
from moto.core.model import StructureShape
from moto.core.responses import ActionContext
from moto.core.serialize import JSONSerializer, Serialized
from moto.dynamodb.responses import DynamoResult

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


MINISTACK = (
    "-c",
    "from localstack.growth import keep_calls_small; from ministack.app import main; keep_calls_small(); main()",
)
"""What Python runs a MiniStack with that has nothing of ours but cheap calls."""


class _ValuesAsTheyAre(JSONSerializer):
    """Moto would look for each value of each item under ten types of up to five names each."""

    def _serialize_type_structure(
        self, serialized: Serialized, value: Any, shape: StructureShape, key: str
    ) -> None:
        if shape.name == "AttributeValue":
            self._default_serialize(serialized, value, shape, key)
        else:
            super()._serialize_type_structure(serialized, value, shape, key)

    def _serialize_body(self, body: Mapping[str, Any]) -> str:
        return json.dumps(body, default=self._base64)


def _items(result: DynamoResult, context: ActionContext) -> TYPE_RESPONSE:
    response = _ValuesAsTheyAre(context.operation_model).serialize(result.result)
    return response["status_code"], dict(response["headers"]), response["body"]


@contextmanager
def aws_in_memory() -> Iterator[None]:
    """Have every client go to moto's AWS, which is empty and takes the credentials that it sets itself."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        patch.setattr(DynamoResult, "execute_result", _items)
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
