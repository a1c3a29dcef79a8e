"""Deployments by CodeDeploy: how an alias goes to a new version, and back when that one fails.

CloudFormation reference, UpdatePolicy, CodeDeployLambdaAliasUpdate: "CodeDeploy deployment when the version changes on
an AWS::Lambda::Alias resource"; the update of the alias, and with it of the stack, waits for it and fails with it.
CodeDeploy guide: a function of "BeforeAllowTraffic" is called first, and the deployment fails unless that says
Succeeded ("AppSpec 'hooks' section for an AWS Lambda deployment"); it is stopped when an alarm of its group rings, and
rolled back ("Monitoring deployments with Amazon CloudWatch alarms"). ExecutedVersion is a dimension of the metrics of
an alias (Lambda guide, "Types of metrics for Lambda functions").

Two things are not as on AWS: a minute of a gradual shift is half a second, or as long as a call takes that began in it,
and the new version has all calls meanwhile, as MiniStack does not share them by the weights of an alias. The first
creation of an alias is no deployment.
"""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from ministack.core import iam_actions
from ministack.services import cloudformation, cloudwatch, lambda_svc
from ministack.services.cloudformation import provisioners, stacks

from localstack.settings import ACCOUNT, REGION

Json = dict[str, Any]
HOOK_SAID = "CodeDeploy_20141006.PutLifecycleEventHookExecutionStatus"
_MINUTES = {"CodeDeployDefault.LambdaLinear10PercentEvery1Minute": 10, "CodeDeployDefault.LambdaAllAtOnce": 0}
_SECONDS_A_MINUTE = float(os.environ.get("SHIFT_MINUTE_SECONDS", "0.5"))
_ALIAS = "AWS::Lambda::Alias"


@dataclass
class _Deployment:
    """One that is under way; `group` is the resource name of its deployment group."""

    group: str
    function: str
    hook: str = field(default_factory=lambda: uuid.uuid4().hex)
    said: str = ""
    """What its hook said: Succeeded or Failed."""
    calls: set[str] = field(default_factory=set)
    """Of the function by the alias, since it began and without an answer yet."""


_groups: dict[tuple[str, str], Json] = {}
"""Properties of the deployment groups of a stack, by logical id, as far as they were set since the start."""
_under_way: dict[str, _Deployment] = {}


def shift_aliases() -> None:
    """Let the update of an alias be a deployment where its template says so."""
    known = provisioners._RESOURCE_HANDLERS
    known["AWS::CodeDeploy::DeploymentGroup"] = {
        "create": lambda logical, properties, stack: (
            _set_group(stack, logical, f"{stack}-{logical}-{uuid.uuid4().hex[:8]}", properties),
            {},
        ),
        "update": lambda physical, _, properties, stack, logical: (
            _set_group(stack, logical, physical, properties),
            {},
        ),
        "update_with_logical_id": True,
        "delete": lambda *_: None,
    }
    update = known[_ALIAS]["update"]

    def updated(physical: str, old: Json, new: Json, stack: str, logical: str) -> tuple[str, Json]:
        policy = provisioners._cfn_wait_condition_definition(stack, logical).get("UpdatePolicy", {})
        wanted = policy.get("CodeDeployLambdaAliasUpdate")
        if wanted is None or old["FunctionVersion"] == new["FunctionVersion"]:
            return update(physical, old, new, stack, logical)  # type: ignore[no-any-return]
        deployment = _Deployment(_group_name(stack, wanted), physical.split(":")[6])
        _before_traffic(deployment, stack, wanted.get("BeforeAllowTrafficHook"))
        result: tuple[str, Json] = update(physical, old, new, stack, logical)
        try:
            _watch(deployment, _group(stack, wanted))
        except ValueError:
            update(physical, new, old, stack, logical)
            raise
        return result

    known[_ALIAS] = {**known[_ALIAS], "update": updated}
    waits = stacks._runs_on_worker_thread
    stacks._runs_on_worker_thread = lambda kind: kind == _ALIAS or waits(kind)
    _count_by_version()
    iam_actions.SERVICE_TO_IAM_NAMESPACE["codedeploy"] = "codedeploy"


def group_arn(deployment: str) -> str:
    """Return the ARN of the group of a deployment, which PutLifecycleEventHookExecutionStatus is authorized for."""
    found = _under_way.get(deployment)
    return f"arn:aws:codedeploy:{REGION}:{ACCOUNT}:deploymentgroup:{found.group if found else '*'}"


def hook_said(request: Json) -> Json | None:
    """Keep what a hook says of its deployment; return CodeDeploy's answer, None for an unknown deployment."""
    found = _under_way.get(request["deploymentId"])
    if found is None or found.hook != request["lifecycleEventHookExecutionId"]:
        return None
    found.said = request["status"]
    return {"lifecycleEventHookExecutionId": found.hook}


def _set_group(stack: str, logical: str, physical: str, properties: Json) -> str:
    if (config := properties["DeploymentConfigName"]) not in _MINUTES:
        raise ValueError(
            f"the local AWS knows the deployment configurations {', '.join(_MINUTES)}, not {config}"
        )
    _groups[stack, logical] = {**properties, "Physical": physical}
    return physical


def _group(stack: str, policy: Json) -> Json:
    logical = policy["DeploymentGroupName"]["Ref"]
    if (stack, logical) not in _groups:  # set before this process began
        kept = cloudformation._stacks[stack]["_resources"][logical]
        _groups[stack, logical] = {**kept["Properties"], "Physical": kept["PhysicalResourceId"]}
    return _groups[stack, logical]


def _group_name(stack: str, policy: Json) -> str:
    group = _group(stack, policy)
    return f"{group['ApplicationName']}/{group['Physical']}"


def _before_traffic(deployment: _Deployment, stack: str, hook: Json | None) -> None:
    if hook is None:
        return
    id_ = f"d-{uuid.uuid4().hex[:9].upper()}"
    _under_way[id_] = deployment
    function, config, _ = lambda_svc._get_func_record_for_ref(_physical_id(stack, hook["Ref"]))
    event = {"DeploymentId": id_, "LifecycleEventHookExecutionId": deployment.hook}
    try:
        lambda_svc._execute_function_with_config_scope({**function, "config": config}, event)
    finally:
        del _under_way[id_]
    if deployment.said != "Succeeded":
        raise ValueError(f"deployment {id_} failed: BeforeAllowTraffic said {deployment.said or 'nothing'}")


def _physical_id(stack: str, logical: str) -> str:
    """Return what a resource of a stack, which is being changed, is called."""
    id_ = cloudformation._stacks[stack]["StackId"]
    for event in reversed(cloudformation._stack_events[id_]):
        if event["LogicalResourceId"] == logical and event["ResourceStatus"].endswith("_COMPLETE"):
            return str(event["PhysicalResourceId"])
    raise ValueError(f"{stack} has no {logical}")


def _watch(deployment: _Deployment, group: Json) -> None:
    """Wait for as long as the shift takes, and for the calls that began in it; an alarm of the group ends it."""
    alarms = group.get("AlarmConfiguration") or {}
    watched = [of["Name"] for of in alarms.get("Alarms", [])] if alarms.get("Enabled") else []
    id_ = f"d-{uuid.uuid4().hex[:9].upper()}"
    _under_way[id_] = deployment
    ends = time.monotonic() + _MINUTES[group["DeploymentConfigName"]] * _SECONDS_A_MINUTE
    last: set[str] | None = None
    try:
        while True:
            if last is None and time.monotonic() >= ends:
                last = set(deployment.calls)
            ended = last is not None and not last & deployment.calls
            for name in watched:
                alarm = cloudwatch._alarms[name]
                cloudwatch._evaluate_alarm(alarm)
                if alarm["StateValue"] == "ALARM":
                    raise ValueError(f"deployment {id_} was stopped and rolled back: the alarm {name} rings")
            if ended:
                return
            time.sleep(_SECONDS_A_MINUTE / 10)
    finally:
        del _under_way[id_]


def _count_by_version() -> None:
    """Count errors of an alias by the version that was executed, while one is shifted."""
    execute = lambda_svc._execute_function

    def executed(function: Json, event: Json) -> Json:
        config = function.get("config") or function
        _, _, resource = str(config.get("FunctionArn", "")).partition(":function:")
        name, _, alias = resource.partition(":")
        shifted = [of for of in list(_under_way.values()) if of.function == name]
        if not shifted or not alias or alias.isdigit():
            result: Json = execute(function, event)
            return result
        call = uuid.uuid4().hex
        for of in shifted:
            of.calls.add(call)
        try:
            result = execute(function, event)
            dimensions = {
                "FunctionName": name,
                "Resource": resource,
                "ExecutedVersion": str(config["Version"]),
            }
            failed = 1 if result.get("error") else 0
            cloudwatch.record_metric("AWS/Lambda", "Errors", failed, "Count", dimensions)
        finally:
            for of in shifted:
                of.calls.discard(call)
        return result

    lambda_svc._execute_function = executed
