"""What the templates for AWS hold and MiniStack lacks is on the local AWS, and so are the calls of a deployment."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from localstack.missing_calls import SHARD_LIMIT
from localstack.settings import ACCOUNT, REGION
from tests.localstack.conftest import TRUST
from tests.stream_infra.cdk.local_stacks import LocalStacks

Client = Callable[[str], Any]
_CODE = """
def handler(event, context):
    print("called")
    return {"statusCode": 200, "body": event["path"] + " " + event["multiValueQueryStringParameters"]["a"][0]}
"""


@pytest.fixture(scope="module")
def aws(strict_url: str) -> Client:
    session = boto3.session.Session("test", "test", region_name=REGION)
    return lambda service: session.client(service, endpoint_url=strict_url)  # type: ignore[call-overload]


def zipped(**files: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("_", "."), text)
    return packed.getvalue()


def test_a_stack_has_an_archive_an_invited_person_and_the_files_of_a_page(
    aws: Client, strict_url: str
) -> None:
    """CDK API reference, BucketDeployment: markers in a file become values, and what is no longer there is deleted."""
    s3, bucket = aws("s3"), "made-by-a-stack"
    for name in ("assets", bucket):
        s3.create_bucket(Bucket=name)
    s3.put_object(Bucket="assets", Key="site.zip", Body=zipped(config_json='{"client": "<<marker>>"}'))
    s3.put_object(Bucket=bucket, Key="old.html", Body=b"")
    bus = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
    pattern = {"source": ["stock-monitor"]}
    archive = {"ArchiveName": "kept", "SourceArn": bus, "EventPattern": pattern, "RetentionDays": 14}
    person = {"UserPoolId": {"Ref": "Pool"}, "Username": "ann@example.com"}
    upload = {
        "ServiceToken": "none",
        "SourceBucketNames": ["assets"],
        "SourceObjectKeys": ["site.zip"],
        "SourceMarkers": [{"<<marker>>": {"Ref": "Pool"}}],
        "DestinationBucketName": bucket,
    }
    resources = {
        "Archive": {"Type": "AWS::Events::Archive", "Properties": archive},
        "Pool": {"Type": "AWS::Cognito::UserPool", "Properties": {"UsernameAttributes": ["email"]}},
        "Person": {"Type": "AWS::Cognito::UserPoolUser", "Properties": person},
        "Upload": {"Type": "Custom::CDKBucketDeployment", "Properties": upload},
        "Shift": {"Type": "AWS::CodeDeploy::Application", "Properties": {"ComputePlatform": "Lambda"}},
    }
    stacks = LocalStacks(strict_url)
    assert stacks.make("deployed", {"Resources": resources}) == "CREATE_COMPLETE"
    found = aws("events").describe_archive(ArchiveName="kept")
    assert (json.loads(found["EventPattern"]), found["RetentionDays"]) == (pattern, 14)
    ids = {
        item["LogicalResourceId"]: item["PhysicalResourceId"]
        for item in aws("cloudformation").describe_stack_resources(StackName="deployed")["StackResources"]
    }
    (user,) = aws("cognito-idp").list_users(UserPoolId=ids["Pool"])["Users"]
    assert user["UserStatus"] == "FORCE_CHANGE_PASSWORD"
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["config.json"]
    page = s3.get_object(Bucket=bucket, Key="config.json")
    assert (json.load(page["Body"]), page["ContentType"]) == ({"client": ids["Pool"]}, "application/json")
    stacks.delete("deployed")
    assert aws("events").list_archives(NamePrefix="kept")["Archives"] == []


def test_the_shards_of_an_account_are_counted(aws: Client) -> None:
    kinesis = aws("kinesis")
    before = kinesis.describe_limits()
    kinesis.create_stream(StreamName="counted", ShardCount=3)
    kinesis.get_waiter("stream_exists").wait(StreamName="counted", WaiterConfig={"Delay": 1})
    after = kinesis.describe_limits()
    assert (after["ShardLimit"], after["OpenShardCount"]) == (SHARD_LIMIT, before["OpenShardCount"] + 3)


def test_a_method_is_tested_past_its_authorizer_and_logs_are_written_by_the_role(aws: Client) -> None:
    """API Gateway API reference, TestInvokeMethod; Lambda guide, "Working with Lambda function logs"."""
    name, iam, gateway = "answers", aws("iam"), aws("apigateway")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    code = {"ZipFile": zipped(index_py=_CODE)}
    arn = aws("lambda").create_function(
        FunctionName=name, Runtime="python3.13", Role=role, Handler="index.handler", Code=code
    )["FunctionArn"]
    api = gateway.create_rest_api(name=name)["id"]
    (root,) = gateway.get_resources(restApiId=api)["items"]
    method = {"restApiId": api, "resourceId": root["id"], "httpMethod": "GET"}
    gateway.put_method(**method, authorizationType="AWS_IAM")
    uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}/invocations"
    gateway.put_integration(**method, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    answer = gateway.test_invoke_method(**method, pathWithQueryString="/there?a=b")
    assert (answer["status"], answer["body"]) == (200, "/there b")

    logs, group = aws("logs"), f"/aws/lambda/{name}"
    groups = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert groups == [], "the role may not write them: nothing is said"
    allowed = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName=name, PolicyName="logs", PolicyDocument=document)
    gateway.test_invoke_method(**method, pathWithQueryString="/there?a=b")
    deadline = time.monotonic() + 20
    while not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert any("called" in one["message"] for one in logs.filter_log_events(logGroupName=group)["events"])


@pytest.mark.parametrize("imports", [True, False])
def test_a_bucket_that_is_there_is_imported_or_in_the_way(aws: Client, imports: bool) -> None:
    """CloudFormation guide, "Import AWS resources into a CloudFormation stack automatically"."""
    cloudformation, s3, name = aws("cloudformation"), aws("s3"), f"left-over-{imports}".lower()
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="kept", Body=b"")
    bucket = {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "Properties": {"BucketName": name}}
    changes = {"StackName": name, "ChangeSetName": "first"}
    cloudformation.create_change_set(
        **changes,
        ChangeSetType="CREATE",
        TemplateBody=json.dumps({"Resources": {"Data": bucket}}),
        ImportExistingResources=imports,
    )
    cloudformation.get_waiter("change_set_create_complete").wait(**changes, WaiterConfig={"Delay": 1})
    cloudformation.execute_change_set(**changes)

    def status() -> str:
        return str(cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])

    while status().endswith("_IN_PROGRESS"):
        time.sleep(0.1)
    assert status() == ("CREATE_COMPLETE" if imports else "ROLLBACK_COMPLETE")
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=name)["Contents"]] == ["kept"]
