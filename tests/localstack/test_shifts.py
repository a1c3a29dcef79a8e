"""An alias goes to a new version by a deployment of CodeDeploy, and stays where it was when that fails."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.calls import called_every
from tests.localstack.conftest import TRUST
from tests.stream_infra.cdk.local_stacks import LocalStacks

GOOD = "def handler(event, context):\n    return {text!r}\n"
BAD = "def handler(event, context):\n    raise RuntimeError({text!r})\n"
Template = dict[str, Any]


def template(name: str, code: str, *, checked: bool = False, may_say: bool = True) -> Template:
    """Return a function whose alias is shifted as `stream_infra.cdk.constructs.releases` does it."""
    from stream_infra.cdk.constructs.releases import CHECK  # starts a Node: not in each process that collects

    version = f"Version{hashlib.sha256(code.encode()).hexdigest()[:8]}"
    alarm = {
        "AlarmName": {"Fn::Sub": [f"{name}-version-${{of}}", {"of": {"Fn::GetAtt": [version, "Version"]}}]},
        "Namespace": "AWS/Lambda",
        "MetricName": "Errors",
        "Dimensions": [
            {"Name": "FunctionName", "Value": name},
            {"Name": "Resource", "Value": f"{name}:live"},
            {"Name": "ExecutedVersion", "Value": {"Fn::GetAtt": [version, "Version"]}},
        ],
        "Period": 60, "EvaluationPeriods": 1, "Statistic": "Sum", "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold", "TreatMissingData": "notBreaching",
    }  # fmt: skip
    config = "LambdaAllAtOnce" if checked else "LambdaLinear10PercentEvery1Minute"
    group = {
        "ApplicationName": {"Ref": "Application"},
        "DeploymentConfigName": f"CodeDeployDefault.{config}",
        "AlarmConfiguration": {"Alarms": [{"Name": {"Ref": "Alarm"}}], "Enabled": True},
    }
    says = {"Effect": "Allow" if may_say else "Deny", "Action": "codedeploy:*", "Resource": "*"}
    calls = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [calls, says]}
    policy = {"DeploymentGroupName": {"Ref": "Group"}, "ApplicationName": {"Ref": "Application"}}
    if checked:
        policy["BeforeAllowTrafficHook"] = {"Ref": "Check"}
    role = {
        "AssumeRolePolicyDocument": TRUST,
        "Policies": [{"PolicyName": "all", "PolicyDocument": document}],
    }
    runs = {"Runtime": "python3.11", "Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Handler": "index.handler"}
    check = {**runs, "Code": {"ZipFile": CHECK}, "Timeout": 30}
    check["Environment"] = {"Variables": {"VERSION": {"Ref": version}, "EVENT": "{}"}}
    alias = {"FunctionName": name, "Name": "live", "FunctionVersion": {"Fn::GetAtt": [version, "Version"]}}
    resources: Template = {
        "Role": {"Type": "AWS::IAM::Role", "Properties": role},
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {**runs, "FunctionName": name, "Code": {"ZipFile": code}},
        },
        version: {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Function"}}},
        "Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm},
        "Application": {"Type": "AWS::CodeDeploy::Application", "Properties": {"ComputePlatform": "Lambda"}},
        "Group": {"Type": "AWS::CodeDeploy::DeploymentGroup", "Properties": group},
        "Check": {"Type": "AWS::Lambda::Function", "Properties": check},
        "Alias": {
            "Type": "AWS::Lambda::Alias",
            "Properties": alias,
            "UpdatePolicy": {"CodeDeployLambdaAliasUpdate": policy},
            "DependsOn": ["Group", "Check"],
        },
    }
    return {"Resources": resources}


@dataclass
class Shifted:
    """A function of its own name, in a stack of that name."""

    stacks: LocalStacks
    name: str

    def deploy(self, code: str, kind: str = "UPDATE", **given: bool) -> str:
        wanted = template(self.name, code, **given)
        return self.stacks.make(self.name, wanted, kind, Capabilities=["CAPABILITY_IAM"])

    def served(self) -> Any:
        """What the alias answers; None for an error."""
        answer = self.stacks.client("lambda").invoke(FunctionName=self.name, Qualifier="live")
        return None if "FunctionError" in answer else json.load(answer["Payload"])

    def called(self) -> AbstractContextManager[None]:
        """Somebody calls the alias again and again."""
        return called_every(0.1, self.served)

    def why(self) -> str:
        """Why the alias could not be changed last."""
        found = self.stacks.client("cloudformation").describe_stack_events(StackName=self.name)["StackEvents"]
        failed = (
            of for of in found if of["LogicalResourceId"] == "Alias" and "FAILED" in of["ResourceStatus"]
        )
        return str(next(failed)["ResourceStatusReason"])


@pytest.fixture
def shifted(strict_url: str) -> Iterator[Shifted]:
    found = Shifted(LocalStacks(strict_url), f"shifted-{uuid.uuid4().hex[:8]}")
    yield found
    found.stacks.delete(found.name)


def test_a_version_that_fails_gives_its_calls_back_every_time_and_a_fix_passes_while_its_alarm_rings(
    shifted: Shifted,
) -> None:
    """CodeDeploy guide, "Monitoring deployments with Amazon CloudWatch alarms in CodeDeploy"."""
    assert shifted.deploy(GOOD.format(text="first"), "CREATE") == "CREATE_COMPLETE"
    with shifted.called():
        for _ in range(2):  # the same again ends the same way
            assert shifted.deploy(BAD.format(text="bad")) == "UPDATE_ROLLBACK_COMPLETE"
            assert f"the alarm {shifted.name}-version-" in shifted.why()
            assert shifted.served() == "first"
        assert shifted.deploy(GOOD.format(text="fixed")) == "UPDATE_COMPLETE"
    assert shifted.served() == "fixed"


def test_a_version_that_its_check_finds_bad_gets_no_call(shifted: Shifted) -> None:
    """CodeDeploy guide, "AppSpec 'hooks' section for an AWS Lambda deployment": Failed fails the deployment."""
    assert shifted.deploy(GOOD.format(text="first"), "CREATE", checked=True) == "CREATE_COMPLETE"
    assert shifted.deploy(BAD.format(text="bad"), checked=True) == "UPDATE_ROLLBACK_COMPLETE"
    assert "BeforeAllowTraffic said Failed" in shifted.why()
    assert shifted.served() == "first"
    assert shifted.deploy(GOOD.format(text="second"), checked=True) == "UPDATE_COMPLETE"
    assert shifted.served() == "second"


def test_a_check_without_the_right_to_say_so_ends_the_deployment(shifted: Shifted) -> None:
    """Service authorization reference, CodeDeploy: PutLifecycleEventHookExecutionStatus."""
    first, second = (GOOD.format(text=text) for text in ("first", "second"))
    assert shifted.deploy(first, "CREATE", checked=True, may_say=False) == "CREATE_COMPLETE"
    assert shifted.deploy(second, checked=True, may_say=False) == "UPDATE_ROLLBACK_COMPLETE"
    assert "BeforeAllowTraffic said nothing" in shifted.why()


def test_a_hook_that_nobody_waits_for_is_told_so(strict_url: str) -> None:
    with pytest.raises(ClientError, match="DeploymentDoesNotExistException"):
        LocalStacks(strict_url).client("codedeploy").put_lifecycle_event_hook_execution_status(
            deploymentId="d-000000000", lifecycleEventHookExecutionId="x", status="Succeeded"
        )
