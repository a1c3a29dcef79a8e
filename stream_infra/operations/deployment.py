"""Deploying to AWS: what has to be right before, what would be lost, and the CDK CLI that does it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from producers.sources import get
from stream_infra import names
from stream_infra.config import Config
from stream_infra.operations.changes import Change, Template, dangerous
from stream_infra.operations.errors import FailedError

ROOT = Path(__file__).resolve().parents[2]
UNRESERVED = 100
"""Lambda keeps so much of an account's concurrency for functions without a reserved one, and all of an account that has
less (Lambda guide, "Configuring reserved concurrency")."""
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
    checks = _CHECKS if adopt else (*_CHECKS, _leftovers)
    return [problem for check in checks for problem in check(client, config)]


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


def _stacks(client: Client, _config: Config) -> Iterator[DeploymentProblem]:
    if _status(client, "CDKToolkit") is None:
        yield DeploymentProblem(
            "the account and region are not bootstrapped for the CDK",
            "stock-monitor deploy … --bootstrap",
        )
    for stack in names.STACKS:
        # CloudFormation guide, "Stack status codes": such a stack can only be deleted.
        if _status(client, stack) in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}:
            yield DeploymentProblem(
                f"{stack} is left over from a failed first deployment",
                f"aws cloudformation delete-stack --stack-name {stack}",
            )


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
    try:
        client("secretsmanager").describe_secret(SecretId=names.SOURCE_SECRET)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
            raise
        yield DeploymentProblem(
            f"the source {config.source} needs keys, and there is no secret {names.SOURCE_SECRET}",
            "create it (docs/security.md), or choose a source that needs none",
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
    if _status(client, stack) is None:
        return set()
    found = client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    return {
        str(item.get("PhysicalResourceId"))
        for item in found
        if not str(item.get("ResourceStatus", "")).startswith("DELETE")
    }


_CHECKS = (_account, _other_region, _stacks, _concurrency, _keys, _log_role)


def _status(client: Client, stack: str) -> str | None:
    try:
        return str(client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ValidationError":  # "does not exist"
            return None
        raise


def running(client: Client) -> dict[str, Template]:
    """Return the templates of the stacks that run."""
    found = {}
    for stack in names.STACKS:
        if _status(client, stack) is not None:
            body = client("cloudformation").get_template(StackName=stack)["TemplateBody"]
            found[stack] = json.loads(body) if isinstance(body, str) else body
    return found


def changes(client: Client, assembly: Path) -> list[Change]:
    """Return the dangerous changes between what runs and an assembly of the CDK."""
    wanted = {stack: json.loads((assembly / f"{stack}.template.json").read_text()) for stack in names.STACKS}
    return dangerous(running(client), wanted, client("sts").get_caller_identity()["Account"])


def difference(assembly: Path) -> None:
    """Show on standard error what an assembly would change beside what runs; it only reads.

    Raises
    ------
    FailedError
        It could not be compared.
    """
    cdk(["diff", "--method", "template", "--app", str(assembly)])


def target_of(client: Client) -> dict[str, str]:
    """Return the account and region that the credentials are for, as settings.

    With them names are written out in the templates, as CloudFormation wants it of what it is to take over.
    """
    sts = client("sts")
    return {"account": sts.get_caller_identity()["Account"], "region": sts.meta.region_name}


def bootstrap(client: Client) -> None:
    """Make what the CDK needs in the account and region, once (CDK guide, "Bootstrap your environment").

    Raises
    ------
    FailedError
        The credentials may not do that, or it failed.
    """
    target = target_of(client)
    with (
        tempfile.TemporaryDirectory() as empty
    ):  # without a cdk.json: our app would be synthesized for nothing
        cdk(["bootstrap", f"aws://{target['account']}/{target['region']}"], Path(empty))


def synthesize(deployment: str, *, upload: bool = False, **settings: str) -> Path:
    """Return a new assembly of a deployment, with `settings` in place of those of monitor.toml.

    With `upload` it uploads the page's files again: what is in a bucket is none of CloudFormation's resources.

    Raises
    ------
    FailedError
        The CDK app failed; what it said is on standard error.
    """
    folder = Path(tempfile.mkdtemp(prefix="stock-monitor-"))
    given = {"deployment": deployment, **settings} | ({names.UPLOAD_CONTEXT: folder.name} if upload else {})
    context = [word for key, value in given.items() for word in ("-c", f"{key}={value}")]
    cdk(["synth", "--quiet", "--output", str(folder), *context])
    return folder


def deploy(assembly: Path, *, adopt: bool = False, revert_drift: bool = False) -> None:
    """Deploy all stacks of an assembly.

    Parameters
    ----------
    adopt
        Let them take over what is there by their names. CloudFormation guide, "Import AWS resources into a
        CloudFormation stack automatically": of resources whose name is written out in the template, whose
        DeletionPolicy retains them, and which no other stack has.
    revert_drift
        Compare with what is really there. CloudFormation guide, "Using drift-aware change sets": all others compare
        the new template with the former one, and find nothing to do where those are equal.

    Raises
    ------
    FailedError
        CloudFormation took the deployment back, or it could not begin.
    """
    how = [("--import-existing-resources", adopt), ("--revert-drift", revert_drift)]
    chosen = [flag for flag, wanted in how if wanted]
    cdk(["deploy", "--all", "--require-approval", "never", "--app", str(assembly), *chosen])


@contextmanager
def parameters_kept(client: Client) -> Iterator[None]:
    """Leave the watch list and the thresholds as they are in force: what the stack gave them at first is drift of ours.

    Parameters that are not there are left to the stack.
    """
    ssm, wanted = client("ssm"), [names.TICKER_PARAMETER, names.THRESHOLD_PARAMETER]
    before = {of["Name"]: of["Value"] for of in ssm.get_parameters(Names=wanted)["Parameters"]}
    try:
        yield
    finally:
        after = {of["Name"]: of["Value"] for of in ssm.get_parameters(Names=wanted)["Parameters"]}
        for name, value in before.items():
            if name in after and after[name] != value:
                ssm.put_parameter(Name=name, Value=value, Overwrite=True)


def cdk(arguments: Sequence[str], folder: Path = ROOT) -> None:
    """Run in a folder the CDK CLI that package-lock.json pins, with the machine's Node.js or that of the environment.

    Raises
    ------
    FailedError
        It failed, or is not installed.
    """
    if not (ROOT / "node_modules" / ".bin" / "cdk").exists():
        raise FailedError("the CDK CLI is not installed: run `make node_modules/.installed` in the checkout")
    npm = [sys.executable, "-m", "localstack.node", "npm", "--prefix", str(ROOT)]
    done = subprocess.run([*npm, "exec", "--", "cdk", *arguments], cwd=folder, stdout=sys.stderr, check=False)
    if done.returncode:
        raise FailedError(f"cdk {arguments[0]} failed: see above; the runbook says more (failed-deployment)")
