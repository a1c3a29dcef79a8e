"""An update reaches the triggers step by step and can be taken back, and replaces nothing that holds data."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from stream_infra import names
from tests.stream_infra.cdk.assembly import Properties, Templates

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


def test_old_versions_stay_to_go_back_to(aws_templates: Templates) -> None:
    versions = resources(aws_templates, "AWS::Lambda::Version")
    assert len(versions) == len(names.FUNCTIONS)
    for version in versions.values():
        assert (version["DeletionPolicy"], version["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_a_new_version_is_shifted_bit_by_bit_and_back_on_an_alarm(aws_templates: Templates) -> None:
    alarms = {
        item["Properties"]["AlarmName"]
        for item in resources(aws_templates, "AWS::CloudWatch::Alarm").values()
    }
    shifts = resources(aws_templates, "AWS::CodeDeploy::DeploymentGroup")
    how = {}
    for logical_id, item in shifts.items():
        group = item["Properties"]
        watched = {alarm["Name"] for alarm in group["AlarmConfiguration"]["Alarms"]}
        assert watched <= alarms, logical_id
        assert len(watched) == 2
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        how[logical_id.partition("shift")[0]] = group["DeploymentConfigName"]
    slowly = "CodeDeployDefault.LambdaLinear10PercentEvery1Minute"
    assert how == {
        "stockscanner": slowly,
        "stockdetector": "CodeDeployDefault.LambdaAllAtOnce",
        "stocknotifier": slowly,
        "stockapihandler": slowly,
        "stocklake": "CodeDeployDefault.LambdaAllAtOnce",
    }
    shifted = [
        item
        for item in resources(aws_templates, "AWS::Lambda::Alias").values()
        if "CodeDeployLambdaAliasUpdate" in item.get("UpdatePolicy", {})
    ]
    assert len(shifted) == len(names.FUNCTIONS)
