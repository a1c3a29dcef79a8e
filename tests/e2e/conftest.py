"""The whole monitor on a local AWS, for every test of this folder, and only as long as these run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from localstack_client.session import Session

from localstack.settings import free_port

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
_OLDER_VERSION = "its CopyObject refuses an older version over the newest, which S3 takes"
NOT_ON_LOCALSTACK = {
    "test_a_spoiled_and_a_deleted_object": _OLDER_VERSION,
    "aws s3api copy-object": _OLDER_VERSION,
    "stock-monitor recover object": _OLDER_VERSION,
    "aws cloudformation detect-stack-drift": "DetectStackDrift is not in this edition",
    "aws cloudformation rollback-stack": "RollbackStack is not in this edition",
    "aws cloudfront": "CloudFront is not in this edition",
    "aws cloudtrail": "CloudTrail is not in this edition",
    "aws cloudwatch list-dashboards": "dashboards are not in this edition",
    "aws iam simulate-principal-policy": "its SimulatePrincipalPolicy knows no `*`",
    "[permission]": "its SimulatePrincipalPolicy knows no `*`",
}
"""What LocalStack 4.9.2 does not show, by a part of the test's name or of the commands that it runs."""


@dataclass(frozen=True)
class Monitor:
    """A running monitor: where it listens, and how a test talks to it."""

    directory: Path
    aws: str
    origin: str
    given: bool
    """Whether the local AWS is somebody else's, given by AWS_ENDPOINT_URL, and not the embedded one."""

    def client(self, service: str) -> Any:
        host = urlsplit(self.aws).netloc
        return Session("test", "test", localstack_host=host).client(service)

    def environment(self) -> dict[str, str]:
        """Of a person's terminal: no AWS settings but those of the local monitor."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        own = {"STOCK_MONITOR_AWS_ENDPOINT": self.aws}
        if not self.given:
            own = {"STOCK_MONITOR_AWS_PORT": self.aws.rsplit(":", 1)[1]}
        return {
            **kept,
            **own,
            "SOURCE": "simulated",  # whatever `[local]` in the checkout's monitor.toml holds
            "STOCK_MONITOR_PORT": self.origin.rsplit(":", 1)[1],
            "STOCK_MONITOR_DIR": str(self.directory),
        }

    def program(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        """Start `stock-monitor …` as a person would beside the running monitor."""
        command = [str(Path(sys.executable).with_name("stock-monitor")), *arguments]
        return subprocess.Popen(
            command,
            cwd=self.directory.parent,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )

    def run(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run `stock-monitor …` to its end."""
        with self.program(*arguments) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            finally:
                process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def make(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What `make up` and `make down` run."""
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )

    def get(self, path: str) -> Any:
        """JSON of the front door, as the dashboard's page gets it."""
        with urllib.request.urlopen(self.origin + path, timeout=20) as answer:
            return json.load(answer)

    @staticmethod
    def eventually(look: Callable[[], T], seconds: float, why: str) -> T:
        """First truthy answer of `look`, within `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = look()
            except (urllib.error.HTTPError, ConnectionError) as error:
                found, why_not = None, repr(error)
            else:
                why_not = repr(found)[:500]
            if found:
                return found
            assert time.monotonic() < deadline, (
                f"after {seconds:.0f} s still not: {why}; last seen: {why_not}"
            )
            time.sleep(0.5)


@pytest.fixture(scope="package")
def monitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitor]:
    """The whole monitor, brought up by `make up` in a folder and on ports of its own; see docs/testing.md."""
    directory = tmp_path_factory.mktemp("monitor") / ".local"
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    aws = endpoint or f"http://127.0.0.1:{free_port()}"
    started = Monitor(directory, aws, f"http://127.0.0.1:{free_port()}", given=bool(endpoint))
    up = started.make("localstack.up")
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        yield started
    finally:
        down = started.make("localstack.down")
        assert down.returncode == 0, down.stdout + down.stderr


@pytest.fixture(autouse=True)
def shown_here(request: pytest.FixtureRequest, monitor: Monitor) -> None:
    """Skips what the local AWS in use does not show."""
    parameters = getattr(request.node, "callspec", SimpleNamespace(params={})).params
    commands = getattr(parameters.get("block"), "commands", parameters.get("command", ""))
    text = f"{request.node.name}\n{commands}"
    reason = next((reason for part, reason in NOT_ON_LOCALSTACK.items() if part in text), None)
    if monitor.given and reason is not None:
        pytest.skip(f"LocalStack 4.9.2: {reason}")
