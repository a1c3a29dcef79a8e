"""One Lambda execution environment: a process running `awslambdaric`. Nothing here knows LocalStack."""

from __future__ import annotations

import fcntl
import json
import os
import queue
import signal
import subprocess
import termios
import threading
import time
from array import array
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .runtime_api import Event, RuntimeApi

_INIT_SECONDS = 30.0
_LOOK_SECONDS = 0.25
_LAST_LINES_SECONDS = 0.005
_LONGEST_LAST_LINES_SECONDS = 5.0
# What a process needs of the machine; everything else is the function's own.
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE")


@dataclass(frozen=True)
class Function:
    """A function's unpacked code, its environment variables, and its limits."""

    code: Path
    variables: dict[str, str]
    timeout_seconds: int
    memory_mb: int


class Answer(NamedTuple):
    """What came of an invocation: JSON, whether it is an error, and the log with Lambda's START, END and REPORT."""

    body: bytes
    is_error: bool
    log: str


class StartError(RuntimeError):
    """The process ended, or reported an error, before it asked for its first event. `payload` is that error."""

    def __init__(self, payload: bytes) -> None:
        super().__init__(payload.decode(errors="replace"))
        self.payload = payload


class Environment:
    """A function's process. One invocation at a time, as on Lambda.

    A process that crashes or exceeds its timeout is gone; the next invocation starts another.
    """

    def __init__(self, function: Function, python: str) -> None:
        self._function = function
        self._python = python
        self._api = RuntimeApi()
        self._process: subprocess.Popen[bytes] | None = None
        self._written: list[str] = []

    def start(self) -> None:
        """Start the process and wait until it asks for its first event.

        Raises:
            StartError: it ended, reported an error or took too long.
        """
        self._api.expect_process()
        process = subprocess.Popen(
            [self._python, "-m", "awslambdaric", self._function.variables.get("_HANDLER", "")],
            cwd=self._function.code,
            env=self._process_variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._process = process
        threading.Thread(target=self._read_output, args=(process,), daemon=True).start()
        deadline = time.monotonic() + _INIT_SECONDS
        error = b""
        while not error and not self._api.ready.wait(0.02):
            if process.poll() is not None or time.monotonic() > deadline:
                error = _error("Runtime.ExitError", self._exit())
        if error := self._api.init_error or error:
            self._kill()
            raise StartError(error)

    def invoke(self, request_id: str, function_arn: str, payload: bytes) -> Answer:
        """Run one invocation to its end. A crash or a timeout is an answer, too."""
        self._written.clear()
        began = time.monotonic()
        try:
            if self._process is None or self._process.poll() is not None:
                self.start()
        except StartError as error:
            return self._answer(request_id, began, error.payload, is_error=True)
        began = time.monotonic()  # the time that a process takes to start does not count for its time-out
        self._api.events.put(Event(request_id, function_arn, payload, self._function.timeout_seconds))
        while True:
            try:
                result = self._api.results.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                if trouble := self._trouble(request_id, began):
                    return self._answer(request_id, began, trouble, is_error=True)
            else:
                if result.request_id == request_id:
                    return self._answer(request_id, began, result.body, is_error=result.is_error)

    def output(self) -> str:
        """What the process wrote since the last invocation began."""
        return "".join(list(self._written))

    def close(self) -> None:
        """End the process and its Runtime API."""
        self._kill()
        self._api.close()

    def _trouble(self, request_id: str, began: float) -> bytes:
        if self._process is None or self._process.poll() is not None:
            return _error("Runtime.ExitError", f"RequestId: {request_id} Error: {self._exit()}")
        seconds = self._function.timeout_seconds
        if time.monotonic() - began > seconds:
            self._kill()
            what = f"Task timed out after {seconds:.2f} seconds"
            self._written.append(f"{request_id} {what}\n")
            return _error("Sandbox.Timedout", f"RequestId: {request_id} Error: {what}")
        return b""

    def _exit(self) -> str:
        code = self._process.poll() if self._process else None
        return f"Runtime exited with error: exit status {code}"

    def _answer(self, request_id: str, began: float, body: bytes, *, is_error: bool) -> Answer:
        milliseconds = (time.monotonic() - began) * 1000
        self._read_last_lines()
        log = (
            f"START RequestId: {request_id} Version: $LATEST\n{self.output()}END RequestId: {request_id}\n"
            f"REPORT RequestId: {request_id}\tDuration: {milliseconds:.2f} ms\t"
            f"Billed Duration: {int(milliseconds) + 1} ms\tMemory Size: {self._function.memory_mb} MB\n"
        )
        return Answer(body, is_error, log)

    def _read_last_lines(self) -> None:
        """Wait until what the process wrote is out of the pipe; a busy machine may take its time to read it."""
        ends = time.monotonic() + _LONGEST_LAST_LINES_SECONDS
        unread, pipe = array("i", [1]), self._process and self._process.stdout
        while pipe and unread[0] and time.monotonic() < ends:
            time.sleep(_LAST_LINES_SECONDS)
            try:
                fcntl.ioctl(pipe.fileno(), termios.FIONREAD, unread)
            except (OSError, ValueError):  # it is closed: all was read
                break
        time.sleep(_LAST_LINES_SECONDS)  # from the reader's hands to the list

    def _process_variables(self) -> dict[str, str]:
        code = str(self._function.code)
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        return {
            **kept,
            **self._function.variables,
            "LAMBDA_TASK_ROOT": code,
            "LAMBDA_RUNTIME_DIR": code,
            "PYTHONPATH": code,
            "PYTHONUNBUFFERED": "1",
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
        }

    def _read_output(self, process: subprocess.Popen[bytes]) -> None:
        with process.stdout or nullcontext(()) as lines:
            for line in lines:
                self._written.append(line.decode(errors="replace"))

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()
