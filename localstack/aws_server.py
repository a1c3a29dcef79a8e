"""Serves the embedded local AWS, to programs only: ``python -m localstack.aws_server``.

MiniStack is an ASGI application (``hypercorn ministack.app:app`` is one of its documented ways to start it); its
own command serves it to every web page as well.

It saves what it holds when its lifespan ends. So that a kill costs minutes and not the run, a fork of the process ends
its lifespan every few minutes: it has all data of one moment, and writes them beside those of the last run.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import app

from localstack.alarm_dimensions import judge_alarms_by_their_dimensions
from localstack.arrivals import Arrivals
from localstack.clock import follow_a_clock_that_is_set_back
from localstack.distributions import serve_origins_of_our_own
from localstack.function_code import share_code_of_functions
from localstack.function_logs import write_logs_by_the_role
from localstack.growth import keep_calls_small
from localstack.missing_calls import MissingCalls
from localstack.programs_only import ProgramsOnly
from localstack.retention import forget_regularly
from localstack.rights import RIGHTS, Rights
from localstack.saved_state import MOST_OF_THE_TIME, SAVE_SIGNAL, SaveErrors, finish, keep
from localstack.settings import HOST
from localstack.shifts import shift_aliases
from localstack.stack_resources import know_all_types
from localstack.strict_aws import (
    StrictAws,
    know_principals_by_their_role,
    reject_another_choice_of_a_subscriber,
)
from localstack.throttling import throttle_as_lambda_does

_KEEP_ALIVE_SECONDS = 75
_FORK_SECONDS = 300.0
"""A fork that takes longer waits for a lock that another thread held: it is ended, and the next one tried."""
_SAVE_SECONDS = 3600.0
"""Hypercorn's own minute would end the process in the middle of a large state."""


def main() -> int:
    """Serve on 127.0.0.1, at GATEWAY_PORT, until SIGTERM; MiniStack then writes its state."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:  # many functions at once hold many connections
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    config = Config()
    config.bind = [f"{HOST}:{os.environ['GATEWAY_PORT']}"]
    config.keep_alive_timeout = _KEEP_ALIVE_SECONDS
    config.loglevel = os.environ.get("LOG_LEVEL", "WARNING")
    config.shutdown_timeout = _SAVE_SECONDS
    directory = Path(os.environ["STOCK_MONITOR_DIR"])
    rights = Rights()
    rights.load(directory / RIGHTS)
    errors = SaveErrors()
    logging.getLogger("persistence").addHandler(errors)
    every_s = float(os.environ["SAVE_EVERY_SECONDS"])
    wanted = threading.Event()
    signal.signal(SAVE_SIGNAL, lambda *_: wanted.set())
    threading.Thread(target=_save_regularly, args=(directory, every_s, wanted, errors), daemon=True).start()
    know_principals_by_their_role()
    reject_another_choice_of_a_subscriber()
    judge_alarms_by_their_dimensions()
    keep_calls_small()
    follow_a_clock_that_is_set_back()
    throttle_as_lambda_does()
    share_code_of_functions()
    write_logs_by_the_role(rights)
    know_all_types()
    shift_aliases()
    serve_origins_of_our_own(app)
    # Looking for unreachable objects among all that it holds would be a good part of its work.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    asyncio.run(_serve(ProgramsOnly(Arrivals(StrictAws(MissingCalls(app), rights))), config))
    rights.save(directory / RIGHTS)
    finish(directory, errors.messages)
    return 1 if errors.messages else 0


async def _serve(application: Any, config: Config) -> None:
    forgetting = asyncio.create_task(forget_regularly())  # at once: much is due where it did not run for days
    try:
        await serve(application, config)
    finally:
        forgetting.cancel()


def _save_regularly(directory: Path, every_s: float, wanted: threading.Event, errors: SaveErrors) -> None:
    took_s = 0.0
    while True:
        wanted.wait(max(every_s, took_s / MOST_OF_THE_TIME))
        wanted.clear()
        began = time.monotonic()
        try:
            if not keep(directory, lambda folder: _save_by_a_fork(folder, errors)):
                logging.getLogger(__name__).warning("the data were not saved: the copy before them stays")
        except OSError as error:  # a full disk, say
            logging.getLogger(__name__).warning(
                "the data were not saved, the copy before them stays: %s", error
            )
        took_s = time.monotonic() - began


def _save_by_a_fork(folder: Path, errors: SaveErrors) -> bool:
    """Write the data of this moment below a folder; return whether all were written."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # threads are not there in the fork: it needs none
        pid = os.fork()
    if pid == 0:
        try:
            for number in (signal.SIGTERM, SAVE_SIGNAL):
                signal.signal(number, signal.SIG_DFL)
            os.chdir(folder)  # STATE_DIR is below it
            errors.messages.clear()
            asyncio.run(_end_lifespan())
            os._exit(1 if errors.messages else 0)
        finally:
            os._exit(2)
    return _ended_well(pid)


async def _end_lifespan() -> None:
    """Tell the application that the server ends: https://asgi.readthedocs.io/en/latest/specs/lifespan.html."""

    async def receive() -> Any:
        return {"type": "lifespan.shutdown"}

    async def send(_message: Any) -> None:
        return

    await app(
        {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}, receive, send
    )


def _ended_well(pid: int) -> bool:
    deadline = time.monotonic() + _FORK_SECONDS
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status == 0
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return False
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
