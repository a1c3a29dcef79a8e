"""Deploying to AWS: what would be lost, and the CDK CLI that does it."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stream_infra import names
from stream_infra.config import BUILT_HERE_CONTEXT
from stream_infra.monitor_toml import SETTINGS_CONTEXT, find_file
from stream_infra.operations.changes import Change, Template, dangerous
from stream_infra.operations.errors import FailedError
from stream_infra.operations.preflight import Client, DeploymentProblem, status

ROOT = Path(__file__).resolve().parents[2]
CDK = ROOT / "node_modules" / ".bin" / "cdk"


def running(client: Client) -> dict[str, Template]:
    """Return the templates of the stacks that run."""
    found = {}
    for stack in names.STACKS:
        if status(client, stack) is not None:
            body = client("cloudformation").get_template(StackName=stack)["TemplateBody"]
            found[stack] = json.loads(body) if isinstance(body, str) else body
    return found


def reserved_concurrency(client: Client, function: str) -> int | None:
    """Return the reserved concurrency that a function's stack gave it; None if it gave none."""
    resources = (of for template in running(client).values() for of in template.get("Resources", {}).values())
    given = (of.get("Properties", {}) for of in resources if of["Type"] == "AWS::Lambda::Function")
    found = (of.get("ReservedConcurrentExecutions") for of in given if of.get("FunctionName") == function)
    return next(found, None)


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

    The settings are those of the monitor.toml in force in the current folder. With `upload` it uploads the page's files
    again: what is in a bucket is none of CloudFormation's resources. For a local AWS (``AWS_ENDPOINT_URL``) functions
    are built for this machine.

    Raises
    ------
    FailedError
        The CDK app failed; what it said is on standard error.
    """
    folder = Path(tempfile.mkdtemp(prefix="stock-monitor-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # more than 100 MB
    given = {"deployment": deployment, SETTINGS_CONTEXT: str(find_file(Path.cwd()) or ""), **settings}
    given |= {names.UPLOAD_CONTEXT: folder.name} if upload else {}
    given |= {BUILT_HERE_CONTEXT: "true"} if os.environ.get("AWS_ENDPOINT_URL") else {}
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


def tools() -> list[DeploymentProblem]:
    """Return what this machine lacks for the CDK CLI, which needs Node.js 20 or newer (CDK guide, "Prerequisites")."""
    node = subprocess.run(
        [sys.executable, "-m", "localstack.node"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    found = [DeploymentProblem(node.stderr.strip(), "make .venv")] if node.returncode else []
    if not CDK.exists():
        found.append(
            DeploymentProblem("the CDK CLI is not installed", "make node_modules/.installed in the checkout")
        )
    return found


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
        It failed.
    """
    npm = [sys.executable, "-m", "localstack.node", "npm", "--prefix", str(ROOT)]
    done = subprocess.run([*npm, "exec", "--", "cdk", *arguments], cwd=folder, stdout=sys.stderr, check=False)
    if done.returncode:
        raise FailedError(f"cdk {arguments[0]} failed: see above; the runbook says more (failed-deployment)")
