"""``stock-monitor quarantine``: the records that could not be used, and the way to use them after all."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from stream_infra.cli import options
from stream_infra.operations.endpoints import resolve
from stream_infra.operations.errors import InputError

if TYPE_CHECKING:
    from consumers.stream.records import Quarantined

app = typer.Typer(no_args_is_help=True)
_PAYLOAD_SHOWN = 2000

Ids = Annotated[list[str] | None, typer.Argument(help="Ids of entries as `list` shows them.", metavar="ID")]


@app.callback()
def quarantine() -> None:
    """Look into the records that could not be used."""


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most so many.", min=1, metavar="N")] = 100,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """List quarantined records, the newest first, with the reason of each.

    Example: stock-monitor quarantine list
    """
    from consumers.redrive.requeue import entry_id  # noqa: PLC0415  --help must not pay for it
    from stream_infra.operations.dead_letters import clock  # noqa: PLC0415
    from stream_infra.operations.quarantine import Quarantine  # noqa: PLC0415

    entries = Quarantine(resolve(aws)).entries()
    if as_json:
        typer.echo(json.dumps([_as_dict(entry) for entry in entries[:limit]]))
        return
    if not entries:
        typer.echo("Nothing is quarantined.")
        return
    for entry in entries[:limit]:
        size = f"{len(entry.payload):,} bytes"
        typer.echo(f"{entry_id(entry)}  {clock(entry.arrival_ms)}  {size:>15}  {entry.reason}")
    if len(entries) > limit:
        typer.echo(f"… and {len(entries) - limit:,} more: --limit {len(entries)}")


@app.command()
def show(
    entry: Annotated[str, typer.Argument(help="Id of an entry as `list` shows it.", metavar="ID")],
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Show a quarantined record: where it lies in the stream, why it is here, and its content.

    Example: stock-monitor quarantine show 0d4f7c
    """
    from stream_infra.operations.dead_letters import clock  # noqa: PLC0415
    from stream_infra.operations.quarantine import Quarantine, chosen  # noqa: PLC0415

    (found,) = chosen(Quarantine(resolve(aws)).entries(), [entry])
    if as_json:
        typer.echo(json.dumps({**_as_dict(found), "payload": _text(found.payload)}))
        return
    typer.echo(f"{found.shard} {found.sequence} [{found.index}], arrived {clock(found.arrival_ms)}")
    typer.echo(found.reason)
    for row in found.rows:
        typer.echo(f"  row {row.row} ({row.symbol}): {row.reason}")
    text = _text(found.payload)
    typer.echo(f"\n{text[:_PAYLOAD_SHOWN]}")
    if len(text) > _PAYLOAD_SHOWN:
        typer.echo(f"… {len(text) - _PAYLOAD_SHOWN:,} more characters: --json shows all")


@app.command()
def release(
    ids: Ids = None,
    everything: Annotated[bool, typer.Option("--all", help="All entries.")] = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Try quarantined records again: what can be used now is scored as of then, its anomalies marked late.

    Live windows stay as they are. What still cannot be used stays, with its reason. It is safe to interrupt
    this and to repeat it.

    Example: stock-monitor quarantine release --all
    """
    from rich.progress import Progress  # noqa: PLC0415

    from stream_infra.operations.quarantine import Quarantine, chosen  # noqa: PLC0415

    if bool(ids) == everything:
        raise InputError("say which entries: ids as `stock-monitor quarantine list` shows them, or --all")
    opened = Quarantine(resolve(aws))
    selected = chosen(opened.entries(), ids or [])
    results = []
    # With both on a terminal, the lines of results go above the bar.
    bar = Progress(
        console=Console(stderr=True), disable=as_json, transient=True, redirect_stdout=sys.stdout.isatty()
    )
    with bar as progress:
        for entry in progress.track(selected, description="Releasing"):
            result = opened.release(entry)
            results.append(result)
            if not as_json:
                typer.echo(_result_line(result))
    if as_json:
        typer.echo(json.dumps(results))
    elif not selected:
        typer.echo("Nothing is quarantined.")
    if any(result["stays"] for result in results):
        raise typer.Exit(1)


def _as_dict(entry: Quarantined) -> dict[str, Any]:
    from consumers.contracts.anomaly import iso_ms  # noqa: PLC0415
    from consumers.redrive.requeue import entry_id  # noqa: PLC0415

    return {
        "id": entry_id(entry),
        "arrived": iso_ms(entry.arrival_ms),
        "reason": entry.reason,
        "rows": [row._asdict() for row in entry.rows],
        "shard": entry.shard,
        "sequence": entry.sequence,
        "user_record": entry.index,
        "partition": entry.partition,
        "bytes": len(entry.payload),
    }


def _text(payload: bytes) -> str:
    """The payload as text, bytes that are none as escapes."""
    return payload.decode("utf-8", "backslashreplace")


def _result_line(result: dict[str, Any]) -> str:
    parts = []
    if result["released"]:
        found = result["anomalies"]
        parts.append(f"{result['released']:,} ticks brought back, {len(found)} late anomalies")
    if result["stays"]:
        parts.append(f"stays: {result['stays']}")
    return f"{result['id']}  {'; '.join(parts) or 'was back already'}"
