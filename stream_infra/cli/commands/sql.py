"""``stock-monitor sql``: questions to the history in SQL, and the named ones."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from stream_infra.cli import options

if TYPE_CHECKING:
    from stream_infra.operations.endpoints import Endpoints
    from stream_infra.operations.sql import Answer, Value

app = typer.Typer()
_GIB = 2**30


@app.command()
def sql(
    query: Annotated[
        str | None,
        typer.Argument(
            help="SQL, or the name of a named query; without it, list the named queries and the tables.",
            metavar="QUERY",
        ),
    ] = None,
    values: Annotated[
        list[str] | None, typer.Argument(help="Values of a named query.", metavar="VALUE")
    ] = None,
    *,
    rows: Annotated[
        int, typer.Option("--rows", "-n", help="Maximum number of rows.", min=1, metavar="N")
    ] = 100,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Update the lake first; it is updated every hour.")
    ] = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Query the history in SQL: with Athena on AWS, with DuckDB over the same files on this machine.

    Tables: ticks, bars, anomalies, incidents, deliveries, feedback; see docs/lake.md.

    Example: stock-monitor sql worst-spreads 2026-11-24 2026-11-28

    Example: stock-monitor sql "select kind, count(*) from anomalies where date >= '2026-11-24' group by kind"
    """
    from stream_infra.operations import endpoints  # noqa: PLC0415  --help must not pay for it
    from stream_infra.operations import sql as lake  # noqa: PLC0415

    text = None if query is None else lake.text_of(query, values or [], datetime.now(UTC).date())
    if text is None and not refresh:
        _print_known(as_json=as_json)
        return
    monitor = endpoints.resolve(aws)
    with options.working("querying", quiet=as_json) as show:
        if refresh:
            show("taking in what is new")
            blocks = lake.refresh(monitor.client("lambda"))
        if text is not None:
            answer = _answer(monitor, text, rows)
    if text is None:
        typer.echo(json.dumps({"blocks": blocks}) if as_json else f"{blocks:,} blocks taken in")
        return
    _print(answer, as_json=as_json)


def _answer(monitor: Endpoints, text: str, rows: int) -> Answer:
    from stream_infra import names  # noqa: PLC0415
    from stream_infra.operations import sql as lake  # noqa: PLC0415

    if monitor.aws is None:
        return lake.by_athena(monitor.client("athena"), text, rows, time.sleep)
    return lake.by_duckdb(monitor.client("s3"), names.data_bucket(monitor.account()), text, rows)


def _print(answer: Answer, *, as_json: bool) -> None:
    from stream_infra.cli.text import print_table  # noqa: PLC0415

    if as_json:
        found = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
        typer.echo(json.dumps({"rows": found, "has_more": answer.has_more, "read_bytes": answer.read_bytes}))
        return
    numbers = tuple(
        at
        for at in range(len(answer.columns))
        if any(isinstance(row[at], int | float) and not isinstance(row[at], bool) for row in answer.rows)
    )
    print_table((tuple(map(_cell, row)) for row in answer.rows), header=answer.columns, right=numbers)
    if not answer.rows:
        typer.echo("no rows")
    if answer.has_more:
        typer.echo(f"and more: the first {len(answer.rows)} are shown (--rows)", err=True)
    if answer.read_bytes is not None:
        typer.echo(f"{answer.read_bytes / _GIB:.3f} GiB read", err=True)


def _cell(value: Value) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.12g}" if isinstance(value, float) and abs(value) < 1e12 else str(value)


def _print_known(*, as_json: bool) -> None:
    from consumers.lake.queries import QUERIES  # noqa: PLC0415
    from consumers.lake.tables import TABLES  # noqa: PLC0415
    from stream_infra.cli.text import print_table  # noqa: PLC0415
    from stream_infra.operations.sql import usage  # noqa: PLC0415

    if as_json:
        queries = {name: {"says": query.says, "sql": query.sql} for name, query in QUERIES.items()}
        tables = {table.name: table.columns for table in TABLES.values()}
        typer.echo(json.dumps({"queries": queries, "tables": tables}))
        return
    print_table((usage(name, query), query.says) for name, query in QUERIES.items())
    typer.echo("")
    print_table((table.name, f"a row is {table.says}") for table in TABLES.values())
