"""What commands share, so that it is spelled and explained alike everywhere: options, progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from stream_infra.operations.errors import InputError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from stream_infra.operations.recordings import RejectedRows

_ROWS_SHOWN = 5
Aws = Annotated[
    bool,
    typer.Option(
        "--aws",
        envvar="STOCK_MONITOR_AWS",
        help="Use the monitor on AWS instead of the one on this machine.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@contextmanager
def working(what: str, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show on a terminal what is being done; the function given shows the next step."""
    from stream_infra.cli.text import console  # noqa: PLC0415  --help must not pay for it

    errors = console(errors=True)
    if quiet or not errors.is_terminal:
        yield lambda _: None
        return
    with errors.status(f"{what} …") as status:
        yield lambda text: status.update(f"{text} …")


def wanted(ids: list[str] | None, everything: bool, command: str) -> list[str]:
    """Return the ids that a person named, none if all are meant.

    Raises
    ------
    InputError
        Neither was said, or both.
    """
    if bool(ids) == everything:
        what = "both ids and --all are given" if ids else "no id is given"
        raise InputError(what, allowed=f"ids from `stock-monitor {command} list`, or --all")
    return ids or []


def exit_if_left_out(rejected: RejectedRows) -> None:
    """End with exit code 1 if rows of a recording were left out, after naming the first of them on standard error."""
    from consumers.contracts.wording import counted  # noqa: PLC0415  --help must not pay for it
    from stream_infra.cli.text import one_line  # noqa: PLC0415

    if not rejected.count:
        return
    typer.secho(f"{counted(rejected.count, 'row')} left out:", fg="yellow", err=True)
    for row in rejected.first[:_ROWS_SHOWN]:
        typer.echo(f"  {one_line(str(row))}", err=True)
    if rejected.count > _ROWS_SHOWN:
        typer.echo(f"  and {rejected.count - _ROWS_SHOWN:,} more", err=True)
    raise typer.Exit(1)


class ProgressBar:
    """A bar of steps, with the ticks that they dealt with."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task
        self._ticks = 0

    def add_ticks(self, count: int) -> None:
        """Count ticks of the step under way."""
        self._ticks += count
        self._progress.update(self._task, ticks=f"{self._ticks:,} ticks")

    def advance(self, line: str | None) -> None:
        """End a step, and print a line about it."""
        if line is not None:
            typer.echo(line)
        self._progress.advance(self._task)


@contextmanager
def progress(what: str, steps: int, *, quiet: bool) -> Iterator[ProgressBar]:
    """Show on a terminal how many of so many steps are done; lines that steps print go above the bar."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    from stream_infra.cli.text import console  # noqa: PLC0415

    errors = console(errors=True)
    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[ticks]}"),
        console=errors,
        disable=quiet or not errors.is_terminal or not steps,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    )
    with shown:
        yield ProgressBar(shown, shown.add_task(what, total=steps, ticks=""))
