"""A prefix stands before every name of a deployment: two fit into one account. Without it nothing changes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from stream_infra import names
from stream_infra.cdk.template_limits import judge
from tests.stream_infra.cdk.assembly import ROOT, Properties, Templates

PREFIX = "eu-"
_SYNTHESIZE = """
import sys
from pathlib import Path
from tests.stream_infra.cdk.assembly import synthesize
synthesize(Path(sys.argv[1]), prefix="eu", region="eu-west-1")
"""
SHARED = {"stock-monitor", "StockMonitor"}
"""The source of our events, told apart by their bus, and the namespace of our metrics, told apart by the function."""
NAMED_BY = {
    "AWS::ApiGateway::RestApi": "Name",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::Cognito::UserPool": "UserPoolName",
    "AWS::Cognito::UserPoolDomain": "Domain",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::Archive": "ArchiveName",
    "AWS::EventSchemas::Registry": "RegistryName",
    "AWS::Events::EventBus": "Name",
    "AWS::Events::Rule": "Name",
    "AWS::Kinesis::Stream": "Name",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SSM::Parameter": "Name",
    "AWS::CloudFront::Function": "Name",
    "AWS::CloudFront::OriginAccessControl": "OriginAccessControlConfig",
    "AWS::CloudFront::ResponseHeadersPolicy": "ResponseHeadersPolicyConfig",
}


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """The templates of a second deployment, in another region: its process knows no names but those with `eu`."""
    folder = tmp_path_factory.mktemp("prefixed")
    environment = {**os.environ, names.PREFIX_VARIABLE: "eu"}
    command = [sys.executable, "-c", _SYNTHESIZE, str(folder)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return {
        path.name.removesuffix(".template.json"): json.loads(path.read_text())
        for path in (folder / "cdk.out").glob("*.template.json")
    }


def physical(templates: Templates) -> set[tuple[str, str]]:
    """Type and name of everything that has a name of ours, or of the CDK's where names are of the whole account."""
    return {
        (resource["Type"], json.dumps(resource["Properties"][key]))
        for template in templates.values()
        for resource in template["Resources"].values()
        if (key := NAMED_BY.get(resource["Type"])) and key in resource["Properties"]
    }


def kinds(templates: Templates) -> Counter[str]:
    """Count the resources of each type."""
    return Counter(of["Type"] for of in every_resource(templates))


def every_resource(templates: Templates) -> list[Properties]:
    return [of for template in templates.values() for of in template["Resources"].values()]


def test_a_prefix_stands_before_every_stack_and_every_name(
    prefixed: Templates, aws_templates: Templates
) -> None:
    """S3 guide, "General purpose buckets overview": a name is taken for all accounts and regions; all else that has a
    name is of an account, or of one of its regions.
    """
    assert set(prefixed) == {f"{PREFIX}{stack}" for stack in names.STACKS}
    # The text of a contract is the same in every deployment: it holds sources of events, and no names of resources.
    text = json.dumps([of for of in every_resource(prefixed) if of["Type"] != "AWS::EventSchemas::Schema"])
    found = re.findall(r"(?<![\w#-])(?:stock-|Stock(?! Market)|api-5xx-errors\"|api-latency\")[\w-]*", text)
    assert set(found) <= SHARED
    # CloudWatch guide, "Create a billing alarm": the charges of an account are a metric of us-east-1 alone.
    assert kinds(prefixed) == kinds(aws_templates) - Counter({"AWS::CloudWatch::Alarm": 1})


def test_a_second_region_is_named_nowhere_by_the_first_one(prefixed: Templates) -> None:
    """IAM guide, "Amazon Resource Names (ARNs)": the region is part of the name of what a policy or a target means."""
    text = json.dumps([of for of in every_resource(prefixed) if of["Type"] != "AWS::EventSchemas::Schema"])
    assert "eu-west-1" in text
    assert re.findall(r'[^"]{0,60}us-east-1[^"]{0,60}', text) == []


def test_with_the_longest_prefix_every_name_is_within_its_limit(prefixed: Templates) -> None:
    """Each rule of `stream_infra.cdk.limits` names its page; a role's, by which the topic of alerts knows it, below."""
    assert judge(prefixed) == []
    longest = json.loads(re.sub(r"\beu-(?!west-1)", f"{'p' * 12}-", json.dumps(prefixed)))
    assert judge(longest) == []
    assert f'"{"p" * 12}-stock-notifier"' in json.dumps(longest)


def test_no_name_of_two_deployments_is_the_same(prefixed: Templates, aws_templates: Templates) -> None:
    """CloudFront's policies and controls have names of the whole account (API reference, "must be unique"): those that
    the CDK makes begin with the stack's name.
    """
    assert physical(prefixed) & physical(aws_templates) == set()


def environments(templates: Templates) -> dict[str, Properties]:
    return {
        of["FunctionName"].removeprefix(PREFIX): of["Environment"]["Variables"]
        for template in templates.values()
        for of in (resource.get("Properties", {}) for resource in template["Resources"].values())
        if "FunctionName" in of and "Environment" in of
    }


@pytest.mark.parametrize(
    ("function", "variables"),
    [
        ("stock-scanner", ["STREAM_NAME", "TICKER_PARAMETER", "BUS_NAME", "SOURCE_SECRET"]),
        ("stock-detector", ["BUS_NAME", "THRESHOLD_PARAMETER", "RULES_PARAMETER"]),
        ("stock-notifier", ["TICKER_PARAMETER", "CHANNEL_SECRETS", "ALERTS_PARAMETER"]),
        (
            "stock-api-handler",
            ["TICKER_PARAMETER", "RULES_PARAMETER", "THRESHOLD_PARAMETER", "SCANNER", "DETECTOR"],
        ),
    ],
)
def test_a_function_is_given_every_name_that_it_would_know_otherwise(
    prefixed: Templates, function: str, variables: list[str]
) -> None:
    given = environments(prefixed)[function]
    assert all(given[variable].lstrip("/").startswith(PREFIX) for variable in variables)
    assert given["POWERTOOLS_SERVICE_NAME"] == f"{PREFIX}{function}", "by which its metrics are told apart"


def test_the_topic_of_alerts_knows_the_notifier_by_its_role(prefixed: Templates) -> None:
    """CloudFormation guide, "Name type": the name of a role that has none is made of the stack's and the logical id.

    Of each 24 characters at most, as names of roles in accounts show: 64 in all, with 12 of its own.
    """
    (policy,) = (
        resource["Properties"]["PolicyDocument"]["Statement"]
        for resource in prefixed["eu-StreamStack"]["Resources"].values()
        if resource["Type"] == "AWS::SNS::TopicPolicy" and "OnlyTheNotifier" in json.dumps(resource)
    )
    (role,) = (
        id_
        for id_ in prefixed["eu-LambdaStack"]["Resources"]
        if "notifierServiceRole" in id_ and "Policy" not in id_
    )
    assert f"role/eu-LambdaStack-{role[:24]}*" in json.dumps(policy)
    assert len("abcdefghijkl-LambdaStack") <= 24, "with the longest prefix"
