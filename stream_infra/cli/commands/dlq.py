"""``stock-monitor dlq``: batches that the detector discarded and scans that failed, and the way to bring them back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumers.contracts.wording import counted
from stream_infra.cli import options
from stream_infra.cli.text import clock, one_line, print_table, printable
from stream_infra.operations.endpoints import resolve

if TYPE_CHECKING:
    from stream_infra.operations.dead_letters import DeadLetter, ShownRecord
    from stream_infra.operations.redriving import RedriveResult

app = typer.Typer(no_args_is_help=True)
_QUOTES_SHOWN = 20
_ID_SHOWN = 8
_BODY_SHOWN = 4000

Ids = Annotated[list[str] | None, typer.Argument(help="Ids of messages as `list` shows them.", metavar="ID")]
Everything = Annotated[bool, typer.Option("--all", help="All messages.")]


@app.callback()
def dlq() -> None:
    """List, show, redrive and delete dead letters: batches that the detector discarded, and failed scans."""


@app.command("list")
def list_(
    limit: Annotated[
        int, typer.Option("--limit", "-n", help="Maximum number of messages.", min=1, metavar="N")
    ] = 100,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """List discarded batches and failed scans with their reasons, the oldest first.

    Example: stock-monitor dlq list
    """
    from stream_infra.operations.dead_letters import DeadLetterQueue  # noqa: PLC0415  --help must not pay for it

    queue = DeadLetterQueue(resolve(aws))
    with options.working("Reading the queue", quiet=as_json), queue.messages(limit) as messages:
        more = max(0, queue.depth() - len(messages)) if len(messages) == limit else 0
    if as_json:
        typer.echo(json.dumps([_as_dict(message) for message in messages]))
        return
    if not messages:
        typer.echo("The dead-letter queue is empty.")
        return
    print_table(
        (
            (
                message.id[:_ID_SHOWN],
                clock(message.sent_ms),
                message.kind,
                f"{message.batch.size:,}" if message.batch else "",
                message.reason,
            )
            for message in messages
        ),
        header=("id", "discarded", "kind", "records", "reason"),
        right=(3,),
    )
    if more:
        typer.echo(f"… and about {more:,} more: --limit {len(messages) + more}")


@app.command()
def show(
    message: Annotated[str, typer.Argument(help="Id of a message as `list` shows it.", metavar="ID")],
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Show a message: where its records lie in the stream, and their quotes.

    Example: stock-monitor dlq show 5f1c2a9e
    """
    from stream_infra.operations import dead_letters  # noqa: PLC0415
    from stream_infra.operations.selection import chosen  # noqa: PLC0415

    endpoints = resolve(aws)
    with dead_letters.DeadLetterQueue(endpoints).messages() as messages:
        (found,) = chosen(messages, [message], lambda of: of.id, "the dead-letter queue")
    records, problem = list[dead_letters.ShownRecord](), found.problem
    if found.batch is not None:
        try:
            of_batch = dead_letters.records_of(found.batch, endpoints.client("kinesis"))
            records = list(dead_letters.shown(of_batch))
        except dead_letters.UnusableError as error:
            problem = str(error)
    if as_json:
        content = {"records": [record._asdict() for record in records], "problem": problem}
        typer.echo(json.dumps({**_as_dict(found), "body": found.body, **content}))
    else:
        typer.echo(printable("\n".join(_lines(found, records, problem))))


@app.command()
def redrive(
    ids: Ids = None,
    everything: Everything = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Score the ticks of discarded batches as of their time; write their anomalies, marked late.

    Live windows do not change. A message is deleted once its anomalies are written. You can interrupt
    and repeat this safely.

    Example: stock-monitor dlq redrive --all
    """
    from stream_infra.operations import dead_letters, redriving  # noqa: PLC0415
    from stream_infra.operations.selection import chosen  # noqa: PLC0415

    wanted = options.wanted(ids, everything, "dlq")
    endpoints = resolve(aws)
    queue = dead_letters.DeadLetterQueue(endpoints)
    results: list[RedriveResult] = []
    with queue.messages() as messages:
        selected = dead_letters.in_order(chosen(messages, wanted, lambda of: of.id, "the dead-letter queue"))
        with options.progress("Redriving", len(selected), quiet=as_json) as bar:
            for result in redriving.redrive_all(endpoints, queue, selected, bar.add_ticks):
                results.append(result)
                bar.advance(None if as_json else one_line(_result_line(result)))
    if as_json:
        typer.echo(json.dumps([result.as_dict() for result in results]))
    elif not selected:
        typer.echo("The dead-letter queue is empty.")
    if any(result.failed for result in results):
        raise typer.Exit(1)


@app.command()
def purge(
    ids: Ids = None,
    everything: Everything = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Delete messages; their ticks are not scored.

    Example: stock-monitor dlq purge 5f1c2a9e
    """
    from stream_infra.operations import dead_letters  # noqa: PLC0415
    from stream_infra.operations.selection import chosen  # noqa: PLC0415

    wanted = options.wanted(ids, everything, "dlq")
    queue = dead_letters.DeadLetterQueue(resolve(aws))
    with queue.messages() as messages:
        selected = chosen(messages, wanted, lambda of: of.id, "the dead-letter queue")
        if selected and not yes:
            batches = sum(message.kind == "batch" for message in selected)
            lost = f", {batches} of them failed batches whose ticks are then lost to the windows"
            typer.confirm(
                f"Delete {counted(len(selected), 'message')}{lost if batches else ''}?", abort=True, err=True
            )
        for message in selected:
            queue.delete(message)
    if as_json:
        typer.echo(json.dumps({"deleted": [message.id for message in selected]}))
    else:
        typer.echo(f"{counted(len(selected), 'message')} deleted.")


def _as_dict(message: DeadLetter) -> dict[str, Any]:
    from consumers.contracts.anomaly import iso_ms  # noqa: PLC0415

    about = {
        "id": message.id,
        "kind": message.kind,
        "discarded_at": iso_ms(message.sent_ms),
        "reason": message.reason,
    }
    batch = message.batch
    if batch is None:
        return about
    return {
        **about,
        "stream": batch.stream,
        "shard": batch.shard,
        "start": batch.start,
        "end": batch.end,
        "records": batch.size,
        "first_arrival": iso_ms(batch.first_ms),
        "last_arrival": iso_ms(batch.last_ms),
        "payload": "s3" if batch.records is not None else "stream",
    }


def _lines(message: DeadLetter, records: list[ShownRecord], problem: str) -> list[str]:
    lines = [f"{message.kind} {message.id}", message.reason]
    if message.batch is not None:
        batch = message.batch
        lines.append(f"{batch.size} records of {batch.stream} {batch.shard}: {batch.start} to {batch.end}")
    for record in records:
        lines += [
            "",
            f"{record.sequence} [{record.user_record}]  {clock(record.arrival_ms)}  {record.source}",
        ]
        for quote in record.quotes[:_QUOTES_SHOWN]:
            known = [f"{name} {value}" for name, value in quote.items() if value is not None]
            lines.append(f"  {'  '.join(known)}")
        if len(record.quotes) > _QUOTES_SHOWN:
            lines.append(f"  … and {len(record.quotes) - _QUOTES_SHOWN} more: --json shows all")
        if record.problem:
            lines.append(f"  unreadable: {record.problem}")
    if problem:
        lines += ["", problem]
    if message.batch is None:
        cut = "\n… --json shows all" if len(message.body) > _BODY_SHOWN else ""
        lines += ["", message.body[:_BODY_SHOWN] + cut]
    return lines


def _result_line(result: RedriveResult) -> str:
    id_, done = result.message.id[:_ID_SHOWN], result.done
    if done is None:
        return f"{id_}  not redriven: {result.reason}"
    counts = done.counts.as_dict()
    parts = [f"{counts['in_windows']:,} ticks brought back", f"{done.present:,} were there"]
    others = ("duplicate", "out_of_order", "quarantined")
    parts += [f"{counts[name]:,} {name.replace('_', ' ')}" for name in others if counts[name]]
    named = f" ({', '.join(done.anomalies[:3])}{', …' if len(done.anomalies) > 3 else ''})"
    parts.append(f"{len(done.anomalies)} late anomalies{named if done.anomalies else ''}")
    return f"{id_}  {', '.join(parts)}"
