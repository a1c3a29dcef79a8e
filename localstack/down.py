"""End the local monitor: `make down` keeps its data, `make clean` (`--forget`) deletes it."""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from rich.console import Console

from localstack import emulator
from localstack.settings import LocalSettings, read_settings, unusable
from localstack.up import alone, failed, front_door, runner
from producers.errors import MonitorError
from stream_infra.cli.streams import open_streams
from stream_infra.operations.proxy import unproxied


def down(settings: LocalSettings, console: Console, *, forget: bool = False) -> None:
    """End every program of the local monitor, the emulator last: it writes its state as it ends.

    Raises
    ------
    LocalError
        If its data could not be saved; one that hangs is killed.
    """
    if not settings.directory.exists():
        console.print("Nothing runs.")
        return
    with alone(settings):
        for process in (runner(settings), front_door(settings)):
            console.print(f"{process.name}: {'ended' if process.stop() else 'was not running'}")
        (settings.directory / "endpoints.json").unlink(missing_ok=True)
        aws = emulator.emulator(settings)
        with console.status(f"{aws.name}: saving its data …"):
            became = aws.stop() if forget else emulator.end(settings)
        console.print(f"{aws.name}: {became or 'was not running'}")


def main() -> int:
    """Command line of `make down` and `make clean`. Returns the exit code."""
    open_streams()
    parser = argparse.ArgumentParser(prog="make down", description=__doc__, epilog="Example: make down")
    parser.add_argument("--forget", action="store_true", help="delete the local monitor's data as well")
    arguments = parser.parse_args()
    console = Console()
    os.environ.update(unproxied(os.environ))
    try:
        settings = read_settings()
        down(settings, console, forget=arguments.forget)
    except MonitorError as error:
        return failed(str(error))
    except OSError as error:
        return failed(unusable(error))
    except KeyboardInterrupt:
        console.print(
            "Interrupted: what is left of the monitor may still run. `make down` goes on where it stopped."
        )
        return 130
    if arguments.forget and settings.directory.exists():
        shutil.rmtree(settings.directory)
        console.print("The local monitor's data is deleted.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
