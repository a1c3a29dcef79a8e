"""The life of a deployment: first, again, with a bad version, mended, destroyed, deployed again.

In another region and under a prefix: tests/stream_infra/cdk/test_prefix.py; on the whole local AWS:
tests/e2e/test_deployment.py. An update replaces nothing that holds data.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from localstack import emulator
from localstack.settings import ACCOUNT, LocalSettings
from stream_infra import names
from stream_infra.config import Config
from stream_infra.operations import preflight
from stream_infra.operations.changes import dangerous
from stream_infra.operations.preflight import DeploymentProblem
from tests.guard import guarded
from tests.ports import free_port
from tests.stream_infra.cdk.assembly import Properties, Templates
from tests.stream_infra.cdk.local_stacks import LocalStacks, failing_after, for_the_local_aws

STATEFUL = Path(__file__).with_name("stateful.json")
# Types that hold data or a name that people subscribed to, with what makes CloudFormation replace them when it changes
# (the properties with "Update requires: Replacement" in its resource reference).
REPLACING = {
    "AWS::DynamoDB::Table": ("TableName", "KeySchema"),
    "AWS::S3::Bucket": ("BucketName",),
    "AWS::Kinesis::Stream": ("Name",),
    "AWS::SQS::Queue": ("QueueName", "FifoQueue"),
    "AWS::SNS::Topic": ("TopicName", "FifoTopic"),
    "AWS::Events::EventBus": ("Name",),
    "AWS::Events::Archive": ("ArchiveName", "SourceArn"),
    "AWS::SSM::Parameter": ("Name", "Type"),
    "AWS::Lambda::EventSourceMapping": ("EventSourceArn", "StartingPosition"),
    "AWS::ApiGateway::RestApi": (),
    "AWS::CloudFront::Distribution": (),
}


def resources(templates: Templates, kind: str) -> dict[str, Properties]:
    return {
        logical_id: item
        for template in templates.values()
        for logical_id, item in template["Resources"].items()
        if item["Type"] == kind
    }


def stateful(templates: Templates) -> dict[str, Properties]:
    """What CloudFormation knows the stateful resources by: stack, logical id, type and replacing properties."""
    return {
        f"{stack}/{logical_id}": {
            "Type": item["Type"],
            **{key: item["Properties"][key] for key in REPLACING[item["Type"]] if key in item["Properties"]},
        }
        for stack, template in templates.items()
        for logical_id, item in sorted(template["Resources"].items())
        if item["Type"] in REPLACING
    }


def test_an_update_replaces_nothing_that_holds_data(aws_templates: Templates) -> None:
    """A difference means that data stays behind in the old resource, or that two claim one name.

    Where that is meant: UPDATE_STATEFUL=1 writes the file anew, and the change needs a migration of its own.
    """
    found = stateful(aws_templates)
    if os.environ.get("UPDATE_STATEFUL"):
        STATEFUL.write_text(json.dumps(found, indent=1) + "\n")
    committed = json.loads(STATEFUL.read_text())
    assert {key: found.get(key) for key in committed} == committed
    assert set(found) == set(committed), "a new one: write the file anew"


def test_the_comparison_sees_a_new_name_and_a_new_logical_id(aws_templates: Templates) -> None:
    before = stateful(aws_templates)
    changed = json.loads(json.dumps(aws_templates))
    tables = changed["StorageStack"]["Resources"]
    (table,) = [key for key in tables if re.fullmatch("Anomalies[0-9A-F]{8}", key)]
    tables[table]["Properties"]["TableName"] = "stock-anomalies-2"
    assert stateful(changed) != before
    changed = json.loads(json.dumps(aws_templates))
    tables = changed["StorageStack"]["Resources"]
    tables["Renamed"] = tables.pop(table)
    assert stateful(changed) != before


def test_every_trigger_calls_the_alias(aws_templates: Templates) -> None:
    aliases = resources(aws_templates, "AWS::Lambda::Alias")
    assert sorted(item["Properties"]["Name"] for item in aliases.values()) == ["live"] * len(names.FUNCTIONS)
    called = [
        item["Properties"]["FunctionName"]
        for item in resources(aws_templates, "AWS::Lambda::EventSourceMapping").values()
    ]
    rules = resources(aws_templates, "AWS::Events::Rule").values()
    for rule in rules:
        if rule["Properties"]["Name"] in {"StockScannerSchedule", "StockNotifierDigest", "StockLake"}:
            called += [target["Arn"] for target in rule["Properties"]["Targets"]]
    called += [
        item["Properties"]["Integration"]["Uri"]
        for item in resources(aws_templates, "AWS::ApiGateway::Method").values()
    ]
    assert len(called) == 15
    for target in called:
        assert any(alias in json.dumps(target) for alias in aliases), target


def test_old_versions_stay_to_go_back_to_and_one_that_was_taken_back_can_be_tried_again(
    aws_templates: Templates,
) -> None:
    """Lambda API reference, PublishVersion: none is made where nothing has changed "since the last version".

    AWS::Lambda::Version then fails ("A version for this Lambda function exists"), so the version of a deployment that
    was taken back must go: CloudFormation guide, "DeletionPolicy attribute", RetainExceptOnCreate. All others stay.
    """
    versions = resources(aws_templates, "AWS::Lambda::Version")
    assert len(versions) == len(names.FUNCTIONS)
    for version in versions.values():
        assert (version["DeletionPolicy"], version["UpdateReplacePolicy"]) == (
            "RetainExceptOnCreate",
            "Retain",
        )


def shifts(templates: Templates) -> dict[str, tuple[Properties, Properties, Properties, str]]:
    """Of each function: the alias, its deployment group, the alarm that the group watches, the version's logical id."""
    alarms = resources(templates, "AWS::CloudWatch::Alarm")
    groups = resources(templates, "AWS::CodeDeploy::DeploymentGroup")
    found = {}
    for alias in resources(templates, "AWS::Lambda::Alias").values():
        version = alias["Properties"]["FunctionVersion"]["Fn::GetAtt"][0]
        group = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]["DeploymentGroupName"]["Ref"]
        (watched,) = groups[group]["Properties"]["AlarmConfiguration"]["Alarms"]
        found[group.partition("shift")[0]] = alias, groups[group], alarms[watched["Name"]["Ref"]], version
        assert group in alias["DependsOn"], "the group has to watch the new version before it gets a call"
    assert len(found) == len(names.FUNCTIONS)
    return found


def test_a_new_version_is_shifted_bit_by_bit_and_back_if_it_fails(aws_templates: Templates) -> None:
    """CodeDeploy guide, "Redeploy and roll back a deployment with CodeDeploy": DEPLOYMENT_STOP_ON_ALARM."""
    how = {}
    for function, (_, group, alarm, _) in shifts(aws_templates).items():
        properties = group["Properties"]
        assert properties["AlarmConfiguration"]["Enabled"] is True
        assert "DEPLOYMENT_STOP_ON_ALARM" in properties["AutoRollbackConfiguration"]["Events"]
        assert (alarm["Properties"]["Threshold"], alarm["Properties"]["EvaluationPeriods"]) == (1, 1)
        how[function] = properties["DeploymentConfigName"]
    slowly = "CodeDeployDefault.LambdaLinear10PercentEvery1Minute"
    assert how == {
        "stockscanner": slowly,
        "stockdetector": "CodeDeployDefault.LambdaAllAtOnce",
        "stocknotifier": slowly,
        "stockapihandler": slowly,
        "stocklake": "CodeDeployDefault.LambdaAllAtOnce",
    }


def test_a_fix_goes_live_while_the_alarms_of_what_it_fixes_ring(aws_templates: Templates) -> None:
    """CodeDeploy guide, "Monitoring deployments with CloudWatch alarms": a deployment stops when one is activated.

    So none of those that ring may be among them. CloudWatch API reference, PutMetricAlarm: "its state is left
    unchanged" when an alarm is changed; CloudFormation reference, AWS::CloudWatch::Alarm: another AlarmName "requires:
    Replacement". As the version's number is part of the name, each version has an alarm that has never rung, and which
    counts that version alone (Lambda guide, "Types of metrics for Lambda functions": Resource and ExecutedVersion).
    """
    operators = {
        alarm["Properties"]["AlarmName"]
        for alarm in aws_templates["ObservabilityStack"]["Resources"].values()
        if alarm["Type"] == "AWS::CloudWatch::Alarm"
    }
    for function, (_, _, alarm, version) in shifts(aws_templates).items():
        number = {"Fn::GetAtt": [version, "Version"]}
        properties = alarm["Properties"]
        assert json.dumps(number) in json.dumps(properties["AlarmName"]), function
        counted = [of["MetricStat"]["Metric"] for of in properties.get("Metrics", ()) if "MetricStat" in of]
        for metric in counted or [properties]:
            dimensions = {of["Name"]: of["Value"] for of in metric["Dimensions"]}
            assert number in dimensions.values(), (function, dimensions)
        assert not any(name in json.dumps(properties["AlarmName"]) for name in operators)


def test_the_detector_is_called_before_anybody_else_calls_it(aws_templates: Templates) -> None:
    """CodeDeploy guide, "AppSpec 'hooks' section for an AWS Lambda deployment": BeforeAllowTraffic decides.

    All calls go over to the detector at once: by the time an alarm could ring the deployment is over.
    """
    alias, _, _, version = shifts(aws_templates)["stockdetector"]
    hook = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]["BeforeAllowTrafficHook"]["Ref"]
    check = aws_templates["LambdaStack"]["Resources"][hook]["Properties"]
    assert check["Environment"]["Variables"]["VERSION"] == {"Ref": version}
    assert hook in alias["DependsOn"]


@pytest.mark.parametrize(
    ("answer", "status"),
    [({"StatusCode": 200}, "Succeeded"), ({"FunctionError": "Unhandled"}, "Failed"), (None, "Failed")],
)
def test_the_check_says_what_the_new_version_did(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, object] | None, status: str
) -> None:
    """CodeDeploy API reference, PutLifecycleEventHookExecutionStatus: Succeeded or Failed."""
    from stream_infra.cdk.constructs.releases import CHECK

    said: list[dict[str, str]] = []

    class Aws:
        def invoke(self, **request: str) -> dict[str, object]:
            assert request == {"FunctionName": "arn:7", "Payload": '{"Records": []}'}
            if answer is None:
                raise RuntimeError("no rights")
            return answer

        def put_lifecycle_event_hook_execution_status(self, **request: str) -> None:
            said.append(request)

    monkeypatch.setattr("boto3.client", lambda _: Aws())
    monkeypatch.setenv("VERSION", "arn:7")
    monkeypatch.setenv("EVENT", '{"Records": []}')
    code: dict[str, Any] = {}
    exec(CHECK, code)  # noqa: S102  as Lambda does
    with nullcontext() if answer else pytest.raises(RuntimeError):
        code["handler"]({"DeploymentId": "d", "LifecycleEventHookExecutionId": "e"}, None)
    assert said == [{"deploymentId": "d", "lifecycleEventHookExecutionId": "e", "status": status}]


def test_settings_that_were_given_once_and_are_left_out_the_next_time_are_rejected_by_name(
    aws_templates: Templates, settled: Templates
) -> None:
    """What `stock-monitor deploy` compares are whole templates of two deployments, not made-up ones.

    CloudFormation guide, "Update behaviors of stack resources": a name that is written out is no other than one that is
    made of the account's number.
    """
    account = "111122223333"
    found = {change.name for change in dangerous(settled, aws_templates, account)}
    assert found == {
        "close-access",
        "fewer-shards",
        "other-partitions",
        "other-source",
        "remove-person",
        "remove-subscriber",
    }
    back = {change.name for change in dangerous(aws_templates, settled, account)}
    assert back == {"open-access", "other-partitions", "other-source"}
    for templates in (settled, aws_templates):
        assert dangerous(templates, templates, account) == [], "again, unchanged"


def test_people_of_the_settings_are_invited_by_email(settled: Templates) -> None:
    """CloudFormation reference, AWS::Cognito::UserPoolUser: another Username "requires: Replacement"."""
    (person,) = resources(settled, "AWS::Cognito::UserPoolUser").values()
    assert person["Properties"]["Username"] == "Ann@example.com"
    assert person["Properties"]["DesiredDeliveryMediums"] == ["EMAIL"]
    assert "DeletionPolicy" not in person, "who is taken out of the settings is signed out"


def test_the_files_of_the_page_are_sent_again_if_that_is_asked_for(
    aws_templates: Templates, settled: Templates
) -> None:
    """CloudFormation guide, "Create custom provisioning logic with custom resources": called if a property changes."""
    for templates, again in ((aws_templates, None), (settled, "once more")):
        (upload,) = resources(templates, "Custom::CDKBucketDeployment").values()
        assert upload["Properties"].get("Again") == again


def test_there_is_a_way_past_the_alarms_for_one_deployment(settled: Templates) -> None:
    for _, group, _, _ in shifts(settled).values():
        assert group["Properties"]["AlarmConfiguration"]["Enabled"] is False


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStacks]:
    """CloudFormation of a local AWS as `make up` starts it."""
    settings = LocalSettings(tmp_path_factory.mktemp("life"), free_port(), free_port(), None)
    with guarded(settings.directory):
        emulator.start(settings)
        yield LocalStacks(settings.aws)
        assert emulator.emulator(settings).stop()


def test_what_holds_data_survives_a_first_deployment_that_fails_destroy_and_a_second_one(
    aws_templates: Templates, stacks: LocalStacks
) -> None:
    """CloudFormation guide, "DeletionPolicy attribute": with RetainExceptOnCreate "new, empty, and unused resources are
    deleted" when the operation that made them is rolled back, and kept with what they hold in all other operations.
    "Import AWS resources into a CloudFormation stack automatically": what has a name written out in the template, is
    retained by it and is of no stack is taken over; without that it is a conflict of names.
    """
    stack, template = names.STORAGE_STACK, for_the_local_aws(aws_templates["StorageStack"])
    retained = {
        key
        for key, item in template["Resources"].items()
        if item.get("DeletionPolicy") == "RetainExceptOnCreate"
    }
    assert len(retained) == 6, "four tables and two buckets"
    assert stacks.make(stack, failing_after(template, retained)) == "ROLLBACK_COMPLETE"
    (problem,) = _stacks_left(stacks)
    assert problem.remedy == "aws cloudformation delete-stack --stack-name StorageStack"
    stacks.delete(stack)
    assert preflight.leftovers(stacks.client) == {}, "what was new and empty is gone"

    assert stacks.make(stack, template) == "CREATE_COMPLETE"
    assert preflight.leftovers(stacks.client) == {}, "they are the stack's"
    item: Any = {"pk": {"S": "kept"}, "sk": {"S": "1"}}
    stacks.client("dynamodb").put_item(TableName=names.WINDOWS_TABLE, Item=item)
    stacks.delete(stack)
    data = names.data_bucket(ACCOUNT)
    left = sorted([*names.TABLES, data, names.log_bucket(data)])
    assert preflight.leftovers(stacks.client) == {stack: left}

    assert stacks.make(stack, template) == "ROLLBACK_COMPLETE", "a conflict of names"
    stacks.delete(stack)
    _, taken_over = stacks.change(stack, template, "CREATE", ImportExistingResources=True)
    assert taken_over == retained, "what `stock-monitor deploy --adopt` asks for"
    # The emulator only plans this; it does the same by the older way (CloudFormation guide, "Create a stack from
    # existing resources").
    stacks.delete(stack)
    only = {"Resources": {key: _alone(template["Resources"][key]) for key in retained}}
    existing = [
        {
            "ResourceType": item["Type"],
            "LogicalResourceId": key,
            "ResourceIdentifier": {name: item["Properties"][name]},
        }
        for key, item in only["Resources"].items()
        for name in ("TableName", "BucketName")
        if name in item["Properties"]
    ]
    assert stacks.make(stack, only, "IMPORT", ResourcesToImport=existing) == "IMPORT_COMPLETE"
    assert stacks.make(stack, template, "UPDATE") == "UPDATE_COMPLETE"
    assert preflight.leftovers(stacks.client) == {}
    found = stacks.client("dynamodb").get_item(TableName=names.WINDOWS_TABLE, Key=item)
    assert found["Item"] == item, "with what they held"


def _stacks_left(stacks: LocalStacks) -> list[DeploymentProblem]:
    config = Config(source="coinbase", concurrency_limit=0)
    return [problem for problem in preflight.stacks(stacks.client, config) if "failed first" in problem.what]


def _alone(item: Properties) -> Properties:
    """A resource without what it refers to."""
    plain = {key: value for key, value in item.items() if key != "DependsOn"}
    names_only = {key: value for key, value in item["Properties"].items() if "Ref" not in json.dumps(value)}
    return {**plain, "Properties": names_only}


def test_what_is_taken_over_has_its_name_written_out(aws_templates: Templates) -> None:
    """CloudFormation guide, "Import AWS resources into a CloudFormation stack automatically": "Dynamic names (using
    !Ref or other functions) are not currently supported", and a type's primary id must be in the template.

    A queue's is its URL, a topic's and a pool's are made by AWS: those go with their stack, or are made anew.
    """
    importable = {"AWS::DynamoDB::Table": "TableName", "AWS::S3::Bucket": "BucketName"}
    for template in aws_templates.values():
        for key, item in template["Resources"].items():
            if item["Type"] in importable:
                assert isinstance(item["Properties"][importable[item["Type"]]], str), key
            elif item.get("DeletionPolicy", "Delete") != "Delete":
                # A version goes with its function; the others have no name that a second one could want.
                assert item["Type"] in {
                    "AWS::Lambda::Version",
                    "AWS::Cognito::UserPool",
                    "AWS::IAM::Role",
                    "AWS::ApiGateway::Account",
                }, key
                assert "RoleName" not in item["Properties"]
