"""Starts and ends LocalStack as a process of this machine."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from localstack.node import find_node
from localstack.settings import HOST, LocalError
from tests.e2e.hostmode.install import install

_START_SECONDS = 120.0
_END_SECONDS = 20.0
_LOOPBACK = Path(__file__).resolve().parent / "loopback.cjs"


@contextmanager
def running(directory: Path, port: int) -> Iterator[str]:
    """Run LocalStack on a port of 127.0.0.1; gives its URL. It starts empty and keeps nothing.

    Raises:
        LocalError: it cannot be installed or does not come up, or one runs there already; the message says why.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LocalError(f"a LocalStack runs from {directory} already: end it first") from error
        with _process(directory, port) as url:
            yield url


@contextmanager
def _process(directory: Path, port: int) -> Iterator[str]:
    python = install(directory)
    for leftover in ("root", "tmp"):
        shutil.rmtree(directory / leftover, ignore_errors=True)
    (directory / "tmp").mkdir()
    (directory / "root").mkdir()
    _keep_downloads(directory)
    log = directory / "localstack.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(python), "-m", "localstack.runtime.main"],
            cwd=directory,
            env=environment(os.environ, directory, port),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://{HOST}:{port}"
        _await_health(url, process, log)
        yield url
    finally:
        _end(process)


def environment(machine: Mapping[str, str], directory: Path, port: int) -> dict[str, str]:
    """LocalStack's environment variables: the machine's without its AWS settings, and ours."""
    kept = {
        name: value
        for name, value in machine.items()
        if not name.startswith(("AWS_", "LOCALSTACK_", "PYTHON", "VIRTUAL_ENV"))
    }
    python = directory / "environment" / "bin"
    return {
        **kept,
        "PATH": f"{python}{os.pathsep}{find_node().path()}",
        "NODE_OPTIONS": f'--require "{_LOOPBACK}"',
        "FILESYSTEM_ROOT": str(directory / "root"),
        "TMPDIR": str(directory / "tmp"),
        "OVERRIDE_IN_DOCKER": "0",
        "GATEWAY_LISTEN": f"{HOST}:{port}",
        "LOCALSTACK_HOST": f"{HOST}:{port}",
        "GATEWAY_SERVER": "hypercorn",  # its default server listens on every interface
        "DNS_ADDRESS": "0",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DISABLE_EVENTS": "1",
        "EAGER_SERVICE_LOADING": "0",
        "KINESIS_LATENCY": "0",
        "KINESIS_PERSISTENCE": "0",
        "LAMBDA_RUNTIME_EXECUTOR": "process",
        "PROVIDER_OVERRIDE_DYNAMODB": "moto",
    }


def _keep_downloads(directory: Path) -> None:
    """LocalStack's Kinesis comes from npm on first use; it goes to a folder that outlives the run."""
    downloads = directory / "downloads"
    downloads.mkdir(exist_ok=True)
    library = directory / "root" / "var" / "lib" / "localstack"
    library.mkdir(parents=True)
    (library / "lib").symlink_to(downloads, target_is_directory=True)


def _await_health(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while health(url) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            lines = log.read_text(errors="replace").splitlines()[-15:]
            raise LocalError("\n".join(["LocalStack did not come up:", *lines, f"({log})"]))
        time.sleep(0.25)


def health(url: str) -> dict[str, object] | None:
    """What the local AWS says of itself (`version`, `edition`, `services`); None while it does not answer."""
    try:
        with urllib.request.urlopen(f"{url}/_localstack/health", timeout=5) as answer:
            said = json.load(answer)
    except (urllib.error.URLError, ConnectionError, TimeoutError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End LocalStack, its functions and its Kinesis."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
