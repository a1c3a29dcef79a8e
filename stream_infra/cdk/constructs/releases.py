"""How a new version of a function takes over: an alias that everything calls, shifted bit by bit on AWS."""

from __future__ import annotations

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_lambda as lambda_

from stream_infra import names
from stream_infra.cdk.constructs.permissions import acknowledge
from stream_infra.config import Config

_ROLE = "Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited"


def live(
    function: lambda_.Function, config: Config, *, alarms: tuple[str, ...], gradual: bool = True
) -> lambda_.Alias:
    """Return the alias `live` of a function, which its triggers call.

    On AWS a new version gets a tenth of the calls more with every minute (all at once if not `gradual`), and the
    old one gets them all back when one of the `alarms` rings. The emulator has no CodeDeploy: the alias changes
    at once.
    """
    stack = Stack.of(function)
    name = function.node.id
    alias = lambda_.Alias(
        stack, f"{name}-{names.LIVE}", alias_name=names.LIVE, version=function.current_version
    )
    if config.local:
        return alias
    watched = [
        # By name: their stack needs the functions, so this one cannot need it. CodeDeploy looks them up when it shifts.
        cloudwatch.Alarm.from_alarm_arn(
            stack,
            f"{name}-{alarm}",
            stack.format_arn(
                service="cloudwatch",
                resource="alarm",
                resource_name=names.named(alarm),
                arn_format=ArnFormat.COLON_RESOURCE_NAME,
            ),
        )
        for alarm in alarms
    ]
    every_minute = codedeploy.LambdaDeploymentConfig.LINEAR_10_PERCENT_EVERY_1_MINUTE
    group = codedeploy.LambdaDeploymentGroup(
        stack,
        f"{name}-shift",
        alias=alias,
        deployment_config=every_minute if gradual else codedeploy.LambdaDeploymentConfig.ALL_AT_ONCE,
        alarms=watched,
        auto_rollback=codedeploy.AutoRollbackConfig(
            deployment_in_alarm=True, failed_deployment=True, stopped_deployment=True
        ),
    )
    acknowledge(group, {f"IAM4[{_ROLE}]": "What AWS requires for CodeDeploy to shift an alias and no more."})
    return alias
