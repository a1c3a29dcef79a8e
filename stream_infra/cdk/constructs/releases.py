"""How a new version of a function takes over: an alias that everything calls, shifted bit by bit on AWS."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs

from stream_infra import names
from stream_infra.cdk.bundling import RUNTIME_VERSION
from stream_infra.cdk.constructs.permissions import acknowledge, allow
from stream_infra.config import Config

NAMESPACE = "StockMonitor"
"""Of the metrics that functions count themselves."""
_ROLE = "Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited"
_MINUTE = Duration.minutes(1)
CHECK = """
import os
import boto3

def handler(event, context):
    status = "Failed"
    try:
        answer = boto3.client("lambda").invoke(FunctionName=os.environ["VERSION"], Payload=os.environ["EVENT"])
        status = "Failed" if "FunctionError" in answer else "Succeeded"
    finally:
        boto3.client("codedeploy").put_lifecycle_event_hook_execution_status(
            deploymentId=event["DeploymentId"],
            lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
            status=status,
        )
"""
"""Code of the function that calls a new version before anybody else does."""


def live(
    function: lambda_.Function,
    config: Config,
    *,
    failures: Sequence[cloudwatch.IMetric] = (),
    gradual: bool = True,
    check: str = "",
) -> lambda_.Alias:
    """Return the alias `live` of a function, which its triggers call.

    On AWS a new version gets a tenth of the calls more with every minute (all at once if not `gradual`), and the old
    one gets them all back when the new one fails. On this machine (`make up`) the alias changes at once.

    Parameters
    ----------
    failures
        What the new version counts besides exceptions, by its version.
    check
        An event that changes nothing, as JSON: a version that fails on it gets no calls at all.
    """
    stack = Stack.of(function)
    name = function.node.id
    alias = lambda_.Alias(
        stack, f"{name}-{names.LIVE}", alias_name=names.LIVE, version=function.current_version
    )
    if config.local:
        return alias
    every_minute = codedeploy.LambdaDeploymentConfig.LINEAR_10_PERCENT_EVERY_1_MINUTE
    group = codedeploy.LambdaDeploymentGroup(
        stack,
        f"{name}-shift",
        alias=alias,
        deployment_config=every_minute if gradual else codedeploy.LambdaDeploymentConfig.ALL_AT_ONCE,
        alarms=[_of_the_version_alone(function, failures)],
        ignore_alarm_configuration=config.past_alarms,
        auto_rollback=codedeploy.AutoRollbackConfig(
            deployment_in_alarm=True, failed_deployment=True, stopped_deployment=True
        ),
    )
    alias.node.add_dependency(group)  # it has to watch the new version before that gets a call
    acknowledge(group, {f"IAM4[{_ROLE}]": "What AWS requires for CodeDeploy to shift an alias and no more."})
    if check:
        _check_before_traffic(function, alias, group, check)
    return alias


def _of_the_version_alone(
    function: lambda_.Function, failures: Sequence[cloudwatch.IMetric]
) -> cloudwatch.Alarm:
    """Return an alarm of the version that takes over, so that the failures of the one before cannot stop the fix.

    Lambda guide, "Types of metrics for Lambda functions": Resource and ExecutedVersion tell the two versions of an
    alias apart. The number is in the name, which "requires: Replacement" (CloudFormation reference,
    AWS::CloudWatch::Alarm): each version has an alarm of its own, which has never rung.
    """
    name, version = function.node.id, function.current_version.version
    errors = cloudwatch.Metric(
        namespace="AWS/Lambda",
        metric_name="Errors",
        dimensions_map={
            "FunctionName": function.function_name,
            "Resource": f"{function.function_name}:{names.LIVE}",
            "ExecutedVersion": version,
        },
        period=_MINUTE,
        statistic="Sum",
    )
    counted = {f"m{number}": metric for number, metric in enumerate([errors, *failures])}
    all_of_them = cloudwatch.MathExpression(
        expression=" + ".join(f"FILL({id_}, 0)" for id_ in counted), using_metrics=counted, period=_MINUTE
    )
    return cloudwatch.Alarm(
        Stack.of(function),
        f"{name}-version",
        alarm_name=f"{names.named(name)}-version-{version}",
        alarm_description=f"Version {version} of {names.named(name)} fails: CodeDeploy gives its calls back.",
        metric=all_of_them if failures else errors,
        threshold=1,
        evaluation_periods=1,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )


def _check_before_traffic(
    function: lambda_.Function, alias: lambda_.Alias, group: codedeploy.LambdaDeploymentGroup, event: str
) -> None:
    """Let CodeDeploy call the new version itself before anybody else does.

    CodeDeploy guide, "AppSpec 'hooks' section for an AWS Lambda deployment": BeforeAllowTraffic is a function that says
    by PutLifecycleEventHookExecutionStatus whether the deployment goes on. Where all calls go over at once, the
    deployment ends before an alarm could ring.
    """
    stack, name = Stack.of(function), f"{function.node.id}-check"
    log = logs.LogGroup(
        stack, f"{name}-logs", retention=logs.RetentionDays.ONE_MONTH, removal_policy=RemovalPolicy.DESTROY
    )
    role = iam.Role(stack, f"{name}-role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    log.grant_write(role)
    made = lambda_.Function(
        stack,
        name,
        description=f"Calls a new version of {names.named(function.node.id)} before anybody else does",
        runtime=lambda_.Runtime(
            f"python{RUNTIME_VERSION}", lambda_.RuntimeFamily.PYTHON, supports_inline_code=True
        ),
        architecture=function.architecture,
        handler="index.handler",
        code=lambda_.Code.from_inline(CHECK),
        timeout=Duration.minutes(2),
        log_group=log,
        role=role,
        environment={"VERSION": function.current_version.function_arn, "EVENT": event},
    )
    # Of all versions: a right that came with the new one could come too late for its first call.
    allow(made, f"{function.function_arn}:*", "lambda:InvokeFunction")
    allow(made, group.deployment_group_arn, "codedeploy:PutLifecycleEventHookExecutionStatus")
    group.add_pre_hook(made)
    alias.node.add_dependency(made)
    acknowledge(made, {"L1": "The runtime of the functions that it checks."})
    acknowledge(role, {f"IAM5[{_versions_of(function)}]": "It calls each new version of the one function."})
    acknowledge(group, {f"IAM5[{_versions_of(made)}]": "Its own check."})


def _versions_of(function: lambda_.Function) -> str:
    """Return what cdk-nag calls a right to call any version of a function."""
    resource = function.node.default_child
    assert isinstance(resource, lambda_.CfnFunction)  # noqa: S101  the L2 function's child by construction
    return f"Resource::<{Stack.of(function).get_logical_id(resource)}.Arn>:*"
