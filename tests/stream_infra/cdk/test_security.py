"""AWS finds nothing to complain about in the templates, and the checks that say so would notice a defect."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

from consumers.contracts.events import DetailType
from producers.scan.staleness import FeedEventType
from stream_infra import names
from stream_infra.operations.permissions import needed
from tests.stream_infra.cdk.assembly import Properties, Templates, properties, synthesize, with_nag

if TYPE_CHECKING:
    import aws_cdk as cdk

ROOT = Path(__file__).resolve().parents[3]
_BY_THE_CDK = ("W3005",)  # a DependsOn beside the GetAtt that says the same: the CDK writes both


def lint(assembly: Path) -> list[Properties]:
    """What cfn-lint says to the templates of an assembly."""
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--format", "json", "--regions", "us-east-1"]
    for rule in _BY_THE_CDK:
        command += ["--ignore-checks", rule]
    templates = sorted(str(path) for path in assembly.glob("*.template.json"))
    done = subprocess.run([*command, "--template", *templates], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return list(json.loads(done.stdout))


def stack(app: cdk.App, name: str) -> cdk.Stack:
    import aws_cdk as cdk

    found = app.node.find_child(name)
    assert isinstance(found, cdk.Stack)
    return found


def allow_scanner(app: cdk.App, action: str) -> None:
    from aws_cdk import aws_iam as iam

    role = stack(app, "LambdaStack").node.find_child("stock-scanner-ServiceRole")
    assert isinstance(role, iam.Role)
    role.add_to_policy(iam.PolicyStatement(actions=[action], resources=["*"]))


def wildcard_policy(app: cdk.App) -> None:
    allow_scanner(app, "dynamodb:*")


def open_bucket(app: cdk.App) -> None:
    from aws_cdk import aws_s3 as s3

    s3.Bucket(stack(app, "StorageStack"), "Open", block_public_access=s3.BlockPublicAccess.BLOCK_ACLS_ONLY)


def plain_topic(app: cdk.App) -> None:
    from aws_cdk import aws_sns as sns

    sns.Topic(stack(app, "StreamStack"), "Plain")


def test_aws_solutions_has_nothing_to_say(tmp_path: Path) -> None:
    synthesize(tmp_path, change=with_nag())


def test_aws_solutions_has_nothing_to_say_where_calls_are_traced(traced_templates: Templates) -> None:
    """They are made with the pack, which raises where it has."""
    assert set(traced_templates) == set(names.STACKS)


def test_defects_do_not_pass(tmp_path: Path) -> None:
    defects = {
        wildcard_policy: {"AwsSolutions-IAM5"},
        open_bucket: {"AwsSolutions-S1", "AwsSolutions-S2", "AwsSolutions-S10"},
        plain_topic: {"AwsSolutions-SNS3"},
    }
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        synthesize(tmp_path, change=with_nag(*defects))
    found = (tmp_path / "cdk.out" / "validation-report.json").read_text()
    for rule in set().union(*defects.values()):
        assert rule in found


def test_cloudformation_is_written_as_it_should_be(aws_assembly: Path) -> None:
    assert lint(aws_assembly) == []


def test_the_linter_sees_a_right_that_does_not_exist(tmp_path: Path) -> None:
    def mistyped(app: cdk.App) -> None:
        allow_scanner(app, "dynamodb:GetItems")

    assert {item["Rule"]["Id"] for item in lint(synthesize(tmp_path, change=mistyped))} == {"W3037"}


def test_no_reason_is_given_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reason whose finding is gone would hide the next one of its kind."""
    from stream_infra.cdk.constructs import function, permissions, releases
    from stream_infra.cdk.stacks import api, dashboard, storage

    given: set[str] = set()
    for module in (api, dashboard, function, permissions, releases, storage):
        monkeypatch.setattr(module, "acknowledge", lambda _, reasons: given.update(reasons))
    with pytest.raises(RuntimeError, match="ValidationFailed") as found:
        synthesize(tmp_path, change=with_nag())
    assert given == set(re.findall(r"Acknowledge with 'AwsSolutions::AwsSolutions-(.+)'", str(found.value)))


def statements(templates: Templates) -> Iterator[tuple[str, Properties]]:
    """Every statement of every policy, with the stack that it is in."""
    for name, template in templates.items():
        for item in template["Resources"].values():
            document = item.get("Properties", {}).get("PolicyDocument")
            for statement in document["Statement"] if document else ():
                yield name, statement


def test_a_function_may_do_named_things_to_named_resources(aws_templates: Templates) -> None:
    """Beside cdk-nag, which lets a written reason pass: these are all the wildcards that our functions have."""
    wildcards = set()
    for name, statement in statements(aws_templates):
        if name not in {"LambdaStack", "ApiStack"} or statement["Effect"] == "Deny":
            continue
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not [action for action in actions if "*" in action], statement
        resources = statement.get("Resource")
        for resource in resources if isinstance(resources, list) else [resources]:
            if isinstance(resource, dict) and "*" in (text := json.dumps(resource)):
                wildcards.update(re.findall(r'/([a-z-]+/(?:lambda/)?)\*"', text) or [versions_of(resource)])
            elif resource == "*":
                wildcards.update(actions)
    prefixes = {
        "raw-data/",
        "unsent/",
        "watch-lists/",
        "snapshots/",
        "quarantine/",
        "aws/lambda/",
        "lake/",
        "channels/",
    }
    # CodeDeploy calls the check, which calls each new version of the detector.
    called = {"versions of stockdetector", "versions of stockdetectorcheck"}
    assert wildcards == {*prefixes, *called, "cloudwatch:GetMetricStatistics"}


def versions_of(resource: Properties) -> str:
    """A function's ARN with any qualifier, and nothing else."""
    separator, (arn, qualifier) = resource["Fn::Join"]
    assert (separator, qualifier) == ("", ":*")
    return f"versions of {re.sub(r'[0-9A-F]{8}$', '', arn['Fn::GetAtt'][0])}"


def of_role(templates: Templates, function: str, stack: str = "LambdaStack") -> list[Properties]:
    """What the role of a function may do."""
    for logical, item in templates[stack]["Resources"].items():
        if item["Type"] == "AWS::IAM::Policy" and logical.replace("-", "").startswith(
            function.replace("-", "")
        ):
            return list(item["Properties"]["PolicyDocument"]["Statement"])
    raise AssertionError(function)


def actions_on(templates: Templates, function: str, part: str) -> dict[str, Properties]:
    """Conditions of each action that a function may do to a resource whose name has `part` in it."""
    return {
        action: statement.get("Condition", {})
        for statement in of_role(templates, function)
        if part in json.dumps(statement["Resource"])
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }


@pytest.mark.parametrize(
    ("function", "keys", "actions"),
    [
        ("stock-scanner", ["scan#feed", "scan#lease"], {"GetItem", "PutItem", "UpdateItem"}),
        ("stock-detector", ["partition#*", "attempts#*"], {"Query", "PutItem", "UpdateItem"}),
    ],
)
def test_a_function_reaches_its_own_items_of_stock_windows_only(
    aws_templates: Templates, function: str, keys: list[str], actions: set[str]
) -> None:
    """DynamoDB guide, "Using IAM policy conditions for fine-grained access control": dynamodb:LeadingKeys.

    With the scanner's credentials no block can be forged, and with neither's can one be deleted.
    """
    found = actions_on(aws_templates, function, "Windows")
    assert set(found) == {f"dynamodb:{action}" for action in actions}
    wanted = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": keys}}
    assert all(condition == wanted for condition in found.values())


@pytest.mark.parametrize(
    ("function", "detail_types"),
    [
        ("stock-scanner", get_args(FeedEventType)),
        ("stock-detector", get_args(DetailType)),
        ("stock-api-handler", ("AlertTest",)),
    ],
)
def test_a_function_puts_events_of_its_own_types_only(
    aws_templates: Templates, function: str, detail_types: tuple[str, ...]
) -> None:
    """EventBridge guide, "Using IAM policy conditions": events:detail-type is a condition key of PutEvents.

    With the scanner's credentials no anomaly can be announced.
    """
    stack = "ApiStack" if function == names.API_HANDLER else "LambdaStack"
    (statement,) = [
        of for of in of_role(aws_templates, function, stack) if of["Action"] == "events:PutEvents"
    ]
    given = statement["Condition"]["ForAllValues:StringEquals"]["events:detail-type"]
    assert set([given] if isinstance(given, str) else given) == set(detail_types)


@pytest.mark.parametrize("function", names.FUNCTIONS)
def test_what_the_doctor_examines_is_what_the_roles_grant(aws_templates: Templates, function: str) -> None:
    stack = "ApiStack" if function == names.API_HANDLER else "LambdaStack"
    granted = {
        action
        for statement in of_role(aws_templates, function, stack)
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    wanted = needed(function, "us-east-1", "111122223333").values()
    assert {action for actions in wanted for action in actions} - granted == set()


def test_the_detector_only_writes_anomalies_and_charts(aws_templates: Templates) -> None:
    anomalies = actions_on(aws_templates, "stock-detector", "Anomalies")
    assert set(anomalies) == {"dynamodb:BatchWriteItem"}
    assert set(actions_on(aws_templates, "stock-detector", "Charts")) == {
        "dynamodb:BatchWriteItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
    }


def test_the_api_has_a_concurrency_of_its_own(aws_templates: Templates) -> None:
    """Lambda guide, "Configuring reserved concurrency": it is a part of the account's and a limit of the function."""
    assert named(aws_templates, "stock-api-handler")["ReservedConcurrentExecutions"] == names.API_CONCURRENCY


def test_no_bucket_is_public_and_all_are_encrypted(aws_templates: Templates) -> None:
    buckets = properties(aws_templates, "AWS::S3::Bucket")
    assert len(buckets) == 4
    for bucket in buckets:
        blocked = bucket["PublicAccessBlockConfiguration"]
        assert blocked == dict.fromkeys(
            ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
        )
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_streams_queues_and_topics_are_encrypted(aws_templates: Templates) -> None:
    for stream in properties(aws_templates, "AWS::Kinesis::Stream"):
        assert stream["StreamEncryption"]["EncryptionType"] == "KMS"
    for queue in properties(aws_templates, "AWS::SQS::Queue"):
        assert queue["SqsManagedSseEnabled"] is True
    for topic in properties(aws_templates, "AWS::SNS::Topic"):
        assert topic["KmsMasterKeyId"], topic["TopicName"]


def test_buckets_queues_and_topics_refuse_what_is_not_tls(aws_templates: Templates) -> None:
    plain = {"Bool": {"aws:SecureTransport": "false"}}
    for resource, policy in (
        ("AWS::S3::Bucket", "AWS::S3::BucketPolicy"),
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy"),
        ("AWS::SNS::Topic", "AWS::SNS::TopicPolicy"),
    ):
        refusing = [
            found["PolicyDocument"]
            for found in properties(aws_templates, policy)
            if any(
                statement["Effect"] == "Deny" and statement.get("Condition") == plain
                for statement in found["PolicyDocument"]["Statement"]
            )
        ]
        assert len(refusing) == len(properties(aws_templates, resource)), resource


def test_pages_come_by_https_only_and_with_strict_headers(aws_templates: Templates) -> None:
    (distribution,) = properties(aws_templates, "AWS::CloudFront::Distribution")
    config = distribution["DistributionConfig"]
    behaviours = [config["DefaultCacheBehavior"], *config["CacheBehaviors"]]
    assert {item["ViewerProtocolPolicy"] for item in behaviours} == {"redirect-to-https"}
    (headers,) = properties(aws_templates, "AWS::CloudFront::ResponseHeadersPolicy")
    security = headers["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
    assert security["StrictTransportSecurity"]["AccessControlMaxAgeSec"] >= 31_536_000
    assert "default-src 'none'" in security["ContentSecurityPolicy"]["ContentSecurityPolicy"]


def test_keys_are_in_secrets_manager_a_vendor_s_for_the_scanner_and_channels_for_the_notifier_only(
    aws_templates: Templates,
) -> None:
    readers = [
        (name, json.dumps(statement["Resource"]))
        for name, statement in statements(aws_templates)
        if "secretsmanager:GetSecretValue" in json.dumps(statement["Action"])
    ]
    assert [name for name, _ in readers] == ["LambdaStack", "LambdaStack"]
    assert sorted(
        re.findall(r":secret:stock-tracker/(channels|source-keys)", text)[0] for _, text in readers
    ) == [
        "channels",
        "source-keys",
    ]
    for function in properties(aws_templates, "AWS::Lambda::Function"):
        variables = function.get("Environment", {}).get("Variables", {})
        assert not [key for key in variables if re.search("KEY|TOKEN|PASSWORD", key)], function
    scanner = named(aws_templates, "stock-scanner")
    assert scanner["Environment"]["Variables"]["SOURCE_SECRET"] == "stock-tracker/source-keys"


def named(templates: Templates, function: str) -> Properties:
    found = properties(templates, "AWS::Lambda::Function")
    (only,) = [item for item in found if item.get("FunctionName") == function]
    return only


def test_writes_need_a_caller_and_requests_are_throttled_and_logged(aws_templates: Templates) -> None:
    assert named(aws_templates, "stock-api-handler")["Environment"]["Variables"]["WRITES"] == "signed-in"
    (stage,) = properties(aws_templates, "AWS::ApiGateway::Stage")
    (settings,) = stage["MethodSettings"]
    assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == (100, 200)
    assert settings["LoggingLevel"] == "ERROR"
    assert settings.get("DataTraceEnabled", False) is False  # bodies and headers stay out of the log
    assert "$context.requestId" in stage["AccessLogSetting"]["Format"]


def test_tables_that_hold_data_can_be_restored_and_not_be_deleted(aws_templates: Templates) -> None:
    for table in properties(aws_templates, "AWS::DynamoDB::Table"):
        assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
        assert table["DeletionProtectionEnabled"] is True


def test_alarms_may_publish_to_the_encrypted_topic_of_the_operators(aws_templates: Templates) -> None:
    (allowed,) = [
        statement for _, statement in statements(aws_templates) if statement.get("Sid") == "AlarmsPublish"
    ]
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allowed["Condition"] == {"StringEquals": {"aws:SourceAccount": "111122223333"}}
    (key,) = properties(aws_templates, "AWS::KMS::Key")
    assert key["EnableKeyRotation"] is True
    used = [item for item in key["KeyPolicy"]["Statement"] if "Service" in item["Principal"]]
    assert used[0]["Principal"] == {"Service": "cloudwatch.amazonaws.com"}


def test_another_origin_gets_no_permission_to_write(aws_templates: Templates) -> None:
    """A browser asks before a PUT or DELETE to another origin, and before it sends a sign-in's header with a POST.

    A POST without one is answered 401, but for `/links`: its token is signed, and of one use.
    """
    paths = json.loads((ROOT / "api" / "openapi.json").read_text())["paths"]
    assert {method for path in paths.values() for method in path} <= {"get", "put", "delete", "post"}
    methods = properties(aws_templates, "AWS::ApiGateway::Method")
    assert "OPTIONS" not in {method["HttpMethod"] for method in methods}
    assert "Access-Control-Allow" not in json.dumps(aws_templates)
    sources = [*(ROOT / "api").rglob("*.py"), *(ROOT / "localstack").glob("*.py")]
    assert not [path for path in sources if "access-control-allow" in path.read_text().lower()]


def test_the_account_s_role_of_api_gateways_logs_may_stay(
    aws_templates: Templates, traced_templates: Templates
) -> None:
    """CloudFormation reference, AWS::ApiGateway::Account: each such resource overwrites the role of the one before."""

    def accounts(templates: Templates) -> int:
        return sum(
            item["Type"] == "AWS::ApiGateway::Account" for item in templates["ApiStack"]["Resources"].values()
        )

    assert accounts(aws_templates) == 1
    assert accounts(traced_templates) == 0
