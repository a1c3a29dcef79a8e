"""Programs that outlive the command that started them, known as `stream_infra.operations.programs` says."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from localstack.files import write_atomically
from localstack.settings import ROOT, LocalError, LocalSettings
from stream_infra.operations.programs import process_id, started

READY_SECONDS = 180.0
"""A start takes seconds, and on a machine that does much else a minute; a program that ends is not waited for."""
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Process:
    """One detached program of the local monitor."""

    name: str
    settings: LocalSettings

    @property
    def _pid_file(self) -> Path:
        return self.settings.directory / f"{self.name}.pid"

    def pid(self) -> int | None:
        """Its process id while it runs, else None."""
        return process_id(self.settings.directory, self.name)

    def is_of_older_code(self) -> bool:
        """Return whether it runs code that was changed since."""
        return self.pid() is not None and _code() not in self._pid_file.read_text().splitlines()[2:]

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it in a session of its own, so that Ctrl-C in the terminal does not reach it."""
        log = self.settings.log(self.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=self.settings.directory,
                start_new_session=True,
            )
        child.returncode = 0  # or Python would warn of a leak where it collects this: it is meant to run on
        try:
            write_atomically(self._pid_file, f"{child.pid}\n{started(child.pid)}\n{_code()}\n")
        except BaseException:  # a full disk, Ctrl-C: nobody would know of it, and nobody end it
            _end_group(child.pid, STOP_SECONDS)
            raise

    def wait_until(self, ready: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
        """Wait until `ready()`.

        Raises
        ------
        LocalError
            If the program ended, or was not ready in time; the message quotes the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if self.pid() is None:
                raise LocalError(f"{self.name} ended at once:\n{self._log_end()}")
            if time.monotonic() > deadline:
                raise LocalError(f"{self.name} was not ready after {seconds:.0f} s:\n{self._log_end()}")
            time.sleep(0.05)

    def stop(
        self, seconds: float = STOP_SECONDS, progress: Callable[[], object] = lambda: None
    ) -> Literal["", "ended", "killed"]:
        """End it and all that it started, by force after `seconds` without `progress`; return what became of it.

        Parameters
        ----------
        progress
            Returns something else for as long as the program gets on with its end.

        Returns
        -------
        str
            Empty if it was not running.
        """
        pid = self.pid()
        ended = pid is None or _end_group(pid, seconds, progress)
        self._pid_file.unlink(missing_ok=True)
        if pid is None:
            return ""
        return "ended" if ended else "killed"

    def resume(self) -> None:
        """Let it and all that it started go on where a signal halted them (SIGSTOP); others do not notice."""
        if (pid := self.pid()) is not None:
            _signal_group(pid, signal.SIGCONT)

    def _log_end(self) -> str:
        log = self.settings.log(self.name)
        lines = log.read_text(errors="replace").splitlines()[-12:] if log.exists() else []
        return "\n".join([*(f"    {line}" for line in lines), f"    ({log})"])


def _code() -> str:
    """Return a fingerprint of what the programs are made of: this package and the libraries."""
    digest = hashlib.sha256()
    for path in (ROOT / "requirements.lock", *sorted((ROOT / "localstack").glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _end_group(pid: int, seconds: float, progress: Callable[[], object] = lambda: None) -> bool:
    """End a group; return whether it ended by itself."""
    _signal_group(pid, signal.SIGTERM)
    _signal_group(pid, signal.SIGCONT)  # one that is halted ends only when it goes on
    if _wait_gone(pid, seconds, progress):
        return True
    _signal_group(pid, signal.SIGKILL)
    _wait_gone(pid, STOP_SECONDS)
    return False


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)  # it leads its own session, so its group is all that it started
    except ProcessLookupError:
        return  # it ended between the look and the signal


def _group_runs(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait_gone(pid: int, seconds: float, progress: Callable[[], object] = lambda: None) -> bool:
    deadline, reached = time.monotonic() + seconds, progress()
    while _group_runs(pid):
        if (now := progress()) != reached:
            deadline, reached = time.monotonic() + seconds, now
        elif time.monotonic() > deadline:
            return False
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # reap it where it is our own child
        time.sleep(0.05)
    return True
