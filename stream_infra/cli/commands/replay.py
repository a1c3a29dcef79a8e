"""``stock-monitor replay``: send a file of recorded ticks through the whole monitor."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import typer

from stream_infra.cli import options
from stream_infra.cli.text import print_table
from stream_infra.operations.endpoints import resolve
from stream_infra.operations.errors import InputError

if TYPE_CHECKING:
    from stream_infra.operations.replay import Replay

app = typer.Typer()


@app.command()
def replay(
    file: Annotated[
        Path,
        typer.Argument(
            help="Recorded ticks (.csv, .jsonl, also .gz; .parquet): ts, symbol, price[, bid, ask, volume].",
            metavar="FILE",
        ),
    ],
    *,
    speed: Annotated[
        float | None,
        typer.Option(
            help="Multiple of the recorded pace (60: an hour in a minute); without it, as fast as possible.",
            metavar="N",
        ),
    ] = None,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Send a file of recorded ticks through the whole monitor, and wait until each tick is accounted for.

    The file's own times are kept. Rows that cannot be used are left out and named; the exit code is 1 then.
    Ctrl-C stops sending; what was sent is still processed.

    Example: stock-monitor replay recording.csv.gz --speed 60
    """
    from stream_infra.operations.replay import Replay, run  # noqa: PLC0415  --help must not pay for it

    if speed is not None and not 0 < speed < float("inf"):
        raise InputError(f"{speed:g}", where="--speed", allowed="a number above 0")
    endpoints = resolve(aws)
    course = Replay(file, f"replay-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}")
    with options.working("Reading", quiet=as_json) as say:
        run(course, speed, endpoints, lambda now: say(_course(now)))
    if as_json:
        typer.echo(json.dumps(course.as_dict()))
    else:
        _show(course, endpoints.dashboard)
    options.exit_if_left_out(course.rejected)


def _course(course: Replay) -> str:
    balance = course.balance
    return f"{course.ticks:,} ticks sent, {balance.ticks_in - balance.duplicate:,} accounted for"


def _show(course: Replay, dashboard: str | None) -> None:
    from consumers.contracts.wording import counted  # noqa: PLC0415

    typer.echo(f"{course.path.name} as {course.source}")
    print_table(
        (
            (name.removeprefix("ticks_").replace("_", " "), f"{count:,}")
            for name, count in course.balance.as_dict().items()
        ),
        header=("ticks", ""),
        right=(1,),
    )
    typer.echo(f"in = in windows + duplicate + out of order + quarantined; {course.seconds:.1f} s")
    typer.echo(f"{counted(course.anomalies, 'anomaly', 'anomalies')} in the time of the recording")
    if dashboard is not None and course.symbols:
        symbol, (_, last_ms) = next(iter(course.symbols.items()))
        moment = datetime.fromtimestamp(last_ms / 1000, UTC).isoformat(timespec="milliseconds")
        query = urlencode({"ticker": symbol, "at": moment.replace("+00:00", "Z"), "source": "replay"})
        typer.echo(f"See them: {dashboard}?{query}")
