"""What AWS would reject in a template is rejected where it is made, before anything changes."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from producers.sources import get_pollable
from stream_infra import names
from stream_infra.cdk import bundling
from stream_infra.cdk.bundling import BundleError, check_size
from stream_infra.cdk.limits import ENVIRONMENT_BYTES, Resource, of_resource
from stream_infra.cdk.template_limits import judge
from stream_infra.cdk.value_limits import CHOICES, FORMS, RANGES
from stream_infra.config import Config
from tests.stream_infra.cdk.assembly import Properties, Templates, properties


def test_what_is_deployed_is_within_the_limits(aws_templates: Templates, local_templates: Templates) -> None:
    assert judge(aws_templates) == []
    assert judge(local_templates) == []


def test_the_largest_settings_are_within_the_limits(aws_templates: Templates) -> None:
    """Lambda guide, "Lambda quotas": 4 KB for all variables of a function; CloudFormation: 500 resources a stack."""
    markets = {"MARKETS": "m" * 2000}
    options = {option.variable: "o" * 256 for option in get_pollable("alpaca").options}
    given = {
        names.SCANNER: markets | options,
        names.API_HANDLER: markets,
        names.NOTIFIER: {"DASHBOARD_URL": "u" * 1000},
    }
    largest = copy.deepcopy(aws_templates)
    for of in functions(largest):
        variables = of["Environment"]["Variables"]
        variables |= given.get(of.get("FunctionName", ""), {}) | {"PREFIXED": "p" * 12 * len(variables)}
    person = {"Type": "AWS::Cognito::UserPoolUser", "Properties": {"Username": "a@b.com"}}
    largest["ApiStack"]["Resources"] |= {f"Person{n}": person for n in range(400)}
    assert judge(largest) == []


def functions(templates: Templates) -> list[Properties]:
    return [of for of in properties(templates, "AWS::Lambda::Function") if "Environment" in of]


LATE = {"ExpirationInDays": 90, "Transitions": [{"StorageClass": "STANDARD_IA", "TransitionInDays": 29}]}
FUNCTION, MAPPING, QUEUE = "AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping", "AWS::SQS::Queue"
ALARM, RULE, TABLE = "AWS::CloudWatch::Alarm", "AWS::Events::Rule", "AWS::DynamoDB::Table"
KINESIS, SQS = {"StartingPosition": "LATEST"}, {"BatchSize": 10}
STAT = {"Id": "m", "MetricStat": {}}
SUM = {"Id": "e", "Expression": "m + m"}
KEYS = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
}


@pytest.mark.parametrize(
    ("kind", "good", "bad", "says"),
    [
        (FUNCTION, {"Timeout": 900}, {"Timeout": 901}, "Timeout is 901; must be 1 to 900"),
        (FUNCTION, {"MemorySize": 128}, {"MemorySize": 127}, "128 to 10240"),
        (FUNCTION, {"MemorySize": 10240}, {"MemorySize": 10241}, "128 to 10240"),
        (FUNCTION, {"EphemeralStorage": {"Size": 512}}, {"EphemeralStorage": {"Size": 511}}, "512 to 10240"),
        (FUNCTION, {"FunctionName": "f" * 64}, {"FunctionName": "f" * 65}, "1 to 64"),
        (FUNCTION, {"Layers": ["l"] * 5}, {"Layers": ["l"] * 6}, "5 at most"),
        (
            FUNCTION,
            {"Environment": {"Variables": {"AB": "x" * (ENVIRONMENT_BYTES - 2)}}},
            {"Environment": {"Variables": {"AB": "x" * (ENVIRONMENT_BYTES - 1)}}},
            "most of them AB",
        ),
        (
            FUNCTION,
            {"Environment": {"Variables": {"AB": "x" * (ENVIRONMENT_BYTES - 104), "CD": {"Ref": "Queue"}}}},
            {"Environment": {"Variables": {"AB": "x" * (ENVIRONMENT_BYTES - 103), "CD": {"Ref": "Queue"}}}},
            "most of them AB",
        ),
        (FUNCTION, {}, {"Environment": {"Variables": {"AWS_REGION": "x"}}}, "none that Lambda sets"),
        (MAPPING, KINESIS, {**KINESIS, "MaximumBatchingWindowInSeconds": 301}, "0 to 300"),
        (MAPPING, KINESIS, {**KINESIS, "ParallelizationFactor": 11}, "1 to 10"),
        (MAPPING, KINESIS, {**KINESIS, "BatchSize": 10001}, "1 to 10000"),
        (
            MAPPING,
            {**KINESIS, "MaximumRecordAgeInSeconds": -1},
            {**KINESIS, "MaximumRecordAgeInSeconds": 59},
            "60 to",
        ),
        (MAPPING, KINESIS, {**KINESIS, "MaximumRecordAgeInSeconds": 604801}, "604800"),
        (MAPPING, KINESIS, {**KINESIS, "MaximumRetryAttempts": 10001}, "-1 to 10000"),
        (MAPPING, KINESIS, {**KINESIS, "ScalingConfig": {"MaximumConcurrency": 5}}, "left out"),
        (MAPPING, SQS, {"ScalingConfig": {"MaximumConcurrency": 1}}, "2 to 1000"),
        (MAPPING, SQS, {**SQS, "ParallelizationFactor": 2}, "left out"),
        (
            MAPPING,
            {"BatchSize": 11, "MaximumBatchingWindowInSeconds": 1},
            {"BatchSize": 11},
            "at least 1 where",
        ),
        (
            "AWS::Lambda::EventInvokeConfig",
            {"MaximumEventAgeInSeconds": 60},
            {"MaximumEventAgeInSeconds": 59},
            "60 to",
        ),
        (
            "AWS::Lambda::EventInvokeConfig",
            {"MaximumRetryAttempts": 2},
            {"MaximumRetryAttempts": 3},
            "0 to 2",
        ),
        (QUEUE, {"VisibilityTimeout": 43200}, {"VisibilityTimeout": 43201}, "0 to 43200"),
        (QUEUE, {"MessageRetentionPeriod": 1209600}, {"MessageRetentionPeriod": 1209601}, "60 to 1.2096e+06"),
        (QUEUE, {"DelaySeconds": 900}, {"DelaySeconds": 901}, "0 to 900"),
        (
            QUEUE,
            {"RedrivePolicy": {"maxReceiveCount": 1}},
            {"RedrivePolicy": {"maxReceiveCount": 0}},
            "1 to 1000",
        ),
        (QUEUE, {"QueueName": "q" * 80}, {"QueueName": "q" * 81}, "1 to 80"),
        ("AWS::S3::Bucket", {"BucketName": "b" * 63}, {"BucketName": "b" * 64}, "3 to 63"),
        ("AWS::S3::Bucket", {"BucketName": "b-1"}, {"BucketName": "Bucket"}, "3 to 63 of a-z"),
        ("AWS::S3::Bucket", {}, {"BucketName": "bucket_1"}, "3 to 63 of a-z"),
        ("AWS::S3::Bucket", {}, {"LifecycleConfiguration": {"Rules": [LATE]}}, "at least 30"),
        ("AWS::SSM::Parameter", {"Value": "v" * 4096}, {"Value": "v" * 4097}, "1 to 4096"),
        (
            "AWS::SSM::Parameter",
            {"Value": "v", "Name": "/a/b"},
            {"Value": "v", "Name": "/ssm/b"},
            "not beginning with",
        ),
        ("AWS::Logs::LogGroup", {"RetentionInDays": 30}, {"RetentionInDays": 31}, "one of 1, 3, 5"),
        (ALARM, {"Period": 60}, {"Period": 45}, "a multiple of 60"),
        (
            ALARM,
            {"Period": 300, "EvaluationPeriods": 288},
            {"Period": 300, "EvaluationPeriods": 289},
            "86400 s at most",
        ),
        (
            ALARM,
            {"Period": 3600, "EvaluationPeriods": 168},
            {"Period": 3600, "EvaluationPeriods": 169},
            "604800 s",
        ),
        (ALARM, {}, {"EvaluationPeriods": 1, "DatapointsToAlarm": 2}, "EvaluationPeriods at most"),
        (ALARM, {"AlarmName": "a" * 255}, {"AlarmName": "a" * 256}, "1 to 255"),
        (ALARM, {"AlarmActions": ["a"] * 5}, {"AlarmActions": ["a"] * 6}, "5 at most"),
        (
            RULE,
            {"ScheduleExpression": "rate(1 minute)"},
            {"ScheduleExpression": "rate(30 seconds)"},
            "rate(1 minute)",
        ),
        (
            RULE,
            {"ScheduleExpression": "rate(2 minutes)"},
            {"ScheduleExpression": "rate(2 minute)"},
            "rate(1 minute)",
        ),
        (RULE, {}, {"ScheduleExpression": "rate(0 minutes)"}, "rate(1 minute)"),
        (
            RULE,
            {"ScheduleExpression": "cron(* 1 ? * * *)"},
            {"ScheduleExpression": "cron(* 1 * * * *)"},
            "one of both",
        ),
        (RULE, {}, {"ScheduleExpression": "cron(* * * * *)"}, "six fields"),
        (RULE, {}, {"ScheduleExpression": "rate(1 minute)", "EventBusName": "b"}, "the default bus"),
        (
            RULE,
            {"EventPattern": {"a": ["x" * 2038]}},
            {"EventPattern": {"a": ["x" * 2042]}},
            "2,048 characters",
        ),
        (RULE, {"Targets": [{}] * 5}, {"Targets": [{}] * 6}, "5 at most"),
        (RULE, {}, {"Targets": [{"RetryPolicy": {"MaximumRetryAttempts": 186}}]}, "0 to 185"),
        (RULE, {"Name": "r" * 64}, {"Name": "r" * 65}, "1 to 64"),
        ("AWS::Kinesis::Stream", {"RetentionPeriodHours": 24}, {"RetentionPeriodHours": 23}, "24 to 8760"),
        ("AWS::Kinesis::Stream", {"ShardCount": 1}, {"ShardCount": 0}, "1 to 10000"),
        (TABLE, KEYS, {**KEYS, "AttributeDefinitions": []}, "the attributes of the keys"),
        (
            TABLE,
            KEYS,
            {**KEYS, "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "L"}]},
            "types S, N and B",
        ),
        (TABLE, KEYS, {**KEYS, "KeySchema": [{"AttributeName": "pk", "KeyType": "RANGE"}]}, "one HASH key"),
        (TABLE, {**KEYS, "TableName": "ttt"}, {**KEYS, "TableName": "tt"}, "3 to 255"),
        (
            "AWS::ApiGateway::Method",
            {"Integration": {"TimeoutInMillis": 29000}},
            {"Integration": {"TimeoutInMillis": 29001}},
            "50 to 29000",
        ),
        (
            "AWS::SNS::Subscription",
            {"Protocol": "sms", "Endpoint": "+15550100"},
            {"Protocol": "sms", "Endpoint": "15550100"},
            "E.164",
        ),
        (
            "AWS::SNS::Subscription",
            {"Protocol": "email", "Endpoint": "a+b@c.com"},
            {"Protocol": "email", "Endpoint": "a b@c.com"},
            "an email address",
        ),
        ("AWS::Cognito::UserPoolClient", {"IdTokenValidity": 24}, {"IdTokenValidity": 25}, "300 to 86400 s"),
        (
            "AWS::Cognito::UserPoolClient",
            {"CallbackURLs": ["http://localhost:8976/"]},
            {"CallbackURLs": ["http://example.com/"]},
            "https, but for",
        ),
        ("AWS::Cognito::UserPoolDomain", {"Domain": "d" * 63}, {"Domain": "my-aws-domain"}, "without aws"),
        (
            "AWS::Glue::Database",
            {"DatabaseInput": {"Name": "a_b"}},
            {"DatabaseInput": {"Name": "a-b"}},
            "a-z 0-9 _",
        ),
        ("AWS::IAM::Role", {"RoleName": "r" * 64}, {"RoleName": "r" * 65}, "1 to 64"),
        ("AWS::KMS::Key", {"PendingWindowInDays": 7}, {"PendingWindowInDays": 6}, "7 to 30"),
        ("AWS::SSM::Parameter", {"Value": "é" * 2048}, {"Value": "é" * 2049}, "1 to 4096 bytes"),
        ("AWS::SSM::Parameter", {"Value": '{"a": {}}'}, {"Value": "{{a}}"}, "without {{"),
        ("AWS::S3::Bucket", {"BucketName": "a--x-s3-b"}, {"BucketName": "a--x-s3"}, "3 to 63"),
        (ALARM, {"Metrics": [STAT] * 10}, {"Metrics": [STAT] * 11}, "Metrics[].MetricStat is 11; must be 10"),
        (ALARM, {"Metrics": [SUM] * 10}, {"Metrics": [SUM] * 11}, "Metrics[].Expression is 11; must be 10"),
        (ALARM, {"Metrics": [{"Id": "m1"}]}, {"Metrics": [{"Id": "M1"}]}, "beginning with a small letter"),
        (
            "AWS::SNS::Subscription",
            {"FilterPolicy": {"a": ["v"] * 75, "b": ["v"] * 2}},
            {"FilterPolicy": {"a": ["v"] * 76, "b": ["v"] * 2}},
            "'152 combinations of values'; must be 150 at most",
        ),
        (
            "AWS::SNS::Subscription",
            {"FilterPolicy": {key: ["v"] for key in "abcde"}},
            {"FilterPolicy": {key: ["v"] for key in "abcdef"}},
            "'6 keys'; must be 5 at most",
        ),
        (RULE, {"Description": "d" * 512}, {"Description": "d" * 513}, "0 to 512 characters"),
        (RULE, {"Targets": [{"Id": "Target0"}]}, {"Targets": [{"Id": "a b"}]}, "1 to 64 of a-z"),
        (RULE, {"Targets": [{"Input": "i" * 8192}]}, {"Targets": [{"Input": "i" * 8193}]}, "0 to 8,192"),
        (
            TABLE,
            KEYS,
            {"GlobalSecondaryIndexes": [{"IndexName": "ab", "KeySchema": []}]},
            "IndexName is 'ab'; must be 3 to 255",
        ),
        ("AWS::Events::Archive", {"Description": "d" * 512}, {"Description": "d" * 513}, "0 to 512"),
        (
            "AWS::EventSchemas::Schema",
            {"Content": "c" * 100_000},
            {"Content": "c" * 100_001},
            "1 to 100,000 characters",
        ),
        ("AWS::EventSchemas::Schema", {"Description": "d" * 256}, {"Description": "d" * 257}, "0 to 256"),
        ("AWS::EventSchemas::Registry", {"Description": "d" * 256}, {"Description": "d" * 257}, "0 to 256"),
        ("AWS::SSM::Parameter", {"Value": "v"}, {"Value": "v", "Description": "d" * 1025}, "0 to 1,024"),
        ("AWS::CloudWatch::Dashboard", {"DashboardName": "a-b"}, {"DashboardName": "a b"}, "1 to 255 of a-z"),
        ("AWS::Cognito::UserPool", {"UserPoolName": "a b"}, {"UserPoolName": "a/b"}, "1 to 128 letters"),
        ("AWS::Cognito::UserPoolClient", {"ClientName": "a b"}, {"ClientName": "a/b"}, "1 to 128 letters"),
        ("AWS::Athena::WorkGroup", {"Description": "d" * 1024}, {"Description": "d" * 1025}, "0 to 1,024"),
        ("AWS::Athena::NamedQuery", {"Name": "n" * 128}, {"Name": "n" * 129}, "1 to 128 characters"),
        ("AWS::Athena::NamedQuery", {"Description": "d"}, {"Description": ""}, "1 to 1,024 characters"),
        (
            "AWS::Athena::NamedQuery",
            {"QueryString": "q" * 262_144},
            {"QueryString": "q" * 262_145},
            "1 to 262,144 characters",
        ),
        ("AWS::IAM::Role", {"Description": "what é may do"}, {"Description": "what € may do"}, "of Latin-1"),
        ("AWS::KMS::Key", {"Description": "d" * 8192}, {"Description": "d" * 8193}, "0 to 8,192"),
        ("AWS::Lambda::Alias", {"Name": "live"}, {"Name": "1"}, "not digits alone"),
        ("AWS::CloudFront::Function", {"Name": "n" * 64}, {"Name": "n" * 65}, "1 to 64 letters"),
    ],
)
def test_a_value_beyond_a_limit_is_named_with_the_page_that_says_so(
    kind: str, good: Mapping[str, Any], bad: Mapping[str, Any], says: str
) -> None:
    """Each rule of `stream_infra.cdk.limits` names the page that it is from."""
    assert list(of_resource(Resource("S", "R", kind, good))) == []
    problems = list(of_resource(Resource("S", "R", kind, bad)))
    assert any(says in problem for problem in problems), problems
    assert all(problem.startswith(f"S R ({kind}): ") and problem.endswith(")") for problem in problems)


def test_no_limit_is_wider_than_that_of_cloudformations_own_schema_and_each_is_of_a_property() -> None:
    """CloudFormation's schemas of resource types, which come with cfn-lint."""
    for kind, ranges in RANGES.items():
        for path, allowed in ranges.items():
            schema = schema_of(kind, path)
            assert schema.get("minimum", allowed.low) <= allowed.low, (kind, path)
            assert allowed.high <= schema.get("maximum", allowed.high), (kind, path)
    for kind, choices in CHOICES.items():
        for path, choice in choices.items():
            assert list(choice.values) == schema_of(kind, path)["enum"], (kind, path)
    for kind, forms in FORMS.items():
        for path, form in forms.items():
            longest = schema_of(kind, path).get("maxLength")
            assert longest is None or not re.fullmatch(form.pattern, "a" * (longest + 1)), (kind, path)


def schema_of(kind: str, path: str) -> Properties:
    """The schema of a property, by its path in a resource."""
    # It loads an algebra for seconds: not in each process that collects.
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]

    whole: Properties = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema

    def resolved(schema: Properties) -> Properties:
        while "$ref" in schema:
            names_of = schema["$ref"].removeprefix("#/").split("/")
            schema = reduce(lambda inner, name: inner[name], names_of, whole)
        return schema

    found = whole
    for part in path.split("."):
        found = resolved(resolved(found)["properties"][part.removesuffix("[]")])
        if part.endswith("[]"):
            found = resolved(found["items"])
    return found


def first(templates: Templates, kind: str, **holds: object) -> Properties:
    return next(of for of in properties(templates, kind) if holds.items() <= of.items())


def test_what_two_resources_have_to_agree_on(aws_templates: Templates) -> None:
    """Lambda guide, "Creating and configuring an Amazon SQS event source mapping": visible no sooner than the timeout.

    "Configuring scaling behavior for SQS event source mappings": no more at once than the function has reserved.
    """
    planted = copy.deepcopy(aws_templates)
    first(planted, FUNCTION, FunctionName=names.NOTIFIER)["Timeout"] = 900
    (problem,) = judge(planted)
    assert "VisibilityTimeout" in problem
    assert "(900)" in problem
    planted = copy.deepcopy(aws_templates)
    first(planted, FUNCTION, FunctionName=names.NOTIFIER)["ReservedConcurrentExecutions"] = 4
    (problem,) = judge(planted)
    assert "MaximumConcurrency is 5; must be at most what" in problem


def test_what_all_of_a_stack_or_a_role_may_be(aws_templates: Templates) -> None:
    """CloudFormation guide, "Understand CloudFormation quotas"; IAM guide, "IAM and AWS STS quotas"."""
    planted = copy.deepcopy(aws_templates)
    policy = first(planted, "AWS::IAM::Policy")
    policy["PolicyDocument"]["Statement"] += [
        policy["PolicyDocument"]["Statement"][0] | {"Sid": "s" * 11_000}
    ]
    (problem,) = judge(planted)
    assert "10,240 at most" in problem
    planted = copy.deepcopy(aws_templates)
    rule = {"Type": "AWS::SNS::Topic", "Properties": {}}
    planted["StreamStack"]["Resources"] |= {f"Topic{n}": rule for n in range(500)}
    (problem,) = judge(planted)
    assert "of which 502 are AWS::SNS::Topic; must be 500 at most" in problem
    planted = copy.deepcopy(aws_templates)
    planted["StreamStack"]["Outputs"] = {f"Output{n}": {"Value": "v"} for n in range(201)}
    (problem,) = judge(planted)
    assert "201 outputs; must be 200 at most" in problem
    planted = copy.deepcopy(aws_templates)
    planted["StreamStack"]["Metadata"] = ["v"] * 160_000  # 7 bytes each, with what the CDK writes around them
    (problem,) = judge(planted)
    assert "bytes; must be 1,000,000 at most" in problem


def test_the_app_fails_on_what_aws_would_reject(
    aws_templates: Templates,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """So `cdk synth`, `diff` and `deploy`, `stock-monitor deploy` and `make up` stop before anything changes."""
    from stream_infra.cdk import __main__ as app

    class Synthesized:
        node = SimpleNamespace(get_all_context=dict)
        directory = str(tmp_path)

        def synth(self) -> Synthesized:
            return self

    monkeypatch.setattr("aws_cdk.App", Synthesized)
    monkeypatch.setattr(app, "read_context", lambda *_: Config())
    monkeypatch.setattr("stream_infra.cdk.app.build", lambda *_: None)
    monkeypatch.setattr(bundling, "bundles", lambda *_: {})
    planted = copy.deepcopy(aws_templates)
    for timeout, code in ((60, 0), (901, 1)):
        first(planted, FUNCTION, FunctionName=names.DETECTOR)["Timeout"] = timeout
        for stack, template in planted.items():
            (tmp_path / f"{stack}.template.json").write_text(json.dumps(template))
        assert app.main() == code
    assert "Timeout is 901; must be 1 to 900" in capsys.readouterr().err


def test_a_bundle_that_lambda_would_reject_is_rejected(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda guide, "Lambda quotas": 250 MB unzipped."""
    monkeypatch.setattr(bundling, "UNZIPPED_BYTES", 10)
    (tmp_path / "pandas").mkdir()
    (tmp_path / "pandas" / "a.so").write_bytes(b"x" * 8)
    (tmp_path / "b.py").write_bytes(b"xx")
    check_size(tmp_path, "stock-scanner")
    (tmp_path / "c.py").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"stock-scanner: 11 bytes \(pandas 8, b.py 2, c.py 1, …\)"):
        check_size(tmp_path, "stock-scanner")
