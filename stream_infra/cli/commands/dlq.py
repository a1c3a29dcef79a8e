"""``stock-monitor dlq``: what the detector and the scanner gave up, and the way to bring it back."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from stream_infra.cli import options
from stream_infra.operations.endpoints import Endpoints, resolve
from stream_infra.operations.errors import InputError

if TYPE_CHECKING:
    from stream_infra.operations.dead_letters import DeadLetterQueue, Message

app = typer.Typer(no_args_is_help=True)
_QUOTES_SHOWN = 20
_ID_SHOWN = 8

Ids = Annotated[list[str] | None, typer.Argument(help="Ids of messages as `list` shows them.", metavar="ID")]
Everything = Annotated[bool, typer.Option("--all", help="All messages.")]


@app.callback()
def dlq() -> None:
    """Look into the dead-letter queue and redrive what is in it."""


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most so many.", min=1, metavar="N")] = 100,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """List failed batches and failed scans, the oldest first, with the reason of each.

    Example: stock-monitor dlq list
    """
    from stream_infra.operations.dead_letters import DeadLetterQueue, clock  # noqa: PLC0415  --help must not pay for it

    queue = DeadLetterQueue(resolve(aws))
    with queue.messages(limit) as messages:
        more = max(0, queue.depth() - len(messages)) if len(messages) == limit else 0
    if as_json:
        typer.echo(json.dumps([_as_dict(message) for message in messages]))
        return
    if not messages:
        typer.echo("The dead-letter queue is empty.")
        return
    for message in messages:
        records = f"{message.batch.size} records" if message.batch else ""
        typer.echo(
            f"{message.id[:_ID_SHOWN]}  {clock(message.sent_ms)}  {message.kind:<7}  {records:<12}  {message.reason}"
        )
    if more:
        typer.echo(f"… and about {more:,} more: --limit {len(messages) + more}")


@app.command()
def show(
    message: Annotated[str, typer.Argument(help="Id of a message as `list` shows it.")],
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Show a message: where its records lie in the stream, and their quotes.

    Example: stock-monitor dlq show 5f1c2a9e
    """
    from stream_infra.operations import dead_letters  # noqa: PLC0415

    endpoints = resolve(aws)
    with dead_letters.DeadLetterQueue(endpoints).messages() as messages:
        (found,) = dead_letters.chosen(messages, [message])
    records, problem = [], found.problem
    if found.batch is not None:
        try:
            records = list(
                dead_letters.shown(dead_letters.records_of(found.batch, endpoints.client("kinesis")))
            )
        except dead_letters.UnusableError as error:
            problem = str(error)
    if as_json:
        content = {"records": [record._asdict() for record in records], "problem": problem}
        typer.echo(json.dumps({**_as_dict(found), "body": found.body, **content}))
        return
    typer.echo("\n".join(_head(found)))
    for record in records:
        typer.echo(
            f"\n{record.sequence} [{record.user_record}]  {dead_letters.clock(record.arrival_ms)}  {record.source}"
        )
        for quote in record.quotes[:_QUOTES_SHOWN]:
            known = [f"{name} {value}" for name, value in quote.items() if value is not None]
            typer.echo(f"  {'  '.join(known)}")
        if len(record.quotes) > _QUOTES_SHOWN:
            typer.echo(f"  … and {len(record.quotes) - _QUOTES_SHOWN} more: --json shows all")
        if record.problem:
            typer.echo(f"  unreadable: {record.problem}")
    if problem:
        typer.echo(f"\n{problem}")
    if found.batch is None:
        typer.echo(f"\n{found.body}")


@app.command()
def redrive(
    ids: Ids = None,
    everything: Everything = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Bring back the ticks of failed batches: score them as of then, write their anomalies marked late.

    Live windows stay as they are. A message is deleted once its anomalies are written. It is safe to
    interrupt this and to repeat it.

    Example: stock-monitor dlq redrive --all
    """
    from stream_infra.operations import dead_letters  # noqa: PLC0415

    wanted = _wanted(ids, everything)
    endpoints = resolve(aws)
    queue = dead_letters.DeadLetterQueue(endpoints)
    results: list[dict[str, Any]] = []
    with queue.messages() as messages:
        selected = dead_letters.in_order(dead_letters.chosen(messages, wanted))
        failed = _redrive(endpoints, queue, selected, results, quiet=as_json)
    if as_json:
        typer.echo(json.dumps(results))
    elif not selected:
        typer.echo("The dead-letter queue is empty.")
    if failed:
        raise typer.Exit(1)


def _redrive(
    endpoints: Endpoints,
    queue: DeadLetterQueue,
    selected: list[Message],
    results: list[dict[str, Any]],
    *,
    quiet: bool,
) -> int:
    """Redrive messages one after the other; answers how many stay although they should not."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    from stream_infra.operations import dead_letters  # noqa: PLC0415

    if not selected:
        return 0
    failed = 0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rows]}"),
    )
    # With both on a terminal, the lines of results go above the bar.
    above = sys.stdout.isatty()
    bar = Progress(
        *columns, console=Console(stderr=True), disable=quiet, transient=True, redirect_stdout=above
    )
    with bar as progress:
        task = progress.add_task("Redriving", total=len(selected), rows="")
        rows = 0

        def on_rows(count: int) -> None:
            nonlocal rows
            rows += count
            progress.update(task, rows=f"{rows:,} ticks")

        redriving = dead_letters.redrive_of(endpoints, on_rows)
        for i, message in enumerate(selected):
            queue.hold_on(selected[i:])
            result: dict[str, Any] = {"id": message.id, "kind": message.kind}
            try:
                done = dead_letters.redrive(message, redriving, endpoints.client("kinesis"))
            except dead_letters.UnusableError as error:
                # A failed scan stays by design; a batch that stays is for somebody to look at.
                failed += message.kind != "scan"
                result |= {"redriven": False, "reason": str(error)}
            else:
                queue.delete(message)
                result |= {
                    "redriven": True,
                    "records": done.records,
                    "ticks": done.present + done.counts.ticks_in,
                    "present": done.present,
                    **{name: value for name, value in done.counts.as_dict().items() if name != "ticks_in"},
                    "anomalies": done.anomalies,
                }
            results.append(result)
            if not quiet:
                typer.echo(_result_line(result))
            progress.advance(task)
    return failed


@app.command()
def purge(
    ids: Ids = None,
    everything: Everything = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Delete messages without bringing anything back.

    Example: stock-monitor dlq purge 5f1c2a9e
    """
    from stream_infra.operations import dead_letters  # noqa: PLC0415

    wanted = _wanted(ids, everything)
    queue = dead_letters.DeadLetterQueue(resolve(aws))
    with queue.messages() as messages:
        selected = dead_letters.chosen(messages, wanted)
        if selected and not yes:
            batches = sum(message.kind == "batch" for message in selected)
            lost = (
                f", {batches} of them failed batches whose ticks are then lost to the windows"
                if batches
                else ""
            )
            typer.confirm(f"Delete {len(selected)} messages{lost}?", abort=True, err=True)
        for message in selected:
            queue.delete(message)
    if as_json:
        typer.echo(json.dumps({"deleted": [message.id for message in selected]}))
    else:
        typer.echo(f"{len(selected)} messages deleted.")


def _wanted(ids: list[str] | None, everything: bool) -> list[str]:
    if bool(ids) == everything:
        raise InputError("say which messages: ids as `stock-monitor dlq list` shows them, or --all")
    return ids or []


def _as_dict(message: Message) -> dict[str, Any]:
    from consumers.contracts.anomaly import iso_ms  # noqa: PLC0415

    batch = message.batch
    about: dict[str, Any] = {}
    if batch is not None:
        about = {
            "stream": batch.stream,
            "shard": batch.shard,
            "start": batch.start,
            "end": batch.end,
            "records": batch.size,
            "first_arrival": iso_ms(batch.first_ms),
            "last_arrival": iso_ms(batch.last_ms),
            "payload": "s3" if batch.records is not None else "stream",
        }
    kind = {
        "id": message.id,
        "kind": message.kind,
        "given_up": iso_ms(message.sent_ms),
        "reason": message.reason,
    }
    return {**kind, **about}


def _head(message: Message) -> list[str]:
    lines = [f"{message.kind} {message.id}", message.reason]
    if message.batch is not None:
        batch = message.batch
        lines.append(f"{batch.size} records of {batch.stream} {batch.shard}: {batch.start} to {batch.end}")
    return lines


def _result_line(result: dict[str, Any]) -> str:
    id_ = result["id"][:_ID_SHOWN]
    if not result["redriven"]:
        return f"{id_}  not redriven: {result['reason']}"
    parts = [f"{result['in_windows']:,} ticks brought back", f"{result['present']:,} were there"]
    others = ("duplicate", "out_of_order", "quarantined")
    parts += [f"{result[name]:,} {name.replace('_', ' ')}" for name in others if result[name]]
    found = result["anomalies"]
    parts.append(
        f"{len(found)} late anomalies"
        + (f" ({', '.join(found[:3])}{', …' if len(found) > 3 else ''})" if found else "")
    )
    return f"{id_}  {', '.join(parts)}"
