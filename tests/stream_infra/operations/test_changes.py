"""A deployment is compared with what runs; what could lose data, ticks or people has a name."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from stream_infra.operations.changes import dangerous

Templates = dict[str, dict[str, Any]]
RUNNING: Templates = {
    "StorageStack": {
        "Resources": {
            "Windows": {
                "Type": "AWS::DynamoDB::Table",
                "Properties": {"TableName": "stock-windows", "KeySchema": [{"AttributeName": "pk"}]},
            },
            "Data": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": {"Fn::Join": ["", ["a", "b"]]}}},
        }
    },
    "StreamStack": {
        "Resources": {
            "Quotes": {
                "Type": "AWS::Kinesis::Stream",
                "Properties": {"Name": "stock-quotes", "ShardCount": 4},
            },
            "Ops": {
                "Type": "AWS::SNS::Subscription",
                "Properties": {"Protocol": "email", "Endpoint": "ops@example.com"},
            },
        }
    },
    "LambdaStack": {
        "Resources": {
            "Scanner": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Timeout": 120,
                    "Environment": {
                        "Variables": {"PARTITIONS": "4", "SOURCE": "alpaca", "SESSION": "regular"}
                    },
                },
            }
        }
    },
    "ApiStack": {
        "Resources": {
            "Get": {
                "Type": "AWS::ApiGateway::Method",
                "Properties": {"AuthorizationType": "COGNITO_USER_POOLS"},
            },
            "Ann": {"Type": "AWS::Cognito::UserPoolUser", "Properties": {"Username": "ann@example.com"}},
            "Health": {"Type": "AWS::ApiGateway::Method", "Properties": {"AuthorizationType": "NONE"}},
        }
    },
}


def changed(path: str, value: object) -> Templates:
    """The templates with one value changed; None removes it."""
    templates = copy.deepcopy(RUNNING)
    stack, resource, *keys = path.split("/")
    at = templates[stack]["Resources"]
    if not keys:
        at.pop(resource)
        return templates
    at = at[resource]["Properties"]
    for key in keys[:-1]:
        at = at[key]
    at[keys[-1]] = value
    return templates


@pytest.mark.parametrize(
    ("path", "value", "names"),
    [
        ("StreamStack/Quotes/ShardCount", 2, ["fewer-shards"]),
        ("StreamStack/Quotes/ShardCount", 8, []),
        ("LambdaStack/Scanner/Environment/Variables/PARTITIONS", "8", ["other-partitions"]),
        ("LambdaStack/Scanner/Environment/Variables/SOURCE", "simulated", ["other-source"]),
        ("LambdaStack/Scanner/Environment/Variables/SESSION", "always", []),
        ("LambdaStack/Scanner/Timeout", 60, []),
        ("ApiStack/Get/AuthorizationType", "NONE", ["open-access"]),
        ("ApiStack/Health/AuthorizationType", "COGNITO_USER_POOLS", ["close-access"]),
        ("StreamStack/Ops", None, ["remove-subscriber"]),
        ("StreamStack/Ops/Endpoint", "others@example.com", ["remove-subscriber"]),
        ("ApiStack/Ann", None, ["remove-person"]),
        ("ApiStack/Ann/Username", "bob@example.com", ["remove-person"]),
        ("StorageStack/Windows", None, ["remove-data"]),
        ("StorageStack/Windows/TableName", "stock-windows-2", ["replace-data"]),
        ("StorageStack/Windows/KeySchema", [{"AttributeName": "id"}], ["replace-data"]),
        ("StorageStack/Data/BucketName", "other", ["replace-data"]),
        ("StreamStack/Quotes/Name", "stock-quotes-2", ["replace-data"]),
    ],
)
def test_each_dangerous_change_has_a_name_and_others_have_none(
    path: str, value: object, names: list[str]
) -> None:
    """CloudFormation template reference: which properties' update "requires: Replacement"."""
    found = dangerous(RUNNING, changed(path, value))
    assert [change.name for change in found] == names
    assert all(path.partition("/")[0] in change.says for change in found)


def test_a_name_that_is_written_out_is_no_other_than_one_made_of_the_account_s_number() -> None:
    """CloudFormation compares what a template comes to, and so a table is not replaced by it."""
    joined = {"Fn::Join": ["", ["stock-scan-data-", {"Ref": "AWS::AccountId"}]]}
    before = changed("StorageStack/Data/BucketName", joined)
    after = changed("StorageStack/Data/BucketName", "stock-scan-data-111122223333")
    assert dangerous(before, after, "111122223333") == []
    assert [change.name for change in dangerous(before, after, "444455556666")] == ["replace-data"]


def test_the_same_again_and_a_first_deployment_are_not_dangerous() -> None:
    assert dangerous(RUNNING, copy.deepcopy(RUNNING)) == []
    assert dangerous({}, RUNNING) == []
