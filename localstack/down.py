"""End the local monitor: `make down` keeps its data, `make clean` (`--forget`) deletes it."""

from __future__ import annotations

import argparse
import shutil
import sys

from rich.console import Console

from localstack.emulator import emulator
from localstack.settings import LocalError, LocalSettings, read_settings
from localstack.up import alone, front_door, runner


def down(settings: LocalSettings, console: Console) -> None:
    """End every program of the local monitor, the emulator last: it writes its state as it ends."""
    if not settings.directory.exists():
        console.print("Nothing runs.")
        return
    with alone(settings):
        for process in (runner(settings), front_door(settings), emulator(settings)):
            console.print(f"{process.name}: {'ended' if process.stop() else 'was not running'}")
        (settings.directory / "endpoints.json").unlink(missing_ok=True)


def main() -> int:
    """Command line of `make down` and `make clean`. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="make down", description=__doc__, epilog="Example: make down")
    parser.add_argument("--forget", action="store_true", help="delete the local monitor's data as well")
    arguments = parser.parse_args()
    console = Console()
    try:
        settings = read_settings()
        down(settings, console)
    except LocalError as error:
        Console(stderr=True).print(f"[red]✗[/] {error}", highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130
    if arguments.forget and settings.directory.exists():
        shutil.rmtree(settings.directory)
        console.print("The local monitor's data is deleted.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
