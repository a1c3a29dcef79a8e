"""``stock-monitor history``: fetch a vendor's minute bars into a file for `backtest` and `replay`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from stream_infra.cli import options
from stream_infra.operations.errors import InputError
from stream_infra.operations.times import moment

app = typer.Typer()


@app.command()
def history(
    tickers: Annotated[list[str], typer.Argument(help="One ticker or several.", metavar="TICKER...")],
    *,
    source: Annotated[
        str, typer.Option(help="The source whose history it is.", metavar="NAME", envvar="SOURCE")
    ],
    since: Annotated[
        str, typer.Option("--from", help="First minute: an age such as 7d, or a time.", metavar="WHEN")
    ] = "1d",
    until: Annotated[
        str | None, typer.Option("--to", help="Up to then: an age or a time; without it now.", metavar="WHEN")
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="CSV file; one that is there is continued.", metavar="FILE")
    ],
) -> None:
    """Fetch minute bars of the past into a CSV file, as fast as the vendor allows.

    Example: stock-monitor history BTC-USD --source coinbase --from 7d -o btc.csv
    """
    from producers.sources import history_of  # noqa: PLC0415  --help must not pay for it
    from stream_infra.operations.minute_bars import write  # noqa: PLC0415
    from stream_infra.operations.watching import tickers_of  # noqa: PLC0415

    if output.suffix.lower() != ".csv":
        raise InputError(f"-o {output}", allowed="a file named .csv")
    now = datetime.now(UTC)
    begin, end = moment(since, now), now if until is None else moment(until, now)
    if begin >= end:
        raise InputError(f"--from {since} is not before --to {until or 'now'}", allowed="a span of time")
    found = history_of(source, os.environ)
    span = (round(begin.timestamp() * 1000), round(end.timestamp() * 1000))
    with options.working("fetching", quiet=False) as show:
        for done in write(output, found, tickers_of(tickers), span, show):
            typer.echo(f"{done.ticker}: {done.new:,} minutes added, {done.kept:,} were there")
    typer.echo(f"{output}: try it with stock-monitor backtest {output}")
