"""A running monitor, and how a test talks to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from localstack_client.session import Session

from tests.guard import guarded
from tests.ports import free_port

T = TypeVar("T")
RUNNING_VARIABLE = "E2E_MONITOR"
"""The folder of a local monitor that runs already: the tests take it, and leave it running."""
ROOT = Path(__file__).resolve().parents[2]
Json = Any
"""What a program answers, as `json` reads it."""


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

    def program(self, *arguments: str, start_new_session: bool = False) -> subprocess.Popen[str]:
        """Start `stock-monitor …` as a person would beside the running monitor."""
        command = [str(Path(sys.executable).with_name("stock-monitor")), *arguments]
        return subprocess.Popen(
            command,
            cwd=self.directory.parent,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=start_new_session,
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
            [sys.executable, "-m", "stream_infra.cli.start", module, *arguments],
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
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


@contextmanager
def running(directory: Path) -> Iterator[Monitor]:
    """The whole monitor as long as the block runs, brought up by `make up` in a folder and on ports of its own."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    aws = endpoint or f"http://127.0.0.1:{free_port()}"
    started = Monitor(directory, aws, f"http://127.0.0.1:{free_port()}", given=bool(endpoint))
    with guarded(directory):
        try:
            up = started.make("localstack.up")
            assert up.returncode == 0, up.stdout + up.stderr
            yield started
        finally:
            down = started.make("localstack.down")
        assert down.returncode == 0, down.stdout + down.stderr


def that_runs(directory: Path) -> Monitor:
    """The monitor that was brought up in a folder."""
    found = json.loads((directory / "endpoints.json").read_text())
    return Monitor(directory, found["aws"], found["dashboard"].rstrip("/"), given=False)
