"""`python -m tests.e2e.hostmode`: run LocalStack without Docker until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from localstack.settings import ROOT, LocalError
from tests.e2e.hostmode.install import VERSION
from tests.e2e.hostmode.server import running

DIRECTORY = ROOT / ".local" / "localstack"


def main() -> int:
    """Command line. Returns the exit code: 0 after SIGTERM, 130 after Ctrl-C, 1 if it does not come up."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.e2e.hostmode",
        description=f"Run LocalStack {VERSION} without Docker, empty, until Ctrl-C. The first start installs it.",
        epilog="Example: python -m tests.e2e.hostmode --port 4566",
    )
    parser.add_argument("--port", type=int, default=4566, help="port on 127.0.0.1 (default: 4566)")
    parser.add_argument(
        "--directory", type=Path, default=DIRECTORY, metavar="DIR", help="where it is installed and works"
    )
    arguments = parser.parse_args()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        with running(arguments.directory.resolve(), arguments.port) as url:
            print(f"LocalStack {VERSION} answers at {url}")  # noqa: T201
            ended.wait()
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
