"""``stock-monitor history``: fetch a vendor's minute bars into a file for `backtest` and `replay`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from stream_infra.cli import options
from stream_infra.operations.errors import InputError
from stream_infra.operations.times import span

app = typer.Typer()
AGE = "1d"
"""How far back minutes are fetched unless one says otherwise."""
Since = Annotated[
    str | None,
    typer.Option(
        "--from",
        help=f"Start: an age such as 7d, or a time (UTC unless it names a zone).  [default: {AGE}]",
        metavar="WHEN",
    ),
]
Until = Annotated[str | None, typer.Option("--to", help="End: as --from; without it, now.", metavar="WHEN")]


@app.command()
def history(
    tickers: Annotated[list[str], typer.Argument(help="One ticker or several.", metavar="TICKER")],
    *,
    source: Annotated[str, typer.Option(help="The source to fetch from.", metavar="NAME", envvar="SOURCE")],
    since: Since = None,
    until: Until = None,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="A .csv or .parquet file; an existing one is continued.", metavar="FILE"
        ),
    ],
) -> None:
    """Fetch historical minute bars into a file, as fast as the vendor allows.

    Example: stock-monitor history BTC-USD --source coinbase --from 7d -o btc.csv
    """
    fetch(tickers, output, source=source, since=since, until=until)
    typer.echo(f"{output}: try it with stock-monitor backtest {output}")


def fetch(tickers: Sequence[str], output: Path, *, source: str, since: str | None, until: str | None) -> None:
    """Fetch minute bars of a source into a file; shows how far it is.

    Raises
    ------
    InputError
        If the span, a ticker or the file's name is none.
    SourceError
        If the source has no history, or does not answer.
    """
    from consumers.contracts.wording import counted  # noqa: PLC0415  --help must not pay for it
    from producers.sources import history_of  # noqa: PLC0415
    from stream_infra.operations.minute_bars import FORMATS, save  # noqa: PLC0415
    from stream_infra.operations.watching import tickers_of  # noqa: PLC0415

    if output.suffix.lower() not in FORMATS:
        raise InputError(f"-o {output}", allowed=f"a file named {' or '.join(FORMATS)}")
    wanted = span(since or AGE, until, datetime.now(UTC))
    found = history_of(source, os.environ)
    with options.working("fetching", quiet=False) as show:
        for done in save(output, found, tickers_of(tickers), wanted, show):
            left_out = f", {done.unpriced:,} have no price and were left out" if done.unpriced else ""
            typer.echo(
                f"{done.ticker}: {counted(done.new, 'minute')} added, {done.kept:,} were there{left_out}",
                err=True,
            )
