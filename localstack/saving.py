"""Saves what the local AWS holds while it runs, and says whether that went well.

So that a kill costs minutes and not the run, a fork of the process ends its lifespan every few minutes: it has all
data of one moment, and writes them beside those of the last run.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from localstack.saved_state import MOST_OF_THE_TIME, SAVE_SIGNAL, SaveErrors, keep
from stream_infra.operations.programs import SAVING

_FORK_SECONDS = 300.0
"""A fork that takes longer waits for a lock that another thread held: it is ended, and the next one tried."""
_REASON_BYTES = 1000
_logger = logging.getLogger(__name__)


class Saving:
    """An ASGI middleware: `GET SAVING` returns why the last save failed, as `{"problem": ""}` if none did.

    Nothing on the disk could say so: it may be full.
    """

    def __init__(self, app: ASGIApp, directory: Path, save: Callable[[Path], str]) -> None:
        """`directory` is the local monitor's; `save` writes the data below a folder and returns why it could not."""
        self._app, self._directory, self._save = app, directory, save
        self._problem = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell whoever asks for it; pass on everything else."""
        if scope["type"] == "http" and scope["path"] == SAVING:
            await JSONResponse({"problem": self._problem})(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def start(self, every_s: float) -> None:
        """Save that often from now on, and whenever SAVE_SIGNAL comes."""
        wanted = threading.Event()
        signal.signal(SAVE_SIGNAL, lambda *_: wanted.set())
        threading.Thread(target=self._regularly, args=(every_s, wanted), daemon=True).start()

    def _regularly(self, every_s: float, wanted: threading.Event) -> None:
        took_s = 0.0
        while True:
            wanted.wait(max(every_s, took_s / MOST_OF_THE_TIME))
            wanted.clear()
            began = time.monotonic()
            self.now()
            took_s = time.monotonic() - began

    def now(self) -> None:
        """Save once; the copy before it stays where that fails."""
        try:
            self._problem = keep(self._directory, self._save)
        except OSError as error:  # a full disk, say
            self._problem = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
        if self._problem:
            _logger.warning("the data were not saved, the copy before them stays: %s", self._problem)


def save_by_a_fork(app: ASGIApp, errors: SaveErrors, folder: Path) -> str:
    """Write the data that `app` holds at this moment below a folder; return why not all were written."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Threads are not there in the fork: it needs none.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            for number in (signal.SIGTERM, SAVE_SIGNAL):
                signal.signal(number, signal.SIG_DFL)
            os.chdir(folder)  # STATE_DIR is below it
            errors.messages.clear()
            asyncio.run(_end_lifespan(app))
            os.write(writing, "; ".join(errors.messages).encode()[:_REASON_BYTES])
            os._exit(1 if errors.messages else 0)
        finally:
            os._exit(2)
    os.close(writing)
    with os.fdopen(reading, errors="replace") as pipe:
        how = _ended(pid)
        return how and (pipe.read() or how)


async def _end_lifespan(app: ASGIApp) -> None:
    """Tell the application that the server ends: https://asgi.readthedocs.io/en/latest/specs/lifespan.html."""

    async def receive() -> Any:
        return {"type": "lifespan.shutdown"}

    async def send(_message: Any) -> None:
        return

    await app(
        {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}, receive, send
    )


def _ended(pid: int) -> str:
    """Wait for the fork; return what went wrong, or an empty text."""
    deadline = time.monotonic() + _FORK_SECONDS
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return f"its fork ended with {os.waitstatus_to_exitcode(status)}" if status else ""
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return f"it took more than {_FORK_SECONDS:.0f} s"
        time.sleep(0.05)
