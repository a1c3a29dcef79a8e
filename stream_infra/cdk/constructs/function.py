"""A function as all of ours are, with its log and its role."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import Duration, RemovalPolicy, Size
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from stream_infra import names
from stream_infra.cdk.bundling import RUNTIME_VERSION, is_x86, runtime_version
from stream_infra.cdk.constructs.permissions import acknowledge
from stream_infra.cdk.constructs.releases import NAMESPACE
from stream_infra.config import Config

_OLD_PYTHON = {
    "L1": f"Python {RUNTIME_VERSION} gets security fixes until October 2029; the bundles are locked for it, "
    "and a newer one is taken with them."
}


def with_prefix(**variables: str) -> dict[str, str]:
    """Return names that a function knows by itself in the deployment without a prefix."""
    return variables if names.PREFIX else {}


def function(
    scope: Construct,
    name: str,
    bundle: Path,
    *,
    description: str,
    memory_mb: int,
    timeout: Duration,
    environment: dict[str, str],
    config: Config,
    concurrency: int = 0,
    disk: Size | None = None,
) -> lambda_.Function:
    """Return a function as all of ours are: with role and log of its own, structured logs, settings by environment."""
    id_ = names.plain(name)
    log_group, role = _log_and_role(scope, name, config)
    made = lambda_.Function(
        scope,
        id_,
        function_name=name,
        description=description,
        runtime=lambda_.Runtime(f"python{runtime_version(config.target)}", lambda_.RuntimeFamily.PYTHON),
        architecture=lambda_.Architecture.X86_64 if is_x86(config.target) else lambda_.Architecture.ARM_64,
        handler=names.HANDLERS[name],
        code=lambda_.Code.from_asset(str(bundle)),
        memory_size=memory_mb,
        timeout=timeout,
        ephemeral_storage_size=disk,
        reserved_concurrent_executions=concurrency or None,
        log_group=log_group,
        role=role,
        # Kept beyond its successors: `stock-monitor rollback` goes back to it.
        # But not that of a deployment that failed: PublishVersion makes none where nothing has changed "since the last
        # version" (Lambda API reference), and CloudFormation fails then: the same could not be tried again.
        current_version_options=lambda_.VersionOptions(
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
        ),
        tracing=lambda_.Tracing.ACTIVE if config.tracing else None,
        environment={
            "POWERTOOLS_SERVICE_NAME": name,
            "POWERTOOLS_LOG_LEVEL": "INFO",  # said, for the emulator's own level would be inherited
            "POWERTOOLS_METRICS_NAMESPACE": NAMESPACE,
            **environment,
        },
    )
    acknowledge(made, _OLD_PYTHON)
    if config.tracing:
        acknowledge(role, {"IAM5[Resource::*]": "X-Ray knows no resources for what a traced function does."})
    return made


def log_retention(config: Config) -> logs.RetentionDays:
    """Return how long logs are kept: a month, a day on this machine."""
    return logs.RetentionDays.ONE_DAY if config.local else logs.RetentionDays.ONE_MONTH


def _log_and_role(scope: Construct, name: str, config: Config) -> tuple[logs.LogGroup, iam.Role]:
    """Return a log, and a role that may write to it and nothing else yet."""
    log_group = logs.LogGroup(
        scope,
        f"{names.plain(name)}-logs",
        log_group_name=f"/aws/lambda/{name}",
        retention=log_retention(config),
        removal_policy=RemovalPolicy.DESTROY,
    )
    role = iam.Role(
        scope,
        f"{names.plain(name)}-ServiceRole",
        assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        description=f"What {name} may do",
    )
    log_group.grant_write(role)
    return log_group, role
