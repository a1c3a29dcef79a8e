"""Serves the embedded local AWS, to programs only: ``python -m localstack.aws_server``.

MiniStack is an ASGI application (``hypercorn ministack.app:app`` is one of its documented ways to start it); its
own command serves it to every web page as well.

It saves what it holds when its lifespan ends, and a copy every few minutes (`localstack.saving`).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import sys
from functools import partial
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
from localstack.saved_state import SaveErrors, finish
from localstack.saving import Saving, save_by_a_fork
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
    strict = StrictAws(MissingCalls(app), rights)
    saving = Saving(strict, directory, partial(save_by_a_fork, app, errors))
    saving.start(float(os.environ["SAVE_EVERY_SECONDS"]))
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
    asyncio.run(_serve(ProgramsOnly(Arrivals(saving)), config))
    rights.save(directory / RIGHTS)
    finish(directory, errors.messages)
    return 1 if errors.messages else 0


async def _serve(application: Any, config: Config) -> None:
    forgetting = asyncio.create_task(forget_regularly())  # at once: much is due where it did not run for days
    try:
        await serve(application, config)
    finally:
        forgetting.cancel()


if __name__ == "__main__":
    sys.exit(main())
