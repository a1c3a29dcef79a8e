"""What has to be right in an account before a deployment. Nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from producers.sources import get
from producers.watch_list import is_reference
from stream_infra import names
from stream_infra.config import Config

UNRESERVED = 100
"""Lambda keeps so much of an account's concurrency for functions without a reserved one, and all of an account that has
less (Lambda guide, "Configuring reserved concurrency")."""
_INVITATIONS = 50
_OF_ANOTHER_ACCOUNT = "another account"
"""In place of the region of a bucket that is not ours to see."""
_RAISE = "raise the quota L-B99A9384 of Lambda"
Client = Callable[[str], Any]


class DeploymentProblem(NamedTuple):
    """Something that would let a deployment fail, and what to do about it."""

    what: str
    remedy: str


def preflight(client: Client, config: Config, *, adopt: bool = False) -> list[DeploymentProblem]:
    """Return what has to be put right before a deployment; nothing is changed.

    What an earlier deployment left is a problem unless this one is to `adopt` it.
    """
    if unknown := _unknown(client):
        return [unknown]  # and nothing else can be asked
    checks = _CHECKS if adopt else (*_CHECKS, _leftovers)
    return [problem for check in checks for problem in check(client, config)]


def _unknown(client: Client) -> DeploymentProblem | None:
    """Return a problem where the region does not know the credentials.

    STS guide, "Manage AWS STS in an AWS Region": those of an account are valid in regions that it has enabled.
    """
    sts = client("sts")
    try:
        sts.get_caller_identity()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "InvalidClientTokenId":
            raise
        return DeploymentProblem(
            f"{sts.meta.region_name} does not know the credentials",
            "use others; if they are good elsewhere, enable the region for the account, which takes a while: "
            f"aws account enable-region --region-name {sts.meta.region_name}",
        )
    return None


def _account(client: Client, config: Config) -> Iterator[DeploymentProblem]:
    account = client("sts").get_caller_identity()["Account"]
    if config.account and config.account != account:
        yield DeploymentProblem(
            f"the credentials are of account {account}, the deployment is in {config.account}",
            "use credentials of that account, or correct `account` in monitor.toml",
        )


def _other_region(client: Client, _config: Config) -> Iterator[DeploymentProblem]:
    """Find the buckets of a deployment in another region.

    S3 guide, "General purpose buckets overview": a name is taken for all regions.
    """
    account = client("sts").get_caller_identity()["Account"]
    for bucket in (names.data_bucket(account), names.dashboard_bucket(account)):
        region = _bucket_region(client("s3"), bucket)
        if region == _OF_ANOTHER_ACCOUNT:
            yield DeploymentProblem(
                f"the bucket {bucket} is another account's: names of buckets are taken for all accounts",
                "give this deployment a prefix of its own in monitor.toml",
            )
        elif region and region != client("s3").meta.region_name:
            yield DeploymentProblem(
                f"the bucket {bucket} is in {region}: another deployment of this account has it",
                "give this one a prefix of its own in monitor.toml",
            )


def _bucket_region(s3: Any, bucket: str) -> str | None:
    try:
        return str(s3.head_bucket(Bucket=bucket).get("BucketRegion") or "") or None
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        if code == "403":  # S3 API reference, HeadBucket: there, and not ours to see
            return _OF_ANOTHER_ACCOUNT
        if code != "404":
            raise
        return None


def _leftovers(client: Client, _config: Config) -> Iterator[DeploymentProblem]:
    """Find tables and buckets of ours that no stack has: CloudFormation would try to make them, and fail."""
    for stack, left in leftovers(client).items():
        yield DeploymentProblem(
            f"{', '.join(left)}: left over from an earlier deployment, and of no stack",
            f"stock-monitor deploy … --adopt makes them part of {stack} with all they hold; "
            "or delete what nobody needs",
        )


def leftovers(client: Client) -> dict[str, list[str]]:
    """Return names of tables and buckets that are there and that their stack, here the key, does not have."""
    account = client("sts").get_caller_identity()["Account"]
    data, site = names.data_bucket(account), names.dashboard_bucket(account)
    found = {
        names.STORAGE_STACK: [
            *(table for table in names.TABLES if _has_table(client("dynamodb"), table)),
            *(of for of in (data, names.log_bucket(data)) if _has_bucket(client("s3"), of)),
        ],
        names.DASHBOARD_STACK: [of for of in (site, names.log_bucket(site)) if _has_bucket(client("s3"), of)],
    }
    left = {stack: sorted(set(there) - _of_stack(client, stack)) for stack, there in found.items() if there}
    return {stack: of for stack, of in left.items() if of}


def _has_table(dynamodb: Any, table: str) -> bool:
    try:
        dynamodb.describe_table(TableName=table)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
            raise
        return False
    return True


def _has_bucket(s3: Any, bucket: str) -> bool:
    here = s3.meta.region_name
    try:
        return bool(s3.head_bucket(Bucket=bucket).get("BucketRegion", here) == here)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in {"403", "404"}:
            raise
        return False


def stacks(client: Client, _config: Config) -> Iterator[DeploymentProblem]:
    """Yield what keeps stacks from being deployed."""
    if status(client, "CDKToolkit") is None:
        yield DeploymentProblem(
            "the account and region are not bootstrapped for the CDK",
            "stock-monitor deploy … --bootstrap",
        )
    for stack in names.STACKS:
        # CloudFormation guide, "Stack status codes": such a stack can only be deleted.
        found = status(client, stack)
        if found in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}:
            yield DeploymentProblem(
                f"{stack} is left over from a failed first deployment",
                f"aws cloudformation delete-stack --stack-name {stack}",
            )
        elif found == "UPDATE_ROLLBACK_FAILED":
            yield DeploymentProblem(
                f"{stack} could not be taken back after a failed update",
                f"aws cloudformation continue-update-rollback --stack-name {stack}",
            )
        elif found and found.endswith("_IN_PROGRESS") and not found.startswith("REVIEW"):
            yield DeploymentProblem(f"{stack} is being changed ({found})", "wait until that is done")


def _concurrency(client: Client, config: Config) -> Iterator[DeploymentProblem]:
    limits = client("lambda").get_account_settings()["AccountLimit"]
    limit = limits["ConcurrentExecutions"]
    lanes = config.shards * config.parallelization_factor
    if not config.concurrency_limit:
        # The scanner, the lake, a request to the API, and the notifier from its queue and by its schedule.
        needed = lanes + names.NOTIFIER_CONCURRENCY_UNRESERVED + 4
        if needed > limit:
            yield DeploymentProblem(
                f"the account runs {limit} functions at once: {lanes} detectors (shards x parallelization_factor) "
                f"and the others beside them are {needed}, and would be throttled",
                f"fewer shards or a smaller parallelization_factor in monitor.toml, or {_RAISE}",
            )
        return
    # What this deployment has reserved already is given back first.
    ours = sum(_reserved(client("lambda"), name) for name in names.FUNCTIONS)
    free = limits["UnreservedConcurrentExecutions"] + ours - min(UNRESERVED, limit)
    wanted = 2 * config.concurrency_limit + names.API_CONCURRENCY
    if wanted <= free:
        return
    most = (free - names.API_CONCURRENCY) // 2
    yield DeploymentProblem(
        f"the account runs {limit} functions at once, of which {max(free, 0)} can be reserved; concurrency_limit = "
        f"{config.concurrency_limit} reserves {wanted}: as many for the scanner and the detector each, and "
        f"{names.API_CONCURRENCY} for the API",
        f"set concurrency_limit = {most} in monitor.toml, or {_RAISE}"
        if most >= lanes
        else "set concurrency_limit = 0 in monitor.toml: nothing is reserved then, and all functions share the "
        f"account's {limit}, so that many requests to the API can delay a detector; or {_RAISE}",
    )


def _reserved(functions: Any, name: str) -> int:
    try:
        return int(
            functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions", 0)
        )
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
            raise
        return 0


def _keys(client: Client, config: Config) -> Iterator[DeploymentProblem]:
    if not get(config.source).keys:
        return
    found = or_none(
        lambda: client("secretsmanager").describe_secret(SecretId=names.SOURCE_SECRET),
        "ResourceNotFoundException",
    )
    if found is None:
        yield DeploymentProblem(
            f"the source {config.source} needs keys, and there is no secret {names.SOURCE_SECRET}",
            "create it (docs/security.md), or choose a source that needs none",
        )
    elif "DeletedDate" in found:  # Secrets Manager API reference, DescribeSecret: "scheduled for deletion"
        yield DeploymentProblem(
            f"the secret {names.SOURCE_SECRET} is scheduled for deletion, and cannot be read",
            f"aws secretsmanager restore-secret --secret-id {names.SOURCE_SECRET}",
        )


def _log_role(client: Client, config: Config) -> Iterator[DeploymentProblem]:
    """Find a role of somebody else that ours would replace.

    CloudFormation reference, AWS::ApiGateway::Account: the role is one of the account and region; a second such
    resource overwrites the first, and deleting it does not bring the former role back.
    """
    if config.api_log_role == "account":
        if not _log_role_in_force(client):
            yield DeploymentProblem(
                "api_log_role is account, and API Gateway has no role here with which it writes logs",
                'set api_log_role = "own" in monitor.toml',
            )
        return
    role = _log_role_in_force(client)
    # The CDK keeps the role when the stack goes, for API Gateway goes on with it: the next deployment makes another.
    ours = f"{names.API_STACK}-ApiCloudWatchRole"
    if role and not role.rpartition("/")[2].startswith(ours):
        yield DeploymentProblem(
            f"API Gateway writes the logs of this account and region with {role}: a deployment would replace it",
            'set api_log_role = "account" in monitor.toml: that role then writes our logs too',
        )


def _log_role_in_force(client: Client) -> str:
    return str(client("apigateway").get_account().get("cloudwatchRoleArn") or "")


def _of_stack(client: Client, stack: str) -> set[str]:
    """Return the physical ids of what a stack has; DescribeStackResources knows what was deleted, too."""
    if status(client, stack) is None:
        return set()
    found = client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    return {
        str(item.get("PhysicalResourceId"))
        for item in found
        if not str(item.get("ResourceStatus", "")).startswith("DELETE")
    }


def _shards(client: Client, config: Config) -> Iterator[DeploymentProblem]:
    """Find a number of shards that Kinesis does not go to at once.

    Kinesis API reference, UpdateShardCount: not "more than double your current shard count", not "below half" of it;
    DescribeLimits: the shards that an account may have in the region.
    """
    limits = client("kinesis").describe_limits()
    summary = or_none(
        lambda: client("kinesis").describe_stream_summary(StreamName=names.STREAM),
        "ResourceNotFoundException",
    )
    now = int(summary["StreamDescriptionSummary"]["OpenShardCount"]) if summary else 0
    free = limits["ShardLimit"] - limits["OpenShardCount"]
    if config.shards - now > free:
        yield DeploymentProblem(
            f"the account may have {limits['ShardLimit']} shards in this region, of which {free} are free; shards = "
            f"{config.shards} needs {config.shards - now} more",
            "fewer shards in monitor.toml, or raise the quota L-8D3E2A2D of Kinesis",
        )
    if now and not now / 2 <= config.shards <= 2 * now:
        step = 2 * now if config.shards > now else -(-now // 2)
        yield DeploymentProblem(
            f"{names.STREAM} has {now} shards; Kinesis goes to no more than twice and no less than half as many at "
            f"once, and shards = {config.shards} is beyond that",
            f"set shards = {step} in monitor.toml, deploy, and go on from there",
        )


def _watch_list(client: Client, config: Config) -> Iterator[DeploymentProblem]:
    """Find a watch list in S3 that the scanner's role does not let it read: it may read those of the data bucket."""
    if not is_reference(config.tickers):
        return
    found = urlsplit(config.tickers)
    ours = names.data_bucket(client("sts").get_caller_identity()["Account"])
    if found.netloc != ours or not found.path.startswith("/watch-lists/"):
        yield DeploymentProblem(
            f"the scanner may not read the watch list {config.tickers}",
            f"put it below s3://{ours}/watch-lists/ (after a first deployment with other tickers), and name that",
        )


def _invitations(client: Client, config: Config) -> Iterator[DeploymentProblem]:
    """Find more invitations than Cognito sends.

    Cognito guide, "Quotas in Amazon Cognito": 50 emails a day with the email settings that a pool has by itself.
    """
    invited: set[str] = set()
    if status(client, names.API_STACK) is not None:
        template = client("cloudformation").get_template(StackName=names.API_STACK)["TemplateBody"]
        template = json.loads(template) if isinstance(template, str) else template
        invited = {
            item["Properties"].get("Username")
            for item in template.get("Resources", {}).values()
            if item["Type"] == "AWS::Cognito::UserPoolUser"
        }
    if (new := len(set(config.people) - invited)) > _INVITATIONS:
        yield DeploymentProblem(
            f"{new} people would be invited at once; Cognito sends {_INVITATIONS} emails a day",
            f"add {_INVITATIONS} people a day at most to monitor.toml",
        )


_CHECKS = (
    _account,
    _other_region,
    stacks,
    _concurrency,
    _shards,
    _keys,
    _watch_list,
    _invitations,
    _log_role,
)


def or_none(ask: Callable[[], Any], absent: str) -> Any:
    """Return the answer of AWS; None where it says that there is nothing, in a code that begins with `absent`."""
    try:
        return ask()
    except ClientError as error:
        if not str(error.response.get("Error", {}).get("Code")).startswith(absent):
            raise
        return None


def status(client: Client, stack: str) -> str | None:
    """Return the status of a stack; None if there is none."""
    try:
        return str(client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ValidationError":  # "does not exist"
            return None
        raise
