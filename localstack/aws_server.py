"""Serves the embedded local AWS, to programs only: ``python -m localstack.aws_server``.

MiniStack is an ASGI application (``hypercorn ministack.app:app`` is one of its documented ways to start it); its
own command serves it to every web page as well.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import sys
from pathlib import Path

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import app

from localstack.programs_only import ProgramsOnly
from localstack.saved_state import SaveErrors, finish
from localstack.settings import HOST

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
    errors = SaveErrors()
    logging.getLogger("persistence").addHandler(errors)
    asyncio.run(serve(ProgramsOnly(app), config))  # type: ignore[arg-type]  # Starlette's types are looser
    finish(Path(os.environ["STOCK_MONITOR_DIR"]), errors.messages)
    return 1 if errors.messages else 0


if __name__ == "__main__":
    sys.exit(main())
