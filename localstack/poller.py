"""Starts or stops the program that drives the detector's event source mapping: ``python -m localstack.poller stop``."""

from __future__ import annotations

import sys

from localstack.settings import LocalError, read_settings
from localstack.up import runner, start_runner


def main(action: str) -> None:
    """Start or stop it, where the environment says that the local monitor is."""
    settings = read_settings()
    if action == "start":
        start_runner(settings)
    else:
        runner(settings).stop()


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except LocalError as error:
        sys.exit(f"{error}")
