"""The command line ``stock-monitor``: a frame that imports a command only when it is run.

A command is a module ``stream_infra/cli/commands/<name>.py`` with an attribute ``app``, a `typer.Typer` that
holds either one command (``stock-monitor <name> ...``) or a group (``stock-monitor <name> <subcommand> ...``)::

    app = typer.Typer()

    @app.command()
    def replay(file: Path, as_json: options.AsJson = False, aws: options.Aws = False) -> None: ...

Its name and its line of help are in `COMMANDS` below, so that ``--help`` imports none of them. A module
imports boto3, numpy, rich or the CDK inside its functions when it can do without for ``--help``. A
`producers.errors.MonitorError` is one line on stderr (an object with ``--json``) and exit code 1. Errors of the
AWS client are reported alike. Ctrl-C exits with 130 (`stream_infra.cli.start`); a command needs to handle neither.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from producers.errors import MonitorError
from stream_infra.cli.streams import open_streams
from stream_infra.cli.text import printable
from stream_infra.operations.errors import FailedError, UnreachableError
from stream_infra.operations.proxy import unproxied

COMMANDS = {
    "status": "Show the state of each part and the age of its data.",
    "verify": "Test the running monitor end to end with a recording.",
    "doctor": "Find out what is wrong, why, and how to repair it.",
    "tail": "Follow ticks, anomalies or alerts as they come.",
    "quote": "Query a source for quotes, as the scanner does.",
    "watch": "Show and change the watch list.",
    "history": "Fetch historical minute bars into a file for backtest.",
    "export": "Write anomalies, quotes or incidents to a file.",
    "sql": "Query stored ticks, anomalies and incidents in SQL.",
    "endpoints": "Show the addresses of the dashboard, the API and AWS.",
    "login": "Sign in to a private monitor on AWS.",
    "replay": "Send a file of recorded ticks through the whole monitor.",
    "detect": "Score the ticks of a file or of standard input, offline.",
    "backtest": "Show what the detectors would have found in recordings.",
    "alerts": "List, show, test and silence alerts.",
    "rules": "Add, list, remove and test rules of your own.",
    "thresholds": "List and set the scores at which anomalies begin.",
    "dlq": "List, show, redrive and delete dead letters.",
    "config": "Check monitor.toml and show the settings in force.",
    "deploy": "Check what would change, then deploy to AWS.",
    "cost": "Estimate the monthly cost on AWS.",
    "rollback": "Put an older version of a function live.",
    "recover": "Restore data and settings; stop and start the monitor.",
    "mcp": "Serve tools to assistants by the Model Context Protocol.",
    "quarantine": "List, show and requeue records that could not be used.",
}


class LazyGroup(TyperGroup):
    """Holds a name and a help line for every command, and imports the command itself when it is run."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Swap the placeholder for the real command."""
        ctx.meta["json"] = "--json" in args
        name, _, rest = super().resolve_command(ctx, args)
        _follow(ctx.params.get("deployment"), rest)
        return name, load(str(name)), rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; report expected errors in one line."""
        try:
            return super().invoke(ctx)
        except UnreachableError as error:
            hint = "is the monitor running? See `stock-monitor status`"
            _report(error, f"{error}: {hint}", as_json=ctx.meta.get("json", False))
        except MonitorError as error:
            _report(error, str(error), as_json=ctx.meta.get("json", False))
        except _aws_errors() as error:
            _report(error, f"AWS: {error}", as_json=ctx.meta.get("json", False))
        raise typer.Exit(1)


def _follow(deployment: str | None, arguments: list[str]) -> None:
    """Let a command for AWS, before it is imported, know the names and the region of its deployment."""
    named = deployment or os.environ.get("STOCK_MONITOR_DEPLOYMENT")
    if not named and "--aws" not in arguments and not os.environ.get("STOCK_MONITOR_AWS"):
        return
    from stream_infra.config import LOCAL, PROD, enter  # noqa: PLC0415  no local command pays for it
    from stream_infra.monitor_toml import find_file, load  # noqa: PLC0415  no local command pays for it

    if named == LOCAL:
        return
    enter(load(named or PROD, find_file(Path.cwd())))
    if named:
        os.environ |= {"STOCK_MONITOR_AWS": "1", "STOCK_MONITOR_DEPLOYMENT": named}


def load(name: str) -> Any:
    """Import the command `name`.

    Raises
    ------
    FailedError
        A package that it needs is not installed.
    """
    module_name = f"stream_infra.cli.commands.{name}"
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            package = _distribution_of(error.name or "")
            raise FailedError(
                f"{name} needs the Python package {package}: run `make .venv`, or `pip install {package}`"
            ) from error
        raise FailedError(f"{name} is not part of this installation") from error
    command = typer.main.get_command(module.app)
    command.params = [
        param for param in command.params if param.name not in {"install_completion", "show_completion"}
    ]
    _plain(command)
    return command


def _distribution_of(module: str) -> str:
    """Return what to install for a module that is missing: the requirement of the monitor that begins like it."""
    from importlib.metadata import PackageNotFoundError, requires  # noqa: PLC0415  only where something is missing

    top = module.partition(".")[0].replace("_", "-")
    try:
        needed = requires("stock-market-anomaly-monitor") or []
    except PackageNotFoundError:
        needed = []
    named = (re.split(r"[^A-Za-z0-9.-]", line, maxsplit=1)[0] for line in needed)
    return next((name for name in named if name.startswith(top)), top)


def _plain(command: Any) -> None:
    """Let help be plain text for people, as that of the frame: rich takes longer to load than all the rest."""
    if isinstance(command, TyperCommand | TyperGroup):
        command.rich_markup_mode = None
    for param in command.params:
        if isinstance(
            param, TyperArgument
        ):  # its name says more to people than the type that Python has for it
            param.display_type_rich = lambda **_: None  # type: ignore[method-assign]
    for subcommand in getattr(command, "commands", {}).values():
        _plain(subcommand)
        subcommand.short_help = subcommand.get_short_help_str(1000)  # the list wraps it, else it is cut


def _aws_errors() -> tuple[type[Exception], ...]:
    # Taken from the loaded modules: importing botocore here would cost every start 200 ms.
    exceptions = sys.modules.get("botocore.exceptions")
    return () if exceptions is None else (exceptions.BotoCoreError, exceptions.ClientError)


def _report(error: Exception, message: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"error": {"type": type(error).__name__, "message": message}}), err=True)
    else:
        typer.secho(f"error: {printable(message)}", fg="red", err=True)


def _placeholder(name: str) -> Callable[[], None]:
    def command() -> None:
        raise AssertionError(f"{name} was not resolved")

    return command


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415  --help must not pay for it

        typer.echo(f"stock-monitor {version('stock-market-anomaly-monitor')}")
        raise typer.Exit


app = typer.Typer(
    name="stock-monitor",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Watch stock quotes as they stream in, and report each anomaly once, with the reason.",
)


@app.callback()
def _frame(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
    deployment: Annotated[
        str | None,
        typer.Option(
            "--deployment",
            help="Use this deployment of monitor.toml on AWS; with --aws alone it is prod.",
            envvar="STOCK_MONITOR_DEPLOYMENT",
            metavar="NAME",
        ),
    ] = None,
) -> None:
    """Watch stock quotes as they stream in, and report each anomaly once, with the reason."""


for _name, _help in COMMANDS.items():
    app.command(_name, help=_help)(_placeholder(_name))


def main() -> None:
    """Run ``stock-monitor``."""
    open_streams()
    os.environ.update(unproxied(os.environ))
    try:
        typer.main.get_command(app).main(prog_name="stock-monitor")
    except KeyboardInterrupt:  # before a command had begun
        sys.exit(130)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _report(error, f"there is no space left to write to: {error}", as_json="--json" in sys.argv)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what standard output still holds would fail again
        sys.exit(1)
