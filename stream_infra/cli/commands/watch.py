"""``stock-monitor watch``: show and change the watch list; what is added is validated with the source."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_infra import names
from stream_infra.cli import options
from stream_infra.operations.endpoints import Endpoints, resolve, watch_list
from stream_infra.operations.errors import InputError

if TYPE_CHECKING:
    from stream_infra.operations.watching import ScannerSource, Watched

app = typer.Typer(no_args_is_help=True)
_NAMED = 20
"""Of more tickers than that a command names the first ones."""
Tickers = Annotated[list[str], typer.Argument(help="One ticker or several.", metavar="TICKER")]
Unchecked = Annotated[bool, typer.Option("--unchecked", help="Do not check that the source quotes them.")]


@app.callback()
def watch() -> None:
    """Show and change the watch list."""


@app.command("list")
def list_(*, as_json: options.AsJson = False, aws: options.Aws = False) -> None:
    """Show the watch list: each ticker's market, whether it trades now, its newest quote, coverage and warm-up.

    Example: stock-monitor watch list
    """
    from consumers.stores.charts import ChartTable  # noqa: PLC0415  --help must not pay for it
    from producers.origin import origin_of  # noqa: PLC0415
    from stream_infra.operations.watching import covered, utc_of  # noqa: PLC0415

    endpoints = resolve(aws)
    source, tickers, _ = _open(endpoints)
    table = ChartTable(endpoints.client("dynamodb"), names.CHARTS_TABLE)
    newest = table.last_quotes(origin_of(source.name)).ts
    quoted = {symbol: utc_of(ts) for symbol, ts in newest.items()}
    now = datetime.now(UTC)
    rows = covered(source.watched(tickers, quoted, now), table, origin_of(source.name), now)
    if as_json:
        listed = [
            {
                "ticker": row.ticker,
                "market": row.market,
                "open": row.is_open,
                "quoted": _iso(row.quoted),
                "minutes": row.minutes if row.minutes >= 0 else None,
                "warm_up": row.warm_up,
            }
            for row in rows
        ]
        typer.echo(json.dumps({"source": source.name, "tickers": listed}))
        return
    from consumers.contracts.wording import counted  # noqa: PLC0415
    from stream_infra.cli.text import table_text, time_of  # noqa: PLC0415

    shown = [
        (
            row.ticker,
            row.market,
            "open" if row.is_open else "closed",
            time_of(newest_at) if (newest_at := _iso(row.quoted)) else "none yet",
            f"{row.minutes} of 60 min" if row.minutes >= 0 else "not read",
            row.warm_up,
        )
        for row in rows
    ]
    header = ("TICKER", "MARKET", "NOW", "NEWEST QUOTE", "LAST HOUR", "WARM-UP")
    typer.echo(f"{counted(len(rows), 'ticker')} of {source.name}\n{table_text(shown, header=header)}")
    _warn_of_guesses(rows)


@app.command()
def add(tickers: Tickers, *, unchecked: Unchecked = False, aws: options.Aws = False) -> None:
    """Add tickers, after checking that the source quotes them.

    Example: stock-monitor watch add BTC-USD ETH-USD
    """
    _add(tickers, unchecked=unchecked, aws=aws)


@app.command()
def remove(tickers: Tickers, *, aws: options.Aws = False) -> None:
    """Remove tickers; their stored data stays.

    Example: stock-monitor watch remove ETH-USD
    """
    from stream_infra.operations.watching import tickers_of  # noqa: PLC0415  --help must not pay for it

    _, before, write = _open(resolve(aws))
    gone = tickers_of(tickers)
    if unknown := [ticker for ticker in gone if ticker not in before]:
        more = ", …" if len(before) > _NAMED else ""
        raise InputError(f"{unknown[0]} is not watched", allowed=f"one of {', '.join(before[:_NAMED])}{more}")
    left_out = set(gone)
    if not (kept := [ticker for ticker in before if ticker not in left_out]):
        raise InputError("the watch list would be empty", allowed="at least one ticker")
    write(kept)
    typer.echo(f"removed {', '.join(gone)}; in force within a minute")


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="Tickers, separated by commas, blanks or line ends, or CSV with a column symbol.",
            metavar="FILE",
        ),
    ],
    *,
    unchecked: Unchecked = False,
    aws: options.Aws = False,
) -> None:
    """Add the tickers of a file.

    Example: stock-monitor watch import tickers.txt
    """
    from producers.watch_list import parse  # noqa: PLC0415  --help must not pay for it
    from stream_infra.operations.files import read_text  # noqa: PLC0415
    from stream_infra.operations.watching import of_export  # noqa: PLC0415

    found = parse(of_export(read_text(file), str(file)), str(file))
    if found.rejected:
        raise InputError("; ".join(found.rejected[:5]))
    _add(found.symbols, unchecked=unchecked, aws=aws)


def _add(words: list[str] | tuple[str, ...], *, unchecked: bool, aws: bool) -> None:
    from stream_infra.operations.watching import tickers_of  # noqa: PLC0415  --help must not pay for it

    source, before, write = _open(resolve(aws))
    watched = set(before)
    named = tickers_of(words)
    new = [ticker for ticker in named if ticker not in watched]
    rejected = {} if unchecked or not new else source.rejected(new, datetime.now(UTC))
    if rejected:
        reasons = "; ".join(f"{ticker}: {why}" for ticker, why in rejected.items())
        raise InputError(f"{source.name} does not quote {', '.join(rejected)} ({reasons})")
    if new:
        write([*before, *new])
    rows = source.watched(new[:_NAMED], {}, datetime.now(UTC))
    more = f" and {len(new) - _NAMED:,} more" if len(new) > _NAMED else ""
    typer.echo(
        f"added {', '.join(f'{row.ticker} ({row.market})' for row in rows)}{more}; in force within a minute"
        if rows
        else "all of them were watched already"
    )
    if rows and (known := [ticker for ticker in named if ticker in watched]):
        more = f" and {len(known) - _NAMED:,} more" if len(known) > _NAMED else ""
        typer.echo(f"watched already: {', '.join(known[:_NAMED])}{more}")
    _warn_of_guesses(rows)


def _warn_of_guesses(rows: Sequence[Watched]) -> None:
    """Say which tickers follow the hours of another exchange than their own."""
    guessed = [row for row in rows if row.is_guess]
    if guessed:
        named = ", ".join(f"{row.ticker} ({row.market})" for row in guessed[:_NAMED])
        typer.echo(
            f"no calendar is known of the exchange of {named}: set `markets` where it keeps other hours",
            err=True,
        )


def _open(endpoints: Endpoints) -> tuple[ScannerSource, tuple[str, ...], Callable[[Sequence[str]], None]]:
    """Return the source, the watch list, and what writes another one in its place."""
    from producers.watch_list import WatchListWriter, change_note  # noqa: PLC0415
    from stream_infra.cli.text import author  # noqa: PLC0415
    from stream_infra.operations.watching import ScannerSource  # noqa: PLC0415

    source = ScannerSource(endpoints, os.environ)
    ssm, s3 = endpoints.client("ssm"), endpoints.client("s3")
    before = watch_list(endpoints.client)().symbols
    writer = WatchListWriter(ssm, s3, names.TICKER_PARAMETER, source.bucket)
    note = partial(change_note, author("watch"), before)
    return source, before, lambda after: writer.write(after, note(after))


def _iso(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z") if at else None
