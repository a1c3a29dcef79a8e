"""The emulated AWS of the local monitor: MiniStack, an AWS in one process, without Docker.

Functions run as its child processes. It keeps its state in memory and writes it to `.local/aws/` when it is asked to
end, so it is always ended by SIGTERM and given the time it needs. A copy is saved every few minutes while it runs.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import partial

import msgspec.structs

from localstack import saved_state
from localstack.processes import Process
from localstack.settings import HOST, LocalError, LocalSettings, aws_environment, port_is_free
from producers.settings import ScannerSettings
from producers.sources import describe

RUNNING = "running"
CONCURRENCY = 10
"""Functions at once in a new account (Lambda guide, "Lambda quotas": "New AWS accounts have reduced concurrency")."""
_ENDING_SECONDS = 5
STALLED_SECONDS = 300.0
"""A day's data take minutes on a slow disk; of an emulator that has written nothing for so long nothing will come."""


def emulator(settings: LocalSettings) -> Process:
    """Return the emulator's process, running or not."""
    return Process("emulator", settings)


def start(settings: LocalSettings) -> str:
    """Start it unless it runs; return what was done, and what was lost if the last run was killed.

    Raises
    ------
    LocalError
        If the port belongs to another program, or the emulator does not come up.
    """
    if settings.endpoint:
        if not is_healthy(settings):
            raise LocalError(
                f"no local AWS answers at {settings.endpoint} (STOCK_MONITOR_AWS_ENDPOINT): start it"
            )
        return RUNNING
    process = emulator(settings)
    if process.pid() is not None:
        process.wait_until(lambda: is_healthy(settings))
        return RUNNING
    if not _becomes_free(settings.aws_port):
        raise LocalError(
            f"port {settings.aws_port} on {HOST} is taken by another program: end it, "
            "or choose another with STOCK_MONITOR_AWS_PORT=<port>"
        )
    lost = saved_state.prepare(settings.directory)
    saved_state.move(settings.directory, settings.aws_port)
    state = settings.directory / "aws"
    # Code of functions, unpacked: one that was killed leaves it, some 30 MB for every process.
    shutil.rmtree(settings.directory / "tmp", ignore_errors=True)
    for folder in (state / "state", state / "s3", settings.directory / "tmp"):
        folder.mkdir(parents=True, exist_ok=True)
    environment = without_quotes_settings(aws_environment(settings)) | {
        "GATEWAY_PORT": str(settings.aws_port),
        "BIND_HOST": HOST,  # its default is every interface
        "MINISTACK_HOST": "localhost",
        "AUTH": "true",
        "LAMBDA_EXECUTOR": "local",
        "LAMBDA_ACCOUNT_CONCURRENCY": str(CONCURRENCY),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "PERSIST_STATE": "1",
        "STATE_DIR": saved_state.STATE,
        "SAVE_EVERY_SECONDS": str(saved_state.EVERY_SECONDS),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(state / "s3"),
        "TMPDIR": str(settings.directory / "tmp"),
        "LOG_LEVEL": "WARNING",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    process.start([sys.executable, "-m", "localstack.aws_server"], environment)
    process.wait_until(lambda: is_healthy(settings))
    return f"started; {lost}" if lost else "started"


def end(settings: LocalSettings) -> str:
    """End it once it has saved its data; return what became of it, as `Process.stop` does.

    Raises
    ------
    LocalError
        If its data could not be saved; one that hangs is killed.
    """
    process = emulator(settings)
    became = process.stop(STALLED_SECONDS, partial(saved_state.progress, settings.directory))
    if became and (why := saved_state.problem(settings.directory)):
        if became == "killed":
            why = f"{process.name} hung: it wrote nothing for {STALLED_SECONDS:g} s, and was killed"
        back = saved_state.of_copy(settings.directory)
        raise LocalError(
            f"the data of this run are not saved: {why}\n"
            f"The next `make up` {f'goes back to the data of {back}' if back else 'begins anew'}."
        )
    return became


def save_soon(settings: LocalSettings) -> None:
    """Let it save now what it holds: a kill soon after a deployment would cost the whole of it."""
    if (pid := emulator(settings).pid()) is not None:
        os.kill(pid, saved_state.SAVE_SIGNAL)


def _becomes_free(port: int) -> bool:
    """Return whether nothing listens on it; one that was killed may still be ending."""
    ends = time.monotonic() + _ENDING_SECONDS
    while not port_is_free(port):
        if time.monotonic() >= ends:
            return False
        time.sleep(0.1)
    return True


def without_quotes_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the keys and options of sources and the scanner's settings.

    Functions inherit the emulator's: what the shell holds at the start would reach every one of them, for as long as
    it runs. They get what they are deployed with, and the scanner its keys from the secret.
    """
    specs = [found.spec for found in describe() if found.spec]
    dropped = {field.encode_name for field in msgspec.structs.fields(ScannerSettings)}
    dropped |= {key.variable for spec in specs for key in spec.keys}
    dropped |= {option.variable for spec in specs for option in spec.options}
    return {name: value for name, value in environment.items() if name not in dropped}


def is_healthy(settings: LocalSettings) -> bool:
    """Return whether it answers."""
    try:
        with urllib.request.urlopen(f"{settings.aws}/_localstack/health", timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
