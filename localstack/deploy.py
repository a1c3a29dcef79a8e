"""Deploy the CDK app to the local AWS with the CDK CLI, as one would to AWS."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from botocore.exceptions import ClientError

from localstack.clients import client
from localstack.complement import complement
from localstack.files import write_atomically
from localstack.node import cdk, find_node
from localstack.settings import ACCOUNT, REGION, ROOT, LocalError, LocalSettings, aws_environment
from stream_infra import names
from stream_infra.cdk.bundling import bundles
from stream_infra.config import Config

Progress = Callable[[str], None]


def deploy(settings: LocalSettings, config: Config, progress: Progress) -> bool:
    """Bootstrap and deploy unless all is deployed as it stands; True if anything was done.

    Raises
    ------
    LocalError
        If the CDK CLI failed; the message quotes it.
    """
    progress("bundling the functions")
    fingerprint = _fingerprint(settings, config, bundles(ROOT, config).values())
    mark = settings.directory / "deployed"
    if mark.exists() and mark.read_text() == fingerprint and _all_complete(settings):
        return False
    mark.unlink(missing_ok=True)
    if not _exists(settings, "CDKToolkit"):
        progress("bootstrapping the CDK")
        # From a folder without a cdk.json: the bootstrap stack needs no app, and synthesizing ours takes seconds.
        _run(settings, ["bootstrap", f"aws://{ACCOUNT}/{REGION}"], settings.directory, progress)
    progress("synthesizing the stacks")
    assembly = settings.directory / "cdk.out"
    shutil.rmtree(assembly, ignore_errors=True)  # it would keep the bundles of every deployment
    arguments = ["deploy", "--all", "--require-approval", "never", "--method", "direct", "--concurrency", "6"]
    arguments += ["--output", str(assembly), "--progress", "events", *context(config)]
    _run(settings, arguments, ROOT, progress)
    progress("setting what the emulator's CloudFormation leaves out")
    complement(settings, assembly)
    write_atomically(mark, fingerprint)
    return True


def context(config: Config) -> list[str]:
    """Return the CDK CLI's arguments for a deployment: every setting, so that nothing else decides one."""
    return [word for key, value in config.context().items() for word in ("-c", f"{key}={value}")]


def cdk_environment(settings: LocalSettings) -> dict[str, str]:
    """Environment of the CDK CLI: nothing of the user's AWS."""
    return aws_environment(settings) | {
        "PATH": find_node().path(),
        "CDK_DISABLE_LEGACY_EXPORT_WARNING": "1",
        "CDK_DISABLE_CLI_TELEMETRY": "1",
        "CDK_VALIDATION": "false",  # by CloudFormation's rules: four seconds, and the tests did it
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
    }


def api_id(settings: LocalSettings) -> str:
    """Id of the deployed REST API.

    Raises
    ------
    LocalError
        If it is not deployed.
    """
    for stack in client(settings, "cloudformation").describe_stacks(StackName=names.API_STACK)["Stacks"]:
        for output in stack.get("Outputs", []):
            if output["OutputKey"] == "ApiId":
                return str(output["OutputValue"])
    raise LocalError("ApiStack has no output ApiId: run `make clean up`")


def _fingerprint(settings: LocalSettings, config: Config, folders: Iterable[Path]) -> str:
    digest = hashlib.sha256(f"{settings.aws} {config.context()} {[path.name for path in folders]}".encode())
    code = [*(ROOT / "stream_infra" / "cdk").rglob("*.py"), *(ROOT / "stream_infra").glob("*.py")]
    sources = [*code, *(ROOT / "localstack").glob("*.py"), ROOT / "cdk.json"]
    for path in sorted([*sources, ROOT / "requirements.lock", ROOT / "package-lock.json"]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _exists(settings: LocalSettings, stack: str) -> bool:
    try:
        client(settings, "cloudformation").describe_stacks(StackName=stack)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":  # how CloudFormation says "no such stack"
            return False
        raise
    return True


def _all_complete(settings: LocalSettings) -> bool:
    stacks = client(settings, "cloudformation").describe_stacks()["Stacks"]
    complete = {stack["StackName"] for stack in stacks if stack["StackStatus"].endswith("_COMPLETE")}
    return complete >= set(names.STACKS)


def _run(settings: LocalSettings, arguments: list[str], folder: Path, progress: Progress) -> None:
    environment = cdk_environment(settings)
    bound = [sys.executable, "-m", "localstack.bound"]  # a deployment goes on with nobody
    command = [*bound, str(find_node().binary), str(cdk()), *arguments, "--ci", "--no-color", "--no-notices"]
    log = settings.log("cdk")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as record:
        child = subprocess.Popen(
            command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert child.stdout is not None  # noqa: S101  asked for by stdout=PIPE
        done: list[str] = []
        for line in child.stdout:
            record.write(line)
            if line.strip().startswith("✅") and (stack := line.split()[1]) in names.STACKS:
                done.append(stack)
                progress(f"deployed {stack} ({len(done)} of {len(names.STACKS)})")
    if child.wait():
        raise LocalError(f"cdk {arguments[0]} failed:\n{_end(log)}")


def _end(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return "\n".join([*(f"    {line}" for line in lines[-15:]), f"    ({log})"])


def write_endpoints(settings: LocalSettings) -> None:
    """Write `.local/endpoints.json`, where `stock-monitor` looks."""
    endpoints = {
        "dashboard": f"{settings.origin}/",
        "api": f"{settings.origin}/api",
        "aws": settings.aws,
        "outbox": f"{settings.origin}/outbox",
    }
    write_atomically(settings.directory / "endpoints.json", json.dumps(endpoints, indent=2) + "\n")
