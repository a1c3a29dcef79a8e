"""End the local monitor: `make down` keeps its data, `make clean` (`--forget`) deletes it."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from functools import partial

from rich.console import Console

from localstack import saved_state
from localstack.emulator import emulator
from localstack.settings import LocalError, LocalSettings, read_settings, unusable
from localstack.up import alone, failed, front_door, runner
from producers.errors import MonitorError
from stream_infra.cli.streams import open_streams
from stream_infra.operations.proxy import unproxied

STALLED_SECONDS = 300.0
"""A day's data take minutes on a slow disk; of an emulator that has written nothing for so long nothing will come."""


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
        aws = emulator(settings)
        written = partial(saved_state.progress, settings.directory)
        with console.status(f"{aws.name}: saving its data …"):
            became = aws.stop() if forget else aws.stop(STALLED_SECONDS, written)
        console.print(f"{aws.name}: {became or 'was not running'}")
        (settings.directory / "endpoints.json").unlink(missing_ok=True)
        if became and not forget and (why := saved_state.problem(settings.directory)):
            if became == "killed":
                why = f"{aws.name} hung: it wrote nothing for {STALLED_SECONDS:g} s, and was killed"
            back = saved_state.of_copy(settings.directory)
            raise LocalError(
                f"the data of this run are not saved: {why}\n"
                f"The next `make up` {f'goes back to the data of {back}' if back else 'begins anew'}."
                f"{' Is the disk full?' if became == 'ended' else ''}"
            )


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
        return 130
    if arguments.forget and settings.directory.exists():
        shutil.rmtree(settings.directory)
        console.print("The local monitor's data is deleted.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
