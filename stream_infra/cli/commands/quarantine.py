"""``stock-monitor quarantine``: the records that could not be used, and the way to use them after all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_infra.cli import options
from stream_infra.cli.text import clock, one_line, print_table, printable
from stream_infra.operations.endpoints import resolve

if TYPE_CHECKING:
    from consumers.stream.records import Quarantined
    from stream_infra.operations.quarantine import RequeueOutcome

app = typer.Typer(no_args_is_help=True)
_PAYLOAD_SHOWN = 2000

Ids = Annotated[list[str] | None, typer.Argument(help="Ids of entries as `list` shows them.", metavar="ID")]


@app.callback()
def quarantine() -> None:
    """List, show and requeue records that could not be used."""


@app.command("list")
def list_(
    limit: Annotated[
        int, typer.Option("--limit", "-n", help="Maximum number of entries.", min=1, metavar="N")
    ] = 100,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """List quarantined records with their reasons, the newest first.

    Example: stock-monitor quarantine list
    """
    from consumers.redrive.requeue import entry_id  # noqa: PLC0415  --help must not pay for it
    from stream_infra.operations.quarantine import Quarantine  # noqa: PLC0415

    entries = Quarantine(resolve(aws)).entries()
    if as_json:
        typer.echo(json.dumps([_as_dict(entry) for entry in entries[:limit]]))
        return
    if not entries:
        typer.echo("Nothing is quarantined.")
        return
    print_table(
        (
            (entry_id(entry), clock(entry.arrival_ms), f"{len(entry.payload):,}", entry.reason)
            for entry in entries[:limit]
        ),
        header=("id", "arrived", "bytes", "reason"),
        right=(2,),
    )
    if len(entries) > limit:
        typer.echo(f"… and {len(entries) - limit:,} more: --limit {len(entries)}")


@app.command()
def show(
    entry: Annotated[str, typer.Argument(help="Id of an entry as `list` shows it.", metavar="ID")],
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Show a quarantined record: its place in the stream, the reason, and its content.

    Example: stock-monitor quarantine show 0d4f7c
    """
    from consumers.redrive.requeue import entry_id  # noqa: PLC0415
    from stream_infra.operations.quarantine import Quarantine  # noqa: PLC0415
    from stream_infra.operations.selection import chosen  # noqa: PLC0415

    (found,) = chosen(Quarantine(resolve(aws)).entries(), [entry], entry_id, "the quarantine")
    text = _text(found.payload)
    if as_json:
        typer.echo(json.dumps({**_as_dict(found), "payload": text}))
        return
    lines = [
        f"{found.shard} {found.sequence} [{found.index}], arrived {clock(found.arrival_ms)}",
        found.reason,
    ]
    lines += [f"  row {row.row} ({row.symbol}): {row.reason}" for row in found.rows]
    lines += ["", text[:_PAYLOAD_SHOWN]]
    if len(text) > _PAYLOAD_SHOWN:
        lines.append(f"… {len(text) - _PAYLOAD_SHOWN:,} more characters: --json shows all")
    typer.echo(printable("\n".join(lines)))


@app.command()
def requeue(
    ids: Ids = None,
    everything: Annotated[bool, typer.Option("--all", help="All entries.")] = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Try quarantined records again: score what can be used now as of its time; anomalies are marked late.

    Live windows do not change. A record that still cannot be used stays, with its reason. You can interrupt
    and repeat this safely.

    Example: stock-monitor quarantine requeue --all
    """
    from consumers.redrive.requeue import entry_id  # noqa: PLC0415
    from stream_infra.operations.quarantine import Quarantine  # noqa: PLC0415
    from stream_infra.operations.selection import chosen  # noqa: PLC0415

    wanted = options.wanted(ids, everything, "quarantine")
    opened = Quarantine(resolve(aws))
    selected = chosen(opened.entries(), wanted, entry_id, "the quarantine")
    results: list[RequeueOutcome] = []
    with options.progress("Requeuing", len(selected), quiet=as_json) as bar:
        for entry in selected:
            results.append(opened.requeue(entry))
            bar.advance(None if as_json else one_line(_result_line(results[-1])))
    if as_json:
        typer.echo(json.dumps([result.as_dict() for result in results]))
    elif not selected:
        typer.echo("Nothing is quarantined.")
    if any(result.stays for result in results):
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
    """Return the payload as text, bytes that are none as escapes."""
    return payload.decode("utf-8", "backslashreplace")


def _result_line(result: RequeueOutcome) -> str:
    parts = []
    if result.ticks:
        parts.append(f"{result.ticks:,} ticks brought back, {len(result.anomalies)} late anomalies")
    if result.stays:
        parts.append(f"stays: {result.stays}")
    return f"{result.id}  {'; '.join(parts) or 'was back already'}"
