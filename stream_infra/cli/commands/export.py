"""``stock-monitor export``: anomalies, quotes and incidents into a file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_infra.cli import options
from stream_infra.operations import times

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream_infra.operations.endpoints import Endpoints
    from stream_infra.operations.export.run import ExportRequest
    from stream_infra.operations.export.tables import ExportSpan, Part

app = typer.Typer(no_args_is_help=True)

Since = Annotated[
    str,
    typer.Option(
        "--from", help="Start: an age such as 7d, or a time (UTC unless it names a zone).", metavar="WHEN"
    ),
]
Until = Annotated[str | None, typer.Option("--to", help="End: as --from; without it, now.", metavar="WHEN")]
Tickers = Annotated[
    list[str] | None, typer.Option("--ticker", help="Only this ticker; may be repeated.", metavar="TICKER")
]
Output = Annotated[
    Path, typer.Option("-o", "--output", help="A new file: .csv, .jsonl or .parquet.", metavar="FILE")
]


@app.callback()
def export() -> None:
    """Write anomalies, quotes or incidents of any time to a file for other programs."""


@app.command()
def anomalies(
    *,
    output: Output,
    since: Since = "1d",
    until: Until = None,
    ticker: Tickers = None,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Export anomalies by their times.

    Example: stock-monitor export anomalies --from 7d -o anomalies.parquet
    """
    _export("anomalies", output, since, until, ticker, as_json=as_json, aws=aws)


@app.command()
def quotes(
    *,
    output: Output,
    since: Since = "1d",
    until: Until = None,
    ticker: Tickers = None,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Export the ticks of the raw archive, by day, ticker and time, for backtest, detect and replay.

    Example: stock-monitor export quotes --from 1d --ticker AAPL -o aapl.csv
    """
    _export("quotes", output, since, until, ticker, as_json=as_json, aws=aws)


@app.command()
def incidents(
    *,
    output: Output,
    since: Since = "1d",
    until: Until = None,
    ticker: Tickers = None,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Export incidents, by their start, in their present state.

    Example: stock-monitor export incidents --from 7d -o incidents.csv
    """
    _export("incidents", output, since, until, ticker, as_json=as_json, aws=aws)


def _export(
    table: str,
    output: Path,
    since: str,
    until: str | None,
    tickers: list[str] | None,
    *,
    as_json: bool,
    aws: bool,
) -> None:
    import json  # noqa: PLC0415  --help must not pay for it

    import msgspec  # noqa: PLC0415

    from stream_infra.operations import endpoints  # noqa: PLC0415
    from stream_infra.operations.export import run  # noqa: PLC0415
    from stream_infra.operations.export.tables import ExportSpan  # noqa: PLC0415
    from stream_infra.operations.watching import tickers_of  # noqa: PLC0415

    wanted = times.span(since, until, datetime.now(UTC))
    named = tuple(tickers_of(tickers)) if tickers else ()
    request = msgspec.convert(
        {"table": table, "since": since, "until": until, "tickers": named}, run.ExportRequest
    )
    start = run.begin(output, request, ExportSpan(*wanted, named))
    parts = _parts(endpoints.resolve(aws), request, start.span)
    with options.working(f"exporting {table}", quiet=as_json) as show:
        done = run.export(output, start, parts, show)
    if as_json:
        typer.echo(json.dumps({"file": str(output), **done._asdict()}))
        return
    kept = f", {done.kept:,} of them from before it was interrupted" if done.kept else ""
    typer.echo(f"{output}: {done.rows:,} {table}{kept}")


def _parts(monitor: Endpoints, request: ExportRequest, span: ExportSpan) -> Iterator[Part]:
    from stream_infra import names  # noqa: PLC0415  --help must not pay for it
    from stream_infra.operations.export import tables  # noqa: PLC0415

    if request.table == "quotes":
        return tables.quotes(monitor.client("s3"), names.data_bucket(monitor.account()), span)
    dynamodb = monitor.client("dynamodb")
    if request.table == "anomalies":
        return tables.anomalies(dynamodb, names.ANOMALIES_TABLE, span)
    from consumers.alerts.store import AlertStore  # noqa: PLC0415
    from consumers.alerts.table import DynamoTable  # noqa: PLC0415

    store = AlertStore(DynamoTable(dynamodb, names.ALERTS_TABLE))
    return tables.incidents(store, span, round(datetime.now(UTC).timestamp() * 1000))
