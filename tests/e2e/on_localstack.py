"""Run the end-to-end tests on LocalStack: `make test-localstack`.

Where LocalStack comes from, the first that applies:

1. AWS_ENDPOINT_URL=http://host:port         one that runs already
2. LOCALSTACK_HOST_MODE=1                    LocalStack 4.9.2 without Docker (python -m tests.e2e.hostmode)
3. Docker                                    tests/e2e/compose.yaml; LOCALSTACK_VERSION (4.14.0) and
                                             LOCALSTACK_AUTH_TOKEN choose a newer image
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from localstack.settings import HOST, ROOT, LocalError, read_settings
from tests.e2e.hostmode.__main__ import DIRECTORY
from tests.e2e.hostmode.server import health, running
from tests.ports import free_port

_COMPOSE = Path(__file__).resolve().parent / "compose.yaml"


@contextmanager
def local_aws(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The endpoint to test on, and where it came from; ends what it started.

    Raises:
        LocalError: nothing answers there, or there is no way to start one; the message says what can be done.
    """
    if given := environment.get("AWS_ENDPOINT_URL"):
        checked = read_settings({"STOCK_MONITOR_AWS_ENDPOINT": given}).aws
        yield checked, "given by AWS_ENDPOINT_URL"
    elif environment.get("LOCALSTACK_HOST_MODE") == "1":
        with running(DIRECTORY, free_port()) as url:
            yield url, "without Docker (LOCALSTACK_HOST_MODE=1)"
    elif _docker_works():
        with _container(free_port()) as url:
            yield url, "in Docker (tests/e2e/compose.yaml)"
    else:
        raise LocalError(
            "no LocalStack to test on. Do one of these:\n"
            "  start one and name it:  make test-localstack AWS_ENDPOINT_URL=http://127.0.0.1:4566\n"
            "  start Docker, then:     make test-localstack\n"
            "  go without Docker:      make test-localstack LOCALSTACK_HOST_MODE=1"
        )


def describe(url: str) -> str:
    """Version and edition of what answers at `url`.

    Raises:
        LocalError: nothing does.
    """
    said = health(url)
    if said is None:
        raise LocalError(f"no local AWS answers at {url}")
    if "version" not in said:
        return "not LocalStack: it names no version"
    return f"LocalStack {said['version']}, edition {said.get('edition', 'unknown')}"


def _docker_works() -> bool:
    try:
        found = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=20)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return found.returncode == 0


@contextmanager
def _container(port: int) -> Iterator[str]:
    environment = {**os.environ, "LOCALSTACK_PORT": str(port)}
    compose = ["docker", "compose", "--file", str(_COMPOSE), "--project-name", "stock-monitor-tests"]
    try:
        up = subprocess.run([*compose, "up", "--detach", "--wait"], env=environment, check=False)
        if up.returncode:
            raise LocalError("docker compose could not start LocalStack; its message is above")
        yield f"http://{HOST}:{port}"
    finally:
        subprocess.run([*compose, "down", "--volumes"], env=environment, check=False)


def main() -> int:
    """Command line; arguments go to pytest. Returns pytest's exit code, 2 if there is nothing to test on."""
    parser = argparse.ArgumentParser(
        prog="make test-localstack",
        description=__doc__,
        epilog="Example: python -m tests.e2e.on_localstack -k health",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _, chosen = parser.parse_known_args()
    try:
        with local_aws(os.environ) as (url, origin):
            print(f"{describe(url)}, {origin}, at {url}", flush=True)  # noqa: T201
            command = [sys.executable, "-m", "pytest", "tests/e2e", "-m", "e2e", *chosen]
            return subprocess.run(
                command, cwd=ROOT, env={**os.environ, "AWS_ENDPOINT_URL": url}, check=False
            ).returncode
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
