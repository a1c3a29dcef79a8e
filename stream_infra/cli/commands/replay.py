"""``stock-monitor replay``: send a file of recorded ticks through the whole monitor."""

from __future__ import annotations

import json
import secrets
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from stream_infra.cli import options
from stream_infra.operations.endpoints import resolve
from stream_infra.operations.errors import InputError

if TYPE_CHECKING:
    from stream_infra.operations.replay import Replay

app = typer.Typer()
_REFUSED_SHOWN = 10


@app.command()
def replay(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV or JSON Lines, each also .gz, or Parquet: ts, symbol, price; bid, ask, volume where known.",
            metavar="FILE",
        ),
    ],
    *,
    speed: Annotated[
        float | None,
        typer.Option(
            help="So many times the recorded pace, 60 for an hour in a minute; as fast as possible without.",
            metavar="N",
        ),
    ] = None,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Send a file of recorded ticks through the whole monitor, and wait until each tick is accounted for.

    The file's own times are kept. Ctrl-C stops sending; what was sent is still processed.

    Example: stock-monitor replay recording.csv.gz --speed 60
    """
    from stream_infra.operations.replay import Replay, run  # noqa: PLC0415  --help must not pay for it

    if speed is not None and not 0 < speed < float("inf"):
        raise InputError(f"--speed {speed:g}: allowed is a number above 0")
    endpoints = resolve(aws)
    course = Replay(file, f"replay-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}")
    errors = Console(stderr=True, highlight=False)
    status = nullcontext() if as_json else errors.status("Reading …")
    with status as shown:
        run(course, speed, endpoints, lambda now: shown.update(_course(now)) if shown else None)
    if as_json:
        typer.echo(json.dumps(course.as_dict()))
        return
    _show(course, endpoints.dashboard, errors)


def _course(course: Replay) -> str:
    balance = course.balance
    return f"{course.ticks:,} ticks sent, {balance.ticks_in - balance.duplicate:,} accounted for …"


def _show(course: Replay, dashboard: str | None, errors: Console) -> None:
    for row in course.refused[:_REFUSED_SHOWN]:
        errors.print(f"refused  {row}", style="yellow", markup=False, soft_wrap=True)
    if course.refused_rows > _REFUSED_SHOWN:
        errors.print(f"and {course.refused_rows - _REFUSED_SHOWN:,} more rows refused", style="yellow")
    table = Table(title=f"{course.path.name} as {course.source}", title_justify="left")
    table.add_column("ticks")
    table.add_column("", justify="right")
    for name, count in course.balance.as_dict().items():
        table.add_row(name.removeprefix("ticks_").replace("_", " "), f"{count:,}")
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(f"in = in windows + duplicate + out of order + quarantined; {course.seconds:.1f} s")
    console.print(f"{course.anomalies:,} anomalies in the time of the recording")
    if dashboard is not None and course.symbols:
        symbol, (_, last_ms) = next(iter(course.symbols.items()))
        moment = datetime.fromtimestamp(last_ms / 1000, UTC).isoformat(timespec="milliseconds")
        link = f"{dashboard}?ticker={symbol}&at={moment.replace('+00:00', 'Z')}&source=replay"
        console.print(f"See them: {link}")
